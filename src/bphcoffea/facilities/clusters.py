"""Starting the Dask cluster of a facility, or finding the one that runs there."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import dask

from bphcoffea.errors import InputError
from bphcoffea.facilities.model import Facility
from bphcoffea.facilities.options import (
    check_listening,
    htcondor_cluster_options,
    kubernetes_spec,
    lacks,
    listen,
    merged,
    one_line,
    security,
    slurm_cluster_options,
    worker_environment,
)

#: How long a scheduler may take to answer, and a batch system to take the first job, s.
PATIENCE = 30
#: How often lost workers are replaced, s.
REPLACED_AFTER = 2.0

#: What submits jobs to each batch system.
_SUBMITTERS = {"slurm": "sbatch", "htcondor": "condor_submit"}


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
            start = {"local": _local, "kubernetes": _kubernetes}.get(facility.kind, _batch)
            try:
                client = started.enter_context(start(facility, fixed)).get_client()
            except (OSError, RuntimeError, ValueError, TypeError) as error:
                # Dask wraps what went wrong in errors that don't say it
                cause: BaseException = error
                while cause.__cause__:
                    cause = cause.__cause__
                raise InputError(
                    f"{facility.name}: {facility.kind} cluster cannot be started "
                    f"({one_line(cause)}); check [workers] and [scheduler] of its file"
                ) from error
        yield started.enter_context(client)


def _running_scheduler(facility: Facility, address: str | None) -> Any:
    from distributed import Client

    address = address or facility.scheduler.address
    if not address:
        raise InputError(
            f"{facility.name}: which Dask scheduler? Give its address with --scheduler, or as "
            "scheduler.address in its file"
        )
    if facility.security and "://" not in address:
        address = f"tls://{address}"
    try:
        client = Client(address, timeout=PATIENCE, security=security(facility))
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
        "security": security(facility),
        # a paused worker takes no work, also if nothing will ever free its memory
        "config": dask.config.merge(
            dask.config.config, {"distributed": {"worker": {"memory": {"pause": False}}}}
        ),
    }
    if facility.security:
        options["protocol"] = "tls://"
    check_listening(facility)
    if "memory" in wanted.model_fields_set:
        options["memory_limit"] = wanted.memory
    with LocalCluster(**merged(options, wanted.options)) as running:
        if not fixed:
            running.adapt(minimum=wanted.minimum, maximum=wanted.maximum)
        with _replacing_lost_workers(running):
            yield running


@contextlib.contextmanager
def _replacing_lost_workers(running: Any) -> Iterator[None]:
    """Start workers again that Dask has given up for lost.

    A worker that is killed while it reports to its nanny is not restarted by it. Dask's cluster
    forgets such a worker after a while (``distributed.deploy.lost-worker-timeout``), but starts
    another one only when it is scaled; without workers a run would wait for ever.
    """
    ended = threading.Event()

    def scale() -> None:
        running.scale(len(running.worker_spec))

    def watch() -> None:
        while not ended.wait(REPLACED_AFTER):
            # in the thread of the cluster, where nothing else changes their number meanwhile
            running.loop.add_callback(scale)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


@contextlib.contextmanager
def _batch(facility: Facility, fixed: int | None) -> Iterator[Any]:
    try:
        from dask_jobqueue import HTCondorCluster, SLURMCluster
    except ImportError as error:
        raise lacks(facility, "dask-jobqueue", error) from None
    submitter = _SUBMITTERS[facility.kind]
    if shutil.which(submitter) is None:
        raise InputError(
            f"{facility.name}: {submitter} is not here; run on a machine that submits to "
            f"{facility.kind}, or load the module that has it"
        )
    _tell_who_reaches(facility)
    check_listening(facility)
    if facility.kind == "slurm":
        starts, options = SLURMCluster, slurm_cluster_options(facility)
    else:
        starts, options = HTCondorCluster, htcondor_cluster_options(facility)
    first: Future[str] = Future()
    job = _telling_job(options.pop("job_cls", starts.job_cls), facility.name, first)
    wanted = facility.workers
    with starts(**options, security=security(facility), job_cls=job) as running:
        # one at least: only a job that is submitted shows whether the batch system takes them
        running.scale(fixed or max(wanted.minimum, 1))
        try:
            refusal = first.result(PATIENCE)
        except TimeoutError:
            refusal = f"{submitter} has not answered for {PATIENCE} s"
        if refusal:
            raise InputError(
                f"{facility.name}: {facility.kind} takes no jobs ({refusal}); "
                "check [workers] of its file"
            )
        if not fixed:
            running.adapt(minimum=wanted.minimum, maximum=wanted.maximum)
        with _replacing_lost_workers(running):
            yield running


def _telling_job(job_class: Any, name: str, first: Future[str]) -> Any:
    """A job that tells when it is refused; dask-jobqueue logs that, and waits for ever.

    `first` becomes the reason why the first job was refused, empty if it was not. Later ones are
    told at the terminal, each reason once.
    """
    from distributed.deploy.spec import ProcessInterface

    told = set()

    class Job(job_class):  # type: ignore[misc]
        async def start(self) -> None:
            reason = ""
            try:
                await super().start()
            except (OSError, RuntimeError, ValueError) as error:
                # of a failed command, what it said; the rest is the path of a temporary script
                reason = one_line(str(error).rpartition("stderr:")[2])
                await ProcessInterface.start(self)
            if not first.done():
                first.set_result(reason)
            elif reason and reason not in told:
                print(f"{name}: a job was refused ({reason})", file=sys.stderr)
            told.add(reason)

    return Job


@contextlib.contextmanager
def _kubernetes(facility: Facility, fixed: int | None) -> Iterator[Any]:
    # names are of the whole namespace, where other people's clusters may be
    spec = kubernetes_spec(facility, f"bphcoffea-{uuid.uuid4().hex[:8]}", fixed)
    import httpx
    import kr8s
    from dask_kubernetes.exceptions import CrashLoopBackOffError, SchedulerStartupError
    from dask_kubernetes.operator import KubeCluster

    wanted = facility.workers
    try:
        # asked before: a KubeCluster that fails tries to delete itself when Python ends, and fails
        list(kr8s.get("daskclusters.kubernetes.dask.org", namespace=wanted.namespace))
    except (
        *(OSError, ValueError, kr8s.APITimeoutError, kr8s.NotFoundError, kr8s.ServerError),
        httpx.HTTPError,
    ) as error:
        raise InputError(
            f"{facility.name}: Kubernetes shows no DaskClusters ({one_line(error)}); does "
            "'kubectl get daskclusters' work here, and is Dask's operator installed?"
        ) from None
    options = merged(
        {"custom_cluster_spec": spec, "namespace": wanted.namespace, "quiet": True}, wanted.options
    )
    try:
        running = KubeCluster(**options)
    except (
        *(CrashLoopBackOffError, SchedulerStartupError, kr8s.ServerError, kr8s.NotFoundError),
        httpx.HTTPError,
    ) as error:
        raise RuntimeError(one_line(error)) from error
    with running:
        if not fixed:
            running.adapt(minimum=wanted.minimum, maximum=wanted.maximum)
        yield running


def _tell_who_reaches(facility: Facility) -> None:
    host, _ = listen(facility)
    if host in {"localhost", "::1"} or host.startswith("127."):
        print(
            f"{facility.name}: the scheduler listens on {host}, which workers on other machines "
            "don't reach; scheduler.listen says where",
            file=sys.stderr,
        )
    elif facility.security is None:
        print(
            f"{facility.name}: who reaches {host} can run code as you; [security] prevents that",
            file=sys.stderr,
        )
