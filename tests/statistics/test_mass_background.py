"""Background of a mass spectrum against an unbinned likelihood, and with next to no events."""

import json
import math

import numpy as np
import pytest
from scipy import integrate, optimize

from bphcoffea.errors import InputError
from bphcoffea.statistics.mass_background import Background, fit_background

RANGE = (1.62, 2.00)
WINDOW = (1.753, 1.801)


def exponential(entries, slope, seed=0):
    """Masses whose density is proportional to exp(slope · mass)."""
    u = np.random.default_rng(seed).random(entries)
    low, high = RANGE
    return low + np.log1p(u * math.expm1(slope * (high - low))) / slope


def outside(masses):
    return masses[(masses < WINDOW[0]) | (masses > WINDOW[1])]


def unbinned(masses, density, start):
    """Parameter and events in the whole range, of a density beside the window."""

    def integral(parameter, *ends):
        return integrate.quad(density, *ends, args=(parameter,))[0]

    def beside(parameter):
        return integral(parameter, RANGE[0], WINDOW[0]) + integral(parameter, WINDOW[1], RANGE[1])

    def cost(parameter):
        return len(masses) * math.log(beside(parameter)) - np.sum(
            np.log(density(masses, parameter))
        )

    best = optimize.minimize_scalar(cost, bracket=start, tol=1e-8).x
    step = 0.01 * abs(best)
    curvature = (cost(best + step) - 2 * cost(best) + cost(best - step)) / step**2
    return best, curvature**-0.5, len(masses) * integral(best, *RANGE) / beside(best)


@pytest.mark.parametrize(("entries", "slope"), [(20, -5.0), (400, -2.0), (5000, 1.5)])
def test_unbinned_likelihood(entries, slope):
    masses = outside(exponential(entries, slope))
    fit = fit_background(masses, windows=[WINDOW])
    best, error, events = unbinned(masses, lambda x, s: np.exp(s * (x - 1.8)), (-3.0, 1.0))
    # bins of 1 MeV move masses by a thousandth of what the slope depends on
    assert fit.slope == pytest.approx(best, abs=0.03 * error)
    assert fit.slope_error == pytest.approx(error, rel=0.02)
    assert fit.events == pytest.approx(events, rel=1e-3)
    assert fit.entries == len(masses)
    # more than without a window, but not by much
    assert math.sqrt(events) < fit.events_error < 1.5 * math.sqrt(events)


def test_power_law():
    masses = outside(exponential(500, -3.0))
    fit = fit_background(masses, windows=[WINDOW])
    power, _, events = unbinned(masses, lambda x, p: (x / 1.8) ** p, (-8.0, -2.0))
    counts = fit.expected(RANGE, "power")
    assert counts[0] == pytest.approx(events, rel=1e-3)
    x = np.array([1.62, 1.81, 2.0])
    low, middle, high = fit.alternatives["power"].per_gev(x)
    assert high / low == pytest.approx((2.0 / 1.62) ** power, rel=0.01)
    # an exponential would have its geometric mean there
    assert middle / math.sqrt(low * high) == pytest.approx((1.81 / 1.8) ** power, rel=1e-3)


def test_alternatives_describe_the_sidebands():
    masses = outside(exponential(300, -4.0))
    fit = fit_background(masses, windows=[WINDOW])
    edges = np.array([RANGE[0], *WINDOW, RANGE[1]])
    assert set(fit.alternatives) == {"power", "polynomial"}
    for name in ("exponential", *fit.alternatives):
        counts = fit.expected(edges, name)
        # a likelihood's free yield is what was seen
        assert counts[0] + counts[2] == pytest.approx(len(masses), rel=2e-3), name
        assert np.all(fit.alternatives.get(name, fit).per_gev(np.linspace(*RANGE, 50)) >= 0)
        assert np.sum(fit.expected(np.linspace(*RANGE, 39), name)) == pytest.approx(
            np.sum(counts), rel=1e-4
        )


def test_masses_in_the_window_are_not_looked_at():
    masses = outside(exponential(100, -3.0))
    hidden = np.append(masses, np.full(1000, 1.777))
    assert fit_background(hidden, windows=[WINDOW]) == fit_background(masses, windows=[WINDOW])


def test_whole_range():
    masses = exponential(200, -3.0)
    fit = fit_background(np.append(masses, [1.5, 2.01]))
    assert fit.events == pytest.approx(200, rel=1e-4)
    assert fit.entries == 200


def test_no_event():
    fit = fit_background([], windows=[WINDOW])
    edges = np.array([RANGE[0], *WINDOW, RANGE[1]])
    below, _, above = fit.expected(edges)
    assert below + above == pytest.approx(1)
    assert fit.slope == 0
    assert fit.entries == 0
    assert fit.notes


@pytest.mark.parametrize("masses", [[1.63], [1.63, 1.64, 1.65, 1.63, 1.64], [1.99] * 5])
def test_few_events(masses):
    fit = fit_background(masses, windows=[WINDOW])
    assert np.isfinite([fit.events, fit.slope, fit.slope_error, fit.events_error]).all()
    below, inside, above = fit.expected([RANGE[0], *WINDOW, RANGE[1]])
    assert below + above == pytest.approx(len(masses), rel=1e-3)
    assert inside > 0
    # the ends of the range differ by no more than exp(3)
    assert abs(fit.slope) * 0.38 < 3.0001
    assert not fit.alternatives
    assert fit.notes


def test_a_slope_of_nearly_nothing_is_flat():
    flat, nearly = (Background(10.0, slope, 1.0).expected([1.62, 1.7, 2.0]) for slope in (0, 1e-7))
    assert flat == pytest.approx([10 * 0.08 / 0.38, 10 * 0.30 / 0.38])
    assert nearly == pytest.approx(flat, rel=1e-6)


def test_nothing_left():
    with pytest.raises(InputError, match=r"no sidebands are left of .* beside 1\.6–2\.1 GeV"):
        fit_background([1.7], windows=[(1.6, 2.1)])


@pytest.mark.parametrize("masses", [exponential(50, -3.0), []])
def test_json(masses):
    fit = fit_background(masses, windows=[WINDOW])
    assert Background.from_json(json.loads(json.dumps(fit.as_json()))) == fit
