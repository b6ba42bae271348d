"""The candidates of a chunk, and the values of variables for them."""

from __future__ import annotations

from collections.abc import Callable

import awkward as ak
import numpy as np

from bphcoffea.analysis import ObjectVariable, Values, Variable
from bphcoffea.arrays import Integers, Numbers
from bphcoffea.physics import joined


class VariableError(ValueError):
    """The function of a variable returns values of the wrong type or shape.

    Attributes
    ----------
    variable
        The variable.
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
        Field of the events that holds the candidates. None: each event is its only candidate.
    chunk_events
        Position of each event in the chunk, shape (events,); None if these are all its events.
    cached
        Function that returns the values of a variable that need not be evaluated again, else None.

    Attributes
    ----------
    counts
        Number of candidates of each event, shape (events,).
    event
        Position of each candidate's event among the events, shape (candidates,).
    collection
        Field of the events that holds the candidates; None if they are the events.
    """

    def __init__(
        self,
        events: ak.Array,
        collection: str | None,
        chunk_events: Integers | None = None,
        cached: Callable[[Variable], Numbers | None] | None = None,
    ) -> None:
        self._events = events
        self.collection = collection
        self._values: dict[Variable, Numbers] = {}
        self._values_of_events: dict[Variable, Numbers] = {}
        #: Names of the evaluated variables that have one number per event.
        self.per_event: set[str] = set()
        self._chunk_events = chunk_events
        self._cached = cached or (lambda _: None)
        self.counts: Integers = np.ones(len(events), dtype=np.int64)
        if collection is not None:
            self.counts = ak.to_numpy(ak.num(events[collection])).astype(np.int64)
        self.event = np.repeat(np.arange(len(self.counts)), self.counts)

    def __len__(self) -> int:
        return len(self.event)

    @property
    def chunk_event(self) -> Integers:
        """Position of each candidate's event in the chunk, shape (candidates,)."""
        return self.event if self._chunk_events is None else self._chunk_events[self.event]

    def values(self, variable: Variable) -> Numbers:
        """Return one value per candidate, shape (n,); values of events are repeated.

        For an :class:`.ObjectVariable`, it is a list per candidate.
        """
        if variable not in self._values:
            cached = self._cached(variable)
            self._values[variable] = self._evaluate(variable) if cached is None else cached
        return self._values[variable]

    def of_events(self, variable: Variable) -> Numbers | None:
        """Return one value per event, shape (events,); None for a variable of candidates."""
        self.values(variable)
        return self._values_of_events.get(variable)

    def assign(self, variable: Variable, positions: Integers, values: Numbers) -> None:
        """Set the values of a variable that no function computes, for candidates at positions."""
        of_all = np.zeros(len(self), dtype=values.dtype)
        of_all[positions] = values
        self._values[variable] = of_all

    def at(self, positions: Integers) -> Values:
        """Return a function from a variable to its values for candidates at positions, shape (n,).

        A variable that was not evaluated for all candidates yet is evaluated only on the events of
        these candidates, if they are fewer than half of all events.
        """
        few: tuple[Candidates, Integers] | None = None

        def values(variable: Variable) -> Numbers:
            nonlocal few
            if variable in self._values or self._cached(variable) is not None:
                return self.values(variable)[positions]
            few = few or self._few(positions)
            candidates, positions_in_few = few
            return candidates.values(variable)[positions_in_few]

        return values

    def _few(self, positions: Integers) -> tuple[Candidates, Integers]:
        """Return the candidates of only the necessary events, and the positions among those."""
        events = np.unique(self.event[positions])
        if not 0 < 2 * len(events) < len(self.counts):
            return self, positions
        part = Candidates(self._events[events], self.collection)
        part.per_event = self.per_event
        event = self.event[positions]
        in_event = positions - (np.cumsum(self.counts) - self.counts)[event]
        first = np.cumsum(part.counts) - part.counts
        return part, first[np.searchsorted(events, event)] + in_event

    def _evaluate(self, variable: Variable) -> Numbers:
        values = _array_of(variable, self._events)
        if isinstance(variable, ObjectVariable):
            lists: Numbers = _lists(variable, values, len(self.counts))[self.event]
            return lists
        if values.ndim == 1:
            self._check_level(variable, values)
            self.per_event.add(variable.name)
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
        offsets, numbers = joined(values) or (None, None)
        counts = ak.to_numpy(ak.num(values)) if offsets is None else np.diff(offsets)
        wrong = np.flatnonzero(counts != self.counts)
        if len(wrong):
            raise VariableError(
                variable,
                f"has other numbers of values than there are candidates in {len(wrong)} events: "
                f"{counts[wrong[0]]} for {self.counts[wrong[0]]} in the first of them, at position "
                f"{wrong[0]}",
            )
        if offsets is None or numbers is None:
            return _plain(variable, ak.flatten(values))
        return numbers

    def _check_level(self, variable: Variable, values: ak.Array) -> None:
        """Raise a VariableError unless a flat array has one number per event."""
        events = len(self.counts)
        if len(values) != events:
            raise _wrong_length(variable, values, self)
        if len(self) == events and np.any(self.counts != 1):
            # there are as many candidates as events: try some events with another number of them
            part = int(np.flatnonzero(np.cumsum(self.counts) != np.arange(1, events + 1))[0]) + 1
            if len(_array_of(variable, self._events[:part])) != part:
                raise _wrong_length(variable, values, self)


def values_of_events(variable: Variable, events: ak.Array) -> Numbers:
    """Return the values of a variable of events, shape (events,).

    For an :class:`.ObjectVariable`, it is a list per event.

    Raises
    ------
    VariableError
        If the variable does not give one number, or one list, per event.
    """
    values = _array_of(variable, events)
    if isinstance(variable, ObjectVariable):
        return _lists(variable, values, len(events))
    if values.ndim != 1 or len(values) != len(events):
        raise VariableError(
            variable,
            f"must give one number for each of {len(events)} events; "
            f"it gives {len(values)} {'lists' if values.ndim > 1 else 'numbers'}",
        )
    return _plain(variable, values)


def _array_of(variable: Variable, events: ak.Array) -> ak.Array:
    values = variable(events)
    if isinstance(values, ak.Array | np.ndarray) and values.ndim > 0:
        return values if isinstance(values, ak.Array) else ak.from_numpy(values)
    raise VariableError(
        variable,
        f"gives a {type(values).__name__}; it must give an array, "
        "with one number for each candidate or one for each event",
    )


def _lists(variable: ObjectVariable, values: ak.Array, events: int) -> Numbers:
    if values.ndim != 2 or len(values) != events:
        raise VariableError(variable, "must give a list of numbers for each event")
    lists: Numbers = values
    return lists


def _plain(variable: Variable, values: ak.Array) -> Numbers:
    flat: Numbers = ak.to_numpy(values)
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
