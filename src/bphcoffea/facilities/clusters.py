"""Start the Dask cluster of a facility, or connect to one that is running."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import dask

from bphcoffea.cores import cores
from bphcoffea.errors import FacilityError
from bphcoffea.facilities import workers as dask_workers
from bphcoffea.facilities.batch import batch_cluster
from bphcoffea.facilities.dashboard import close_http, scheduler_http
from bphcoffea.facilities.facility import Facility
from bphcoffea.facilities.kubernetes import kubernetes_cluster
from bphcoffea.facilities.options import (
    check_listening,
    listen,
    merged,
    one_line,
    worker_environment,
)
from bphcoffea.facilities.security import certificates, given_certificates, scratch_folder
from bphcoffea.interrupts import shielded

if TYPE_CHECKING:
    from distributed import Client, LocalCluster, Worker

#: Time that a running scheduler may take to answer, s.
PATIENCE = 30
#: Time that a client waits at the end for a scheduler, which may have fallen silent, s.
CLOSING = 5


class NoWorkerCountError(FacilityError):
    """Neither the facility nor the caller says how many workers to start."""


class NoSchedulerError(FacilityError):
    """Neither the facility nor the caller gives the address of the running scheduler."""


@contextlib.contextmanager
def cluster(
    facility: Facility, workers: int | None = None, address: str | None = None
) -> Iterator[Client]:
    """Start the Dask cluster of a facility, and stop it at the end.

    Parameters
    ----------
    facility
        The facility.
    workers
        Number of workers; by default the facility's. Ignored if the scheduler is running already.
    address
        Address of a running scheduler; by default the facility's.

    Yields
    ------
    distributed.Client
        Client of the scheduler; workers may still be waiting in a queue.

    Raises
    ------
    FacilityError
        If the cluster cannot be started, or its scheduler does not answer.
    """
    if address and facility.kind != "scheduler":
        raise FacilityError(
            f"{facility.name}: a facility of kind {facility.kind} starts its own scheduler and "
            f"cannot use {address}; omit the address, or use a facility of kind scheduler"
        )
    with contextlib.ExitStack() as started:
        if facility.kind == "scheduler":
            client = _running_scheduler(facility, address)
        else:
            fixed = workers or facility.workers.count
            if not fixed and not facility.workers.maximum and facility.kind != "local":
                raise NoWorkerCountError(
                    f"{facility.name}: the number of workers is unknown; set workers.count, or "
                    "workers.minimum and workers.maximum, in its file, or give a number"
                )
            kinds = {"local": _local, "kubernetes": kubernetes_cluster}
            start = kinds.get(facility.kind, batch_cluster)
            try:
                started.enter_context(dask_workers.restored_logging())
                with shielded():
                    running = started.enter_context(start(facility, fixed))
                client = running.get_client()
                if facility.kind != "kubernetes":
                    close_http(client, facility)
                dask_workers.shorten_full_disk(client)
            except (OSError, RuntimeError, ValueError, TypeError) as error:
                # Dask wraps the cause in errors that don't mention it
                cause: BaseException = error
                while cause.__cause__:
                    cause = cause.__cause__
                raise FacilityError(
                    f"{facility.name}: {facility.kind} cluster cannot be started "
                    f"({one_line(cause)}); check [workers] and [scheduler] in its file"
                ) from error
        started.callback(client.close, timeout=CLOSING)
        if facility.kind == "local":
            started.enter_context(dask_workers.ending_at_once(running))
        yield client


def _running_scheduler(facility: Facility, address: str | None) -> Client:
    from distributed import Client

    address = address or facility.scheduler.address
    if not address:
        raise NoSchedulerError(
            f"{facility.name}: the address of the Dask scheduler is unknown; set "
            "scheduler.address in its file, or give an address"
        )
    security = given_certificates(facility)
    if security and "://" not in address:
        address = f"tls://{address}"
    try:
        client = Client(address, timeout=PATIENCE, security=security)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise FacilityError(
            f"no Dask scheduler answers at {address} ({one_line(error)}); is it running there?"
        ) from None
    environment = worker_environment(facility)
    if environment:
        from distributed.diagnostics.plugin import WorkerPlugin

        class Environment(WorkerPlugin):  # type: ignore[misc]
            """Sets environment variables on workers that run already or join later."""

            def setup(self, worker: Worker) -> None:  # noqa: ARG002
                os.environ.update(environment)

        client.register_plugin(Environment(), name="bphcoffea-environment")
    return client


@contextlib.contextmanager
def _local(facility: Facility, fixed: int | None) -> Iterator[LocalCluster]:
    from distributed import LocalCluster

    settings = facility.workers
    if not fixed and not settings.maximum:
        fixed = cores()
    host, dashboard = listen(facility)
    environment = worker_environment(facility)
    options = {
        "n_workers": fixed or settings.minimum,
        "threads_per_worker": settings.cores,
        "host": host,
        "scheduler_port": facility.scheduler.port,
        "dashboard_address": dashboard,
        "env": environment,
    }
    check_listening(facility)
    if "memory" in settings.model_fields_set:
        options["memory_limit"] = settings.memory
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(scratch_folder(facility))
        options["security"] = stack.enter_context(certificates(facility, scratch))
        options["scheduler_kwargs"] = stack.enter_context(scheduler_http(facility))
        # a paused worker accepts no work, even if nothing will ever free its memory
        never_pause = {"distributed": {"worker": {"memory": {"pause": False}}}}
        options["config"] = dask.config.merge(dask.config.config, never_pause)
        # the scratch folder lies inside a local_directory among the options, and replaces it
        options = merged(options, settings.options) | {"local_directory": str(scratch)}
        running = stack.enter_context(LocalCluster(**options))
        if not fixed:
            running.adapt(minimum=settings.minimum, maximum=settings.maximum)
        stack.enter_context(dask_workers.restarts_awaited(running))
        with dask_workers.replacing_lost_workers(running):
            yield running
