"""Coffea's executor for Dask, in which a chunk that kills its workers is a part of the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from coffea.processor import DaskExecutor, accumulate
from coffea.util import rich_bar

from bphcoffea.errors import InputError
from bphcoffea.execution.runner import failed

#: Why an item was given up that killed one worker after the other.
KILLED = "killed {} workers, one after the other: out of memory, or a crash"


@dataclass
class ClusterExecutor(DaskExecutor):  # type: ignore[misc]
    """Map chunks to the workers of a Dask cluster, and merge results there, in a tree.

    A worker that dies is Dask's business: its chunks are processed by another one. Where a chunk
    kills one worker after the other, Dask gives it up; it is recorded then, and the rest goes on.
    Results are merged as they come, so that neither the workers nor the client hold those of all
    chunks.

    Attributes
    ----------
    if_killed
        The result of an item that kills its workers, from the item, the reason and the attempts.
    """

    if_killed: Callable[[Any, str, int], Any] = failed

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
        with rich_bar() as progress:
            bar = progress.add_task(self.desc, total=len(items), unit=self.unit)
            for future in waiting:
                item = item_of.pop(future.key, None)
                if item is not None:
                    progress.update(bar, advance=1, refresh=True)
                if future.status == "error":
                    lost.append(self._recorded(future, item))
                    continue
                if future.status != "finished":
                    raise InputError(
                        "the Dask scheduler is gone, and the results with it, but finished chunks "
                        "are kept: start another one and go on with --resume"
                    )
                ready.append(future)
                if len(ready) == self.treereduction:
                    waiting.add(self.client.submit(accumulate, ready, pure=False))
                    ready = []
        return accumulate([*lost, *self.client.gather(ready)], accumulator), 0

    def _recorded(self, future: Any, item: Any) -> Any:
        """The result of an item that killed its workers; raises whatever else went wrong."""
        from distributed.scheduler import KilledWorker

        error = future.exception()
        if item is None or not isinstance(error, KilledWorker):
            future.result()  # raises, with the traceback of the worker
        attempts = getattr(error, "allowed_failures", 0) + 1
        return self.if_killed(item, KILLED.format(attempts), attempts)


def _itself(value: Any) -> Any:
    return value
