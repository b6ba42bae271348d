"""Selections of shifted events, which evaluate only variables that the shift can change.

A variable that can be evaluated on events in which the replaced fields are opaque does not look at
them, so that its nominal values are used again. It is tried on events with candidates, since a loop
over no candidates looks at nothing. Events in which no candidate meets the requirements on such
variables are left out, and all variations of a shift are evaluated at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import awkward as ak
import numpy as np

from bphcoffea.analysis import OPAQUE, Amounts, Path, Shift, Variable, opaque, replaced
from bphcoffea.arrays import Booleans, Integers, Numbers
from bphcoffea.physics import distinct
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.preparation import Preparation
from bphcoffea.processing.selected import Selected

#: Largest number of events on which variables are tried.
_TRIED: Final = 100
#: Largest number of variations that are evaluated at once, which bounds the memory.
_AT_ONCE: Final = 6


class UnaffectedVariables:
    """Set of the variables that do not look at some fields, found by trying each of them.

    Parameters
    ----------
    events
        Events of the chunk.
    paths
        The fields.
    with_candidates
        Positions of the events with candidates. Variables are tried on up to 100 of them, from all
        over the chunk, since a variable may look at a field in some events only.
    prepare
        Adds to the tried events what can be made without the fields.

    Raises
    ------
    ValueError
        If no event has candidates.
    """

    def __init__(
        self,
        events: ak.Array,
        paths: tuple[Path, ...],
        with_candidates: Integers,
        prepare: Callable[[ak.Array], ak.Array] = lambda events: events,
    ) -> None:
        if not len(with_candidates):
            raise ValueError("variables can only be tried on events with candidates")
        tried = with_candidates[:: -(-len(with_candidates) // _TRIED)]
        self._opaque_events = prepare(opaque(events[tried], paths))
        self._unaffected: dict[Variable, bool] = {}

    def __contains__(self, variable: Variable) -> bool:
        if variable not in self._unaffected:
            try:
                values = variable(self._opaque_events)
                self._unaffected[variable] = OPAQUE not in values.fields
            except Exception:  # noqa: BLE001 - a variable that raises is evaluated again
                self._unaffected[variable] = False
        return self._unaffected[variable]


class _AffectedError(Exception):
    """A requirement looks at a variable that the shift can change."""


@dataclass(frozen=True)
class Shifted:
    """Selections of all variations of a shift, made at once.

    Attributes
    ----------
    names
        Names of the variations.
    selected
        Selection of the shifted events, one variation after the other.
    """

    names: tuple[str, ...]
    selected: Selected

    def variation(self, positions: Integers) -> Integers:
        """Return the index among `names` of the variation of each candidate, shape (n,)."""
        events = len(self.selected.candidates.counts) // len(self.names)
        return self.selected.candidates.event[positions] // max(events, 1)


def shifted_selections(
    events: ak.Array,
    nominal: Selected,
    shifts: Iterable[tuple[Shift, Mapping[str, Amounts]]],
    preparation: Preparation,
) -> Iterator[Shifted]:
    """Yield the selections of the shifted events, a few variations of a shift at a time.

    Parameters
    ----------
    events
        Events of the chunk.
    nominal
        Selection of these events without shifts.
    shifts
        Each shift with the amounts of its variations.
    preparation
        Adds objects and candidates to the events. If it makes other candidates of shifted events,
        all variables are evaluated again.
    """
    for shift, variations in shifts:
        kept = np.arange(len(events))
        unaffected = None
        if not preparation.makes_candidates and not len(nominal.candidates):
            kept = kept[:0]  # a shift makes no candidates
        elif not preparation.makes_candidates and variations:
            with_candidates = np.flatnonzero(nominal.candidates.counts)
            unaffected = UnaffectedVariables(
                events, shift.paths, with_candidates, preparation.unaffected
            )
            kept = distinct(nominal.candidates.event[_alive(nominal, unaffected)])
        positions = np.flatnonzero(np.isin(nominal.candidates.event, kept))
        for start in range(0, len(variations), _AT_ONCE):
            names = tuple(variations)[start : start + _AT_ONCE]
            times = len(names)
            copies = np.tile(kept, times)
            several = events[copies]
            sizes = zip(*(variations[name] for name in names), strict=True)
            amounts = [np.repeat(of_all, len(kept)) for of_all in sizes]
            moved = replaced(several, shift.shifted(several, amounts))
            cached = None
            if unaffected is not None:
                cached = _reused(nominal.candidates, np.tile(positions, times), unaffected)
            candidates = Candidates(
                preparation(moved), nominal.candidates.collection, copies, cached
            )
            yield Shifted(names, nominal.of_others(candidates))


def _alive(nominal: Selected, unaffected: UnaffectedVariables) -> Booleans:
    """Return which candidates meet all requirements that the shift can't change, shape (n,)."""

    def values(variable: Variable) -> Numbers:
        if variable not in unaffected:
            raise _AffectedError
        return nominal.candidates.values(variable)

    alive = np.ones(len(nominal.candidates), dtype=np.bool_)
    for cut in nominal.selection:
        for requirement in cut.requirements:
            try:
                alive &= requirement.mask(values)
            except _AffectedError:
                continue
    return alive


def _reused(
    nominal: Candidates, positions: Integers, unaffected: UnaffectedVariables
) -> Callable[[Variable], Numbers | None]:
    def cached(variable: Variable) -> Numbers | None:
        return nominal.values(variable)[positions] if variable in unaffected else None

    return cached
