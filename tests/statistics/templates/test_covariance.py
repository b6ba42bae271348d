"""Covariance of a variation's difference, against resampled events."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.statistics.templates.covariance import (
    p_value,
    shape_covariance,
    shape_part,
    weight_covariance,
)

EDGES = np.linspace(0, 100, 11)


def filled(x, weights):
    """Content and sum of squared weights of each bin."""
    return tuple(np.histogram(x, EDGES, weights=w)[0] for w in (weights, weights**2))


def with_flow(x, weights):
    """The same with underflow and overflow."""
    ends = [-np.inf, *EDGES, np.inf]
    return tuple(np.histogram(x, ends, weights=w)[0] for w in (weights, weights**2))


def resampled(nominal, varied, weights, varied_weights, times=400):
    """Covariance of the difference over samples drawn from the events with replacement."""
    rng = np.random.default_rng(8)
    differences = []
    for _ in range(times):
        copies = rng.poisson(1, len(nominal))
        first, _ = filled(nominal, weights * copies)
        second, _ = filled(varied, varied_weights * copies)
        differences.append(second - first)
    return np.cov(np.transpose(differences))


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(3)
    return rng.exponential(40, 6000) + 2, rng


def test_weights_that_do_not_depend_on_the_ratio_are_exact(events):
    x, rng = events
    for weights in (np.ones(len(x)), rng.choice([1.0, -0.4], len(x), p=[0.9, 0.1])):
        ratio = 1 + 0.003 * (x - 30) + rng.normal(0, 0.1, len(x))
        estimate = weight_covariance(*filled(x, weights), *filled(x, weights * ratio))
        expected = resampled(x, x, weights, weights * ratio)
        # 400 samples give a variance to 7%, ten bins are compared
        np.testing.assert_allclose(np.diag(estimate), np.diag(expected), rtol=0.3)
        # far from the sum of both variances
        assert np.all(np.diag(estimate) < 0.2 * np.diag(resampled(x, x, weights, 0 * weights)))


def test_equal_weights_are_exact(events):
    x, rng = events
    ratio = rng.uniform(0.8, 1.4, len(x))
    weights = np.full(len(x), 0.3)
    estimate = weight_covariance(*filled(x, weights), *filled(x, weights * ratio))
    exact = np.histogram(x, EDGES, weights=(weights * (ratio - 1)) ** 2)[0]
    np.testing.assert_allclose(np.diag(estimate), exact, rtol=1e-9)


@pytest.mark.parametrize("scale", [1.03, 0.96])
def test_events_that_move_in_one_direction(events, scale):
    x, _ = events
    weights = np.full(len(x), 0.7)
    contents = *with_flow(x, weights), *with_flow(x * scale, weights)
    estimate = shape_covariance(*contents)[1:-1, 1:-1]
    expected = resampled(x, x * scale, weights, weights)
    np.testing.assert_allclose(np.diag(estimate), np.diag(expected), rtol=0.3)
    neighbours = np.diag(estimate, 1), np.diag(expected, 1)
    np.testing.assert_allclose(*neighbours, rtol=0.4, atol=0.15 * np.max(np.diag(expected)))


def test_events_that_move_in_both_directions_are_underestimated_within_the_bounds(events):
    x, rng = events
    weights = np.ones(len(x))
    smeared = x * (1 + rng.normal(0, 0.05, len(x)))
    contents = (*with_flow(x, weights), *with_flow(smeared, weights))
    estimate = shape_covariance(*contents)[1:-1, 1:-1]
    expected = resampled(x, smeared, weights, weights)
    below = np.diag(estimate) < 1.25 * np.diag(expected)
    assert np.all(below)
    assert np.sum(np.diag(estimate)) < 0.7 * np.sum(np.diag(expected))


counts = st.lists(st.integers(0, 50), min_size=3, max_size=3)


@given(counts, counts)
def test_bounds_hold(nominal, varied):
    n, v = (np.array(of, dtype=float) for of in (nominal, varied))
    for estimate in (shape_covariance(n, n, v, v), weight_covariance(n, n, v, v**2)):
        assert np.all(np.diag(estimate) >= 0)
        assert np.all(np.linalg.eigvalsh(estimate) > -1e-6 * (1 + np.sum(n + v)))
    diagonal = np.diag(shape_covariance(n, n, v, v))
    assert np.all(diagonal >= np.abs(v - n) - 1e-9)
    assert np.all(diagonal <= v + n + 1e-9)


def test_a_combination_has_the_variance_of_one_ratio():
    # the sides of a PDF set have the nominal variance in a run
    nominal, variance = np.array([100.0, 50.0]), np.array([100.0, 200.0])
    estimate = weight_covariance(nominal, variance, nominal * 1.2, variance)
    np.testing.assert_allclose(np.diag(estimate), 0.04 * variance)


def test_fluctuations_and_shapes_are_told_apart():
    """The p-value is uniform if nothing but random weights differs, and small for a tilt."""
    rng = np.random.default_rng(5)
    noise, tilted = [], []
    for _ in range(100):
        x = rng.exponential(40, 400) + 2
        ones = np.ones(len(x))
        for found, ratio in (
            (noise, rng.normal(1, 0.3, len(x))),
            (tilted, 1 + 0.006 * (x - 40) + rng.normal(0, 0.1, len(x))),
        ):
            nominal = filled(x, ones)
            varied = filled(x, ratio)
            found.append(
                p_value(*shape_part(nominal[0], varied[0], weight_covariance(*nominal, *varied)))
            )
    assert 0.3 < np.mean(noise) < 0.7
    assert np.mean(np.array(noise) < 0.05) < 0.15
    assert np.mean(np.array(tilted) < 0.05) > 0.9
