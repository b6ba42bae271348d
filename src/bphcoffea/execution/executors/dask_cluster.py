"""Coffea's executor for Dask, in which a chunk that kills its workers is a part of the result."""

from __future__ import annotations

import contextlib
import queue
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from coffea.processor import DaskExecutor, accumulate

from bphcoffea.errors import InputError
from bphcoffea.execution.executors.dask_health import ClusterHealth
from bphcoffea.execution.runner import failed
from bphcoffea.progress import Bar, progress
from bphcoffea.storage.servers import TIMEOUT

#: Reason for giving up an item that killed one worker after the other.
KILLED = "killed {} workers, one after the other: out of memory, or a crash"
#: Items of a batch, at least; there are two batches at a time on the cluster.
_AT_ONCE = 500
#: How often the result of an item may be lost with its worker before the item is tried alone.
_MOST_LOST = 3
#: Size of the groups in which a merge that killed its workers is made again; results of such a
#: group are fetched and merged here if that kills as well.
_FETCHED = 5
#: Reason for not trying an item.
_NOT_TRIED = "not tried, since {} other{} killed all workers, and none was finished"
#: Placeholder of a result that was lost.
_LOST = object()
#: Items that kill their workers before the rest is not tried, if no item was ever finished.
_MOST_KILLED = 5


