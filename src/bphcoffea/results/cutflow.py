"""Number of events and candidates that pass each cut and all cuts before it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypedDict

import numpy as np
from typing_extensions import override

from bphcoffea.arrays import Floats, Integers
from bphcoffea.html_table import html_table

_HEADER: Final = ("step", "events", "candidates", "sumw", "of previous", "of all")


class CutflowRow(TypedDict):
    """A step in ``cutflow.json``."""

    step: str
    events: int
    candidates: int
    sumw: float


@dataclass(frozen=True, repr=False)
class Cutflow:
    """Counts after each step, in order; the first step is ``all``.

    Attributes
    ----------
    steps
        Names of the steps.
    events
        Number of events that pass each step, shape (steps,); at the step ``all``, that of the
        events read. From the first cut on candidates onwards, an event passes with a candidate.
    candidates
        Number of candidates that pass this and every earlier cut, shape (steps,).
    sumw
        Sum of the weights of those events, shape (steps,).

    Examples
    --------
    >>> import numpy as np
    >>> Cutflow(("all", "mass"), np.array([8, 2]), np.array([9, 2]), np.array([8.0, 1.5]))
    step  events  candidates  sumw  of previous  of all
    all        8           9     8       100.0%  100.0%
    mass       2           2   1.5        25.0%   25.0%
    """

    steps: tuple[str, ...]
    events: Integers
    candidates: Integers
    sumw: Floats

    @classmethod
    def empty(cls, steps: tuple[str, ...]) -> Cutflow:
        """Return the counts of no events."""
        return cls(steps, *(np.zeros(len(steps), kind) for kind in (np.int64, np.int64, float)))

    @classmethod
    def of_rows(cls, steps: tuple[str, ...], rows: Iterable[tuple[int, int, float]]) -> Cutflow:
        """Return the counts of which events, candidates and Σw are given for each step."""
        events, candidates, sums = zip(*rows, strict=True)
        return cls(
            steps,
            np.array(events, dtype=np.int64),
            np.array(candidates, dtype=np.int64),
            np.array(sums, dtype=np.float64),
        )

    def __add__(self, other: Cutflow) -> Cutflow:
        if self.steps != other.steps:
            raise ValueError(
                f"cutflows of different selections don't add: {self.steps} and {other.steps}"
            )
        return Cutflow(
            self.steps,
            self.events + other.events,
            self.candidates + other.candidates,
            self.sumw + other.sumw,
        )

    @override
    def __repr__(self) -> str:
        table = [_HEADER, *self._cells()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return "\n".join(
            "  ".join((cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])))
            for cells in table
        )

    def _repr_html_(self) -> str:
        return html_table(_HEADER, self._cells())

    def _cells(self) -> list[tuple[str, ...]]:
        """Return the cells of a table with efficiencies of events, one row per step."""
        rows = self.rows()
        return [
            (
                row["step"],
                f"{row['events']:,}",
                f"{row['candidates']:,}",
                f"{row['sumw']:.6g}",
                *(
                    f"{row['events'] / total:.1%}" if total else "–"
                    for total in (before["events"], rows[0]["events"])
                ),
            )
            for before, row in zip((rows[0], *rows), rows, strict=False)
        ]

    def rows(self) -> list[CutflowRow]:
        """Return one row per step, as in ``cutflow.json``."""
        return [
            {
                "step": step,
                "events": int(events),
                "candidates": int(candidates),
                "sumw": float(sumw),
            }
            for step, events, candidates, sumw in zip(
                self.steps, self.events, self.candidates, self.sumw, strict=True
            )
        ]
