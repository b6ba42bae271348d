"""What each kind of cluster is told, from what the file of a facility says. No secrets in it."""

from __future__ import annotations

import re
import shlex
import socket
import sys
from typing import Any

from dask.utils import parse_bytes

from bphcoffea.errors import InputError
from bphcoffea.facilities.facility import Facility

#: Makes a folder that only the user may enter, where Dask would take one that anyone may have made.
#: HTCondor gives each job its own.
_OWN_SCRATCH = (
    "export DASK_TEMPORARY_DIRECTORY=$(mktemp -d); "
    """trap 'rm -rf "$DASK_TEMPORARY_DIRECTORY"' EXIT"""
)


def worker_environment(facility: Facility) -> dict[str, str]:
    """Variables that the workers of a facility need."""
    certificates = facility.proxy.certificates
    return ({"X509_CERT_DIR": certificates} if certificates else {}) | facility.environment


def slurm_cluster_options(facility: Facility) -> dict[str, Any]:
    """Keyword arguments of ``dask_jobqueue.SLURMCluster``."""
    options = _batch_options(facility)
    options["queue"] = facility.workers.queue or facility.workers.partition
    options["account"] = facility.workers.account
    options["walltime"] = facility.workers.walltime
    options["job_script_prologue"] = [*_prologue(facility), _OWN_SCRATCH]
    return merged(options, facility.workers.options)


def htcondor_cluster_options(facility: Facility) -> dict[str, Any]:
    """Keyword arguments of ``dask_jobqueue.HTCondorCluster``."""
    options = _batch_options(facility)
    wanted = facility.workers
    directives: dict[str, Any] = {}
    if wanted.image:
        options["python"] = wanted.python or "python3"
        # the shell that starts the worker is that of the image
        directives["transfer_executable"] = False
        if wanted.image.startswith("/cvmfs/"):
            # an unpacked image: pools of CMS and OSG take it from there by this attribute
            directives["MY.SingularityImage"] = f'"{wanted.image}"'
        else:
            directives |= {"universe": "container", "container_image": wanted.image}
    if wanted.walltime:
        # HTCondor's own limit, and the one by which CERN's pool chooses where a job may run
        seconds = _seconds(wanted.walltime)
        directives |= {"allowed_job_duration": seconds, "MY.MaxRuntime": seconds}
    if wanted.account:
        directives["accounting_group"] = wanted.account
    options["disk"] = wanted.disk
    options["job_extra_directives"] = directives
    # $(…) and $name(…) would be macros of HTCondor
    options["job_script_prologue"] = [
        re.sub(r"\$(?=\w*\()", "$(DOLLAR)", line) for line in _prologue(facility)
    ]
    return merged(options, wanted.options)


def kubernetes_spec(
    facility: Facility, name: str = "bphcoffea", workers: int | None = None
) -> dict[str, Any]:
    """The ``DaskCluster`` that dask-kubernetes's operator is asked for.

    Raises
    ------
    InputError
        When the package dask-kubernetes is not there.
    """
    try:
        from dask_kubernetes.operator import make_cluster_spec
    except ImportError as error:
        raise lacks(facility, "dask-kubernetes", error) from None
    wanted = facility.workers
    # in bytes: Kubernetes knows no "GB"
    size = {"cpu": str(wanted.cores), "memory": str(parse_bytes(wanted.memory))}
    spec: dict[str, Any] = make_cluster_spec(
        name=name,
        image=wanted.image,
        n_workers=workers or wanted.count or wanted.minimum,
        resources={"requests": dict(size), "limits": dict(size)},
        env=worker_environment(facility),
    )
    if wanted.namespace:
        spec["metadata"]["namespace"] = wanted.namespace
    # make_cluster_spec's commands, dask-worker and dask-scheduler, are not there in newer Dask
    dask = [wanted.python or "python", "-m", "dask"]
    (worker,) = spec["spec"]["worker"]["spec"]["containers"]
    worker["args"] = [*dask, "worker", *worker["args"][1:], "--nthreads", str(wanted.cores)]
    worker["args"] += ["--memory-limit", size["memory"]]
    (scheduler,) = spec["spec"]["scheduler"]["spec"]["containers"]
    scheduler["args"] = [*dask, "scheduler", *scheduler["args"][1:]]
    if wanted.setup:
        # Kubernetes puts the worker's name in place of $(DASK_WORKER_NAME) before the shell runs
        worker["args"] = [
            *("/bin/sh", "-c", "\n".join([*wanted.setup, 'exec "$@"']), "worker"),
            *worker["args"],
        ]
    return spec


def _batch_options(facility: Facility) -> dict[str, Any]:
    wanted = facility.workers
    host, dashboard = listen(facility)
    options: dict[str, Any] = {
        "cores": wanted.cores,
        "memory": wanted.memory,
        # else dask-jobqueue splits a job of several cores
        "processes": 1,
        "python": wanted.python or sys.executable,
        "log_directory": wanted.logs,
        "scheduler_options": {
            "host": host,
            "port": facility.scheduler.port,
            "dashboard_address": dashboard,
        },
        "worker_extra_args": ["--no-dashboard"],
    }
    if wanted.walltime:
        # a worker that ends itself hands on what it has; one that is ended takes work with it
        seconds = _seconds(wanted.walltime)
        margin = min(300, seconds // 10)
        options["worker_extra_args"] += [
            *("--lifetime", f"{seconds - margin}s"),
            *("--lifetime-stagger", f"{margin // 2}s"),
        ]
    return options


def listen(facility: Facility) -> tuple[str, str]:
    """Where a scheduler that is started here listens, and where its dashboard."""
    from distributed.comm.addressing import unparse_host_port
    from distributed.utils import get_ip_interface

    host = facility.scheduler.listen
    if host in {name for _, name in socket.if_nameindex()}:
        host = get_ip_interface(host)
    return host, unparse_host_port(host, 0)


def check_listening(facility: Facility) -> None:
    """Make sure that a scheduler can listen where the facility says.

    Asked before, for a scheduler that can't does not say where, and leaves its socket behind.

    Raises
    ------
    InputError
        When it can't.
    """
    host, _ = listen(facility)
    port = facility.scheduler.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise InputError(
            f"{facility.name}: cannot listen on {host}, port {port or 'any'} ({error.strerror}); "
            "scheduler.listen must be a host or interface of this machine, and "
            "scheduler.port free"
        ) from None


def _prologue(facility: Facility) -> list[str]:
    variables = worker_environment(facility).items()
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables]
    return [*exports, *facility.workers.setup]


def merged(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Our options with the user's: tables and lists are added to, others replaced."""
    both = dict(ours)
    for key, value in theirs.items():
        known = both.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            both[key] = known | value
        elif isinstance(known, list) and isinstance(value, list):
            both[key] = known + value
        else:
            both[key] = value
    return both


def _seconds(walltime: str) -> int:
    days, _, clock = walltime.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def one_line(error: object) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def lacks(facility: Facility, package: str, error: ImportError) -> InputError:
    """What it means that a package can't be imported that the facility needs."""
    return InputError(
        f"{facility.name}: {facility.kind} needs the package {package} ({one_line(error)}); "
        f"python -m pip install {package}"
    )
