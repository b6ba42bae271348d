"""Clusters whose workers are jobs of a batch system."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from bphcoffea.errors import InputError
from bphcoffea.facilities.dashboard import scheduler_http
from bphcoffea.facilities.facility import Facility
from bphcoffea.facilities.lost_workers import replacing_lost_workers
from bphcoffea.facilities.options import (
    check_listening,
    htcondor_cluster_options,
    lacks,
    listen,
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

#: How long a batch system may take to accept the first job, s.
PATIENCE = 30
#: Command that submits jobs to each batch system.
_SUBMITTERS = {"slurm": "sbatch", "htcondor": "condor_submit"}


@contextlib.contextmanager
def batch_cluster(facility: Facility, fixed: int | None) -> Iterator[Any]:
    """Start a cluster of jobs; `clusters.cluster` calls it.

    Raises
    ------
    InputError
        When the batch system is not here, or takes no jobs.
    """
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
    first: Future[str] = Future()
    wanted = facility.workers
    with contextlib.ExitStack() as stack:
        stack.enter_context(scratch_folder(facility))
        folder = stack.enter_context(shared_folder(facility))
        security = stack.enter_context(certificates(facility, folder))
        if facility.kind == "slurm":
            starts, options = SLURMCluster, slurm_cluster_options(facility)
            at_workers = security and for_workers(security)
        else:
            starts, options = HTCondorCluster, htcondor_cluster_options(facility)
            at_workers = security and _carried(security, folder, options)
        options["scheduler_options"] |= stack.enter_context(scheduler_http(facility))
        job = options.pop("job_cls", starts.job_cls)
        job = _telling_job(job, facility.name, first, at_workers)
        running = stack.enter_context(starts(**options, security=security, job_cls=job))
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
        with replacing_lost_workers(running):
            yield running


def _carried(security: Any, folder: Path, options: dict[str, Any]) -> Any:
    """Have HTCondor carry certificates that were made to its jobs, in `options`.

    Its machines often share no folder with this one.
    """
    file = security.tls_worker_cert
    if Path(file).parent != folder:
        return for_workers(security)
    directives = options["job_extra_directives"]
    for key in ("transfer_input_files", "encrypt_input_files"):
        directives[key] = ", ".join(filter(None, [directives.get(key), file]))
    directives.setdefault("should_transfer_files", "YES")
    # nothing comes back: else all that is in the job's folder would
    directives.setdefault("transfer_output_files", '""')
    return for_workers(security, "$_CONDOR_SCRATCH_DIR")


def _telling_job(job_class: Any, name: str, first: Future[str], security: Any) -> Any:
    """A job that tells when it is refused; dask-jobqueue logs that, and waits for ever.

    `first` becomes the reason why the first job was refused, empty if it was not. Later ones are
    told at the terminal, each reason once. `security` has the paths of certificates where jobs
    run; None without TLS.
    """
    from distributed.deploy.spec import ProcessInterface

    told = set()

    class Job(job_class):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"security": security})

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


def _tell_who_reaches(facility: Facility) -> None:
    host, _ = listen(facility)
    if is_loopback(host):
        print(
            f"{facility.name}: the scheduler listens on {host}, which workers on other machines "
            "don't reach; scheduler.listen says where",
            file=sys.stderr,
        )
