"""Collision energies by year, unless the metadata say otherwise."""

import pytest

from bphcoffea.physics.energies import collision_energy


@pytest.mark.parametrize(
    ("metadata", "energy"),
    [
        ({"era": "2010A"}, 7.0),
        ({"era": "2011B"}, 7.0),
        ({"era": "2012"}, 8.0),
        ({"era": "2015C"}, 13.0),
        ({"era": "2018D"}, 13.0),
        ({"era": "2024"}, 13.6),
        ({"era": "2009"}, None),
        ({"era": "Run2"}, None),
        ({"era": "²⁰¹⁸"}, None),
        ({"era": ""}, None),
        ({"era": "2017G", "energy": 5.02}, 5.02),
        ({"era": "Run2", "energy": None}, None),
    ],
)
def test_energy_of_an_era(metadata, energy):
    assert collision_energy(**metadata) == energy
