"""N-1 histograms: a variable after all requirements but those that compare it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bphcoffea.analysis.histograms import Histogram
from bphcoffea.analysis.objects import Objects, each
from bphcoffea.analysis.selection import Selection
from bphcoffea.analysis.variables import Variable

#: Beginning of the names of N-1 histograms.
N_MINUS_1: Final = "nminus1_"


@dataclass(frozen=True)
class NMinus1(Histogram):
    """N-1 histogram of the selection, or of the requirements on objects.

    Attributes
    ----------
    without
        Name of the first cut, or of the objects, with a requirement that is left out.
    bounds
        Finite bounds that these requirements set on the variable, sorted.
    objects
        The objects; None for a variable of the selection.
    compared
        The variable as the requirements have it, a function of objects if there are any.
    """

    without: str = ""
    bounds: tuple[float, ...] = ()
    objects: Objects | None = None
    compared: Variable | None = None


def n_minus_1_histograms(
    selection: Selection | None, objects: Sequence[Objects]
) -> tuple[NMinus1, ...]:
    """Return a histogram for each variable that has an axis and is compared in a requirement."""
    return (*_of_selection(selection), *itertools.chain.from_iterable(map(_of_objects, objects)))


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


def _finite(bounds: Sequence[float]) -> tuple[float, ...]:
    # JSON has no infinity, and a figure has no line there
    return tuple(bound for bound in bounds if math.isfinite(bound))
