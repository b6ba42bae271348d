"""Options of each kind of cluster, made from a facility file. They contain no secrets."""

from __future__ import annotations

import re
import shlex
import socket
import sys
from collections.abc import Mapping
from typing import Any, TypeAlias

from bphcoffea.errors import FacilityError
from bphcoffea.facilities.facility import Facility
from bphcoffea.facilities.values import in_bytes

#: Options of a cluster class, a DaskCluster of Kubernetes, or a part of them.
JsonTable: TypeAlias = dict[str, Any]

#: Commands that make a private scratch folder; Dask would use one that anyone may have made.
#: HTCondor gives each job its own.
_OWN_SCRATCH = (
    "export DASK_TEMPORARY_DIRECTORY=$(mktemp -d); "
    """trap 'rm -rf "$DASK_TEMPORARY_DIRECTORY"' EXIT"""
)


def worker_environment(facility: Facility) -> dict[str, str]:
    """Return the environment variables of a facility's workers."""
    certificates = facility.proxy.certificates
    ours = {"X509_CERT_DIR": certificates} if certificates else {}
    return ours | facility.environment


def slurm_cluster_options(facility: Facility) -> JsonTable:
    """Return the keyword arguments for ``dask_jobqueue.SLURMCluster``."""
    options = _batch_options(facility)
    options["queue"] = facility.workers.queue or facility.workers.partition
    options["account"] = facility.workers.account
    options["walltime"] = facility.workers.walltime
    options["job_script_prologue"] = [*_prologue(facility), _OWN_SCRATCH]
    return merged(options, facility.workers.options)


def htcondor_cluster_options(facility: Facility) -> JsonTable:
    """Return the keyword arguments for ``dask_jobqueue.HTCondorCluster``."""
    options = _batch_options(facility)
    settings = facility.workers
    directives: JsonTable = {}
    if settings.image:
        options["python"] = settings.python or "python3"
        # the shell that starts the worker is in the image
        directives["transfer_executable"] = False
        if settings.image.startswith("/cvmfs/"):
            # pools of CMS and OSG find an unpacked image by this attribute
            directives["MY.SingularityImage"] = f'"{settings.image}"'
        else:
            directives |= {"universe": "container", "container_image": settings.image}
    if settings.walltime:
        # HTCondor's own limit, and the attribute by which CERN's pool chooses machines
        seconds = _seconds(settings.walltime)
        directives |= {"allowed_job_duration": seconds, "MY.MaxRuntime": seconds}
    if settings.account:
        directives["accounting_group"] = settings.account
    options["disk"] = settings.disk
    options["job_extra_directives"] = directives
    # HTCondor would expand $(…) and $name(…) as macros
    options["job_script_prologue"] = [
        re.sub(r"\$(?=\w*\()", "$(DOLLAR)", line) for line in _prologue(facility)
    ]
    return merged(options, settings.options)


def kubernetes_spec(
    facility: Facility, name: str = "bphcoffea", workers: int | None = None
) -> JsonTable:
    """Return the ``DaskCluster`` resource that Dask's operator for Kubernetes creates.

    Raises
    ------
    FacilityError
        If the package dask-kubernetes is not installed.
    """
    try:
        from dask_kubernetes.operator import make_cluster_spec
    except ImportError as error:
        raise missing_package(facility, "dask-kubernetes", error) from None
    settings = facility.workers
    # in bytes, because Kubernetes does not know the unit "GB"
    size = {"cpu": str(settings.cores), "memory": str(in_bytes(settings.memory))}
    spec: JsonTable = make_cluster_spec(
        name=name,
        image=settings.image,
        n_workers=workers or settings.count or settings.minimum,
        resources={"requests": dict(size), "limits": dict(size)},
        env=worker_environment(facility),
    )
    if settings.namespace:
        spec["metadata"]["namespace"] = settings.namespace
    # make_cluster_spec uses dask-worker and dask-scheduler, which newer versions of Dask lack
    dask = [settings.python or "python", "-m", "dask"]
    (worker,) = spec["spec"]["worker"]["spec"]["containers"]
    worker["args"] = [*dask, "worker", *worker["args"][1:], "--nthreads", str(settings.cores)]
    worker["args"] += ["--memory-limit", size["memory"]]
    (scheduler,) = spec["spec"]["scheduler"]["spec"]["containers"]
    scheduler["args"] = [*dask, "scheduler", *scheduler["args"][1:]]
    if settings.setup:
        # Kubernetes replaces $(DASK_WORKER_NAME) by the worker's name before the shell runs
        worker["args"] = [
            *("/bin/sh", "-c", "\n".join([*settings.setup, 'exec "$@"']), "worker"),
            *worker["args"],
        ]
    return spec


def _batch_options(facility: Facility) -> JsonTable:
    settings = facility.workers
    host, dashboard = listen(facility)
    options: JsonTable = {
        "cores": settings.cores,
        "memory": settings.memory,
        # otherwise dask-jobqueue splits a job of several cores
        "processes": 1,
        "python": settings.python or sys.executable,
        "log_directory": settings.logs,
        "scheduler_options": {
            "host": host,
            "port": facility.scheduler.port,
            "dashboard_address": dashboard,
        },
        "worker_extra_args": ["--no-dashboard"],
    }
    if settings.walltime:
        # a worker that ends itself passes its results on; one that is killed loses them
        seconds = _seconds(settings.walltime)
        margin = min(300, seconds // 10)
        options["worker_extra_args"] += [
            *("--lifetime", f"{seconds - margin}s"),
            *("--lifetime-stagger", f"{margin // 2}s"),
        ]
    return options


def listen(facility: Facility) -> tuple[str, str]:
    """Return the host that a new scheduler listens on, and the address of its dashboard."""
    from distributed.comm.addressing import unparse_host_port
    from distributed.utils import get_ip_interface

    host = facility.scheduler.listen
    if host in {name for _, name in socket.if_nameindex()}:
        host = get_ip_interface(host)
    return host, unparse_host_port(host, 0)


def check_listening(facility: Facility) -> None:
    """Check that a new scheduler can listen on the host and port of the facility.

    A scheduler that cannot does not say where it tried, and leaves its socket behind.

    Raises
    ------
    FacilityError
        If it cannot.
    """
    host, _ = listen(facility)
    port = facility.scheduler.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise FacilityError(
            f"{facility.name}: cannot listen on {host}, port {port or 'any'} ({error.strerror}); "
            "set scheduler.listen to a host or interface of this machine, and scheduler.port to a "
            "free port"
        ) from None


def _prologue(facility: Facility) -> list[str]:
    variables = worker_environment(facility).items()
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables]
    return [*exports, *facility.workers.setup]


def merged(options: JsonTable, user_options: Mapping[str, object]) -> JsonTable:
    """Return options updated with the user's: tables and lists are extended, others replaced."""
    result = dict(options)
    for key, value in user_options.items():
        default = result.get(key)
        if isinstance(default, dict) and isinstance(value, dict):
            result[key] = default | value
        elif isinstance(default, list) and isinstance(value, list):
            result[key] = default + value
        else:
            result[key] = value
    return result


def _seconds(walltime: str) -> int:
    days, _, clock = walltime.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def one_line(error: object) -> str:
    """Return the message of an error in one line, or its type if there is no message."""
    return " ".join(str(error).split()) or type(error).__name__


def missing_package(facility: Facility, package: str, error: ImportError) -> FacilityError:
    """Return the exception to raise if a package that a facility needs cannot be imported."""
    return FacilityError(
        f"{facility.name}: {facility.kind} needs the package {package} ({one_line(error)}); "
        f"python -m pip install {package}"
    )
