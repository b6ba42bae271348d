"""Coffea's executors, made from what a user says: a name, a number of workers, an address."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from coffea.processor import IterativeExecutor

from bphcoffea.errors import InputError
from bphcoffea.execution.cluster import ClusterExecutor
from bphcoffea.execution.processes import Pool, ProcessExecutor

ExecutorName = Literal["iterative", "futures", "dask"]

#: How long a Dask scheduler may take to answer, s.
CONNECTION_TIMEOUT = 30


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
        Address of Dask's dashboard; empty without Dask.
    """

    name: ExecutorName
    executor: Any
    workers: int
    dashboard: str = ""


@contextlib.contextmanager
def engine(
    name: ExecutorName, workers: int | None = None, scheduler: str | None = None
) -> Iterator[Engine]:
    """Start an executor, and end what was started for it.

    Parameters
    ----------
    name
        ``iterative``: this process. ``futures``: processes on this machine. ``dask``: a Dask
        cluster, by default one of processes on this machine that only this machine can reach.
    workers
        Number of processes; by default one for each core. Ignored by a scheduler that runs already.
    scheduler
        Address of a Dask scheduler that runs already, such as ``tcp://host:8786``.

    Raises
    ------
    InputError
        When the scheduler does not answer, or is given to another executor than ``dask``.
    """
    if scheduler and name != "dask":
        raise InputError(f"--scheduler needs --executor dask, not {name}")
    if name == "iterative":
        yield Engine(name, IterativeExecutor(), 1)
        return
    workers = workers or _cores()
    if name == "futures":
        pool = Pool(workers)
        try:
            yield Engine(name, ProcessExecutor(pool=pool), workers)
        finally:
            pool.kill()
        return
    with _dask_client(workers, scheduler) as client:
        running = len(client.scheduler_info(n_workers=-1)["workers"])
        if not running:
            print(f"{scheduler}: no workers yet; waiting for the first", file=sys.stderr)
        yield Engine(name, ClusterExecutor(client=client), running, client.dashboard_link)


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


@contextlib.contextmanager
def _dask_client(workers: int, scheduler: str | None) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    if scheduler:
        try:
            client = Client(scheduler, timeout=CONNECTION_TIMEOUT)
        except (OSError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {scheduler} ({error}); is it running there?"
            ) from None
        with client:
            yield client
        return
    # one thread a worker: reading ROOT files and filling histograms hold the interpreter's lock
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
