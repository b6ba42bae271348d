"""Executor of processes on this machine, which halves chunks that kill their process."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import loky
from coffea.processor import accumulate
from coffea.processor.executor import ExecutorBase
from loky.process_executor import BrokenProcessPool

from bphcoffea.cores import one_algebra_thread
from bphcoffea.execution.executors.worker_start import begin
from bphcoffea.execution.pieces import halves
from bphcoffea.execution.runner import failed
from bphcoffea.interrupts import shielded
from bphcoffea.progress import progress

#: Reason for giving up an item that killed several workers.
KILLED = "killed {} workers, one after the other: out of memory, or a crash"
#: Number of processes that an item may kill before it is given up.
MOST_KILLED = 3
#: Number of results that are added up at once.
_MERGED_AT_ONCE = 20


def unchanged(result: object) -> object:
    """Return a result as it is."""
    return result


class Pool:
    """Pool of processes; if one dies, loky ends all of them, and new ones are started."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._started = workers
        self._pool: loky.ProcessPoolExecutor | None = None

    def expect(self, items: int) -> None:
        """Let no more processes start than there are items."""
        needed = max(1, min(self.workers, items))
        if needed > self._started:
            self.kill()
        if self._pool is None:
            self._started = needed

    def submit(self, function: Callable[[object], object], item: object) -> Future[object]:
        """Let a process work on an item."""
        with shielded():
            return self._submit(function, item)

    def _submit(self, function: Callable[[object], object], item: object) -> Future[object]:
        if self._pool is None:
            # loky never forks: XRootD does not survive a fork
            self._pool = loky.ProcessPoolExecutor(
                self._started,
                initializer=begin,
                initargs=(os.getpid(),),
                env=one_algebra_thread(),
            )
        future: Future[object] = self._pool.submit(function, item)
        return future

    def kill(self) -> None:
        """Kill the processes; new ones are started when needed.

        If they were left to end by themselves, they could wait minutes for a silent server.
        """
        if self._pool is not None:
            self._pool.shutdown(kill_workers=True)
            self._pool = None


#: Processes of the last run, by what they were started with; at most one entry.
_kept: Final[dict[object, Pool]] = {}


@contextlib.contextmanager
def kept_pool(workers: int, proxy: str | None = None) -> Iterator[Pool]:
    """Yield a pool of processes: that of the last run, or a new one if it wants others.

    Starting processes and importing the package in them takes longer than a short run. They are
    kept until this process ends, unless the block raises an exception, and replaced if the number
    of workers, the environment, the working directory or the grid proxy is another one. What they
    process is sent with its code, so that an analysis may change between runs.

    Parameters
    ----------
    workers
        Number of processes.
    proxy
        Grid proxy, which clients of servers read only once.
    """
    identity = proxy and (proxy, Path(proxy).stat().st_mtime_ns)
    wanted = (workers, identity, Path.cwd(), tuple(sorted(os.environ.items())))
    pool = _kept.pop(wanted, None) or Pool(workers)
    _kill_kept()
    try:
        yield pool
    except BaseException:
        pool.kill()
        raise
    _kill_kept()  # of another thread
    _kept[wanted] = pool
    _kill_at_exit()


def _kill_kept() -> None:
    while _kept:
        _, pool = _kept.popitem()
        pool.kill()


@cache
def _kill_at_exit() -> None:
    # before loky, which registers in the same way, waits for its processes
    threading._register_atexit(_kill_kept)  # type: ignore[attr-defined]


@dataclass
class ProcessExecutor(ExecutorBase):  # type: ignore[misc]
    """Executor that maps chunks to processes.

    If a process dies, all unfinished items are tried again one by one at the end, to find the one
    that kills. That item is halved, until it cannot be halved any more; then it is given up after
    it has killed three processes.

    Attributes
    ----------
    pool
        Pool of processes.
    if_killed
        Function that returns the result of an item that kills its processes, from the item, the
        reason and the number of attempts.
    halve
        Function that returns the parts of an item that kills its process, if there are any.
    take
        Function that is applied to each result before it is added to the others.
    """

    unit: str = "item"
    pool: Pool = field(default_factory=lambda: Pool(1))
    if_killed: Callable[[Any, str, int], object] = failed
    halve: Callable[[Any], Sequence[object]] = halves
    take: Callable[[Any], object] = unchanged

    def __call__(
        self, items: Iterable[object], function: Callable[[object], object], accumulator: object
    ) -> tuple[object, int]:
        """Process all items, and return the sum of the results, and 0 for coffea (no error)."""
        todo = deque(items)
        self.pool.expect(len(todo))
        results = [accumulator]
        with progress(len(todo), self.desc, self.unit) as bar:

            def keep(result: object) -> None:
                bar.advance()
                results.append(self.take(result))
                if len(results) > _MERGED_AT_ONCE:
                    results[:] = [accumulate(results)]

            # few items at a time, because those that die with a process are processed again
            suspects: deque[tuple[object, int]] = deque()
            while todo:
                died = self._work(todo, function, 2 * self.pool.workers, keep)
                suspects += ((item, 0) for item in died)
            # in turns, because processes may also be killed by something else for a while
            while suspects:
                item, killed = suspects.popleft()
                if not self._work(deque([item]), function, 1, keep):
                    continue
                if parts := self.halve(item):
                    bar.extend(len(parts) - 1)
                    suspects += ((part, 0) for part in parts)
                elif killed + 1 < MOST_KILLED:
                    suspects.append((item, killed + 1))
                else:
                    keep(self.if_killed(item, KILLED.format(MOST_KILLED), MOST_KILLED))
        return accumulate(results), 0

    def _work(
        self,
        todo: deque[object],
        function: Callable[[object], object],
        at_once: int,
        keep: Callable[[object], None],
    ) -> list[object]:
        """Work until all items are done or a process dies, and return the items that were lost."""
        working: dict[Future[object], object] = {}
        died: list[object] = []
        while (todo and not died) or working:
            while todo and not died and len(working) < at_once:
                item = todo.popleft()
                try:
                    working[self.pool.submit(function, item)] = item
                except BrokenProcessPool:
                    died.append(item)
            for future in wait(working, return_when=FIRST_COMPLETED).done if working else ():
                item = working.pop(future)
                error = future.exception()
                if error is None:
                    keep(future.result())
                elif isinstance(error, BrokenProcessPool | MemoryError):
                    died.append(item)
                else:
                    raise error
        if died:
            self.pool.kill()
        return died


@dataclass
class IterativeExecutor(ExecutorBase):  # type: ignore[misc]
    """Coffea's executor of the same name, with progress that can also be read in a log.

    Attributes
    ----------
    take
        Function that is applied to each result before it is added to the others.
    """

    unit: str = "item"
    take: Callable[[Any], object] = unchanged

    def __call__(
        self, items: Sequence[object], function: Callable[[object], object], accumulator: object
    ) -> tuple[object, int]:
        """Process all items, and return the sum of the results, and 0 for coffea (no error)."""
        with progress(len(items), self.desc, self.unit) as bar:
            results = map(self.take, map(function, bar.track(items)))
            return accumulate(results, accumulator), 0
