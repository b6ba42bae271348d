"""Coffea's executor for Dask, in which a chunk that kills its workers is a part of the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from coffea.processor import DaskExecutor, accumulate
from coffea.processor.executor import WorkItem
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from bphcoffea.execution.runner import Failure


@dataclass
class ClusterExecutor(DaskExecutor):  # type: ignore[misc]
    """Map chunks to the workers of a Dask cluster, and merge results there, in a tree.

    A worker that dies is Dask's business: its chunks are processed by another one. Where a chunk
    kills one worker after the other, Dask gives it up; it is recorded then, and the rest goes on.
    Results are merged as they come, so that neither the workers nor the client hold those of all
    chunks.
    """

    def __call__(
        self, items: Iterable[Any], function: Callable[[Any], Any], accumulator: Any
    ) -> tuple[Any, int]:
        """Process all items; coffea calls it.

        Returns
        -------
        The sum of the results, and 0, which tells coffea that nothing was raised.
        """
        from distributed import as_completed

        items = list(items)
        tasks = items
        if self.heavy_input is not None:
            # sent once, and then from worker to worker
            processor = self.client.submit(_itself, self.heavy_input, pure=False)
            tasks = [(item, processor) for item in items]
        futures = self.client.map(function, tasks, pure=False, priority=self.priority)
        item_of = {future.key: item for future, item in zip(futures, items, strict=True)}
        waiting = as_completed(futures)
        del futures, tasks
        ready: list[Any] = []
        lost: list[Any] = []
        with Progress(
            *Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn()
        ) as progress:
            bar = progress.add_task(self.desc, total=len(items))
            for future in waiting:
                item = item_of.pop(future.key, None)
                if item is not None:
                    progress.advance(bar)
                if future.status == "error":
                    lost.append(_recorded(future, item))
                    continue
                ready.append(future)
                if len(ready) == self.treereduction:
                    waiting.add(self.client.submit(accumulate, ready, pure=False))
                    ready = []
        return accumulate([*lost, *self.client.gather(ready)], accumulator), 0


def _recorded(future: Any, item: Any) -> dict[str, Any]:
    """The result of a chunk that killed its workers; raises whatever else went wrong."""
    from distributed.scheduler import KilledWorker

    error = future.exception()
    if not isinstance(error, KilledWorker) or not isinstance(item, WorkItem):
        future.result()  # raises, with the traceback of the worker
    attempts = getattr(error, "allowed_failures", 0) + 1
    reason = f"killed {attempts} workers, one after the other: out of memory, or a crash"
    return {"out": {}, "processed": set(), "failed": [Failure(item, reason, attempts)]}


def _itself(value: Any) -> Any:
    return value
