"""Constants are those of the Particle Data Group, as the `particle` package has them."""

import pytest
from particle import Particle

from bphcoffea.physics import constants

GEV = 1e-3  # the package has MeV


@pytest.mark.parametrize(
    ("value", "pdgid"),
    [
        (constants.MUON_MASS, 13),
        (constants.PION_MASS, 211),
        (constants.DS_MASS, 431),
        (constants.DPLUS_MASS, 411),
        (constants.PHI_MASS, 333),
        (constants.JPSI_MASS, 443),
        (constants.Z_MASS, 23),
    ],
)
def test_masses(value, pdgid):
    assert value == pytest.approx(Particle.from_pdgid(pdgid).mass * GEV, rel=1e-6)


def test_width_of_the_phi():
    assert pytest.approx(Particle.from_pdgid(333).width * GEV, rel=1e-3) == constants.PHI_WIDTH
