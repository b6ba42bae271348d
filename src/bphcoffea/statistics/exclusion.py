"""Scans of a parameter on which the whole signal depends, and the ranges that they exclude.

An example is a coupling that sets both rate and lifetime: if it is weak there are too few decays,
if it is strong they happen before the selection begins. CLs of the predicted signal, at a strength
of 1, is then a curve over the parameter that falls below 0.05 in one range, in several, or nowhere.

A scan begins with a grid, which must be finer than any range or gap between two ranges. It then
tests the estimated crossings of the observed and expected curves, until each crossing lies within
`PRECISION` of a tested point, which takes one or two more points per crossing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from bphcoffea.statistics.cls_limits import cls_at
from bphcoffea.statistics.in_processes import computed
from bphcoffea.statistics.limit_results import QUANTILES, Confidence
from bphcoffea.statistics.records import Record
from bphcoffea.statistics.workspace import Workspace

#: Limits of -ln CLs, so that its logarithm is finite.
SIGNIFICANCES = (1e-6, 700.0)
#: Relative distance of each crossing to a tested point, and largest number of further rounds of a
#: scan, since toys fluctuate.
PRECISION, ROUNDS = 0.01, 6


@dataclass(frozen=True)
class Range(Record):
    """An excluded range of the parameter.

    Attributes
    ----------
    low, high
        Ends of the range.
    open_low, open_high
        Whether an end is the end of the scan, beyond which more may be excluded.
    """

    low: float
    high: float
    open_low: bool
    open_high: bool

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """Both ends; None for an open end."""
        return None if self.open_low else self.low, None if self.open_high else self.high


@dataclass(frozen=True)
class Scan:
    """CLs over a parameter, and the excluded ranges.

    Attributes
    ----------
    points
        Tested values of the parameter, ascending.
    results
        CLs of the predicted signal at each point.
    level
        Confidence level.
    observed
        Excluded ranges; None if a point has no observed CLs, as in a blinded scan.
    expected
        Excluded ranges without signal, at each of `limit_results.QUANTILES`.
    """

    points: tuple[float, ...]
    results: tuple[Confidence, ...]
    level: float
    observed: tuple[Range, ...] | None
    expected: tuple[tuple[Range, ...], ...]


def scan(
    points: Iterable[float],
    model: Callable[[float], Workspace],
    *,
    level: float = 0.95,
    toys: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Scan:
    """Test the signal at each value of a parameter, and find the excluded ranges.

    Parameters
    ----------
    points
        Values of the parameter to begin with, in any order; a range between neighbours is missed.
    model
        Function that returns the workspace at a value of the parameter.
    level
        Confidence level: values with CLs below 1 - ``level`` are excluded.
    toys, seed
        See :func:`bphcoffea.statistics.cls_limits.cls_at`.
    progress
        Called after each point with the numbers of tested points and of all points so far.

    Raises
    ------
    ValueError
        If there are fewer than two points, two are equal, or one is not positive.
    """
    tested: dict[float, Confidence] = {}
    untested = list(_checked(sorted(points)))
    for _ in range(1 + ROUNDS):
        total = len(tested) + len(untested)
        tests = [partial(cls_at, model(point), toys=toys, seed=seed) for point in untested]
        for point, found in zip(untested, computed(tests), strict=True):
            tested[point] = found
            progress(len(tested), total)
        result = _scan(dict(sorted(tested.items())), level)
        untested = _uncertain_crossings(result)
        if not untested:
            break
    return result


def _scan(tested: Mapping[float, Confidence], level: float) -> Scan:
    points, results = tuple(tested), tuple(tested.values())
    seen = [result.observed for result in results if result.observed is not None]
    bands = [[result.expected[index] for result in results] for index in range(len(QUANTILES))]
    return Scan(
        points=points,
        results=results,
        level=level,
        observed=excluded(points, seen, level) if len(seen) == len(results) else None,
        expected=tuple(excluded(points, band, level) for band in bands),
    )


def _uncertain_crossings(result: Scan) -> list[float]:
    """Return crossings that are neither near a tested point nor near each other."""
    ends = [
        end
        for ranges in (result.observed or (), *result.expected)
        for interval in ranges
        for end in interval.limits
        if end is not None
    ]
    chosen: list[float] = []
    for end in sorted(ends):
        near = [*result.points, *chosen]
        if all(abs(math.log(end / point)) > PRECISION for point in near):
            chosen.append(end)
    return chosen


def excluded(
    points: Sequence[float], cls: Sequence[float], level: float = 0.95
) -> tuple[Range, ...]:
    """Return the ranges in which CLs is below 1 - ``level``, in ascending order.

    Between neighbours, -ln CLs is interpolated as a power of the parameter: without background it
    is the number of signal events, which often follows a power law.

    Parameters
    ----------
    points
        Values of the parameter, ascending. Shape (n,) with n ≥ 2.
    cls
        CLs at each point, shape (n,).
    level
        Confidence level.

    Raises
    ------
    ValueError
        If there are fewer than two points, they are not ascending and positive, there are not as
        many values of CLs, one of these is negative or NaN, or the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")
    x = [math.log(point) for point in _checked(points)]
    if len(cls) != len(points):
        raise ValueError(f"{len(points)} points, but {len(cls)} values of CLs")
    if not all(value >= 0 for value in cls):
        raise ValueError("CLs must be neither negative nor NaN")
    lowest, highest = SIGNIFICANCES
    # positive if excluded: logarithm of -ln CLs, minus its value at the confidence level
    needed = math.log(-math.log(1 - level))
    y = [
        math.log(min(max(-math.log(value), lowest), highest) if value > 0 else highest) - needed
        for value in cls
    ]
    ranges = []
    low = points[0] if y[0] > 0 else None
    open_low = low is not None
    for index, ((x0, x1), (y0, y1)) in enumerate(zip(pairwise(x), pairwise(y), strict=True)):
        if (y0 > 0) == (y1 > 0):
            continue
        crossing = math.exp(x0 + (x1 - x0) * y0 / (y0 - y1))
        crossing = min(max(crossing, points[index]), points[index + 1])
        if low is None:
            low, open_low = crossing, False
        else:
            ranges.append(Range(low, crossing, open_low, open_high=False))
            low = None
    if low is not None:
        ranges.append(Range(low, points[-1], open_low, open_high=True))
    return tuple(ranges)


def _checked(points: Sequence[float]) -> Sequence[float]:
    if len(points) < 2:
        raise ValueError("a scan needs at least two points")
    if not all(0 < point < math.inf for point in points):
        raise ValueError("the points of a scan must be positive")
    if any(low >= high for low, high in pairwise(points)):
        raise ValueError("the points of a scan must ascend, and none may appear twice")
    return points
