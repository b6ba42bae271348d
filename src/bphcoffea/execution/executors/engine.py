"""Coffea's executors, made from what a user says: a name, a number of workers, an address."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bphcoffea.errors import InputError
from bphcoffea.execution.executors.dask_cluster import ClusterExecutor
from bphcoffea.execution.executors.iterative import IterativeExecutor
from bphcoffea.execution.executors.processes import Pool, ProcessExecutor
from bphcoffea.facilities.clusters import cluster
from bphcoffea.facilities.facility import Facility
from bphcoffea.facilities.proxy import find_valid, shipping, wait
from bphcoffea.storage.servers import TIMEOUT

ExecutorName = Literal["iterative", "futures", "dask"]


@dataclass(frozen=True)
class Engine:
    """An executor of coffea that is ready to run.

    Attributes
    ----------
    name
        ``iterative``, ``futures`` or ``dask``.
    executor
        Coffea's executor.
    workers
        Processes that work.
    dashboard
        Address of Dask's dashboard; empty without one.
    """

    name: ExecutorName
    executor: Any
    workers: int
    dashboard: str = ""


@contextlib.contextmanager
def engine(
    name: ExecutorName,
    workers: int | None = None,
    scheduler: str | None = None,
    facility: Facility | None = None,
    proxy_hours: float = 0,
    timeout_s: float = TIMEOUT,
) -> Iterator[Engine]:
    """Start an executor, and end what was started for it.

    Parameters
    ----------
    name
        ``iterative``: this process. ``futures``: processes on this machine. ``dask``: a Dask
        cluster, by default one of processes on this machine that only this user can use.
    workers
        Number of processes; by default one for each core, or what the facility says. Ignored by a
        scheduler that runs already.
    scheduler
        Address of a Dask scheduler that runs already, such as ``tcp://host:8786``.
    facility
        Where the workers are, and what they need; the executor is ``dask`` then.
    proxy_hours
        How long the grid proxy must be valid, h.
    timeout_s
        How long the scheduler may take to answer, s.

    Raises
    ------
    InputError
        When the cluster can't be started, its scheduler does not answer, one is given to another
        executor than ``dask``, or the grid proxy is missing or ends too soon.
    """
    if (scheduler or facility) and name != "dask":
        option = "--scheduler" if scheduler else "--facility"
        raise InputError(f"{option} needs --executor dask, not {name}")
    proxy = find_valid(proxy_hours, required=facility is not None and facility.proxy.required)
    if name == "iterative":
        yield Engine(name, IterativeExecutor(), 1)
        return
    if name == "futures":
        pool = Pool(workers or _cores())
        try:
            yield Engine(name, ProcessExecutor(pool=pool), pool.workers)
        finally:
            pool.kill()
        return
    facility = facility or Facility(name="here", kind="scheduler" if scheduler else "local")
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(cluster(facility, workers, scheduler))
        executor = ClusterExecutor(client=client, silence_s=timeout_s)
        if proxy is not None and facility.kind != "local":
            if not client.scheduler.address.startswith("tls://"):
                print(
                    f"{client.scheduler.address}: the grid proxy goes through a scheduler without "
                    "TLS, so whoever reaches it, or reads along, can take the proxy",
                    file=sys.stderr,
                )
            stack.enter_context(shipping(client, proxy, facility.proxy.certificates))
            executor.prepare = wait
        running = len(client.scheduler_info(n_workers=-1)["workers"])
        if not running:
            print(f"{client.scheduler.address}: waiting for the first worker", file=sys.stderr)
        dashboard = client.dashboard_link if facility.has_dashboard else ""
        yield Engine(name, executor, running, dashboard)


@contextlib.contextmanager
def reporting(running: Engine, path: Path) -> Iterator[None]:
    """Let Dask write its performance report, an HTML page, when the block ends well."""
    if running.name != "dask":
        yield
        return
    from distributed import performance_report

    # its scripts inside: the page is read where there is no network, too; its code: the caller's
    recording = performance_report(filename=str(path), mode="inline", stacklevel=4)
    recording.__enter__()
    yield
    # not where the block fails: such a run has no report, and ends without waiting for one
    recording.__exit__(None, None, None)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
