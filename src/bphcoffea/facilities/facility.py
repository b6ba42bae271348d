"""The facility: how a place where analyses run starts its Dask workers. One TOML file each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from bphcoffea.facilities.values import (
    Address,
    Boolean,
    Place,
    Port,
    Positive,
    Redirector,
    ShellLine,
    Size,
    Text,
    VariableName,
    VariableValue,
    Walltime,
    Whole,
)

Kind = Literal["local", "scheduler", "slurm", "htcondor", "kubernetes"]

#: Keys that only some kinds know what to do with; to ignore them silently would mislead.
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
    """What the workers are, and how many. One worker is one process, job or pod.

    Attributes
    ----------
    count
        How many, where their number is fixed.
    minimum, maximum
        Between which their number follows the work.
    cores
        Threads of each worker; more than one seldom helps, since reading and filling hold Python's
        lock.
    memory, disk
        Of each worker.
    walltime
        After which the batch system ends a worker.
    python
        Interpreter of the workers; by default the one that runs here, or that of the image.
    image
        Container that they run in.
    queue, partition
        Of Slurm: two words for one thing.
    account
        That is charged; HTCondor's accounting group.
    namespace
        Of Kubernetes; by default that of the user's configuration.
    setup
        Lines of shell before a worker starts, each a whole command.
    logs
        Folder for the jobs' logs.
    options
        Further keyword arguments of the class of the cluster, handed on as they are.
    """

    count: Positive | None = None
    minimum: Whole = 0
    maximum: Positive | None = None
    cores: Positive = 1
    memory: Size = "2GB"
    disk: Size = "1GB"
    walltime: Walltime | None = None
    python: Text | None = None
    image: Text | None = None
    queue: Text | None = None
    partition: Text | None = None
    account: Text | None = None
    namespace: Text | None = None
    setup: tuple[ShellLine, ...] = ()
    logs: Text | None = None
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Workers:
        given = self.model_fields_set
        if "count" in given and given & {"minimum", "maximum"}:
            raise ValueError("give count, or minimum and maximum, not both")
        if "minimum" in given and self.maximum is None:
            raise ValueError("minimum needs maximum beside it")
        if self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is more than maximum {self.maximum}")
        if self.queue and self.partition:
            raise ValueError("queue and partition are two words for one thing; give one of them")
        return self


class Scheduler(_Table):
    """Dask's scheduler.

    Attributes
    ----------
    address
        Of one that runs already.
    listen
        Host or network interface that one which is started here listens on.
    port
        Of one that is started here; 0 for any that is free.
    dashboard
        Whether one that is started here has a dashboard. It asks for no certificate, but for an
        address that only the terminal shows.
    """

    address: Address | None = None
    listen: Text = "127.0.0.1"
    port: Port = 0
    dashboard: Boolean = False


class Security(_Table):
    """Certificates by which scheduler, workers and client know each other.

    Attributes
    ----------
    tls
        Whether a cluster that is started here asks for them. Without, whoever reaches one of its
        ports can run code as the user.
    ca, cert, key
        Paths of files; relative ones are relative to the facility's file. By default, certificates
        are made for each cluster that is started here.
    folder
        Where those are kept for the jobs of a batch system, which must see it; by default
        ``~/.cache/bphcoffea``.
    """

    tls: Boolean = True
    ca: Text | None = None
    cert: Text | None = None
    key: Text | None = None
    folder: Text | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Security:
        given = {name for name in ("ca", "cert", "key") if getattr(self, name)}
        missing = sorted({"ca", "cert", "key"} - given)
        if given and missing:
            raise ValueError(f"{' and '.join(missing)} missing; give ca, cert and key, or none")
        if given and not self.tls:
            raise ValueError("tls is false, so ca, cert and key are of no use; leave them out")
        return self


class Proxy(_Table):
    """The grid proxy.

    Attributes
    ----------
    required
        Whether nothing can be read here without one.
    certificates
        Folder of the certificate authorities on the workers.
    """

    required: Boolean = False
    certificates: Text | None = None


class Storage(_Table):
    """Where files come from and go to.

    Attributes
    ----------
    redirectors
        Prefixes that are tried in order for paths such as ``/store/…``. Each ends in one slash
        after its path, ``root://host//``: the path follows without its own.
    stage_out
        Where results go.
    checkpoints
        Where workers keep the results of chunks.
    """

    redirectors: tuple[Redirector, ...] = ()
    stage_out: Place | None = None
    checkpoints: Place | None = None


class Facility(_Table):
    """A place where analyses run.

    Attributes
    ----------
    name
        That of its file.
    description
        What it is, in a line.
    kind
        What starts the workers; ``scheduler`` for a Dask scheduler that runs already.
    workers, scheduler, security, proxy, storage
        Tables of its file.
    environment
        Variables of the workers.
    """

    name: Text
    description: str = ""
    kind: Kind
    workers: Workers = Workers()
    environment: dict[VariableName, VariableValue] = {}
    scheduler: Scheduler = Scheduler()
    security: Security = Security()
    proxy: Proxy = Proxy()
    storage: Storage = Storage()

    @property
    def has_dashboard(self) -> bool:
        """Whether its scheduler has a dashboard, as far as anyone here knows."""
        return self.kind in {"scheduler", "kubernetes"} or self.scheduler.dashboard

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Facility:
        for key in sorted(_given(self)):
            kinds = _KINDS_OF.get(key, (self.kind,))
            if self.kind not in kinds:
                raise ValueError(f"{key} is for {', '.join(kinds)}, not {self.kind}; leave it out")
        if self.kind == "slurm" and self.workers.walltime is None:
            raise ValueError('workers.walltime is missing; slurm needs it, such as "02:00:00"')
        if self.kind == "kubernetes" and self.workers.image is None:
            raise ValueError("workers.image is missing; kubernetes needs one that holds bphcoffea")
        if self.kind == "htcondor" and any(re.search(r"(^|\s)#", s) for s in self.workers.setup):
            # its jobs get all of them in one line
            raise ValueError("workers.setup holds a comment, which would hide what follows it")
        if (self.scheduler.address or "").startswith("tls://") and not self.security.ca:
            raise ValueError("scheduler.address is tls, so [security] must give ca, cert and key")
        return self


def _given(table: BaseModel, place: str = "") -> Iterator[str]:
    """Keys that were given, those of tables as ``table.key``."""
    for key in table.model_fields_set:
        yield place + key
        value = getattr(table, key)
        if isinstance(value, BaseModel):
            yield from _given(value, f"{place}{key}.")