@dataclass
class ClusterExecutor(DaskExecutor):  # type: ignore[misc]
    """Map chunks to the workers of a Dask cluster, and merge results there, in a tree.

    A worker that dies is Dask's business: its chunks are processed by another one. If workers
    die again and again, Dask gives up all tasks that they had at hand, the one that kills and
    its neighbours. Chunks are then tried once more, one by one when all else is done; one that
    still kills its workers is recorded. Merges are split, and in the end made by the client.
    Chunks are sent in batches, and results merged as they come, so that neither the workers, nor
    the scheduler, nor the client hold all of them.

    Attributes
    ----------
    if_killed
        The result of an item that kills its workers, from the item, the reason and the attempts.
    prepare
        Called on the worker before each item.
    silence_s
        How long the scheduler may take to answer, s.
    """

    if_killed: Callable[[Any, str, int], Any] = failed
    prepare: Callable[[], None] | None = None
    silence_s: float = TIMEOUT

    def __call__(
        self, items: Iterable[Any], function: Callable[[Any], Any], accumulator: Any
    ) -> tuple[Any, int]:
        """Process all items; coffea calls it.

        Returns
        -------
        The sum of the results, and 0, which tells coffea that nothing was raised.

        Raises
        ------
        InputError
            If the scheduler is gone or silent, or the workers can't do anything for lack of memory.
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
    """Work on items that is under way on a cluster.

    Parameters
    ----------
    executor
        Its executor.
    items
        All of them.
    function
        From an item to its result.
    bar
        Count of the items that are done.
    """

    def __init__(
        self,
        executor: ClusterExecutor,
        items: Sequence[Any],
        function: Callable[[Any], Any],
        bar: Bar,
    ) -> None:
        self._executor = executor
        self._client: Any = executor.client
        self._health = ClusterHealth(executor.client, executor.silence_s, self._fetch_ready)
        self._items = items
        self._function = function
        self._bar = bar
        # a cluster that grows is kept busy as well, up to that many threads
        self._at_once = max(_AT_ONCE, 5 * sum(self._client.nthreads().values()))
        # numbers of items: those to submit, to try alone, and how often a result was lost
        self._todo = deque(range(len(items)))
        self._suspects: list[int] = []
        self._lost: Counter[int] = Counter()
        # by key of a future: numbers of the items that its result is made of, parts of a merge
        self._made_of: dict[str, list[int]] = {}
        self._merging: dict[str, list[Any]] = {}
        # how many futures of items are waited for
        self._running = 0
        # futures that are done; results that wait to be merged; results that are here
        self._done: queue.Queue[Any] = queue.Queue()
        self._ready: list[Any] = []
        self._fetched: list[Any] = []
        # how many items killed their workers also when they were alone
        self._killers = 0

    def results(self) -> list[Any]:
        """Work until all items are done.

        Returns
        -------
        Results whose sum is that of all items.
        """
        while self._todo or self._running or self._merging or self._ready:
            while self._todo and self._running <= self._at_once:
                self._submit()
            if self._running or self._merging:
                self._settle(self._next())
            else:
                self._fetch_ready()
        # alone: a suspect can't take results of others with it when it kills its worker
        for suspect in self._suspects:
            self._fetched.append(self._tried_alone(suspect))
            self._bar.advance()
        return self._fetched

    def _submit(self) -> None:
        numbers = [self._todo.popleft() for _ in range(min(self._at_once, len(self._todo)))]
        futures = self._client.map(
            self._function,
            [self._items[number] for number in numbers],
            key="chunk",
            pure=False,
            priority=self._executor.priority,
        )
        for number, future in zip(numbers, futures, strict=True):
            self._made_of[future.key] = [number]
            future.add_done_callback(self._done.put)
        self._running += len(numbers)

    def _next(self) -> Any:
        """Wait for the next future that is done."""
        while True:
            try:
                return self._done.get(timeout=1)
            except queue.Empty:
                self._health.check()

    def _settle(self, future: Any) -> None:
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
            self._ready.append(future)
            if len(self._ready) >= self._executor.treereduction:
                self._merge(self._ready)
                self._ready = []
            return
        numbers = self._made_of.pop(future.key)
        if parts is None:
            self._suspects += numbers
        else:
            self._rescue(parts)

    def _merge(self, parts: list[Any]) -> None:
        merged = self._client.submit(accumulate, parts, pure=False)
        self._merging[merged.key] = parts
        self._made_of[merged.key] = [n for part in parts for n in self._made_of[part.key]]
        merged.add_done_callback(self._done.put)

    def _rescue(self, parts: list[Any]) -> None:
        """Merge the parts of a merge that killed its workers in smaller groups, or here."""
        there = [part for part in parts if part.status != "error"]
        for part in parts:
            if part.status == "error":
                self._again(part)
        if len(there) <= _FETCHED:
            self._fetch(there)
            return
        for start in range(0, len(there), _FETCHED):
            self._merge(there[start : start + _FETCHED])

    def _fetch_ready(self) -> None:
        ready, self._ready = self._ready, []
        self._fetch(ready)

    def _fetch(self, futures: Iterable[Any]) -> None:
        """Get results from the cluster, and add them up here."""
        for future in futures:
            result = self._result(future)
            if result is _LOST:
                self._again(future)
                continue
            del self._made_of[future.key]
            self._fetched.append(result)
            if len(self._fetched) >= self._executor.treereduction:
                self._fetched = [accumulate(self._fetched)]

    def _result(self, future: Any) -> Any:
        """Wait for the result of a future, and get it; ``_LOST`` if its workers died."""
        while True:
            gathering = self._client.gather([future], errors="skip", asynchronous=True)
            if fetched := self._health.watch(gathering):
                return fetched[0]
            if _killed(future):
                return _LOST

    def _again(self, future: Any) -> None:
        """Work once more on the items of a result that was lost with its worker."""
        for number in self._made_of.pop(future.key):
            self._lost[number] += 1
            self._bar.advance(-1)
            if self._lost[number] > _MOST_LOST:
                self._suspects.append(number)
            else:
                self._todo.append(number)

    def _tried_alone(self, number: int) -> Any:
        item = self._items[number]
        if self._killers >= _MOST_KILLED and not self._health.has_progressed:
            plural = "" if self._killers == 1 else "s"
            return self._executor.if_killed(item, _NOT_TRIED.format(self._killers, plural), 0)
        future = self._client.submit(self._function, item, pure=False)
        result = self._result(future)
        if result is not _LOST:
            self._health.progressed()
            return result
        self._killers += 1
        attempts = getattr(future.exception(), "allowed_failures", 0) + 1
        return self._executor.if_killed(item, KILLED.format(attempts), attempts)


def _prepared(prepare: Callable[[], None], function: Callable[[Any], Any], task: Any) -> Any:
    prepare()
    return function(task)


def _killed(future: Any) -> bool:
    """Return whether a future was given up because its workers died.

    One whose result was lost with its worker a moment ago, and is made again, was not. Raises
    whatever else went wrong, with the traceback of the worker.
    """
    from distributed.scheduler import KilledWorker

    if future.status == "cancelled":
        raise InputError(
            "the Dask scheduler is gone, and the results with it, but finished chunks are kept: "
            "start another one and go on with --resume"
        )
    if future.status != "error":
        return False
    if not isinstance(future.exception(), KilledWorker):
        future.result()
    return True
