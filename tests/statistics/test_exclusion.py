"""Excluded ranges of a mixing, against models whose ends can be worked out."""

import math
from functools import partial

import numpy as np
import pytest
from scipy import optimize, stats

from bphcoffea.statistics import exclusion
from bphcoffea.statistics.counting import Channel, counting_workspace
from bphcoffea.statistics.exclusion import PRECISION, Range, excluded

scan = partial(exclusion.scan, toys=0)
#: Without background and events, the asymptotic CLs is 2·Φ(-√(2s)): what excludes at 95%.
EVENTS = stats.norm.isf(0.025) ** 2 / 2
POINTS = np.geomspace(1e-9, 1e-2, 57)


def signal(mixing):
    """Rate ∝ |V|⁴; decays between 1 mm and 1 m, at a mean length of 1e-6 mm / |V|² or so.

    Production and decay both take a |V|²; each decay length beyond the detector, or before the
    selection begins, is lost.
    """
    length = 3e-4 / mixing
    return 3e11 * mixing**2 * (math.exp(-1.0 / length) - math.exp(-1000.0 / length))


def ends(needed):
    """Where the signal has so many events."""
    peak = optimize.minimize_scalar(
        lambda x: -signal(math.exp(x)), bounds=(math.log(1e-9), math.log(1e-2)), method="bounded"
    ).x

    def crossing(low, high):
        def excess(x):
            return signal(math.exp(x)) - needed

        return math.exp(optimize.brentq(excess, low, high))

    return crossing(math.log(1e-9), peak), crossing(peak, math.log(1e-2))


def model(mixing, background=0.0, observed=0, blinded=False, scale=1.0, **uncertainties):
    channel = Channel("a", scale * signal(mixing), background, observed, **uncertainties)
    return counting_workspace([channel], {}, blinded=blinded)


@pytest.fixture(scope="module")
def fine():
    """A scan in fine steps, with a background and an excess."""
    return scan(POINTS, lambda mixing: model(mixing, background=9.0, observed=15))


def test_rate_and_lifetime():
    result = scan(POINTS, model)
    low, high = ends(EVENTS)
    (found,) = result.observed
    # a tested point is as near
    assert found.low == pytest.approx(low, rel=PRECISION)
    assert found.high == pytest.approx(high, rel=PRECISION)
    assert not found.open_low
    assert not found.open_high
    (median,) = result.expected[2]
    assert (median.low, median.high) == pytest.approx((found.low, found.high), rel=1e-3)


def test_ends_do_not_depend_on_the_grid(fine):
    """Steps of a factor of 10, over which both ends would be off by tens of per cent."""
    counted = []

    def counting(mixing):
        counted.append(mixing)
        return model(mixing, background=9.0, observed=15)

    grid = np.geomspace(1e-9, 1e-2, 8)
    coarse = scan(grid, counting)
    for found, wanted in zip(
        (*coarse.expected, coarse.observed), (*fine.expected, fine.observed), strict=True
    ):
        assert found[0].low == pytest.approx(wanted[0].low, rel=2 * PRECISION)
        assert found[0].high == pytest.approx(wanted[0].high, rel=2 * PRECISION)
    at_grid = dict(zip(coarse.points, coarse.results, strict=True))
    (unrefined,) = excluded(grid, [at_grid[point].observed for point in grid])
    assert unrefined.low != pytest.approx(coarse.observed[0].low, rel=10 * PRECISION)
    # two ends of six curves, which share some
    assert len(coarse.points) == len(counted) < len(grid) + 2 * 12
    assert list(coarse.points) == sorted(counted)


def test_band(fine):
    result = fine
    lows = [ranges[0].low for ranges in result.expected]
    highs = [ranges[0].high for ranges in result.expected]
    # fewer events exclude more
    assert lows == sorted(lows)
    assert highs == sorted(highs, reverse=True)
    assert lows[3] < result.observed[0].low < lows[4] * 1.1
    cls = [confidence.observed for confidence in result.results]
    inside = [result.observed[0].low < point < result.observed[0].high for point in result.points]
    assert inside == [value < 0.05 for value in cls]


