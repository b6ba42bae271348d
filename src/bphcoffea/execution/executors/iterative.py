"""Executor that processes chunks in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coffea.processor import accumulate
from coffea.processor.executor import ExecutorBase

from bphcoffea.progress import progress


@dataclass
class IterativeExecutor(ExecutorBase):  # type: ignore[misc]
    """Coffea's executor of the same name, with progress that can also be read in a log."""

    def __call__(
        self, items: Sequence[object], function: Callable[[object], object], accumulator: object
    ) -> tuple[object, int]:
        """Process all items, and return the sum of the results, and 0 for coffea (no error)."""
        with progress(len(items), self.desc, self.unit) as bar:
            return accumulate(map(function, bar.track(items)), accumulator), 0
