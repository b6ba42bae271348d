"""Clusters whose workers are jobs of a batch system."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from bphcoffea.errors import FacilityError
from bphcoffea.facilities.dashboard import scheduler_http
from bphcoffea.facilities.facility import Facility
from bphcoffea.facilities.options import (
    JsonTable,
    check_listening,
    htcondor_cluster_options,
    listen,
    missing_package,
    one_line,
    slurm_cluster_options,
)
from bphcoffea.facilities.security import (
    certificates,
    for_workers,
    is_loopback,
    scratch_folder,
    shared_folder,
)
from bphcoffea.facilities.workers import replacing_lost_workers
from bphcoffea.interrupts import handler_kept

if TYPE_CHECKING:
    from dask_jobqueue.core import Job, JobQueueCluster
    from distributed import Security

#: Time that a batch system may take to accept the first job, s.
PATIENCE = 30
#: Command that submits jobs to each batch system.
_SUBMITTERS = {"slurm": "sbatch", "htcondor": "condor_submit"}

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def batch_cluster(facility: Facility, fixed: int | None) -> Iterator[JobQueueCluster]:
    """Start a cluster of batch jobs; `fixed` is their number, None if it follows the work.

    Raises
    ------
    FacilityError
        If this machine cannot submit jobs, or the batch system refuses them.
    """
    try:
        with handler_kept():
            from dask_jobqueue import HTCondorCluster, SLURMCluster
    except ImportError as error:
        raise missing_package(facility, "dask-jobqueue", error) from None
    submitter = _SUBMITTERS[facility.kind]
    if shutil.which(submitter) is None:
        raise FacilityError(
            f"{facility.name}: the command {submitter} is not found; run on a machine that submits "
            f"to {facility.kind}, or load the module that provides it"
        )
    host, _ = listen(facility)
    if is_loopback(host):
        _log.warning(
            "%s: the scheduler listens on %s, which workers on other machines cannot reach; "
            "set scheduler.listen",
            *(facility.name, host),
        )
    check_listening(facility)
    first: Future[str] = Future()
    settings = facility.workers
    with contextlib.ExitStack() as stack:
        stack.enter_context(scratch_folder(facility))
        folder = stack.enter_context(shared_folder(facility))
        security = stack.enter_context(certificates(facility, folder))
        if facility.kind == "slurm":
            cluster_class, options = SLURMCluster, slurm_cluster_options(facility)
            at_workers = security and for_workers(security)
        else:
            cluster_class, options = HTCondorCluster, htcondor_cluster_options(facility)
            at_workers = security and _transferred(security, folder, options)
        options["scheduler_options"] |= stack.enter_context(scheduler_http(facility))
        job = options.pop("job_cls", cluster_class.job_cls)
        job = _reporting_job(job, facility.name, first, at_workers)
        running = stack.enter_context(cluster_class(**options, security=security, job_cls=job))
        # at least one: only a submitted job shows whether the batch system accepts them
        running.scale(fixed or max(settings.minimum, 1))
        try:
            refusal = first.result(PATIENCE)
        except TimeoutError:
            refusal = f"{submitter} has not answered for {PATIENCE} s"
        if refusal:
            raise FacilityError(
                f"{facility.name}: {facility.kind} refuses jobs ({refusal}); "
                "check [workers] in its file"
            )
        if not fixed:
            running.adapt(minimum=settings.minimum, maximum=settings.maximum)
        with replacing_lost_workers(running):
            yield running


def _transferred(security: Security, folder: Path, options: JsonTable) -> Security:
    """Let HTCondor transfer temporary certificates with each job, by changing `options`.

    Its machines often share no folder with this one.
    """
    file = security.tls_worker_cert
    if Path(file).parent != folder:
        return for_workers(security)
    directives = options["job_extra_directives"]
    for key in ("transfer_input_files", "encrypt_input_files"):
        directives[key] = ", ".join(filter(None, [directives.get(key), file]))
    directives.setdefault("should_transfer_files", "YES")
    # otherwise HTCondor transfers all files of the job's folder back
    directives.setdefault("transfer_output_files", '""')
    return for_workers(security, "$_CONDOR_SCRATCH_DIR")


def _reporting_job(
    job_class: type[Job], facility: str, first: Future[str], security: Security
) -> type[Job]:
    """Return a job class that reports refused jobs; dask-jobqueue logs them and waits for ever.

    `first` receives the reason why the first job was refused, or an empty string if it was
    accepted. Reasons of later refusals are logged once each. `security` holds the paths of the
    certificates on the machines where jobs run; it is None without TLS.
    """
    from distributed.deploy.spec import ProcessInterface

    reported = set()

    class ReportingJob(job_class):  # type: ignore[misc]
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options | {"security": security})

        async def start(self) -> None:
            reason = ""
            try:
                await super().start()
            except (OSError, RuntimeError, ValueError) as error:
                # what the command wrote; the rest is the path of a temporary script
                reason = one_line(str(error).rpartition("stderr:")[2])
                await ProcessInterface.start(self)
            if not first.done():
                first.set_result(reason)
            elif reason and reason not in reported:
                _log.warning("%s: a job was refused (%s)", facility, reason)
            reported.add(reason)

    return ReportingJob
