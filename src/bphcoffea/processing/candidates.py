"""The candidates of a chunk, and the values of variables for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from bphcoffea.analysis.variables import Values, Variable
from bphcoffea.arrays import Integers


class VariableError(ValueError):
    """The function of a variable gives something that it must not give.

    Attributes
    ----------
    variable
        Which variable.
    """

    def __init__(self, variable: Variable, fault: str) -> None:
        super().__init__(f"variable '{variable.name}' {fault}")
        self.variable = variable


class Candidates:
    """The candidates of a chunk in one flat sequence, with the values of their variables.

    Parameters
    ----------
    events
        The events.
    collection
        Field of the events that holds the candidates.
    chunk_events
        Position of each event in the chunk, where the events are a part of it. Shape (events,).
    known
        Values that need not be evaluated here: from a variable to its numbers, or None.

    Attributes
    ----------
    counts
        Candidates of each event, shape (events,).
    event
        Position of each candidate's event among the events, shape (candidates,).
    """

    def __init__(
        self,
        events: Any,
        collection: str,
        chunk_events: Integers | None = None,
        known: Callable[[Variable], npt.NDArray[Any] | None] | None = None,
    ) -> None:
        self._events = events
        self._collection = collection
        self._values: dict[Variable, npt.NDArray[Any]] = {}
        self._values_of_events: dict[Variable, npt.NDArray[Any]] = {}
        self._chunk_events = chunk_events
        self._known = known
        self.counts: Integers = ak.to_numpy(ak.num(events[collection])).astype(np.int64)
        self.event = np.repeat(np.arange(len(self.counts)), self.counts)

    def __len__(self) -> int:
        return len(self.event)

    @property
    def chunk_event(self) -> Integers:
        """Position of each candidate's event in the chunk, shape (candidates,)."""
        return self.event if self._chunk_events is None else self._chunk_events[self.event]

    def values(self, variable: Variable) -> npt.NDArray[Any]:
        """Return one value for each candidate, shape (n,); values of events are repeated."""
        if variable not in self._values:
            flat = self._known(variable) if self._known else None
            self._values[variable] = self._evaluate(variable) if flat is None else flat
        return self._values[variable]

    def of_events(self, variable: Variable) -> npt.NDArray[Any] | None:
        """Return one value for each event, shape (events,); None for a variable of candidates."""
        self.values(variable)
        return self._values_of_events.get(variable)

    def assign(self, variable: Variable, which: Integers, values: npt.NDArray[Any]) -> None:
        """Give some candidates the values of a variable that is no function of the events."""
        every = np.zeros(len(self), dtype=values.dtype)
        every[which] = values
        self._values[variable] = every

    def at(self, which: Integers) -> Values:
        """Return a function that gives the values of a variable for some candidates, shape (n,).

        A variable that was not evaluated for all candidates yet is evaluated only on the events of
        these candidates, if they are fewer than half of all events.
        """
        few: tuple[Candidates, Integers] | None = None

        def values(variable: Variable) -> npt.NDArray[Any]:
            nonlocal few
            if variable in self._values or (self._known and self._known(variable) is not None):
                return self.values(variable)[which]
            few = few or self._few(which)
            candidates, places = few
            return candidates.values(variable)[places]

        return values

    def _few(self, which: Integers) -> tuple[Candidates, Integers]:
        """Return all candidates of the events of some, and the positions of these among them."""
        events = np.unique(self.event[which])
        if not 0 < 2 * len(events) < len(self.counts):
            return self, which
        part = Candidates(self._events[events], self._collection)
        in_event = which - (np.cumsum(self.counts) - self.counts)[self.event[which]]
        first = np.cumsum(part.counts) - part.counts
        return part, first[np.searchsorted(events, self.event[which])] + in_event

    def _evaluate(self, variable: Variable) -> npt.NDArray[Any]:
        values = _array_of(variable, self._events)
        if values.ndim == 1:
            self._check_level(variable, values)
            of_events = self._values_of_events[variable] = _plain(variable, values)
            return of_events[self.event]
        if values.ndim > 2:
            raise VariableError(
                variable,
                f"has {values.ndim - 1} levels of lists below the "
                "event; it must give one number for each candidate, or one for each event",
            )
        if len(values) != len(self.counts):
            raise _wrong_length(variable, values, self)
        counts = ak.to_numpy(ak.num(values))
        wrong = np.flatnonzero(counts != self.counts)
        if len(wrong):
            raise VariableError(
                variable,
                f"has other numbers of values than there are "
                f"candidates in {len(wrong)} events: {counts[wrong[0]]} for "
                f"{self.counts[wrong[0]]} in the first of them, at position {wrong[0]}",
            )
        return _plain(variable, ak.flatten(values))

    def _check_level(self, variable: Variable, values: ak.Array) -> None:
        """Raise a ValueError unless a flat array has one number for each event."""
        events = len(self.counts)
        if len(values) != events:
            raise _wrong_length(variable, values, self)
        if len(self) == events and np.any(self.counts != 1):
            # as many candidates as events: a part of the events, with another number, tells
            part = int(np.flatnonzero(np.cumsum(self.counts) != np.arange(1, events + 1))[0]) + 1
            if len(_array_of(variable, self._events[:part])) != part:
                raise _wrong_length(variable, values, self)


def values_of_events(variable: Variable, events: Any) -> npt.NDArray[Any]:
    """Evaluate a variable that gives one number for each event, shape (events,).

    Raises
    ------
    ValueError
        If it gives anything else.
    """
    values = _array_of(variable, events)
    if values.ndim != 1 or len(values) != len(events):
        raise VariableError(
            variable,
            f"must give one number for each of {len(events)} events; "
            f"it gives {len(values)} {'lists' if values.ndim > 1 else 'numbers'}",
        )
    return _plain(variable, values)


def _array_of(variable: Variable, events: Any) -> ak.Array:
    values = variable(events)
    if isinstance(values, ak.Array | np.ndarray) and values.ndim > 0:
        return values if isinstance(values, ak.Array) else ak.from_numpy(values)
    raise VariableError(
        variable,
        f"gives a {type(values).__name__}; it must give an array, "
        "with one number for each candidate or one for each event",
    )


def _plain(variable: Variable, values: ak.Array) -> npt.NDArray[Any]:
    flat: npt.NDArray[Any] = ak.to_numpy(values)
    if isinstance(flat, np.ma.MaskedArray):
        missing = int(np.count_nonzero(np.ma.getmaskarray(flat)))
        if missing:
            raise VariableError(
                variable,
                f"has no value (None) {missing} times; give those a value with ak.fill_none",
            )
        flat = flat.data
    return flat


def _wrong_length(variable: Variable, values: ak.Array, candidates: Candidates) -> VariableError:
    if values.ndim > 1:
        events = len(candidates.counts)
        return VariableError(variable, f"gives {len(values)} lists for {events} events")
    return VariableError(
        variable,
        f"gives a flat array of {len(values)} numbers for {len(candidates.counts)} events with "
        f"{len(candidates)} candidates; give a list for each event (ak.unflatten), or one number "
        "for each event",
    )
