"""N-1 histograms: a variable after all requirements but those that compare it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import hist
from typing_extensions import override

from bphcoffea.analysis.histograms import Histogram
from bphcoffea.analysis.names import ALL, NOMINAL
from bphcoffea.analysis.objects import Objects, each
from bphcoffea.analysis.regions import Region
from bphcoffea.analysis.selection import Selection
from bphcoffea.analysis.variables import Variable

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
    regions
        Finite bounds of each region whose requirements compare the variable, by its name. The
        histogram has one category per region.
    """

    without: str = ""
    bounds: tuple[float, ...] = ()
    objects: Objects | None = None
    compared: Variable | None = None
    regions: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

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


def _of_selection(selection: Selection | None) -> Iterator[NMinus1]:
    for variable in selection.variables() if selection else ():
        if selection is not None and variable.axis is not None:
            yield NMinus1(
                f"{N_MINUS_1}{variable.name}",
                variable,
                variable.axis,
                without=selection.cut_of(variable).name,
                bounds=_finite(selection.bounds(variable)),
                compared=variable,
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
            )


def _finite(bounds: Sequence[float]) -> tuple[float, ...]:
    # JSON has no infinity, and a figure has no line there
    return tuple(bound for bound in bounds if math.isfinite(bound))
