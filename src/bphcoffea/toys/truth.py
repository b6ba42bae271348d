"""Expected results of analyses of the toys, counted on flat arrays of candidates."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeAlias

import numpy as np

from bphcoffea.toys.decay import Booleans, Floats, Integers

#: Label, number of events and number of candidates of each step.
Cutflow: TypeAlias = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Truth(ABC):
    """Expected result of an analysis on some events; subclasses add to it.

    The sum of two truths is that of all events: numbers are added, arrays are joined.

    Attributes
    ----------
    events
        Number of events.
    cutflow
        Label, number of events and number of candidates of each step.
    mass
        Mass of the best candidate of each selected event, GeV.
    """

    events: int
    cutflow: Cutflow
    mass: Floats

    def __add__(self, other: Self) -> Self:
        names = [field.name for field in fields(self)]
        return replace(self, **{n: _added(getattr(self, n), getattr(other, n)) for n in names})

    @abstractmethod
    def as_json(self) -> dict[str, object]:
        """Return the numbers for ``truth.json``."""


def _added(first: Any, second: Any) -> Any:
    match first:
        case dict():
            return {name: number + second[name] for name, number in first.items()}
        case tuple():
            steps = zip(first, second, strict=True)
            return tuple((label, e + f, c + d) for (label, e, c), (_, f, d) in steps)
        case np.ndarray():
            return np.concatenate([first, second])
    return first + second


def count(
    n: int,
    event: Integers,
    candidate_steps: Iterable[tuple[str, Booleans]],
    event_steps: Sequence[tuple[str, Booleans]] = (),
) -> tuple[Cutflow, Booleans]:
    """Apply steps of a selection one after the other.

    Parameters
    ----------
    n
        Number of events.
    event
        Event of each candidate, from 0 to n - 1, shape (candidates,).
    candidate_steps
        Label and mask of the candidates, shape (candidates,). Events with a survivor count.
    event_steps
        Label and mask of the events, shape (n,). They come first, and also count events without
        candidates.

    Returns
    -------
    The cutflow, and the mask of the candidates that survive all steps, shape (candidates,).
    """
    kept, alive = np.ones(n, dtype=bool), np.ones(len(event), dtype=bool)
    rows = [("all", n, len(event))]
    for label, mask in event_steps:
        kept &= mask
        alive = kept[event]
        rows.append((label, int(np.sum(kept)), int(np.sum(alive))))
    for label, mask in candidate_steps:
        alive &= mask
        rows.append((label, len(np.unique(event[alive])), int(np.sum(alive))))
    return tuple(rows), alive


def in_json(cutflow: Cutflow) -> list[dict[str, object]]:
    """Return the rows of a cutflow for ``truth.json``."""
    return [
        {"step": label, "events": events, "candidates": candidates}
        for label, events, candidates in cutflow
    ]


def smallest(event: Integers, alive: Booleans, values: Floats) -> Integers:
    """Return the survivor with the smallest value in each event, the first one of equals.

    Parameters
    ----------
    event
        Event of each candidate, in order, shape (candidates,).
    alive
        Mask of the surviving candidates, shape (candidates,).
    values
        Values to compare, shape (candidates,).

    Returns
    -------
    Positions of the chosen candidates, shape (events with a survivor,).
    """
    best: dict[int, int] = {}
    for candidate in np.flatnonzero(alive).tolist():
        number = int(event[candidate])
        if number not in best or values[candidate] < values[best[number]]:
            best[number] = candidate
    return np.array(list(best.values()), dtype=np.int64)
