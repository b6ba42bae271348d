"""Starting the Dask cluster of a facility, or finding the one that runs there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import dask

from bphcoffea.errors import InputError
from bphcoffea.facilities.batch import batch_cluster
from bphcoffea.facilities.dashboard import close_http, scheduler_http
from bphcoffea.facilities.facility import Facility
from bphcoffea.facilities.full_disk import shorten_full_disk
from bphcoffea.facilities.interruption import ending_at_once, restored_logging, shielded
from bphcoffea.facilities.kubernetes import kubernetes_cluster
from bphcoffea.facilities.lost_workers import replacing_lost_workers
from bphcoffea.facilities.options import (
    check_listening,
    listen,
    merged,
    one_line,
    worker_environment,
)
from bphcoffea.facilities.security import certificates, given_certificates, scratch_folder

#: How long a scheduler that runs already may take to answer, s.
PATIENCE = 30
#: How long a client waits at the end for a scheduler, which may have fallen silent, s.
CLOSING = 5


@contextlib.contextmanager
def cluster(
    facility: Facility, workers: int | None = None, address: str | None = None
) -> Iterator[Any]:
    """Connect to the Dask cluster of a facility, and end what was started for it.

    Parameters
    ----------
    facility
        Where it runs.
    workers
        How many workers, instead of what the facility says. A scheduler that runs already has its
        own.
    address
        Of a Dask scheduler that runs already, instead of what the facility says.

    Yields
    ------
    distributed.Client
        Connected to the scheduler; workers may still be waiting in a queue.

    Raises
    ------
    InputError
        When the cluster can't be started, or its scheduler does not answer.
    """
    if address and facility.kind != "scheduler":
        raise InputError(
            f"{facility.name}: starts a scheduler of its own ({facility.kind}), so it can't use "
            f"{address}; leave out the address, or take a facility of the kind scheduler"
        )
    with contextlib.ExitStack() as started:
        if facility.kind == "scheduler":
            client = _running_scheduler(facility, address)
        else:
            fixed = workers or facility.workers.count
            if not fixed and not facility.workers.maximum and facility.kind != "local":
                raise InputError(
                    f"{facility.name}: how many workers? Give --workers, or workers.count, or "
                    "workers.minimum and workers.maximum in its file"
                )
            kinds = {"local": _local, "kubernetes": kubernetes_cluster}
            start = kinds.get(facility.kind, batch_cluster)
            try:
                started.enter_context(restored_logging())
                with shielded():
                    running = started.enter_context(start(facility, fixed))
                client = running.get_client()
                if facility.kind != "kubernetes":
                    close_http(client, facility)
                shorten_full_disk(client)
            except (OSError, RuntimeError, ValueError, TypeError) as error:
                # Dask wraps what went wrong in errors that don't say it
                cause: BaseException = error
                while cause.__cause__:
                    cause = cause.__cause__
                raise InputError(
                    f"{facility.name}: {facility.kind} cluster cannot be started "
                    f"({one_line(cause)}); check [workers] and [scheduler] of its file"
                ) from error
        started.callback(client.close, timeout=CLOSING)
        if facility.kind == "local":
            started.enter_context(ending_at_once(running))
        yield client


def _running_scheduler(facility: Facility, address: str | None) -> Any:
    from distributed import Client

    address = address or facility.scheduler.address
    if not address:
        raise InputError(
            f"{facility.name}: which Dask scheduler? Give its address with --scheduler, or as "
            "scheduler.address in its file"
        )
    security = given_certificates(facility)
    if security and "://" not in address:
        address = f"tls://{address}"
    try:
        client = Client(address, timeout=PATIENCE, security=security)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address} ({one_line(error)}); is it running there?"
        ) from None
    environment = worker_environment(facility)
    if environment:
        from distributed.diagnostics.plugin import WorkerPlugin

        class Environment(WorkerPlugin):  # type: ignore[misc]
            """Sets variables where workers run that somebody else started, also later ones."""

            def setup(self, worker: Any) -> None:  # noqa: ARG002
                os.environ.update(environment)

        client.register_plugin(Environment(), name="bphcoffea-environment")
    return client


@contextlib.contextmanager
def _local(facility: Facility, fixed: int | None) -> Iterator[Any]:
    from distributed import LocalCluster

    wanted = facility.workers
    if not fixed and not wanted.maximum:
        # those that this process may use, where the system says
        allowed = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
        fixed = len(allowed(0))
    host, dashboard = listen(facility)
    options = {
        "n_workers": fixed or wanted.minimum,
        "threads_per_worker": wanted.cores,
        "host": host,
        "scheduler_port": facility.scheduler.port,
        "dashboard_address": dashboard,
        "env": worker_environment(facility),
    }
    check_listening(facility)
    if "memory" in wanted.model_fields_set:
        options["memory_limit"] = wanted.memory
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(scratch_folder(facility))
        options["security"] = stack.enter_context(certificates(facility, scratch))
        options["scheduler_kwargs"] = stack.enter_context(scheduler_http(facility))
        # a paused worker takes no work, also if nothing will ever free its memory
        never_pause = {"distributed": {"worker": {"memory": {"pause": False}}}}
        options["config"] = dask.config.merge(dask.config.config, never_pause)
        # in place of a local_directory among the options, in which it lies
        options = merged(options, wanted.options) | {"local_directory": str(scratch)}
        running = stack.enter_context(LocalCluster(**options))
        if not fixed:
            running.adapt(minimum=wanted.minimum, maximum=wanted.maximum)
        with replacing_lost_workers(running):
            yield running
