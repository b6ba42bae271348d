"""Selections of shifted events, which evaluate only what the shift can change.

Whether a variable looks at the replaced fields is found out by evaluating it on events in which
nothing can be computed from them: what succeeds does not. Its nominal values are used again. Only
events with candidates can tell: a loop over candidates looks at nothing if there are none. Events
that already fail because of such variables are left out, and all variations of a shift are
evaluated at once: they cost little more than what they evaluate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bphcoffea.analysis.shifts import OPAQUE, Amounts, Path, Shift, opaque, replaced
from bphcoffea.analysis.variables import Variable
from bphcoffea.arrays import Integers
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.selected import Selected

#: Events with candidates on which variables are tried, at most.
_TRIED: Final = 100


class UnaffectedVariables:
    """Which variables don't look at some fields.

    Parameters
    ----------
    events
        The chunk.
    paths
        The fields.
    with_candidates
        Positions of the events that have candidates, of which there must be some. Variables are
        tried on up to 100 of them, from all over the chunk, since one may look at a field in some
        events only.

    Raises
    ------
    ValueError
        If no event has candidates.
    """

    def __init__(self, events: Any, paths: tuple[Path, ...], with_candidates: Integers) -> None:
        if not len(with_candidates):
            raise ValueError("variables can only be tried on events with candidates")
        tried = with_candidates[:: -(-len(with_candidates) // _TRIED)]
        self._blind = opaque(events[tried], paths)
        self._known: dict[Variable, bool] = {}

    def __contains__(self, variable: Variable) -> bool:
        if variable not in self._known:
            try:
                self._known[variable] = OPAQUE not in variable(self._blind).fields
            except Exception:  # noqa: BLE001 - whatever it is, the variable is evaluated again
                self._known[variable] = False
        return self._known[variable]


class _TouchedError(Exception):
    """A requirement looks at a variable that the shift changes."""


@dataclass(frozen=True)
class Shifted:
    """Selections of all variations of a shift, made at once.

    Attributes
    ----------
    names
        Of the variations.
    selected
        Of the shifted events, one variation after the other.
    """

    names: tuple[str, ...]
    selected: Selected

    def variation(self, which: Integers) -> Integers:
        """Positions among the names of the variations that candidates belong to, shape (n,)."""
        events = len(self.selected.candidates.counts) // len(self.names)
        return self.selected.candidates.event[which] // max(events, 1)


def shifted_selections(
    events: Any,
    nominal: Selected,
    shifts: Iterable[tuple[Shift, dict[str, Amounts]]],
    prepare: Callable[[Any], Any] | None,
) -> Iterator[Shifted]:
    """Yield the selections of shifted events.

    Parameters
    ----------
    events
        The chunk.
    nominal
        Its selection without shifts.
    shifts
        Each with its variations.
    prepare
        Makes the candidates, where the schema does not: they may be others after a shift, so that
        everything is evaluated again.
    """
    collection = nominal.selection.collection
    for shift, variations in shifts:
        if not variations:
            continue
        times = len(variations)
        kept = np.arange(len(events))
        known = None
        if prepare is None and not len(nominal.candidates):
            kept = kept[:0]  # a shift makes no candidates
        elif prepare is None:
            with_candidates = np.flatnonzero(nominal.candidates.counts)
            unaffected = UnaffectedVariables(events, shift.paths, with_candidates)
            kept = np.unique(nominal.candidates.event[_alive(nominal, unaffected)])
            positions = np.flatnonzero(np.isin(nominal.candidates.event, kept))
            known = _reused(nominal.candidates, np.tile(positions, times), unaffected)
        copies = np.tile(kept, times)
        part = events[copies]
        amounts = [np.repeat(each, len(kept)) for each in zip(*variations.values(), strict=True)]
        moved = replaced(part, shift.shifted(part, amounts))
        prepared = moved if prepare is None else prepare(moved)
        candidates = Candidates(prepared, collection, copies, known)
        yield Shifted(tuple(variations), nominal.of_others(candidates))


def _alive(nominal: Selected, unaffected: UnaffectedVariables) -> npt.NDArray[np.bool_]:
    """Candidates that meet every requirement which the shift can't change. Shape (candidates,)."""

    def values(variable: Variable) -> npt.NDArray[Any]:
        if variable not in unaffected:
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
    nominal: Candidates, positions: Integers, unaffected: UnaffectedVariables
) -> Callable[[Variable], npt.NDArray[Any] | None]:
    def known(variable: Variable) -> npt.NDArray[Any] | None:
        return nominal.values(variable)[positions] if variable in unaffected else None

    return known