def test_uncertainties_shrink_it():
    grid = POINTS[::8]
    sharp = scan(grid, lambda v2: model(v2, background=9.0, observed=9))
    blurred = scan(grid, lambda v2: model(v2, background=9.0, observed=9, background_stat=6.0))
    assert blurred.observed[0].low > 1.05 * sharp.observed[0].low
    assert blurred.observed[0].high < sharp.observed[0].high


def test_nothing_excluded():
    result = scan(POINTS[::4], lambda mixing: model(mixing, scale=1e-9))
    assert result.observed == ()
    assert result.expected == ((),) * 5
    assert all(confidence.observed == 1 for confidence in result.results)
    assert all("faint" in confidence.note for confidence in result.results)


def test_open_ends():
    low, high = ends(EVENTS)
    inside = [point for point in POINTS if low < point < high]
    assert scan(inside, model).observed == (Range(inside[0], inside[-1], True, True),)
    (found,) = scan([point for point in POINTS if point < inside[3]], model).observed
    assert (found.open_low, found.open_high) == (False, True)
    assert found.low == pytest.approx(low, rel=PRECISION)
    (found,) = scan([point for point in POINTS if point > inside[-4]], model).observed
    assert (found.open_low, found.open_high) == (True, False)
    assert found.high == pytest.approx(high, rel=PRECISION)


def test_blinded():
    result = scan(POINTS[::4], lambda v2: model(v2, background=4.0, observed=None, blinded=True))
    assert result.observed is None
    assert len(result.expected[2]) == 1


def test_order_does_not_matter():
    shuffled = np.random.default_rng(1).permutation(POINTS[::4])
    assert scan(shuffled, model) == scan(POINTS[::4], model)


def test_power_law_is_exact():
    # -ln CLs = (x/3)^4, which two points determine
    def cls(x):
        return math.exp(-((x / 3) ** 4))

    (found,) = excluded([1.0, 10.0], [cls(1.0), cls(10.0)])
    assert found.low == pytest.approx(3 * (-math.log(0.05)) ** 0.25)
    assert (found.high, found.open_high) == (10.0, True)
    (found,) = excluded([1.0, 10.0], [cls(1.0), cls(10.0)], level=0.9)
    assert found.low == pytest.approx(3 * (-math.log(0.1)) ** 0.25)


def test_several_ranges():
    points = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    first, second, third = excluded(points, [0.0, 0.5, 0.01, 0.3, 1.0, 0.0])
    assert (first.low, first.open_low, first.open_high) == (1.0, True, False)
    assert 1 < first.high < 2
    assert 2 < second.low < 3 < second.high < 4
    assert not second.open_low
    assert not second.open_high
    assert 5 < third.low < 6 == third.high
    assert third.open_high


def test_exactly_at_the_level_is_not_excluded():
    assert excluded([1.0, 2.0], [1 - 0.95, 1 - 0.95]) == ()
    assert len(excluded([1.0, 2.0], [0.0499, 0.0499])) == 1
    assert excluded([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]) == ()


def test_a_scan_adds_points_in_order():
    result = scan(POINTS[::4], model)
    assert list(result.points) == sorted(result.points)
    assert set(result.points) > set(POINTS[::4])
    assert len(result.results) == len(result.points)
    assert not result.observed[0].open_low
    assert result.observed[0].limits[0] == result.observed[0].low
    assert len(result.expected) == 5


@pytest.mark.parametrize(
    ("points", "cls", "said"),
    [
        ([1.0], [0.1], "at least two"),
        ([0.0, 1.0], [0.1, 0.1], "positive"),
        ([1.0, 1.0], [0.1, 0.1], "ascend"),
        ([2.0, 1.0], [0.1, 0.1], "ascend"),
        ([1.0, 2.0], [0.1], "2 points, but 1 values"),
        ([1.0, 2.0], [0.1, math.nan], "neither negative nor NaN"),
    ],
)
def test_refused(points, cls, said):
    with pytest.raises(ValueError, match=said):
        excluded(points, cls)


def test_level_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        excluded([1.0, 2.0], [0.1, 0.1], level=95)
