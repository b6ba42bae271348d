"""Rates of the heavy neutral lepton, against the formulas in plain floats and a table."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from particle import Particle
from scipy import integrate, optimize

from bphcoffea.physics import constants
from bphcoffea.searches.hnl.rates import (
    CHANNELS,
    CHANNELS_UNCERTAINTY,
    MAXIMUM_MASS,
    MINIMUM_MASS,
    Neutrino,
    branching_ds_to_n_mu,
)

#: One charge of the pion, and the width of 10.95 channels: a Dirac N, whose width is that of half
#: of its channels.
ONE_CHARGE = Neutrino(majorana=False, channels=2 * 10.95)
branching_n_to_mu_pi = ONE_CHARGE.branching_n_to_mu_pi
branching_product = ONE_CHARGE.branching_product
ctau_from_mixing = ONE_CHARGE.ctau_from_mixing
mixing_from_ctau = ONE_CHARGE.mixing_from_ctau
total_width = ONE_CHARGE.total_width

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

    @staticmethod
    def kallen(a, b, c):
        """λ(a, b, c)."""
        return a * a + b * b + c * c - 2 * a * b - 2 * a * c - 2 * b * c

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


@given(mass=st.floats(0.25, 2.0), mixing=MIXINGS)
def test_a_dirac_neutrino_lives_twice_as_long_and_decays_as_often_to_mu_pi(mass, mixing):
    majorana, dirac = Neutrino(), Neutrino(majorana=False)
    assert dirac.total_width(mass, mixing) == pytest.approx(
        majorana.total_width(mass, mixing) / 2, rel=1e-14, abs=0
    )
    assert dirac.ctau_from_mixing(mass, mixing) == pytest.approx(
        2 * majorana.ctau_from_mixing(mass, mixing), rel=1e-14
    )
    assert dirac.branching_product(mass, mixing) == pytest.approx(
        majorana.branching_product(mass, mixing), rel=1e-14, abs=0
    )
    # a constant number of channels cancels in none of them
    constant = Neutrino(channels=10.95)
    assert constant.total_width(mass, mixing) == pytest.approx(
        Plain.width(mass, mixing), rel=1e-13, abs=0
    )
    assert constant.branching_n_to_mu_pi(mass) == pytest.approx(
        2 * branching_n_to_mu_pi(mass), rel=1e-13, abs=0
    )


@pytest.mark.parametrize(
    ("mass", "fraction"), [(1.0, 0.23), (1.25, 0.150), (1.5, 0.105), (1.8, 0.074)]
)
def test_branching_fraction_of_a_majorana_neutrino(mass, fraction):
    # of a public calculator and of sums of partial widths, which agree to 3%
    assert Neutrino().branching_n_to_mu_pi(mass) == pytest.approx(fraction, rel=0.03)


class PartialWidths:
    """Partial widths of arXiv:1805.08567 at |V|² = 1, in units of G_F² m⁵/(192π³)."""

    weak = 0.23126  # sin² of the weak angle
    light = constants.V_UD
    strange = 0.2245

    @staticmethod
    def phase_space(first, second, third):
        """(3.3): decay to three fermions through a W, masses in units of that of N."""

        def integrand(x):
            momenta = max(Plain.kallen(x, third**2, second**2), 0)
            momenta *= max(Plain.kallen(1, x, first**2), 0)
            return (x - third**2 - second**2) * (1 + first**2 - x) * math.sqrt(momenta) / x

        if first + second + third >= 1:
            return 0.0
        return 12 * integrate.quad(integrand, (second + third) ** 2, (1 - first) ** 2)[0]

    @staticmethod
    def neutral(c1, c2, x):
        """(3.4): decay to a neutrino and a pair of fermions."""
        if x == 0 or x >= 0.5:
            return c1 * (x == 0)
        v = math.sqrt(1 - 4 * x**2)
        log = math.log((1 - 3 * x**2 - (1 - x**2) * v) / (x**2 * (1 + v)))
        first = (1 - 14 * x**2 - 2 * x**4 - 12 * x**6) * v + 12 * x**4 * (x**4 - 1) * log
        second = x**2 * (2 + 10 * x**2 - 12 * x**4) * v + 6 * x**4 * (1 - 2 * x**2 + 2 * x**4) * log
        return c1 * first + 4 * c2 * second

    @classmethod
    def leptons(cls, m):
        s, muon = cls.weak, constants.MUON_MASS / m
        electrons = cls.neutral((1 - 4 * s + 8 * s * s) / 4, 0.0, 0)
        muons = cls.neutral((1 + 4 * s + 8 * s * s) / 4, s * (2 * s + 1) / 2, muon)
        # three flavours of a pair of neutrinos; μeν and, of the other W, μτν
        return (
            1
            + electrons
            + muons
            + cls.phase_space(0, 0, muon)
            + cls.phase_space(0, muon, 1.777 / m)
        )

    @classmethod
    def mesons(cls, m):
        """(3.5) to (3.8): masses and decay constants, in the pion's normalisation of 0.13 GeV."""
        s, l2 = cls.weak, (constants.MUON_MASS / m) ** 2
        total = 0.0
        for mass, constant in (
            (0.1396, 0.1302 * cls.light),
            (0.4937, 0.1557 * cls.strange),
            (0.7753, 0.162 / 0.7753 * cls.light),
            (0.8917, 0.19 / 0.8917 * cls.strange),
        ):
            h2 = (mass / m) ** 2
            if mass + constants.MUON_MASS < m:
                pseudoscalar = (1 - l2) ** 2 - h2 * (1 + l2)
                vector = (1 - l2) ** 2 + h2 * (1 + l2) - 2 * h2**2
                which = pseudoscalar if mass < 0.6 else vector
                total += constant**2 * which * math.sqrt(Plain.kallen(1, l2, h2)) * 12
        for mass, constant, vector in (
            (0.1350, 0.1302, 0),
            (0.5479, 0.0817, 0),
            (0.9578, 0.0947, 0),
            (0.7753, 0.162 / 0.7753 * (1 - 2 * s), 2),
            (0.7827, 0.153 / 0.7827 * 4 / 3 * s, 2),
            (1.0195, 0.234 / 1.0195 * (4 / 3 * s - 1), 2),
        ):
            h2 = (mass / m) ** 2
            if mass < m:
                total += constant**2 * (1 + vector * h2) * (1 - h2) ** 2 * 6
        return total * math.pi**2 / m**2

    @classmethod
    def quarks(cls, m, alpha_s):
        """(3.9): with massless quarks, but for two kaons where there are two strange ones."""
        s, a = cls.weak, alpha_s / math.pi
        up = (1 - 8 / 3 * s + 32 / 9 * s * s) / 4
        down = (1 - 4 / 3 * s + 8 / 9 * s * s) / 4
        charged = cls.phase_space(0, 0, constants.MUON_MASS / m)
        kaons = math.sqrt(max(1 - (2 * 0.4937 / m) ** 2, 0))
        flavours = charged * (cls.light**2 + cls.strange**2) + up + down * (1 + kaons)
        return 3 * flavours * (1 + a + 5.2 * a**2 + 26.4 * a**3)


