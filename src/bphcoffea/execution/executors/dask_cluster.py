"""Executor on a Dask cluster, which halves chunks that kill their workers."""

from __future__ import annotations

import contextlib
import math
import queue
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from coffea.processor import DaskExecutor, accumulate

from bphcoffea.execution.executors.dask_health import ClusterHealth, ClusterLostError
from bphcoffea.execution.executors.processes import KILLED, unchanged
from bphcoffea.execution.pieces import halves
from bphcoffea.execution.runner import failed
from bphcoffea.progress import Bar, progress
from bphcoffea.storage import TIMEOUT

if TYPE_CHECKING:
    from distributed import Client, Future

#: Minimum size of a batch of items; the cluster has two batches at a time.
_BATCH_SIZE = 500
#: Number of times that a result may be lost with its worker before its item is tried alone.
_MAX_LOST = 3
#: Size of the groups into which a merge that killed its workers is split. If such a group kills as
#: well, the client merges what adds up to as many items.
_SMALL_MERGE = 5
#: Number of merged items from which on the client takes the result: while the cluster keeps it, the
#: scheduler remembers all tasks that it was made of.
_REMEMBERED = 400
#: Reason for not trying an item.
_NOT_TRIED = "not tried, since {} other{} killed all workers, and none was finished"
#: Placeholder of a result that was lost.
_LOST: Final = object()
#: Number of items that kill their workers before all others are given up, if none was finished.
_MAX_KILLERS = 5


@dataclass
class ClusterExecutor(DaskExecutor):  # type: ignore[misc]
    """Executor that maps chunks to the workers of a Dask cluster, and merges results there.

    If a worker dies, Dask lets another one process its chunks. If workers die repeatedly, Dask
    gives up all of their tasks: the one that kills, and its neighbours. These chunks are tried
    once more at the end, one by one, and those that still kill their workers are halved; what
    cannot be halved any more is recorded. A merge that kills, or runs out of memory, is split, and
    finally made by the client; no larger one is tried again. Chunks are sent in batches, results
    are merged as they arrive, and the client takes what many chunks add up to, so that no worker,
    scheduler or client holds all of them.

    Attributes
    ----------
    if_killed
        Function that returns the result of an item that kills its workers, from the item, the
        reason and the number of attempts.
    halve
        Function that returns the parts of an item that kills its workers, if there are any.
    prepare
        Function that is called on the worker before each item.
    take
        Function that is applied to each result that arrives at the client.
    silence_s
        Time that the scheduler may take to answer, s.
    """

    unit: str = "item"
    if_killed: Callable[[Any, str, int], object] = failed
    halve: Callable[[Any], Sequence[object]] = halves
    prepare: Callable[[], None] | None = None
    take: Callable[[Any], object] = unchanged
    silence_s: float = TIMEOUT

    def __call__(
        self, items: Iterable[object], function: Callable[[object], object], accumulator: object
    ) -> tuple[object, int]:
        """Process all items, and return the sum of the results, and 0 for coffea (no error).

        Raises
        ------
        ClusterLostError
            If the scheduler is gone or silent, or all workers are stuck for lack of memory.
        """
        if self.prepare is not None:
            function = partial(_prepared, self.prepare, function)
        items = list(items)
        with contextlib.ExitStack() as stack:
            if self.heavy_input is not None:
                from bphcoffea.execution.executors.worker_input import shared

                function = stack.enter_context(shared(self.client, self.heavy_input, function))
            bar = stack.enter_context(progress(len(items), self.desc, self.unit))
            results = _Work(self, items, function, bar).results()
        return accumulate(results, accumulator), 0


