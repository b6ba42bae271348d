"""How many events and candidates pass each cut and all before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Cutflow:
    """Counts after each step, in order; the first step is ``all``.

    Attributes
    ----------
    steps
        Names of the steps.
    events
        Events with at least one candidate that passes this and every earlier cut; every event
        read at the step ``all``. Shape (steps,).
    candidates
        The candidates that do. Shape (steps,).
    sumw
        Sum of the weights of those events. Shape (steps,).
    """

    steps: tuple[str, ...]
    events: npt.NDArray[np.int64]
    candidates: npt.NDArray[np.int64]
    sumw: npt.NDArray[np.float64]

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

    def rows(self) -> list[dict[str, Any]]:
        """One row a step, as in ``cutflow.json``."""
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
