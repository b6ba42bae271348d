"""Kinematics of the toy's decays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.physics.constants import DS_MASS, MUON_MASS, PHI_MASS, PHI_WIDTH, PION_MASS
from bphcoffea.toys import decay

# a few ulps of the largest energy (some 100 GeV), squared, over the smallest mass squared
ROUNDING = 1e-9

masses = st.floats(0.1, 3.0)
seeds = st.integers(0, 2**32 - 1)


def mesons(n: int, seed: int, mass: float = DS_MASS) -> decay.Floats:
    rng = np.random.default_rng(seed)
    pt, eta = rng.exponential(8, n), rng.uniform(-2.5, 2.5, n)
    return decay.four_momentum(pt + 0.1, eta, rng.uniform(-np.pi, np.pi, n), mass)


@given(seed=seeds, first=masses, second=masses, released=st.floats(1e-3, 2.0))
def test_a_decay_conserves_momentum_with_daughters_on_shell(seed, first, second, released):
    parent = mesons(20, seed, first + second + released)
    daughters = decay.two_body(parent, first, second, np.random.default_rng(seed))
    scale = parent[:, :1]
    np.testing.assert_allclose((daughters[0] + daughters[1]) / scale, parent / scale, atol=1e-12)
    for daughter, mass in zip(daughters, (first, second), strict=True):
        # m² is a difference of energies squared: the tolerance is on that scale
        square = daughter[:, 0] ** 2 - np.sum(daughter[:, 1:] ** 2, axis=1)
        np.testing.assert_array_less(abs(square - mass**2), ROUNDING * daughter[:, 0] ** 2)


@given(first=masses, second=masses, released=st.floats(0.0, 2.0))
def test_the_breakup_momentum_gives_both_energies(first, second, released):
    parent = (first + second + released) * (1 + 1e-15)
    p = decay.breakup_momentum(parent, first, second)
    assert np.hypot(p, first) + np.hypot(p, second) == pytest.approx(parent, rel=1e-7)


def test_breakup_momentum_of_the_ds():
    # PDG: 712 MeV for Ds+ → φ π+
    assert decay.breakup_momentum(DS_MASS, PHI_MASS, PION_MASS) == pytest.approx(0.712, abs=5e-4)


def test_a_parent_lighter_than_its_daughters_is_refused():
    with pytest.raises(ValueError, match="lighter"):
        decay.breakup_momentum(0.2, MUON_MASS, MUON_MASS)


def test_directions_are_isotropic():
    n = 40_000
    directions = decay.isotropic(n, np.random.default_rng(3))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    # mean 0 and covariance 1/3, with the standard error of a uniform cosine; five of them
    error = 5 / np.sqrt(3 * n)
    np.testing.assert_allclose(directions.mean(axis=0), 0, atol=error)
    np.testing.assert_allclose(np.cov(directions.T), np.eye(3) / 3, atol=error)


def test_decays_are_isotropic_in_the_rest_frame_of_a_fast_parent():
    n = 40_000
    parent = mesons(n, 1)
    pion = decay.two_body(parent, PHI_MASS, PION_MASS, np.random.default_rng(2))[1]
    back = parent * np.array([1, -1, -1, -1])
    at_rest = decay.boost(pion, back)
    momentum = np.linalg.norm(at_rest[:, 1:], axis=1)
    expected = decay.breakup_momentum(DS_MASS, PHI_MASS, PION_MASS)
    np.testing.assert_allclose(momentum, expected, rtol=1e-6)
    cosine = np.sum(at_rest[:, 1:] * parent[:, 1:], axis=1)
    cosine /= momentum * np.linalg.norm(parent[:, 1:], axis=1)
    counts, _ = np.histogram(cosine, bins=20, range=(-1, 1))
    chi2 = np.sum((counts - n / 20) ** 2 / (n / 20))
    assert chi2 < 43.8  # 19 degrees of freedom, p = 0.001


@given(seed=seeds, total=st.floats(1.3, 3.0))
def test_a_companion_gives_the_wanted_mass(seed, total):
    phi = mesons(20, seed, PHI_MASS)
    pion = decay.companion(phi, PION_MASS, np.full(20, total), np.random.default_rng(seed))
    np.testing.assert_allclose(decay.mass(phi + pion), total, rtol=1e-6)


def test_a_companion_of_too_small_a_mass_is_refused():
    phi = mesons(1, 1, PHI_MASS)
    with pytest.raises(ValueError, match="smaller"):
        decay.companion(phi, PION_MASS, np.array([1.1]), np.random.default_rng(1))


@given(seed=seeds)
def test_coordinates_come_back(seed):
    momentum = mesons(20, seed)
    again = decay.four_momentum(*decay.pt_eta_phi(momentum), DS_MASS)
    np.testing.assert_allclose(again, momentum, rtol=1e-9, atol=1e-9)


def test_breit_wigner_within_its_bounds():
    n = 40_000
    high = np.full(n, DS_MASS - PION_MASS)
    rng = np.random.default_rng(5)
    phi = decay.breit_wigner(PHI_MASS, PHI_WIDTH, 2 * MUON_MASS, high, rng)
    assert phi.min() >= 2 * MUON_MASS
    assert phi.max() <= high[0]
    # half of a Breit-Wigner lies within half a width of its pole; five standard errors
    inside = np.mean(abs(phi - PHI_MASS) < PHI_WIDTH / 2)
    assert inside == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(n))
