"""Choose and start the executor of a run: this process, local processes, or a Dask cluster."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from coffea.processor.executor import ExecutorBase

from bphcoffea.cores import cores
from bphcoffea.errors import RunError
from bphcoffea.execution.executors.processes import IterativeExecutor, ProcessExecutor, kept_pool
from bphcoffea.execution.memory import machine_memory
from bphcoffea.facilities import Facility, find_valid
from bphcoffea.storage import TIMEOUT, grid_proxy

if TYPE_CHECKING:
    from distributed import Client

ExecutorName = Literal["iterative", "futures", "dask"]

_log = logging.getLogger(__name__)


class WrongExecutorError(RunError):
    """A scheduler or a facility is given to another executor than Dask."""


@dataclass(frozen=True)
class Engine:
    """A started executor.

    Attributes
    ----------
    name
        ``iterative``, ``futures`` or ``dask``.
    executor
        Executor for coffea's Runner.
    workers
        Number of workers.
    memory
        Memory of each worker, bytes; None if Dask's workers know their limits.
    threads
        Number of threads of each worker that decompress: one for each core that is idle otherwise.
    dashboard
        Address of Dask's dashboard; empty if there is none.
    """

    name: ExecutorName
    executor: ExecutorBase
    workers: int
    memory: int | None = None
    threads: int = 1
    dashboard: str = ""


@contextlib.contextmanager
def engine(
    name: ExecutorName,
    workers: int | None = None,
    scheduler: str | Client | None = None,
    facility: Facility | None = None,
    proxy_hours: float = 0,
    timeout_s: float = TIMEOUT,
) -> Iterator[Engine]:
    """Start an executor, and stop its workers at the end, or keep them for the next run.

    Parameters
    ----------
    name
        ``iterative``: this process. ``futures``: processes on this machine. ``dask``: a Dask
        cluster, by default one of processes on this machine that only this user can use.
    workers
        Number of workers; by default the facility's, or one per core. Ignored if the scheduler is
        running already.
    scheduler
        Address of a running Dask scheduler, such as ``tcp://host:8786``, or a client of it, which
        stays connected.
    facility
        Facility that starts the workers; it requires ``dask``.
    proxy_hours
        Time for which the grid proxy must be valid, h; a bearer token that expires earlier is
        reported.
    timeout_s
        Time that the scheduler may take to answer, s.

    Raises
    ------
    WrongExecutorError
        If a scheduler or facility is given to another executor than ``dask``.
    FacilityError
        If the cluster cannot be started, its scheduler does not answer, or the grid proxy is
        missing or expires too soon.
    """
    if (scheduler is not None or facility) and name != "dask":
        resource = "facility" if scheduler is None else "scheduler"
        raise WrongExecutorError(f"a {resource} needs the executor dask, not {name}")
    credentials = find_valid(proxy_hours, required=facility is not None and facility.proxy.required)
    if name == "iterative":
        yield Engine(name, IterativeExecutor(), 1, machine_memory(), cores())
        return
    if name == "futures":
        with kept_pool(workers or cores(), grid_proxy()) as pool:
            memory, threads = machine_memory() // pool.workers, cores() // pool.workers
            yield Engine(name, ProcessExecutor(pool=pool), pool.workers, memory, threads)
        return
    # what Dask needs is not imported for other executors
    from bphcoffea.execution.executors.dask_cluster import ClusterExecutor
    from bphcoffea.facilities import cluster, shipping, wait

    facility = facility or Facility(name="here", kind="local" if scheduler is None else "scheduler")
    with contextlib.ExitStack() as stack:
        if scheduler is None or isinstance(scheduler, str):
            client = stack.enter_context(cluster(facility, workers, scheduler))
        else:
            client = scheduler
        executor = ClusterExecutor(client=client, silence_s=timeout_s)
        if credentials and facility.kind != "local":
            if not client.scheduler.address.startswith("tls://"):
                _log.warning(
                    "%s: the %s is sent through a scheduler without TLS, so whoever reaches it, "
                    "or listens, can take it",
                    client.scheduler.address,
                    " and the ".join(credential.KIND for credential in credentials),
                )
            stack.enter_context(shipping(client, credentials, facility.proxy.certificates))
            executor.prepare = wait
        running = len(client.scheduler_info(n_workers=-1)["workers"])
        if not running:
            _log.info("%s: waiting for the first worker", client.scheduler.address)
        dashboard = client.dashboard_link if facility.has_dashboard else ""
        yield Engine(name, executor, running, dashboard=dashboard)


@contextlib.contextmanager
def reporting(running: Engine, path: Path) -> Iterator[None]:
    """Write Dask's performance report, an HTML page, if the block ends without an error."""
    if running.name != "dask":
        yield
        return
    from distributed import performance_report

    # with inline scripts, to be readable without a network, and with the code of the caller
    recording = performance_report(filename=str(path), mode="inline", stacklevel=4)
    recording.__enter__()
    yield
    # not after an error, which would then wait for the report
    recording.__exit__(None, None, None)
