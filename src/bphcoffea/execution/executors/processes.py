"""An executor of processes on this machine; a chunk that kills them is a part of the result."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

import loky
from coffea.processor import accumulate
from coffea.processor.executor import ExecutorBase
from loky.process_executor import BrokenProcessPool

from bphcoffea.execution.executors.dask_cluster import KILLED
from bphcoffea.execution.runner import failed
from bphcoffea.progress import progress
from bphcoffea.streams import guard_streams

#: How many processes an item may kill before it is given up.
MOST_KILLED = 3
#: Results that are added up at once.
_MERGED_AT_ONCE = 20


class Pool:
    """Processes that work; they are replaced when one of them dies, for loky then ends all.

    Parameters
    ----------
    workers
        How many.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: Any = None

    def submit(self, function: Callable[[Any], Any], item: Any) -> Future[Any]:
        """Let a process work on an item."""
        if self._pool is None:
            # loky never forks: XRootD does not survive a fork
            self._pool = loky.ProcessPoolExecutor(
                self.workers, initializer=_begin, initargs=(os.getpid(),)
            )
        future: Future[Any] = self._pool.submit(function, item)
        return future

    def kill(self) -> None:
        """End the processes at once; new ones are started when needed.

        Left to end by themselves they would wait, for minutes, for a server that fell silent.
        """
        if self._pool is not None:
            self._pool.shutdown(kill_workers=True)
            self._pool = None


def _begin(parent: int) -> None:
    """Guard what this process prints, and end it when its parent ends, however that ends."""
    guard_streams()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@dataclass
class ProcessExecutor(ExecutorBase):  # type: ignore[misc]
    """Map chunks to processes.

    If a process dies, the items that were being worked on are tried again at the end, one by one,
    to find the one that kills. It is given up after the third process.

    Attributes
    ----------
    pool
        The processes.
    if_killed
        The result of an item that kills its process, from the item, the reason and the attempts.
    """

    pool: Pool = field(default_factory=lambda: Pool(1))
    if_killed: Callable[[Any, str, int], Any] = failed

    def __call__(
        self, items: Iterable[Any], function: Callable[[Any], Any], accumulator: Any
    ) -> tuple[Any, int]:
        """Process all items; coffea calls it.

        Returns
        -------
        The sum of the results, and 0, which tells coffea that nothing was raised.
        """
        todo = deque(items)
        results: list[Any] = [accumulator]
        with progress(len(todo), self.desc, self.unit) as bar:

            def keep(result: Any) -> None:
                bar.advance()
                results.append(result)
                if len(results) > _MERGED_AT_ONCE:
                    results[:] = [accumulate(results)]

            # no more than are about to be worked on: what dies with a process is done again
            suspects: deque[tuple[Any, int]] = deque()
            while todo:
                died = self._work(todo, function, 2 * self.pool.workers, keep)
                suspects += ((item, 0) for item in died)
            # in turns: processes may also be killed for reasons of their own, for a while
            while suspects:
                item, killed = suspects.popleft()
                if not self._work(deque([item]), function, 1, keep):
                    continue
                if killed + 1 < MOST_KILLED:
                    suspects.append((item, killed + 1))
                else:
                    keep(self.if_killed(item, KILLED.format(MOST_KILLED), MOST_KILLED))
        return accumulate(results), 0

    def _work(
        self,
        todo: deque[Any],
        function: Callable[[Any], Any],
        at_once: int,
        keep: Callable[[Any], None],
    ) -> list[Any]:
        """Work until all is done or a process died; gives the items that were worked on then."""
        working: dict[Future[Any], Any] = {}
        died: list[Any] = []
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
                elif isinstance(error, BrokenProcessPool):
                    died.append(item)
                else:
                    raise error
        if died:
            self.pool.kill()
        return died
