"""Health checks of a Dask cluster while no results arrive.

Dask's client would wait for ever for a scheduler that does not answer, and for workers that accept
no work because their memory is full.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from bphcoffea.errors import RunError

if TYPE_CHECKING:
    from distributed import Client

#: Time between two checks of the cluster, s.
_CHECK_EVERY = 5.0
#: Number of restarts of workers without memory before the run ends, if nothing is finished.
_MAX_RESTARTS = 3

Result = TypeVar("Result")
#: State of a worker, as the scheduler reports it.
_WorkerState: TypeAlias = Mapping[str, Any]


class ClusterLostError(RunError):
    """The cluster is lost during a run, which can be resumed from its checkpoints."""


class ClusterHealth:
    """Monitor of the health of a cluster.

    Workers are restarted if Dask has paused them because their memory is full, and they run no
    task that could free it.

    Parameters
    ----------
    client
        Client of the cluster.
    silence_s
        Time that the scheduler may take to answer, s.
    rescue
        Function that fetches the results from workers before they are restarted.

    Attributes
    ----------
    has_progressed
        Whether any task was ever finished.
    """

    def __init__(self, client: Client, silence_s: float, rescue: Callable[[], None]) -> None:
        self.has_progressed = False
        self._client = client
        self._silence_s = silence_s
        self._rescue = rescue
        self._checked = time.monotonic()
        self._stuck: frozenset[str] = frozenset()
        self._restarts = 0

    def progressed(self) -> None:
        """Record that a task was finished."""
        self.has_progressed = True
        self._restarts = 0

    def watch(self, coroutine: Coroutine[object, None, Result]) -> Result:
        """Return the result of a coroutine of the client, and check the cluster meanwhile.

        Raises
        ------
        ClusterLostError
            See :meth:`check`.
        """
        future = asyncio.run_coroutine_threadsafe(coroutine, self._client.loop.asyncio_loop)
        try:
            while True:
                try:
                    return future.result(timeout=1)
                except TimeoutError:
                    if future.done():
                        raise
                    self.check()
        finally:
            future.cancel()

    def check(self) -> None:
        """Check the cluster, if the last check was some time ago.

        Raises
        ------
        ClusterLostError
            If the scheduler does not answer, or all workers are stuck for lack of memory.
        """
        if time.monotonic() < self._checked + min(_CHECK_EVERY, self._silence_s):
            return
        workers = self._workers()
        self._checked = time.monotonic()
        stuck = frozenset(address for address, state in workers.items() if _is_stuck(state))
        still_stuck = sorted(stuck & self._stuck)
        self._stuck = stuck
        if still_stuck:
            self._restart(still_stuck, workers)

    def _workers(self) -> dict[str, _WorkerState]:
        answer = asyncio.run_coroutine_threadsafe(
            self._client.scheduler.identity(n_workers=-1), self._client.loop.asyncio_loop
        )
        try:
            return dict(answer.result(self._silence_s)["workers"])
        except TimeoutError:
            answer.cancel()
            address = self._client.scheduler.address
            raise ClusterLostError(
                f"{address}: the Dask scheduler has not answered for {self._silence_s:g} s; "
                "finished chunks are kept: resume the run once it answers, or with another one"
            ) from None
        except OSError:  # the status of the client's futures will show whether it is gone
            return {}

    def _restart(self, addresses: list[str], workers: Mapping[str, _WorkerState]) -> None:
        restartable = [address for address in addresses if workers[address]["nanny"]]
        if restartable and self._restarts < _MAX_RESTARTS:
            self._restarts += 1
            self._rescue()
            self._client.restart_workers(
                restartable, timeout=self._silence_s, raise_for_error=False
            )
        elif len(addresses) == len(workers):
            from dask.utils import format_bytes

            limit = format_bytes(min(workers[address]["memory_limit"] for address in addresses))
            raise ClusterLostError(
                f"all {len(workers)} Dask workers accept no work, since their memory is full "
                f"before they begin (limit {limit}); finished chunks are kept: resume the run "
                "on workers with more memory"
            )


def _is_stuck(worker: _WorkerState) -> bool:
    return worker["status"] == "paused" and not worker["metrics"]["task_counts"].get("executing")
