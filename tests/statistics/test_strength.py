"""Fitted strengths of signals that were put into pseudo-data."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bphcoffea.statistics.mass_background import Background
from bphcoffea.statistics.shape_workspace import MassChannel, mass_workspace
from bphcoffea.statistics.signal_shape import SignalShape
from bphcoffea.statistics.strength import fit_strength

EDGES = tuple(np.linspace(1.62, 2.0, 20))
SHAPE = SignalShape(0.3, 1.777, 0.02, 1.2, 3.0, 0.015)
CHANNELS = [
    MassChannel("a", 30.0, EDGES, SHAPE, Background(100.0, -4.0, 1.0), mean_error=0.001),
    MassChannel("b", 60.0, EDGES, SHAPE, Background(600.0, -2.0, 1.0), width_error=0.05),
]
SPEC = mass_workspace(
    [replace(one, observed=(0.0,) * 19, signal_shifts={"normalisation": 0.05}) for one in CHANNELS],
    blinded=False,
)


def fitted(counts):
    spec = copy.deepcopy(SPEC)
    for entry, data in zip(spec["observations"], counts, strict=True):
        entry["data"] = [float(n) for n in data]
    return fit_strength(spec)


def mean(strength):
    return [one.expected_background() + strength * one.expected_signal() for one in CHANNELS]


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_pulls(strength):
    rng = np.random.default_rng(7)
    fits = [fitted([rng.poisson(one) for one in mean(strength)]) for _ in range(24)]
    pulls = [(fit.value - strength) / fit.error for fit in fits]
    # three standard deviations of 24 numbers
    assert abs(np.mean(pulls)) < 0.6
    assert np.std(pulls) == pytest.approx(1, abs=0.45)


@pytest.mark.parametrize("strength", [-0.4, 0.0, 0.3, 2.0])
def test_expected_data(strength):
    fit = fitted(mean(strength))
    assert fit.value == pytest.approx(strength, abs=0.01 * fit.error)
    assert fit.parameters["background_a"] == pytest.approx(1, abs=1e-2)
    if strength <= 0:
        assert fit.p_value == pytest.approx(0.5, abs=0.01)
        assert fit.significance == pytest.approx(0, abs=0.02)
    elif strength == 0.3:
        # the error is that of the strength found, which is larger than without signal
        assert fit.significance == pytest.approx(strength / fit.error, rel=0.25)
        assert fit.p_value == pytest.approx(stats.norm.sf(fit.significance))


def test_error_is_that_of_the_counts():
    """One sigma of the signal under a background whose yield and slope are fitted."""
    fit = fitted(mean(0.0))
    signal = np.concatenate([one.expected_signal() for one in CHANNELS])
    background = np.concatenate([one.expected_background() for one in CHANNELS])
    columns = [signal]
    for index in range(2):
        inside = np.repeat(np.arange(2) == index, 19)
        middles = np.tile((np.array(EDGES[1:]) + np.array(EDGES[:-1])) / 2, 2)
        columns += [background * inside, background * inside * (middles - 1.8)]
    slopes = np.array(columns)
    information = slopes / background @ slopes.T
    # the unit in which slopes are constrained is not infinite
    assert fit.error == pytest.approx(np.linalg.inv(information)[0, 0] ** 0.5, rel=5e-3)


def test_a_deficit_that_no_background_allows():
    counts = [np.where(np.abs(np.array(EDGES[1:]) - 1.787) < 0.05, 0, one) for one in mean(0.0)]
    fit = fitted(counts)
    assert fit.value < 0
    assert fit.error == pytest.approx(fitted(mean(0.0)).error, rel=0.3)
    assert fit.significance == 0


def test_nothing_to_fit():
    with pytest.raises(ValueError, match="blinded"):
        fit_strength(mass_workspace(CHANNELS))
    none = [replace(one, signal=0.0, observed=(1.0,) * 19) for one in CHANNELS]
    with pytest.raises(ValueError, match="no signal"):
        fit_strength(mass_workspace(none, blinded=False))
