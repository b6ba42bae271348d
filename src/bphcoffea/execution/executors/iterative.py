"""An executor of this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from coffea.processor import accumulate
from coffea.processor.executor import ExecutorBase

from bphcoffea.progress import progress


@dataclass
class IterativeExecutor(ExecutorBase):  # type: ignore[misc]
    """Coffea's executor of that name, whose progress can also be read in a log."""

    def __call__(
        self, items: Sequence[Any], function: Callable[[Any], Any], accumulator: Any
    ) -> tuple[Any, int]:
        """Process all items; coffea calls it.

        Returns
        -------
        The sum of the results, and 0, which tells coffea that nothing was raised.
        """
        with progress(len(items), self.desc, self.unit) as bar:
            return accumulate(map(function, bar.track(items)), accumulator), 0
