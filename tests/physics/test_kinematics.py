"""ΔR and invariant masses, against their formulas."""

import math

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bphcoffea.physics.constants import MUON_MASS
from bphcoffea.physics.kinematics import delta_r, invariant_mass

PARTICLE = st.fixed_dictionaries(
    {
        "pt": st.floats(0.5, 100),
        "eta": st.floats(-2.5, 2.5),
        "phi": st.floats(-math.pi, math.pi),
        "mass": st.sampled_from([MUON_MASS, 0.13957039, 0.49]),
    }
)


def array(particle, dtype=np.float64):
    return ak.Array({name: np.array([value], dtype=dtype) for name, value in particle.items()})


@given(a=PARTICLE, b=PARTICLE)
def test_delta_r_is_the_shortest_way_around(a, b):
    d_phi = min(abs(a["phi"] - b["phi"] + turn * 2 * math.pi) for turn in (-1, 0, 1))
    expected = math.hypot(a["eta"] - b["eta"], d_phi)
    # differences of φ lose the digits of 2π
    assert delta_r(array(a), array(b))[0] == pytest.approx(expected, rel=1e-12, abs=1e-14)


@given(a=PARTICLE, b=PARTICLE)
def test_mass_of_a_pair(a, b):
    energies = [math.sqrt((p["pt"] * math.cosh(p["eta"])) ** 2 + p["mass"] ** 2) for p in (a, b)]
    product = (
        a["pt"]
        * b["pt"]
        * (math.cos(a["phi"] - b["phi"]) + math.sinh(a["eta"]) * math.sinh(b["eta"]))
    )
    mass2 = a["mass"] ** 2 + b["mass"] ** 2 + 2 * (energies[0] * energies[1] - product)
    # m² is a difference of numbers of the size of E²
    tolerance = 1e-13 * sum(energies) ** 2
    assert invariant_mass(array(a), array(b))[0] ** 2 == pytest.approx(mass2, abs=tolerance)


def test_single_precision_is_lifted_before_the_sum():
    muons = [{"pt": 50.0, "eta": 2.4, "phi": phi, "mass": MUON_MASS} for phi in (1.0, 1.0000001)]
    mass = invariant_mass(*(array(muon, np.float32) for muon in muons))[0]
    assert mass == pytest.approx(2 * MUON_MASS, rel=1e-6)


def in_some_form(lists, form):
    """The particles in lists; events with none in between, in another order, nested or missing."""
    pairs = ak.Array(lists)
    match form:
        case "selected":
            return pairs[::-1][ak.num(pairs)[::-1] > 0]
        case "nested":
            return ak.unflatten(pairs, [len(pairs)])
        case "missing":
            return ak.mask(pairs, pairs.first.eta > 0)
    return pairs


@pytest.mark.parametrize("form", ["lists", "selected", "nested", "missing"])
@settings(max_examples=8)
@given(
    lists=st.lists(
        st.lists(st.fixed_dictionaries({"first": PARTICLE, "second": PARTICLE}), max_size=3),
        min_size=1,
    ).filter(any)
)
def test_lists_of_particles_are_as_single_ones(lists, form):
    pairs = in_some_form(lists, form)
    flat = ak.flatten(ak.flatten(pairs) if form == "nested" else pairs)
    single = ak.to_list(ak.drop_none(flat))
    for function in (delta_r, invariant_mass):
        together = function(pairs.first, pairs.second)
        assert str(together.type) == str(pairs.first.eta.type)
        alone = [function(array(one["first"]), array(one["second"]))[0] for one in single]
        np.testing.assert_array_equal(ak.to_list(ak.flatten(together, axis=None)), alone)


def test_particles_of_other_events_have_no_distance():
    one, two = (ak.Array([[{"eta": 0.0, "phi": 0.0}] * n]) for n in (1, 2))
    with pytest.raises(ValueError, match="broadcast"):
        delta_r(one, two)