class _Work:
    """State of the items, futures and results while an executor processes items on a cluster."""

    def __init__(
        self,
        executor: ClusterExecutor,
        items: list[object],
        function: Callable[[object], object],
        bar: Bar,
    ) -> None:
        self._executor = executor
        self._client: Client = executor.client
        self._health = ClusterHealth(executor.client, executor.silence_s, self._fetch_ready)
        self._items = items
        self._function = function
        self._bar = bar
        # large enough to keep a growing cluster busy, up to that many threads
        self._batch_size = max(_BATCH_SIZE, 5 * sum(self._client.nthreads().values()))
        # indices of items to submit, and to try alone; how often the result of an item was lost
        self._todo = deque(range(len(items)))
        self._suspects: deque[int] = deque()
        self._lost: Counter[int] = Counter()
        # by key of a future: indices of the items in its result, and futures that a merge adds up
        self._made_of: dict[str, list[int]] = {}
        self._merging: dict[str, list[Future]] = {}
        # number of items that are too many for a merge on a worker
        self._too_many = math.inf
        # number of unfinished futures of items
        self._running = 0
        # finished futures; futures with results to be merged; results on the client
        self._done: queue.Queue[Future] = queue.Queue()
        self._ready: list[Future] = []
        self._fetched: list[object] = []
        # number of items that killed their workers when they were tried alone
        self._killers = 0

    def results(self) -> list[object]:
        """Process all items, and return results that add up to the sum of all."""
        while self._todo or self._running or self._merging or self._ready:
            while self._todo and self._running <= self._batch_size:
                self._submit()
            if self._running or self._merging:
                self._settle(self._next())
            else:
                self._fetch_ready()
        # alone, so that a suspect that kills its worker destroys no other results
        while self._suspects:
            self._try_alone(self._suspects.popleft())
        return self._fetched

    def _submit(self) -> None:
        indices = [self._todo.popleft() for _ in range(min(self._batch_size, len(self._todo)))]
        futures = self._client.map(
            self._function,
            [self._items[index] for index in indices],
            key="chunk",
            pure=False,
            priority=self._executor.priority,
        )
        for index, future in zip(indices, futures, strict=True):
            self._made_of[future.key] = [index]
            future.add_done_callback(self._done.put)
        self._running += len(indices)

    def _next(self) -> Future:
        """Wait for the next finished future."""
        while True:
            try:
                return self._done.get(timeout=1)
            except queue.Empty:
                self._health.check()

    def _settle(self, future: Future) -> None:
        parts = self._merging.pop(future.key, None)
        killed = _killed(future)
        if parts is None:
            self._running -= 1
        if not killed:
            self._health.progressed()
            if parts is None:
                self._bar.advance()
            for part in parts or ():
                del self._made_of[part.key]
            if len(self._made_of[future.key]) >= _REMEMBERED:
                self._fetch([future])
                return
            self._ready.append(future)
            if len(self._ready) >= self._executor.treereduction:
                self._combine(self._ready)
                self._ready = []
            return
        indices = self._made_of.pop(future.key)
        if parts is None:
            self._suspects += indices
        else:
            self._rescue(parts)

    def _combine(self, parts: list[Future]) -> None:
        """Merge results on a worker; on the client, if they may be too many for a worker."""
        indices = [index for part in parts for index in self._made_of[part.key]]
        if len(indices) < self._too_many:
            merged = self._client.submit(accumulate, parts, pure=False)
            self._merging[merged.key] = parts
            self._made_of[merged.key] = indices
            merged.add_done_callback(self._done.put)
        elif len(parts) <= _SMALL_MERGE:
            self._fetch(parts)
        else:
            middle = len(parts) // 2
            self._combine(parts[:middle])
            self._combine(parts[middle:])

    def _rescue(self, parts: list[Future]) -> None:
        """Repeat a merge that killed its workers, or ran out of memory, in smaller groups."""
        if len(parts) <= _SMALL_MERGE:
            # a larger merge may have been blamed for its neighbours
            items = sum(len(self._made_of[part.key]) for part in parts)
            self._too_many = min(self._too_many, items)
        intact = [part for part in parts if part.status != "error"]
        for part in parts:
            if part.status == "error":
                self._again(part)
        for start in range(0, len(intact), _SMALL_MERGE):
            self._combine(intact[start : start + _SMALL_MERGE])

    def _fetch_ready(self) -> None:
        ready, self._ready = self._ready, []
        self._fetch(ready)

    def _fetch(self, futures: Iterable[Future]) -> None:
        """Fetch results from the cluster, and add them up on the client."""
        for future in futures:
            result = self._result(future)
            if result is _LOST:
                self._again(future)
                continue
            del self._made_of[future.key]
            self._fetched.append(self._executor.take(result))
            if len(self._fetched) >= self._executor.treereduction:
                self._fetched = [accumulate(self._fetched)]

    def _result(self, future: Future) -> object:
        """Wait for a future, and return its result; ``_LOST`` if its workers died."""
        while True:
            gathering = self._client.gather([future], errors="skip", asynchronous=True)
            if fetched := self._health.watch(gathering):
                return fetched[0]
            if _killed(future):
                return _LOST

    def _again(self, future: Future) -> None:
        """Process the items of a lost result again."""
        for index in self._made_of.pop(future.key):
            self._lost[index] += 1
            self._bar.advance(-1)
            if self._lost[index] > _MAX_LOST:
                self._suspects.append(index)
            else:
                self._todo.append(index)

    def _try_alone(self, index: int) -> None:
        item = self._items[index]
        if self._killers >= _MAX_KILLERS and not self._health.has_progressed:
            plural = "" if self._killers == 1 else "s"
            reason = _NOT_TRIED.format(self._killers, plural)
            self._finished(self._executor.if_killed(item, reason, 0))
            return
        future = self._client.submit(self._function, item, pure=False)
        result = self._result(future)
        if result is not _LOST:
            self._health.progressed()
            self._finished(result)
            return
        self._killers += 1
        if parts := self._executor.halve(item):
            self._suspects.extendleft(range(len(self._items), len(self._items) + len(parts)))
            self._items += parts
            self._bar.extend(len(parts) - 1)
            return
        attempts = getattr(future.exception(), "allowed_failures", 0) + 1
        self._finished(self._executor.if_killed(item, KILLED.format(attempts), attempts))

    def _finished(self, result: object) -> None:
        """Keep the result of an item that was tried alone."""
        self._fetched.append(self._executor.take(result))
        self._bar.advance()


def _prepared(
    prepare: Callable[[], None], function: Callable[[object], object], item: object
) -> object:
    prepare()
    return function(item)


def _killed(future: Future) -> bool:
    """Return whether the workers of a future died, or ran out of memory.

    This does not include a future whose result was lost and is being computed again. Any other
    exception is raised, with the traceback of the worker.
    """
    from distributed.scheduler import KilledWorker

    if future.status == "cancelled":
        raise ClusterLostError(
            "the Dask scheduler is gone, and the results with it, but finished chunks are kept: "
            "start another one and resume the run"
        )
    if future.status != "error":
        return False
    if not isinstance(future.exception(), KilledWorker | MemoryError):
        future.result()
    return True
