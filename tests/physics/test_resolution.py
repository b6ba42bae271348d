"""The mass resolution against derivatives and against masses that are really smeared."""

import itertools
import math

import awkward as ak
import numpy as np
import pytest

from bphcoffea.physics import mass_resolution

MUON_MASS = 0.1056583755
RNG = np.random.default_rng(5)
#: pT (GeV), η, φ of three particles in each of two events, with two candidates and one.
MADE = np.stack(
    [RNG.uniform(3, 12, (3, 3)), RNG.uniform(0.5, 1.0, (3, 3)), RNG.uniform(-0.2, 0.2, (3, 3))]
)
ERRORS = np.stack([MADE[0] * 0.012, np.full((3, 3), 4e-4), np.full((3, 3), 3e-4)])


def legs(values=MADE):
    """A particle each, of three candidates; the axes of the values are quantity, leg, candidate."""
    return [
        ak.unflatten(
            ak.zip(
                {
                    "pt": values[0, leg],
                    "eta": values[1, leg],
                    "phi": values[2, leg],
                    "mass": np.full(3, MUON_MASS),
                }
            ),
            [2, 0, 1],
        )
        for leg in range(3)
    ]


def errors(quantities=3):
    return [
        [ak.unflatten(ERRORS[q, leg], [2, 0, 1]) for q in range(quantities)] for leg in range(3)
    ]


def mass_of(pt, eta, phi):
    """By pairs: m² = Σm² + Σ 2(E E' - p·p')."""
    energy = [math.hypot(p * math.cosh(e), MUON_MASS) for p, e in zip(pt, eta, strict=True)]
    square = 3 * MUON_MASS**2
    for i, j in itertools.combinations(range(3), 2):
        along = math.cos(phi[i] - phi[j]) + math.sinh(eta[i]) * math.sinh(eta[j])
        square += 2 * (energy[i] * energy[j] - pt[i] * pt[j] * along)
    return math.sqrt(square)


@pytest.mark.parametrize("quantities", [1, 3])
def test_small_errors_propagate_by_the_derivatives(quantities):
    step = 1e-5
    for candidate, got in enumerate(ak.flatten(mass_resolution(legs(), errors(quantities)))):
        variance = 0.0
        for quantity, leg in itertools.product(range(quantities), range(3)):
            up, down = MADE[..., candidate].copy(), MADE[..., candidate].copy()
            up[quantity, leg] += step
            down[quantity, leg] -= step
            slope = (mass_of(*up) - mass_of(*down)) / (2 * step)
            variance += (slope * ERRORS[quantity, leg, candidate]) ** 2
        # errors of 1% leave the linear range by their square
        assert got == pytest.approx(math.sqrt(variance) / mass_of(*MADE[..., candidate]), rel=1e-3)


def test_is_the_spread_of_smeared_masses():
    n = 20_000
    smeared = MADE[..., :1] + ERRORS[..., :1] * np.random.default_rng(1).normal(size=(3, 3, n))
    masses = [mass_of(*smeared[..., k]) for k in range(n)]
    resolution = ak.flatten(mass_resolution(legs(), errors()))[0]
    # the spread of 20 000 masses is known to 0.5%
    assert np.std(masses) / np.mean(masses) == pytest.approx(resolution, rel=0.02)


def test_lists_keep_their_lengths_and_padding_has_no_resolution():
    values = MADE.copy()
    values[:, :, 1] = math.nan
    resolution = mass_resolution(legs(values), errors())
    assert ak.num(resolution).tolist() == [2, 0, 1]
    assert np.isnan(ak.flatten(resolution)).tolist() == [False, True, False]
