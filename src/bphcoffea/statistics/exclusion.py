"""What a scan of |V|² excludes at a mass, where the mixing sets the rate and the lifetime.

Both ends of the range are limits then: a weak mixing gives too few decays, a strong one decays
before the selection begins. CLs of the signal as it is predicted, at a strength of 1, is therefore
a curve over |V|² that dips below 0.05 in a range, in several, or nowhere.

A scan begins with a grid, which must be finer than a range or the gap between two. Then it tests
where the curves, the observed one and the expected ones, are estimated to cross, until each
crossing lies within `PRECISION` of a point that was tested: one or two more points a crossing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from bphcoffea.statistics.cls_limits import QUANTILES, Confidence, cls_at

#: Between what -ln CLs is cut off, to have a logarithm.
SIGNIFICANCES = (1e-6, 700.0)
#: How near to a tested |V|² each crossing is, relatively, and rounds of tests after which a scan
#: ends anyway, as it may with toys, which jitter.
PRECISION, ROUNDS = 0.01, 6


@dataclass(frozen=True)
class Range:
    """An excluded range of |V|².

    Attributes
    ----------
    low, high
        Its ends.
    open_low, open_high
        Whether an end is that of the scan, beyond which more may be excluded.
    """

    low: float
    high: float
    open_low: bool
    open_high: bool


@dataclass(frozen=True)
class Scan:
    """CLs over |V|², and what it excludes.

    Attributes
    ----------
    points
        Values of |V|², rising.
    results
        CLs of the predicted signal at each.
    level
        Confidence level.
    observed
        Excluded ranges; none when any point has no observed CLs, as in a blinded scan.
    expected
        Excluded ranges without signal, at each of `limits.QUANTILES`.
    """

    points: tuple[float, ...]
    results: tuple[Confidence, ...]
    level: float
    observed: tuple[Range, ...] | None
    expected: tuple[tuple[Range, ...], ...]

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it: a row a point, and the ranges."""
        return {
            "level": self.level,
            "quantiles": list(QUANTILES),
            "points": [
                {"mixing": point, **result.as_json()}
                for point, result in zip(self.points, self.results, strict=True)
            ],
            "observed": None if self.observed is None else [asdict(one) for one in self.observed],
            "expected": [[asdict(one) for one in ranges] for ranges in self.expected],
        }


def scan(
    points: Iterable[float],
    model: Callable[[float], Mapping[str, Any]],
    *,
    level: float = 0.95,
    toys: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Scan:
    """Test the signal at each mixing.

    Parameters
    ----------
    points
        Values of |V|², in any order, with which to begin; an excluded range between neighbours is
        not seen.
    model
        Gives the workspace at a value of |V|², with the rate and the lifetime that belong to it.
    level
        Confidence level: excluded is where CLs is below 1 - ``level``.
    toys, seed
        As :func:`bphcoffea.statistics.cls_limits.cls_at` takes them.
    progress
        Called after each point with the number of points that are tested, and of those and the
        ones that are to be tested.

    Returns
    -------
    All points that were tested.

    Raises
    ------
    ValueError
        When there are less than two points, two of them are the same, or one is not positive.
    """
    tested: dict[float, Confidence] = {}
    wanted = list(_checked(sorted(points)))
    for _ in range(1 + ROUNDS):
        total = len(tested) + len(wanted)
        for point in wanted:
            tested[point] = cls_at(model(point), toys=toys, seed=seed)
            progress(len(tested), total)
        result = _scan(dict(sorted(tested.items())), level)
        wanted = _unsure(result)
        if not wanted:
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


def _unsure(result: Scan) -> list[float]:
    """Crossings that are not near a tested point, nor near each other."""
    ends = [
        end
        for ranges in (result.observed or (), *result.expected)
        for one in ranges
        for end, is_open in ((one.low, one.open_low), (one.high, one.open_high))
        if not is_open
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
    """Find the ranges in which CLs is below 1 - ``level``.

    Between neighbours, -ln CLs is taken as a power of |V|²: without background it is a number of
    signal events, which is one.

    Parameters
    ----------
    points
        Values of |V|², rising. Shape (n,) with n ≥ 2.
    cls
        CLs at each.
    level
        Confidence level.

    Returns
    -------
    The ranges in rising order; none when nothing is excluded.

    Raises
    ------
    ValueError
        When there are less than two points, they don't rise, one is not positive, there are not as
        many values, one is not a CLs, or the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")
    x = [math.log(point) for point in _checked(points)]
    if len(cls) != len(points):
        raise ValueError(f"{len(points)} values of |V|², but {len(cls)} of CLs")
    if not all(value >= 0 for value in cls):
        raise ValueError("CLs must not be negative, nor undefined")
    lowest, highest = SIGNIFICANCES
    # above 0 where excluded: the logarithm of -ln CLs, and of what is needed
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
        raise ValueError("a scan needs at least two values of |V|²")
    if not all(0 < point < math.inf for point in points):
        raise ValueError("values of |V|² must be positive")
    if any(low >= high for low, high in pairwise(points)):
        raise ValueError("values of |V|² must rise, and none may appear twice")
    return points