@pytest.mark.parametrize("mass", [0.25, 0.28, 0.3, 0.37, 0.45, 0.5, 0.65, 0.8, 0.85, 0.95, 1.0])
def test_channels_below_1_gev_are_leptons_and_mesons(mass):
    channels = PartialWidths.leptons(mass) + PartialWidths.mesons(mass)
    # that of CHANNELS_UNCERTAINTY, and 1% of straight lines between the masses of the table
    assert channels_of(mass) == pytest.approx(channels, rel=0.04)


#: α_s of a mass, from 0.325 at that of the τ, with three flavours.
@pytest.mark.parametrize(
    ("mass", "alpha_s"), [(1.0, 0.488), (1.25, 0.412), (1.5, 0.359), (1.9, 0.315)]
)
def test_channels_above_1_gev_are_leptons_and_quarks(mass, alpha_s):
    channels = PartialWidths.leptons(mass) + PartialWidths.quarks(mass, alpha_s)
    assert channels_of(mass) == pytest.approx(channels, rel=0.04)


def channels_of(mass):
    """The k of a width."""
    return 10.95 * Neutrino().total_width(mass, 1e-3) / Plain.width(mass, 1e-3)


def test_channels_are_known_in_a_range_of_masses():
    assert channels_of(CHANNELS[0][0]) == pytest.approx(CHANNELS[0][1])
    for mass in (0.2, 2.1):
        with pytest.raises(ValueError, match=f"of {mass} GeV is not known: masses are 0.245 to 2"):
            Neutrino().total_width(np.array([1.0, mass]), 1.0)
        assert ONE_CHARGE.total_width(mass, 1.0) > 0


def test_uncertainty_of_the_channels():
    nominal, up = Neutrino(), Neutrino().shifted(1)
    assert up.total_width(1.0, 1e-3) == pytest.approx(
        (1 + CHANNELS_UNCERTAINTY) * nominal.total_width(1.0, 1e-3)
    )
    # lifetime and branching fraction move together
    assert up.ctau_from_mixing(1.0, 1e-3) / nominal.ctau_from_mixing(1.0, 1e-3) == pytest.approx(
        up.branching_n_to_mu_pi(1.0) / nominal.branching_n_to_mu_pi(1.0)
    )
    assert up.shifted(-1).factor == pytest.approx(1)
    assert ONE_CHARGE.shifted(1) == ONE_CHARGE


def test_both_charges_and_the_channels_move_both_ends_of_an_excluded_range():
    """Lower by √2 where N lives long, whatever the width; higher by its ratio where it does not."""
    nature = Neutrino()

    def ends(neutrino):
        """|V|² between which decays beyond 1 cm and before 1 m are more than needed."""

        def excess(log_mixing):
            mixing = math.exp(log_mixing)
            ctau = neutrino.ctau_from_mixing(1.5, mixing)
            seen = math.exp(-10 / ctau) - math.exp(-1000 / ctau)
            return math.log(1e9 * neutrino.branching_product(1.5, mixing) * seen)

        middle = math.log(neutrino.mixing_from_ctau(1.5, 30.0))
        low = optimize.brentq(excess, math.log(neutrino.mixing_from_ctau(1.5, 1e9)), middle)
        high = optimize.brentq(excess, middle, math.log(1.0))
        return math.exp(low), math.exp(high)

    (low, high), (old_low, old_high) = ends(nature), ends(ONE_CHARGE)
    assert low == pytest.approx(old_low / math.sqrt(2), rel=0.01)
    # 1.4, and what the larger rate gains: its logarithm over that of the events that are lost
    assert 1 < high / (old_high * 10.95 / channels_of(1.5)) < 1.15


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
