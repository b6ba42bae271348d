"""N-1 histograms: a variable after all requirements but those that compare it."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import hist
import numpy as np
from typing_extensions import override

from bphcoffea.analysis.histograms import Histogram
from bphcoffea.analysis.names import ALL, NOMINAL
from bphcoffea.analysis.objects import Objects, each
from bphcoffea.analysis.records import KeptRanges
from bphcoffea.analysis.regions import Region
from bphcoffea.analysis.selection import Selection
from bphcoffea.analysis.variables import Requirement, Variable
from bphcoffea.arrays import Numbers

#: Beginning of the names of N-1 histograms.
N_MINUS_1: Final = "nminus1_"


@dataclass(frozen=True)
class NMinus1(Histogram):
    """N-1 histogram of the selection, of the requirements on objects, or of those of regions.

    Attributes
    ----------
    without
        Name of the first cut, or of the objects, with a requirement that is left out; empty for
        regions.
    bounds
        Finite bounds that these requirements set on the variable, sorted.
    objects
        The objects; None for a variable of the selection.
    compared
        The variable as the requirements have it, a function of objects if there are any.
    kept
        Ranges that meet these requirements, with None for an open end.
    kept_in
        Ranges that meet the requirements of each region, by its name.
    regions
        Finite bounds of each region whose requirements compare the variable, by its name. The
        histogram has one category per region.
    """

    without: str = ""
    bounds: tuple[float, ...] = ()
    objects: Objects | None = None
    compared: Variable | None = None
    regions: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    kept: KeptRanges = ()
    kept_in: Mapping[str, KeptRanges] = field(default_factory=dict)

    @override
    def empty(
        self, categories: Sequence[str] = (ALL,), variations: Sequence[str] = (NOMINAL,)
    ) -> hist.Hist:
        return super().empty(tuple(self.regions) or categories, variations)


def n_minus_1_histograms(
    selection: Selection | None, objects: Sequence[Objects], regions: Sequence[Region]
) -> tuple[NMinus1, ...]:
    """Return a histogram for each variable that has an axis and is compared in a requirement."""
    of_objects = itertools.chain.from_iterable(map(_of_objects, objects))
    return (*_of_selection(selection), *of_objects, *_of_regions(regions))


@lru_cache(maxsize=8)
def _of_selection(selection: Selection | None) -> tuple[NMinus1, ...]:
    """Return the histograms of a selection; every chunk asks for them several times."""
    if selection is None:
        return ()
    requirements = [requirement for cut in selection for requirement in cut.requirements]
    return tuple(
        NMinus1(
            f"{N_MINUS_1}{variable.name}",
            variable,
            variable.axis,
            without=selection.cut_of(variable).name,
            bounds=_finite(selection.bounds(variable)),
            kept=kept_ranges(requirements, variable),
            compared=variable,
        )
        for variable in selection.variables()
        if variable.axis is not None
    )


def _of_objects(objects: Objects) -> Iterator[NMinus1]:
    compared = dict.fromkeys(v for r in objects.where for v in r.variables())
    for variable in compared:
        if variable.axis is not None:
            bounds = {bound for r in objects.where for bound in r.bounds(variable)}
            yield NMinus1(
                f"{N_MINUS_1}{objects.name}_{variable.name}",
                each(objects.of, variable),
                variable.axis,
                without=objects.name,
                bounds=_finite(sorted(bounds)),
                kept=kept_ranges(objects.where, variable),
                objects=objects,
                compared=variable,
            )


def _of_regions(regions: Sequence[Region]) -> Iterator[NMinus1]:
    bounds: dict[Variable, dict[str, set[float]]] = {}
    for region in regions:
        for requirement in region.requirements if region.n_minus_1 else ():
            for variable in requirement.variables():
                of_region = bounds.setdefault(variable, {}).setdefault(region.name, set())
                of_region.update(requirement.bounds(variable))
    for variable, by_region in bounds.items():
        if variable.axis is not None:
            yield NMinus1(
                f"{N_MINUS_1}region_{variable.name}",
                variable,
                variable.axis,
                compared=variable,
                regions={name: _finite(sorted(found)) for name, found in by_region.items()},
                kept_in={
                    region.name: kept_ranges(region.requirements, variable)
                    for region in regions
                    if region.name in by_region
                },
            )


class _OtherVariableError(Exception):
    """A requirement looks at another variable."""


def kept_ranges(requirements: Sequence[Requirement], variable: Variable) -> KeptRanges:
    """Return the ranges of a variable that meet all requirements on it alone.

    Requirements that look at other variables as well are left out.

    Parameters
    ----------
    requirements
        The requirements.
    variable
        The variable.

    Returns
    -------
    Lower and upper end of each range; None for an open end.

    Examples
    --------
    >>> pt = Variable("pt", lambda events: events.Muon.pt)
    >>> kept_ranges([pt > 3, ~pt.between(5, 7)], pt)
    ((3.0, 5.0), (7.0, None))
    """
    bounds = sorted({float(b) for r in requirements for b in r.bounds(variable)})
    bounds = [bound for bound in bounds if math.isfinite(bound)]
    if not bounds:
        return ((None, None),)
    # each bound, and a point in each of the ranges below, between and above them
    between = [(low + high) / 2 for low, high in itertools.pairwise(bounds)]
    points = np.empty(2 * len(bounds) + 1)
    points[1::2] = bounds
    points[::2] = [bounds[0] - 1, *between, bounds[-1] + 1]

    def values(compared: Variable) -> Numbers:
        if compared is not variable:
            raise _OtherVariableError
        return points

    met = np.ones(len(points), dtype=np.bool_)
    for requirement in requirements:
        with contextlib.suppress(_OtherVariableError):
            met &= requirement.mask(values)
    ranges = []
    for is_kept, places in itertools.groupby(range(len(points)), lambda place: bool(met[place])):
        run = list(places)
        first, last = run[0], run[-1]
        if is_kept:
            low = bounds[(first - 1) // 2] if first else None
            high = bounds[last // 2] if last < 2 * len(bounds) else None
            ranges.append((low, high))
    return tuple(ranges)


def _finite(bounds: Sequence[float]) -> tuple[float, ...]:
    # JSON has no infinity, and a figure has no line there
    return tuple(bound for bound in bounds if math.isfinite(bound))
