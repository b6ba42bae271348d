"""The facility: how a place where analyses run starts its Dask workers. One TOML file each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import time
from typing import Annotated, Any, Literal

from dask.utils import parse_bytes
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
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
    "security": ("local", "scheduler", "slurm", "htcondor"),
}

#: Variables whose value is a secret rather than the path of one.
_SECRET = re.compile(r"(TOKEN|PASSWORD|PASSWD|SECRET|SECRET_ACCESS_KEY|API_KEY)$", re.IGNORECASE)


def _size(value: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?\s*[kMGT]i?B", value) or not parse_bytes(value):
        raise ValueError(f'\'{value}\' is no size; write it as "2GB" or "500MiB"')
    return value


def _walltime(value: Any) -> Any:
    # without quotes it is a time of TOML, and its meaning is as clear
    value = value.isoformat() if isinstance(value, time) else value
    if isinstance(value, str) and (
        not re.fullmatch(r"(\d+-)?\d+:[0-5]\d:[0-5]\d", value) or not re.search("[1-9]", value)
    ):
        raise ValueError(f'\'{value}\' is no time; write it as "HH:MM:SS" or "D-HH:MM:SS"')
    return value


def _shell_line(value: str) -> str:
    if "\n" in value:
        raise ValueError("holds a line break; write one string a line")
    return value


def _variable(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _variable_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", value, re.ASCII):
        raise ValueError(f"'{value}' is no name of a variable")
    if _SECRET.search(value):
        raise ValueError(
            f"'{value}' looks like a secret, which anyone could read in the job; "
            "leave it out, or give the path of a file that holds it"
        )
    return value


def _address(value: str) -> str:
    if not re.fullmatch(r"((tcp|tls|wss?)://)?(\[[^\]\s]+\]|[^\s:/\[\]]+):\d+(/\S*)?", value):
        raise ValueError(f"'{value}' is no address of a scheduler; write it as \"tcp://host:8786\"")
    return value


def _redirector(value: str) -> str:
    match = re.fullmatch(r"(x?roots?://[^/\s]+)/*(/.*?)?/*", value)
    if match is None:
        raise ValueError(f"'{value}' is no redirector; write it as \"root://host//\"")
    return f"{match[1]}/{match[2] or ''}/"


def _place(value: str) -> str:
    if re.search(r"://[^/]*:[^/@]*@", value):
        raise ValueError("holds a password, which anyone could read; leave it out")
    if "://" not in value and not value.startswith("/"):
        raise ValueError(
            f"'{value}' is no place that workers know; write a URL such as "
            '"root://host//store/user/me", or the whole path of a folder that they share'
        )
    return value


Size = Annotated[str, AfterValidator(_size)]
Text = Annotated[str, Field(min_length=1)]
Whole = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, gt=0)]
Place = Annotated[str, AfterValidator(_place)]


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
    walltime: Annotated[str | None, BeforeValidator(_walltime)] = None
    python: Text | None = None
    image: Text | None = None
    queue: Text | None = None
    partition: Text | None = None
    account: Text | None = None
    namespace: Text | None = None
    setup: tuple[Annotated[str, AfterValidator(_shell_line)], ...] = ()
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
    """

    address: Annotated[str, AfterValidator(_address)] | None = None
    listen: Text = "127.0.0.1"
    port: Annotated[int, Field(strict=True, ge=0, le=65535)] = 0


class Security(_Table):
    """Certificates by which scheduler, workers and client know each other.

    Attributes
    ----------
    ca, cert, key
        Paths of files; relative ones are relative to the facility's file.
    """

    ca: Text
    cert: Text
    key: Text


class Proxy(_Table):
    """The grid proxy.

    Attributes
    ----------
    required
        Whether nothing can be read here without one.
    certificates
        Folder of the certificate authorities on the workers.
    """

    required: Annotated[bool, Field(strict=True)] = False
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

    redirectors: tuple[Annotated[str, AfterValidator(_redirector)], ...] = ()
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
    environment: dict[
        Annotated[str, AfterValidator(_variable_name)],
        Annotated[str, BeforeValidator(_variable), AfterValidator(_shell_line)],
    ] = {}
    scheduler: Scheduler = Scheduler()
    security: Security | None = None
    proxy: Proxy = Proxy()
    storage: Storage = Storage()

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
        if (self.scheduler.address or "").startswith("tls://") and self.security is None:
            raise ValueError("scheduler.address is tls, so [security] must give ca, cert and key")
        return self


def _given(table: BaseModel, place: str = "") -> Iterator[str]:
    """Keys that were given, those of tables as ``table.key``."""
    for key in table.model_fields_set:
        yield place + key
        value = getattr(table, key)
        if isinstance(value, BaseModel):
            yield from _given(value, f"{place}{key}.")
