"""Rates of the heavy neutral lepton, against the formulas in plain floats and a table."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from particle import Particle

from bphcoffea.physics import constants, hnl_rates
from bphcoffea.physics.hnl_rates import (
    CHANNELS,
    MAXIMUM_MASS,
    MINIMUM_MASS,
    branching_ds_to_n_mu,
    branching_n_to_mu_pi,
    branching_product,
    ctau_from_mixing,
    mixing_from_ctau,
    total_width,
)

#: Mass (GeV), cτ (mm), |V|², BR(Ds → Nμ), BR(N → μπ).
TABLE = [
    (1.0, 10.0, 3.942884e-02, 1.093523e-02, 8.068677e-02),
    (1.0, 100.0, 3.942884e-03, 1.093523e-03, 8.068677e-02),
    (1.0, 1000.0, 3.942884e-04, 1.093523e-04, 8.068677e-02),
    (1.5, 100.0, 5.192276e-04, 1.017077e-04, 3.739204e-02),
    (1.8, 1000.0, 2.086659e-05, 7.388917e-07, 2.622856e-02),
]
TWO_ARGUMENTS = [
    total_width,
    mixing_from_ctau,
    ctau_from_mixing,
    branching_ds_to_n_mu,
    branching_product,
]

MASSES = st.floats(0.05, 5)
MIXINGS = st.floats(1e-12, 1)


class Plain:
    """The formulas, one number at a time, with numbers of their own."""

    g_f, hbar, c = 1.1663787e-5, 6.582119569e-25, 299792458e3
    ds, mu, pi = 1.96835, 0.1056583755, 0.13957039

    @staticmethod
    def root(a, b):
        return math.sqrt(1 + a * a + b * b - 2 * a - 2 * b - 2 * a * b)

    @classmethod
    def width(cls, m, v2):
        return 10.95 * cls.g_f**2 * m**5 * v2 / (96 * math.pi**3)

    @classmethod
    def ds_to_n_mu(cls, m, v2):
        if m >= cls.ds - cls.mu:
            return 0.0
        a, b = (m / cls.ds) ** 2, (cls.mu / cls.ds) ** 2
        width = cls.g_f**2 * 0.2498**2 * cls.ds**3 * 0.987**2 * v2 / (8 * math.pi)
        return width * (a + b - (a - b) ** 2) * cls.root(a, b) * 504e-15 / cls.hbar

    @classmethod
    def n_to_mu_pi(cls, m):
        if m <= cls.mu + cls.pi:
            return 0.0
        a, b = (cls.mu / m) ** 2, (cls.pi / m) ** 2
        width = cls.g_f**2 * 0.1302**2 * 0.97370**2 * m**3 / (16 * math.pi)
        return width * ((1 - a) ** 2 - b * (1 + a)) * cls.root(a, b) / cls.width(m, 1)


@pytest.mark.parametrize(("mass", "ctau", "mixing", "production", "decay"), TABLE)
def test_table(mass, ctau, mixing, production, decay):
    got = mixing_from_ctau(mass, ctau)
    # the table has seven digits
    assert got == pytest.approx(mixing, rel=1e-6)
    assert branching_ds_to_n_mu(mass, got) == pytest.approx(production, rel=1e-6)
    assert branching_n_to_mu_pi(mass) == pytest.approx(decay, rel=1e-6)
    assert branching_product(mass, got) == pytest.approx(production * decay, rel=2e-6)


def test_table_as_arrays():
    mass, ctau, mixing, production, decay = np.array(TABLE).T
    got = mixing_from_ctau(mass, ctau)
    np.testing.assert_allclose(got, mixing, rtol=1e-6)
    np.testing.assert_allclose(branching_ds_to_n_mu(mass, got), production, rtol=1e-6)
    np.testing.assert_allclose(branching_n_to_mu_pi(mass), decay, rtol=1e-6)


@given(mass=MASSES, mixing=MIXINGS)
def test_formulas(mass, mixing):
    # the oracle's λ is a difference of numbers near 1, so it loses digits at the thresholds
    assume(min(abs(mass - MAXIMUM_MASS), abs(mass - MINIMUM_MASS)) > 1e-4)
    production, decay = Plain.ds_to_n_mu(mass, mixing), Plain.n_to_mu_pi(mass)
    assert total_width(mass, mixing) == pytest.approx(Plain.width(mass, mixing), rel=1e-13, abs=0)
    assert ctau_from_mixing(mass, mixing) == pytest.approx(
        Plain.hbar * Plain.c / Plain.width(mass, mixing), rel=1e-13
    )
    assert branching_ds_to_n_mu(mass, mixing) == pytest.approx(production, rel=1e-11, abs=0)
    assert branching_n_to_mu_pi(mass) == pytest.approx(decay, rel=1e-11, abs=0)
    assert branching_product(mass, mixing) == pytest.approx(production * decay, rel=1e-11, abs=0)


@given(mass=MASSES, mixing=MIXINGS)
def test_mixing_and_decay_length_are_each_other_s_inverse(mass, mixing):
    there = ctau_from_mixing(mass, mixing)
    assert mixing_from_ctau(mass, there) == pytest.approx(mixing, rel=1e-14)
    assert ctau_from_mixing(mass, mixing_from_ctau(mass, there)) == pytest.approx(there, rel=1e-14)


@given(mass=MASSES, mixing=st.floats(1e-12, 0.5), factor=st.floats(1e-3, 2))
def test_rates_are_linear_in_the_mixing(mass, mixing, factor):
    for rate in (total_width, branching_ds_to_n_mu, branching_product):
        assert rate(mass, factor * mixing) == pytest.approx(
            factor * rate(mass, mixing), rel=1e-13, abs=0
        )
    assert ctau_from_mixing(mass, factor * mixing) == pytest.approx(
        ctau_from_mixing(mass, mixing) / factor, rel=1e-13
    )


@given(mass=MASSES, mixing=MIXINGS, factor=st.floats(0.5, 2))
def test_width_goes_with_the_fifth_power_of_the_mass(mass, mixing, factor):
    assert total_width(factor * mass, mixing) == pytest.approx(
        factor**5 * total_width(mass, mixing), rel=1e-13, abs=0
    )


@given(mass=MASSES, mixing=MIXINGS)
def test_width_times_lifetime_is_planck_s_constant(mass, mixing):
    product = total_width(mass, mixing) * ctau_from_mixing(mass, mixing)
    assert product == pytest.approx(constants.HBAR * constants.SPEED_OF_LIGHT, rel=1e-13, abs=0)


def test_number_of_channels_is_the_same_everywhere(monkeypatch):
    before = [
        total_width(1.5, 1e-4),
        1 / ctau_from_mixing(1.5, 1e-4),
        1 / mixing_from_ctau(1.5, 100.0),
        1 / branching_n_to_mu_pi(1.5),
    ]
    monkeypatch.setattr(hnl_rates, "CHANNELS", 2 * CHANNELS)
    after = [
        total_width(1.5, 1e-4),
        1 / ctau_from_mixing(1.5, 1e-4),
        1 / mixing_from_ctau(1.5, 100.0),
        1 / branching_n_to_mu_pi(1.5),
    ]
    assert after == pytest.approx([2 * value for value in before], rel=1e-14, abs=0)


@given(mass=st.floats(0.001, 5))
def test_rates_vanish_outside_phase_space_and_only_there(mass):
    # nearer than that, 1 − (a + b)² rounds to nothing
    assume(min(abs(mass - MAXIMUM_MASS), abs(mass - MINIMUM_MASS)) > 1e-12)
    assert (branching_ds_to_n_mu(mass, 1e-3) > 0) == (mass < Plain.ds - Plain.mu)
    assert (branching_n_to_mu_pi(mass) > 0) == (mass > Plain.mu + Plain.pi)
    assert (branching_product(mass, 1e-3) > 0) == (Plain.mu + Plain.pi < mass < Plain.ds - Plain.mu)
    assert branching_n_to_mu_pi(mass) < 1


def test_rates_at_the_limits_of_phase_space():
    assert branching_ds_to_n_mu(MAXIMUM_MASS, 1.0) == 0
    assert branching_n_to_mu_pi(MINIMUM_MASS) == 0
    # where both masses and their difference are beyond the Ds, λ is positive again
    assert branching_ds_to_n_mu(2 * constants.DS_MASS, 1.0) == 0
    assert branching_n_to_mu_pi(1e-3) == 0
    # momentum goes with the root of the distance to threshold
    for rate, limit, side in (
        (lambda mass: branching_ds_to_n_mu(mass, 1.0), MAXIMUM_MASS, -1),
        (branching_n_to_mu_pi, MINIMUM_MASS, 1),
    ):
        near, nearer = rate(limit + side * 4e-8), rate(limit + side * 1e-8)
        assert near / nearer == pytest.approx(2, rel=1e-5)


def test_a_massless_neutrino_is_that_of_the_standard_model():
    # BR(Ds → μν) = (5.35 ± 0.12)e-3 [PDG]
    assert branching_ds_to_n_mu(1e-6, 1.0) == pytest.approx(5.35e-3, rel=0.03)


def test_without_mixing_nothing_decays():
    assert total_width(1.0, 0.0) == branching_ds_to_n_mu(1.0, 0.0) == 0
    assert branching_product(1.0, 0.0) == 0


@pytest.mark.parametrize("rate", TWO_ARGUMENTS)
def test_numbers_give_a_number_and_arrays_broadcast(rate):
    masses, seconds = np.array([0.1, 1.0, 1.5, 1.9]), np.array([0.9, 1.0])
    if rate is mixing_from_ctau:
        seconds = seconds * 1e6
    expected = [[rate(float(m), float(s)) for s in seconds] for m in masses]
    assert all(isinstance(value, float) for row in expected for value in row)
    np.testing.assert_array_equal(rate(masses[:, None], seconds), expected)
    np.testing.assert_array_equal(rate(masses, float(seconds[0])), np.array(expected)[:, 0])
    np.testing.assert_array_equal(rate(1.0, seconds), expected[1])
    assert rate(masses[:0], 1.0).shape == (0,)


def test_whole_numbers_are_numbers():
    assert total_width(2, 1) == total_width(2.0, 1.0)
    assert mixing_from_ctau(2, 100) == mixing_from_ctau(2.0, 100.0)
    np.testing.assert_array_equal(
        branching_n_to_mu_pi(np.array([1, 2])), branching_n_to_mu_pi(np.array([1.0, 2.0]))
    )


def test_one_mass_gives_a_number_and_masses_an_array():
    assert isinstance(branching_n_to_mu_pi(1.0), float)
    masses = np.array([[0.1, 1.0], [1.5, 3.0]])
    got = branching_n_to_mu_pi(masses)
    np.testing.assert_array_equal(
        got, [[branching_n_to_mu_pi(float(mass)) for mass in row] for row in masses]
    )


@pytest.mark.parametrize("mass", [0.0, -1.0, math.inf, math.nan, np.array([1.0, -1.0])], ids=str)
@pytest.mark.parametrize("rate", [*TWO_ARGUMENTS, branching_n_to_mu_pi])
def test_a_mass_that_is_none(rate, mass):
    arguments = (mass,) if rate is branching_n_to_mu_pi else (mass, 1.0)
    with pytest.raises(
        ValueError, match=r"neutrino masses must be positive and finite, not .* GeV"
    ):
        rate(*arguments)


@pytest.mark.parametrize(
    "mixing", [-1e-9, 1.001, math.inf, math.nan, np.array([0.1, 2.0])], ids=str
)
@pytest.mark.parametrize("rate", [rate for rate in TWO_ARGUMENTS if rate is not mixing_from_ctau])
def test_a_mixing_that_is_none(rate, mixing):
    with pytest.raises(ValueError, match=r"\|V\|² must be from 0 to 1, not "):
        rate(1.0, mixing)


def test_a_neutrino_that_does_not_mix_has_no_decay_length():
    with pytest.raises(ValueError, match=r"\|V\|² must be positive and finite, not 0$"):
        ctau_from_mixing(1.0, np.array([0.5, 0.0]))


@pytest.mark.parametrize("ctau", [0.0, -1.0, math.inf, math.nan], ids=str)
def test_a_decay_length_that_is_none(ctau):
    with pytest.raises(ValueError, match=r"decay lengths must be positive and finite, not .* mm"):
        mixing_from_ctau(1.0, ctau)


@pytest.mark.parametrize(
    ("mass", "ctau"),
    [(1.0, 0.1), (np.array([2.0, 1.0]), 0.1), (1.0, np.array([10, 0.1])), (1, 0.1)],
)
def test_a_decay_length_shorter_than_any_mixing_gives(mass, ctau):
    with pytest.raises(ValueError, match=r"of 1 GeV has a decay length of 0\.394288 mm .* 0\.1 mm"):
        mixing_from_ctau(mass, ctau)


def test_lifetime_of_the_ds():
    # the package has ns
    assert (
        pytest.approx(Particle.from_pdgid(431).lifetime * 1e-9, rel=0.01) == constants.DS_LIFETIME
    )


def test_units_of_planck_s_constant_and_light():
    assert pytest.approx(1.973269804e-13, rel=1e-9) == constants.HBAR * constants.SPEED_OF_LIGHT
