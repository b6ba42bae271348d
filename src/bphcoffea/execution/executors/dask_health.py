"""Watching over a Dask cluster while nothing comes from it.

Dask's client waits for ever for a scheduler that does not answer, and for workers that take no
work because their memory is full.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from dask.utils import format_bytes

from bphcoffea.errors import InputError

#: Time between two looks at the cluster, s.
_LOOK_EVERY = 5.0
#: How often workers without memory are restarted before they are given up, if nothing is done.
_MOST_RESTARTS = 3


class ClusterHealth:
    """The health of a cluster, asked for while nothing comes from it.

    Workers that Dask has paused because their memory is full, and that have nothing under way that
    could free it, are restarted.

    Parameters
    ----------
    client
        Client of Dask.
    silence_s
        How long the scheduler may take to answer, s.
    rescue
        Called before workers are restarted, to fetch the results that they hold.

    Attributes
    ----------
    has_progressed
        Whether anything was ever done.
    """

    def __init__(self, client: Any, silence_s: float, rescue: Callable[[], None]) -> None:
        self.has_progressed = False
        self._client = client
        self._silence_s = silence_s
        self._rescue = rescue
        self._looked = time.monotonic()
        self._stuck: frozenset[str] = frozenset()
        self._restarts = 0

    def progressed(self) -> None:
        """Note that something was done."""
        self.has_progressed = True
        self._restarts = 0

    def watch(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Wait for a coroutine of the client, as long as the cluster is well.

        Raises
        ------
        InputError
            As :meth:`check`.
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
        """Look at the cluster, if the last look was a while ago.

        Raises
        ------
        InputError
            If the scheduler does not answer, or workers can't do anything for lack of memory.
        """
        if time.monotonic() < self._looked + min(_LOOK_EVERY, self._silence_s):
            return
        workers = self._workers()
        self._looked = time.monotonic()
        stuck = frozenset(address for address, about in workers.items() if _is_stuck(about))
        for_long = sorted(stuck & self._stuck)
        self._stuck = stuck
        if for_long:
            self._restart(for_long, workers)

    def _workers(self) -> dict[str, dict[str, Any]]:
        asking = asyncio.run_coroutine_threadsafe(
            self._client.scheduler.identity(n_workers=-1), self._client.loop.asyncio_loop
        )
        try:
            return dict(asking.result(self._silence_s)["workers"])
        except TimeoutError:
            asking.cancel()
            address = self._client.scheduler.address
            raise InputError(
                f"{address}: the Dask scheduler has not answered for {self._silence_s:g} s; "
                "finished chunks are kept: go on with --resume once it answers, or with another one"
            ) from None
        except OSError:  # what becomes of the client's futures tells whether it is gone
            return {}

    def _restart(self, addresses: list[str], workers: Mapping[str, dict[str, Any]]) -> None:
        restartable = [address for address in addresses if workers[address]["nanny"]]
        if restartable and self._restarts < _MOST_RESTARTS:
            self._restarts += 1
            self._rescue()
            self._client.restart_workers(
                restartable, timeout=self._silence_s, raise_for_error=False
            )
        elif len(addresses) == len(workers):
            limit = format_bytes(min(workers[address]["memory_limit"] for address in addresses))
            raise InputError(
                f"all {len(workers)} Dask workers take no work, since their memory is full before "
                f"they begin (limit {limit}); finished chunks are kept: go on with --resume on "
                "workers with more memory"
            )


def _is_stuck(about: Mapping[str, Any]) -> bool:
    return about["status"] == "paused" and not about["metrics"]["task_counts"].get("executing")
