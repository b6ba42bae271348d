"""Truth of the toys: cutflows, counted from flat arrays of candidates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeAlias

import numpy as np

from bphcoffea.toys.decay import Booleans, Floats, Integers

#: Label, events and candidates of each step.
Cutflow: TypeAlias = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Found:
    """What an analysis should find in some events; subclasses add to it.

    Numbers are added, and arrays joined, when events are.

    Attributes
    ----------
    events
        Number of events.
    cutflow
        Label, events and candidates of each step.
    mass
        Mass of the best candidate of each selected event, GeV.
    """

    events: int
    cutflow: Cutflow
    mass: Floats

    def __add__(self, other: Self) -> Self:
        names = [field.name for field in fields(self)]
        return replace(self, **{n: _added(getattr(self, n), getattr(other, n)) for n in names})


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
    """Apply steps one after the other.

    Parameters
    ----------
    n
        Number of events.
    event
        Position of each candidate's event, shape (candidates,).
    candidate_steps
        Label, and which candidates meet it, shape (candidates,). Events count with a survivor.
    event_steps
        Label, and which events meet it, shape (n,). They come first, and events count with or
        without candidates.

    Returns
    -------
    The cutflow, and which candidates survive all steps, shape (candidates,).
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


def in_json(cutflow: Cutflow) -> list[dict[str, Any]]:
    """Rows of a cutflow for ``truth.json``."""
    return [
        {"step": label, "events": events, "candidates": candidates}
        for label, events, candidates in cutflow
    ]


def smallest(event: Integers, alive: Booleans, values: Floats) -> Integers:
    """Choose the survivor with the smallest value in each event; the first one of equals.

    Parameters
    ----------
    event
        Position of each candidate's event, in order, shape (candidates,).
    alive
        Which candidates survive, shape (candidates,).
    values
        What is compared, shape (candidates,).

    Returns
    -------
    Positions of the chosen candidates, shape (events with a survivor,).
    """
    best: dict[int, int] = {}
    for candidate in np.flatnonzero(alive).tolist():
        place = int(event[candidate])
        if place not in best or values[candidate] < values[best[place]]:
            best[place] = candidate
    return np.array(list(best.values()), dtype=np.int64)
