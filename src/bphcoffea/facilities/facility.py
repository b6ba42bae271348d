"""Model of a facility file: how a place where analyses run starts its Dask workers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from bphcoffea.facilities import values

Kind = Literal["local", "scheduler", "slurm", "htcondor", "kubernetes"]

#: Kinds that each of these keys applies to; to ignore a key silently would mislead.
_KINDS_OF = {
    "workers": ("local", "slurm", "htcondor", "kubernetes"),
    "workers.walltime": ("slurm", "htcondor"),
    "workers.python": ("slurm", "htcondor", "kubernetes"),
    "workers.image": ("htcondor", "kubernetes"),
    "workers.queue": ("slurm",),
    "workers.partition": ("slurm",),
    "workers.account": ("slurm", "htcondor"),
    "workers.disk": ("htcondor",),
    "workers.namespace": ("kubernetes",),
    "workers.setup": ("slurm", "htcondor", "kubernetes"),
    "workers.logs": ("slurm", "htcondor"),
    "scheduler.address": ("scheduler",),
    "scheduler.listen": ("local", "slurm", "htcondor"),
    "scheduler.port": ("local", "slurm", "htcondor"),
    "scheduler.dashboard": ("local", "slurm", "htcondor"),
    "security": ("local", "scheduler", "slurm", "htcondor"),
    "security.tls": ("local", "slurm", "htcondor"),
    "security.folder": ("slurm", "htcondor"),
}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Workers(_Table):
    """Number and size of the workers. One worker is one process, job or pod.

    Attributes
    ----------
    count
        Fixed number of workers.
    minimum, maximum
        Limits between which the number of workers follows the work.
    cores
        Threads per worker; more than one seldom helps, since reading and filling hold Python's
        lock.
    memory, disk
        Memory and disk space per worker.
    walltime
        Time after which the batch system ends a worker.
    python
        Python interpreter of the workers; by default the current one, or the image's.
    image
        Container image that the workers run in.
    queue, partition
        Slurm partition; the two keys are synonyms.
    account
        Account that is charged; the accounting group for HTCondor.
    namespace
        Kubernetes namespace; by default the one of the user's configuration.
    setup
        Shell commands that run before a worker starts.
    logs
        Folder for the logs of the jobs.
    options
        Further keyword arguments, passed unchanged to the cluster class.
    """

    count: values.Positive | None = None
    minimum: values.Whole = 0
    maximum: values.Positive | None = None
    cores: values.Positive = 1
    memory: values.Size = "2GB"
    disk: values.Size = "1GB"
    walltime: values.Walltime | None = None
    python: values.Text | None = None
    image: values.Text | None = None
    queue: values.Text | None = None
    partition: values.Text | None = None
    account: values.Text | None = None
    namespace: values.Text | None = None
    setup: tuple[values.ShellLine, ...] = ()
    logs: values.Text | None = None
    options: dict[str, object] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Workers:
        keys = self.model_fields_set
        if "count" in keys and keys & {"minimum", "maximum"}:
            raise ValueError("give count, or minimum and maximum, not both")
        if "minimum" in keys and self.maximum is None:
            raise ValueError("minimum needs maximum; add it")
        if self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is more than maximum {self.maximum}")
        if self.queue and self.partition:
            raise ValueError("queue and partition are synonyms; give one of them")
        return self


class Scheduler(_Table):
    """Dask scheduler: the address of a running one, or settings of one that is started here.

    Attributes
    ----------
    address
        Address of a running scheduler.
    listen
        Host or network interface that a new scheduler listens on.
    port
        Port of a new scheduler; 0 for any free port.
    dashboard
        Whether a new scheduler has a dashboard. The dashboard asks for no certificate; its address
        is random, and only shown to the user.
    """

    address: values.Address | None = None
    listen: values.Text = "127.0.0.1"
    port: values.Port = 0
    dashboard: values.Boolean = False


class Security(_Table):
    """Certificates with which scheduler, workers and client identify each other.

    Attributes
    ----------
    tls
        Whether a new cluster requires certificates. If not, whoever reaches one of its ports can
        run code as the user.
    ca, cert, key
        Certificate files; relative paths are relative to the facility file. By default, new
        certificates are made for each new cluster.
    folder
        Folder for new certificates that batch jobs can read; by default ``~/.cache/bphcoffea``.
    """

    tls: values.Boolean = True
    ca: values.Text | None = None
    cert: values.Text | None = None
    key: values.Text | None = None
    folder: values.Text | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Security:
        files = {name for name in ("ca", "cert", "key") if getattr(self, name)}
        missing = sorted({"ca", "cert", "key"} - files)
        if files and missing:
            raise ValueError(f"{' and '.join(missing)} missing; give ca, cert and key, or none")
        if files and not self.tls:
            raise ValueError("tls is false, so ca, cert and key are unused; remove them")
        return self


class Proxy(_Table):
    """Grid proxy or bearer token.

    Attributes
    ----------
    required
        Whether data can only be read with a proxy or a token.
    certificates
        Folder of the certificate authorities on the workers.
    """

    required: values.Boolean = False
    certificates: values.Text | None = None


class Storage(_Table):
    """Servers and folders that files are read from and written to.

    Attributes
    ----------
    redirectors
        Prefixes that are tried in order for paths such as ``/store/…``. Each ends in one slash
        after its path (``root://host//``), and replaces the leading slash of the path.
    stage_out
        URL or folder that results are copied to.
    checkpoints
        URL or folder in which workers keep the results of finished chunks.
    """

    redirectors: tuple[values.Redirector, ...] = ()
    stage_out: values.Place | None = None
    checkpoints: values.Place | None = None


class Facility(_Table):
    """A place where analyses run, and how to start Dask workers there.

    Attributes
    ----------
    name
        Name of its file, without ``.toml``.
    description
        Description in one line.
    kind
        System that starts the workers; ``scheduler`` for a Dask scheduler that is already running.
    workers, scheduler, security, proxy, storage
        Tables of its file.
    environment
        Environment variables of the workers.

    Examples
    --------
    >>> facility = Facility(name="here", kind="local", workers=Workers(count=4))
    >>> facility.workers.memory
    '2GB'
    """

    name: values.Text
    description: str = ""
    kind: Kind
    workers: Workers = Workers()
    environment: dict[values.VariableName, values.VariableValue] = {}
    scheduler: Scheduler = Scheduler()
    security: Security = Security()
    proxy: Proxy = Proxy()
    storage: Storage = Storage()

    @property
    def has_dashboard(self) -> bool:
        """Whether the scheduler may have a dashboard."""
        return self.kind in {"scheduler", "kubernetes"} or self.scheduler.dashboard

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Facility:
        for key in sorted(_keys_set(self)):
            kinds = _KINDS_OF.get(key, (self.kind,))
            if self.kind not in kinds:
                raise ValueError(f"{key} is for {', '.join(kinds)}, not {self.kind}; remove it")
        if self.kind == "slurm" and self.workers.walltime is None:
            raise ValueError('workers.walltime is missing; slurm needs it, such as "02:00:00"')
        if self.kind == "kubernetes" and self.workers.image is None:
            raise ValueError("workers.image is missing; kubernetes needs one that holds bphcoffea")
        if self.kind == "htcondor" and any(re.search(r"(^|\s)#", s) for s in self.workers.setup):
            # HTCondor joins the commands of a job in one line
            raise ValueError("workers.setup contains a comment, which would hide later commands")
        if (self.scheduler.address or "").startswith("tls://") and not self.security.ca:
            raise ValueError("scheduler.address is tls, so [security] must give ca, cert and key")
        return self


def _keys_set(table: BaseModel, prefix: str = "") -> Iterator[str]:
    """Yield the keys that a file sets; keys of its tables as ``table.key``."""
    for key in table.model_fields_set:
        yield prefix + key
        value = getattr(table, key)
        if isinstance(value, BaseModel):
            yield from _keys_set(value, f"{prefix}{key}.")
