"""Selections of shifted events, which evaluate only what the shift can change.

Whether a variable looks at the replaced fields is found out by evaluating it on an event in which
nothing can be computed from them: what succeeds does not. Its nominal values are used again. Events
that already fail because of such variables are left out, so that a shift costs what its own
variables cost on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bphcoffea.analysis.selection import Candidates, Integers, Selected
from bphcoffea.analysis.shifts import BARRED, Path, Replace, barred, replaced
from bphcoffea.analysis.variables import Variable


class Untouched:
    """Which variables don't look at some fields.

    Parameters
    ----------
    events
        The chunk.
    paths
        The fields.
    """

    def __init__(self, events: Any, paths: tuple[Path, ...]) -> None:
        self._blind = barred(events[:1], paths)
        self._known: dict[Variable, bool] = {}

    def __contains__(self, variable: Variable) -> bool:
        if variable not in self._known:
            try:
                self._known[variable] = BARRED not in variable(self._blind).fields
            except Exception:  # noqa: BLE001 - whatever it is, the variable is evaluated again
                self._known[variable] = False
        return self._known[variable]


class _TouchedError(Exception):
    """A requirement looks at a variable that the shift changes."""


def shifted_selections(
    events: Any,
    nominal: Selected,
    shifts: Iterable[tuple[tuple[Path, ...], dict[str, Replace]]],
    prepare: Callable[[Any], Any] | None,
) -> Iterator[tuple[str, Selected]]:
    """Yield the selection of the shifted events of each variation.

    Parameters
    ----------
    events
        The chunk.
    nominal
        Its selection without shifts.
    shifts
        The fields that are replaced, and the variations by name.
    prepare
        Makes the candidates, where the schema does not: they may be others after a shift, so that
        everything is evaluated again.
    """
    by_paths: dict[tuple[Path, ...], dict[str, Replace]] = {}
    for paths, variations in shifts:
        if variations:
            by_paths.setdefault(paths, {}).update(variations)
    collection = nominal.selection.collection
    for paths, variations in by_paths.items():
        if prepare is not None:
            for name, replace in variations.items():
                prepared = prepare(replaced(events, replace(events)))
                yield name, Selected(nominal.selection, Candidates(prepared, collection))
            continue
        untouched = Untouched(events, paths)
        kept = np.unique(nominal.candidates.event[_alive(nominal, untouched)])
        part = events[kept]
        positions = np.flatnonzero(np.isin(nominal.candidates.event, kept))
        for name, replace in variations.items():
            candidates = Candidates(
                replaced(part, replace(part)),
                collection,
                kept,
                _reused(nominal.candidates, positions, untouched),
            )
            yield name, Selected(nominal.selection, candidates)


def _alive(nominal: Selected, untouched: Untouched) -> npt.NDArray[np.bool_]:
    """Candidates that meet every requirement which the shift can't change. Shape (candidates,)."""

    def values(variable: Variable) -> npt.NDArray[Any]:
        if variable not in untouched:
            raise _TouchedError
        return nominal.candidates.values(variable)

    alive = np.ones(len(nominal.candidates), dtype=np.bool_)
    for cut in nominal.selection:
        for requirement in cut.requirements:
            try:
                alive &= requirement.mask(values)
            except _TouchedError:
                continue
    return alive


def _reused(
    nominal: Candidates, positions: Integers, untouched: Untouched
) -> Callable[[Variable], npt.NDArray[Any] | None]:
    def known(variable: Variable) -> npt.NDArray[Any] | None:
        return nominal.values(variable)[positions] if variable in untouched else None

    return known
