"""Contents of bins of peaks and backgrounds, against integrals by quadrature."""

import itertools
import math

import numpy as np
import pytest
from mass_toys import (
    EDGES,
    HIGH,
    LOW,
    MODEL,
    SEED,
    TRUTH,
    VOIGTIAN,
    known_fit,
)
from scipy import integrate, interpolate


@pytest.fixture
def rng():
    return np.random.default_rng(SEED)


def crystal_ball(z, beta, m):
    """A Crystal Ball that is 1 at its mean, from its definition."""
    if z > -beta:
        return math.exp(-z * z / 2)
    return (m / beta) ** m * math.exp(-beta * beta / 2) * (m / beta - beta - z) ** -m


def peak_density(shape, mean, sigma):
    """Density of a peak as a function of the mass, and the masses where it has kinks."""

    def density(x):
        z = (x - mean) / sigma
        if shape == "gaussian":
            return math.exp(-z * z / 2)
        if shape == "double_crystal_ball" and z > 0:
            return crystal_ball(-z, 1.1, 2.5)
        return crystal_ball(z, 0.8, 1.5)

    return density, [mean - 0.8 * sigma, mean, mean + 1.1 * sigma]


def integrals_of(density, kinks=()):
    """Integrals of a density over the bins, by quadrature."""
    return np.array(
        [
            integrate.quad(density, a, b, points=[p for p in kinks if a < p < b] or None)[0]
            for a, b in itertools.pairwise(EDGES)
        ]
    )


def breit_wigner_with_resolution(mean, sigma, gamma):
    """Integrals over the bins of a Breit-Wigner function of full width gamma, smeared."""

    def below(edge):
        return integrate.quad(
            lambda t: math.exp(-t * t / 2) * math.atan((edge - sigma * t - mean) / (gamma / 2)),
            *(-9, 9),
            points=[np.clip((edge - mean) / sigma, -8, 8)],
        )[0]

    return np.diff([below(edge) for edge in EDGES])


def assert_counted(counts, number, expected):
    assert np.sum(counts) == pytest.approx(number, rel=1e-9)
    # quadrature is good to 1e-8, the exponential's guard against a zero slope to 1e-6
    np.testing.assert_allclose(counts, number * expected / np.sum(expected), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["ds", "dplus"])
@pytest.mark.parametrize("shape", ["crystal_ball", "double_crystal_ball", "gaussian", "voigtian"])
def test_peaks_are_counted_inside_the_range(name, shape):
    truth = {**TRUTH, "beta": 0.8, "m": 1.5, "beta_high": 1.1, "m_high": 2.5}
    truth |= {"gamma_ds": 0.004, "gamma_dplus": 0.03}
    mean, sigma = truth[f"mean_{name}"], truth[f"sigma_{name}"]
    if shape == "voigtian":
        expected = breit_wigner_with_resolution(mean, sigma, truth[f"gamma_{name}"])
    else:
        expected = integrals_of(*peak_density(shape, mean, sigma))
    fit = known_fit(truth, MODEL.model_copy(update={"shape": shape}))
    assert_counted(fit.expected()[name], truth[f"n_{name}"], expected)


def test_a_voigtian_does_not_depend_on_the_bins():
    """Wide bins are divided until each part is smooth."""
    truth = {**TRUTH, "sigma_ds": 0.002, "gamma_ds": 0.001, "gamma_dplus": 0.0}
    fit = known_fit(truth, VOIGTIAN)
    fine, coarse = (fit.expected(np.linspace(LOW, HIGH, n + 1))["ds"] for n in (3000, 3))
    np.testing.assert_allclose(fine.reshape(3, -1).sum(axis=1), coarse, rtol=1e-8)


@pytest.mark.parametrize("slope", [-6.0, -1e-9, 0.0, 3.0])
def test_an_exponential_is_counted_inside_the_range(slope):
    counts = known_fit({**TRUTH, "slope": slope}).expected()["background"]
    assert_counted(counts, 2500, integrals_of(lambda x: np.exp(slope * (x - LOW))))


@pytest.mark.parametrize(
    "coefficients", [(0.7, 0.3), (0.5, 0.0, 0.5), (0.1, 0.2, 0.3, 0.4), (0.0, 0.3, 0.1, 0.4, 0.2)]
)
def test_a_polynomial_is_counted_inside_the_range(coefficients):
    degree = len(coefficients) - 1
    polynomial = interpolate.BPoly(np.array(coefficients)[:, np.newaxis], [LOW, HIGH])
    # each is a fraction of what the earlier ones leave; the first coefficient is the rest
    rests = 1 - np.concatenate([[0.0], np.cumsum(coefficients[1:-1])])
    recursive = {
        f"bernstein_{i + 1}": c / r
        for i, (c, r) in enumerate(zip(coefficients[1:], rests, strict=True))
    }
    model = MODEL.model_copy(update={"background": f"bernstein{degree}"})
    counts = known_fit({**TRUTH, **recursive}, model).expected()["background"]
    assert_counted(counts, 2500, integrals_of(polynomial))
