"""Shape of a signal against numerical integrals, and fits of simulation with a known shape."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate

from bphcoffea.statistics.signal_fit import SignalFit, fit_signal_shape
from bphcoffea.statistics.signal_shape import SignalShape

RANGE = (1.62, 2.00)
SHAPES = [
    SignalShape(0.26, 1.7773, 0.0144, 1.09, 3.7, 0.0100),
    SignalShape(0.14, 1.7764, 0.0088, 1.80, 0.36, 0.0183),
    SignalShape(0.40, 1.7760, 0.0300, 1.20, 1.0, 0.0228),
]


def density_of(shape):
    """Crystal Ball and Gaussian as in their definition, each normalised numerically."""

    def ball(m):
        t = (m - shape.mean) / shape.cb_sigma
        if t > -shape.cb_alpha:
            return math.exp(-(t**2) / 2)
        ratio = shape.cb_n / shape.cb_alpha
        height = ratio**shape.cb_n * math.exp(-(shape.cb_alpha**2) / 2)
        return height * (ratio - shape.cb_alpha - t) ** -shape.cb_n

    def gauss(m):
        return math.exp(-(((m - shape.mean) / shape.gauss_sigma) ** 2) / 2)

    areas = [area(function, *RANGE, shape.mean) for function in (ball, gauss)]
    parts = shape.cb_fraction / areas[0], (1 - shape.cb_fraction) / areas[1]
    return lambda x: parts[0] * ball(x) + parts[1] * gauss(x)


def area(function, low, high, kink):
    points = sorted({low, *np.clip([kink - 0.05, kink, kink + 0.05], low, high), high})
    return sum(
        integrate.quad(function, a, b, epsabs=1e-12, limit=200)[0] for a, b in pairwise(points)
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_fractions_are_integrals(shape):
    edges = np.array([1.62, 1.70, 1.75, 1.77, 1.78, 1.80, 2.00])
    density = density_of(shape)
    slow = [area(density, a, b, shape.mean) for a, b in pairwise(edges)]
    assert sum(slow) == pytest.approx(1, abs=1e-6)
    # the tail begins inside a bin, where quad is precise to about this
    assert shape.fractions(edges) == pytest.approx(slow, abs=1e-6)


def test_width_is_that_of_a_gaussian():
    # 68.3% are 1.0006 standard deviations
    assert SignalShape(0.0, 1.777, 0.01, 1.5, 3.0, 0.012).width == pytest.approx(0.012, rel=1e-3)


def test_shift():
    shape = SHAPES[0].shifted(mean=0.002, width=1.1)
    assert shape.mean == pytest.approx(SHAPES[0].mean + 0.002)
    # the ends of the range cut the tail, by per mille
    assert shape.width == pytest.approx(1.1 * SHAPES[0].width, rel=0.01)


def simulated(shape, entries, seed=0):
    x = np.linspace(*RANGE, 40_001)
    return np.interp(np.random.default_rng(seed).random(entries), shape.cumulative(x), x)


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_many_candidates(shape):
    fit = fit_signal_shape(simulated(shape, 20_000))
    assert fit.valid, fit.problems
    # five standard deviations
    assert abs(fit.shape.mean - shape.mean) < 5 * fit.mean_error < 1e-3
    assert abs(fit.shape.width / shape.width - 1) < 5 * fit.width_error < 0.05
    assert fit.p_value > 1e-3
    edges = np.linspace(*RANGE, 39)
    # each bin is known to better than 1% of the whole
    assert fit.shape.fractions(edges) == pytest.approx(shape.fractions(edges), abs=0.01)


def test_few_candidates_have_true_errors():
    shape = SHAPES[0]
    pulls = []
    for seed in range(12):
        fit = fit_signal_shape(simulated(shape, 150, seed))
        assert fit.valid, fit.problems
        assert fit.notes[0] == "a Crystal Ball alone with a fixed tail"
        pulls.append(
            [
                (fit.shape.mean - shape.mean) / fit.mean_error,
                (fit.shape.width / shape.width - 1) / fit.width_error,
            ]
        )
    # of 12 numbers: mean ± 0.3, spread ± 0.2, with a bias for the simpler function
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 1)
    assert np.all(np.abs(np.std(pulls, axis=0) - 1) < 0.7)


def test_weights_count_as_many_entries():
    masses = simulated(SHAPES[0], 600)
    half = fit_signal_shape(masses, np.full(600, 0.5))
    one = fit_signal_shape(masses)
    assert half.entries == 300
    assert half.effective_entries == pytest.approx(600)
    assert half.shape.mean == pytest.approx(one.shape.mean, abs=1e-5)
    assert half.mean_error == pytest.approx(one.mean_error, rel=0.02)
    assert half.width_error == pytest.approx(one.width_error, rel=0.05)


def test_a_weight_of_two_is_two_entries():
    masses = simulated(SHAPES[0], 2000)
    doubled = fit_signal_shape(masses, np.where(masses < 1.777, 2.0, 1.0))
    repeated = fit_signal_shape(np.concatenate([masses, masses[masses < 1.777]]))
    # likelihoods of weighted bins are approximate
    assert doubled.shape.mean == pytest.approx(repeated.shape.mean, abs=5e-4)
    assert doubled.effective_entries < repeated.effective_entries


@pytest.mark.parametrize(("entries", "weight"), [(0, 1.0), (5, 1.0), (100, -1.0)])
def test_too_few(entries, weight):
    fit = fit_signal_shape(np.full(entries, 1.777), np.full(entries, weight))
    assert not fit.valid
    assert fit.shape is None
    assert "effective simulated entries in 1.62-2 GeV" in fit.problems[0]


def test_json():
    fit = fit_signal_shape(simulated(SHAPES[0], 200))
    assert SignalFit.from_json(json.loads(json.dumps(fit.as_json()))) == fit
    none = fit_signal_shape([])
    assert SignalFit.from_json(json.loads(json.dumps(none.as_json()))) == none


def test_a_few_wrong_candidates_far_from_the_peak_do_not_decide():
    rng = np.random.default_rng(4)
    peak, wrong = rng.normal(1.777, 0.020, 1000), np.linspace(1.63, 1.99, 6)
    fit = fit_signal_shape(np.concatenate([peak, wrong]))
    assert fit.valid
    # of 6 in 1006; those below the peak may count as its tail
    assert 0.001 < fit.flat < 0.02
    # as precise as the peak alone is, within what its tail makes uncertain
    assert 0.5 * 0.020 / 1000**0.5 < fit.mean_error < 2 * 0.020 / 1000**0.5
    assert abs(fit.shape.mean - np.mean(peak)) < 2 * fit.mean_error
    assert fit.shape.width == pytest.approx(0.020, rel=0.08)  # three of its errors
    assert fit_signal_shape(peak).flat < 1e-3
