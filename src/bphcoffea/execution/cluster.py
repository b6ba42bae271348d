"""Coffea's executor for Dask, in which a chunk that kills its workers is a part of the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from coffea.processor import DaskExecutor, accumulate

from bphcoffea.errors import InputError
from bphcoffea.execution.runner import failed
from bphcoffea.progress import progress

#: Why an item was given up that killed one worker after the other.
KILLED = "killed {} workers, one after the other: out of memory, or a crash"
#: Items of a batch, at least; there are two batches at a time on the cluster.
_AT_ONCE = 500


@dataclass
class ClusterExecutor(DaskExecutor):  # type: ignore[misc]
    """Map chunks to the workers of a Dask cluster, and merge results there, in a tree.

    A worker that dies is Dask's business: its chunks are processed by another one. Where a worker
    dies again and again, Dask gives up all the chunks that it had at hand, the one that kills and
    its neighbours. They are tried once more, one by one when all else is done; one that still kills
    its workers is recorded. Chunks are sent in batches, and results merged as they come, so that
    neither the workers, nor the scheduler, nor the client hold all of them.

    Attributes
    ----------
    if_killed
        The result of an item that kills its workers, from the item, the reason and the attempts.
    prepare
        Called on the worker before each item.
    """

    if_killed: Callable[[Any, str, int], Any] = failed
    prepare: Callable[[], None] | None = None

    def __call__(
        self, items: Iterable[Any], function: Callable[[Any], Any], accumulator: Any
    ) -> tuple[Any, int]:
        """Process all items; coffea calls it.

        Returns
        -------
        The sum of the results, and 0, which tells coffea that nothing was raised.
        """
        from distributed import as_completed

        if self.prepare is not None:
            function = partial(_prepared, self.prepare, function)
        items = list(items)
        todo = iter(items)
        # a cluster that grows is kept busy, too, up to that many threads
        at_once = max(_AT_ONCE, 5 * sum(self.client.nthreads().values()))
        processor = self._processor()
        waiting = as_completed()
        item_of: dict[str, Any] = {}
        merged_from: dict[str, list[Any]] = {}
        ready: list[Any] = []
        suspects: list[Any] = []

        def submit() -> None:
            batch = list(islice(todo, at_once))
            tasks = [_task(item, processor) for item in batch]
            futures = self.client.map(function, tasks, pure=False, priority=self.priority)
            item_of.update((f.key, item) for f, item in zip(futures, batch, strict=True))
            waiting.update(futures)

        with progress(len(items), self.desc, self.unit) as bar:
            submit()
            submit()
            for future in waiting:
                item = item_of.pop(future.key, None)
                parts = merged_from.pop(future.key, [])
                if not _killed(future):
                    ready.append(future)
                elif item is None:
                    ready += parts
                else:
                    suspects.append(item)
                if item is not None:
                    bar.advance()
                if item is not None and len(item_of) == at_once:
                    submit()
                if len(ready) >= self.treereduction:
                    merged = self.client.submit(accumulate, ready, pure=False)
                    merged_from[merged.key] = ready
                    waiting.add(merged)
                    ready = []
            # here, a suspect can't take them with it when it kills their worker
            results = self.client.gather(ready)
            for suspect in suspects:
                task = _task(suspect, self._processor())
                future = self.client.submit(function, task, pure=False)
                if _killed(future):
                    attempts = getattr(future.exception(), "allowed_failures", 0) + 1
                    results.append(self.if_killed(suspect, KILLED.format(attempts), attempts))
                else:
                    results.append(future.result())
        return accumulate(results, accumulator), 0

    def _processor(self) -> Any:
        """The processor, sent once, and then from worker to worker; None where there is none."""
        if self.heavy_input is None:
            return None
        return self.client.submit(_itself, self.heavy_input, pure=False)


def _prepared(prepare: Callable[[], None], function: Callable[[Any], Any], task: Any) -> Any:
    prepare()
    return function(task)


def _task(item: Any, processor: Any) -> Any:
    return item if processor is None else (item, processor)


def _killed(future: Any) -> bool:
    """Whether a task was given up because its workers died; waits until it is done.

    Raises whatever else went wrong, with the traceback of the worker.
    """
    from distributed import wait
    from distributed.scheduler import KilledWorker

    if not future.done():
        wait(future)
    if future.status == "finished":
        return False
    if future.status != "error":
        raise InputError(
            "the Dask scheduler is gone, and the results with it, but finished chunks are kept: "
            "start another one and go on with --resume"
        )
    if not isinstance(future.exception(), KilledWorker):
        future.result()
    return True


def _itself(value: Any) -> Any:
    return value
