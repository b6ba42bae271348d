"""Dask clusters whose scheduler and workers are processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import preloaded

from services.processes import end, until

if TYPE_CHECKING:
    from distributed import Security

Process = subprocess.Popen[bytes] | preloaded.ForkedProcess


@dataclass(frozen=True)
class Tls:
    """Files with which a cluster and its clients talk over TLS.

    Attributes
    ----------
    ca
        Certificate of the authority that they trust.
    certificate
        What each of them shows.
    key
        Its private key.
    """

    ca: Path
    certificate: Path
    key: Path

    def words(self) -> list[str]:
        """Options for the command lines of Dask's scheduler and workers."""
        files = [f"--tls-ca-file={self.ca}", f"--tls-cert={self.certificate}"]
        return ["--protocol=tls", *files, f"--tls-key={self.key}"]

    def security(self) -> Security:
        """What a client is given, or a cluster that the client starts itself."""
        from distributed import Security

        roles = ("scheduler", "worker", "client")
        certificates = {f"tls_{role}_cert": str(self.certificate) for role in roles}
        keys = {f"tls_{role}_key": str(self.key) for role in roles}
        return Security(tls_ca_file=str(self.ca), require_encryption=True, **certificates, **keys)


@dataclass
class DaskCluster:
    """A scheduler and its workers, each a process of its own.

    Attributes
    ----------
    address
        Where the scheduler listens.
    scheduler
        Its process.
    log
        What all of them say.
    workers
        The processes of the nannies, the oldest first; each has its worker as a child.
    """

    address: str
    scheduler: Process
    log: Path
    _start: _Starter
    workers: list[Process] = field(default_factory=list)

    def add_worker(self) -> None:
        """Start one more worker; ``Client.wait_for_workers`` waits until it is there."""
        self.workers.append(self._start.worker())

    def kill_worker(self) -> None:
        """Kill the oldest worker and its nanny at once, as when their machine is lost."""
        nanny = self.workers.pop(0)
        # both are of the session that was made for them, or the worker ends with its nanny
        os.killpg(nanny.pid, signal.SIGKILL)
        nanny.wait()

    def replace_worker(self) -> None:
        """Kill the oldest worker, and start another one."""
        self.kill_worker()
        self.add_worker()


@contextlib.contextmanager
def dask_cluster(
    folder: Path,
    workers: int = 1,
    python: str | Path | None = None,
    threads: int = 1,
    memory: str = "auto",
    *,
    tls: Tls | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[DaskCluster]:
    """Start a Dask cluster whose processes know nothing of the project but what is installed.

    Parameters
    ----------
    folder
        Where they run; it is made.
    workers
        How many.
    python
        The interpreter whose packages they have; by default they are forked from a process that
        has imported the package, which takes less time.
    threads
        Of a worker.
    memory
        At 95% of it a worker is killed.
    tls
        With what they talk over TLS; without, they talk in the clear.
    environment
        More variables of the environment of its processes.
    """
    folder.mkdir()
    start = _Starter(folder, python, threads, memory, tls, dict(environment or {}))
    cluster = None
    scheduler = start.scheduler()
    try:
        until(lambda: start.file.exists() and start.file.stat().st_size > 0, start.log)
        address = json.loads(start.file.read_text())["address"]
        cluster = DaskCluster(address, scheduler, start.log, start)
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        for process in [scheduler, *(cluster.workers if cluster else [])][::-1]:
            end(process)


@dataclass(frozen=True)
class _Starter:
    """Starts the processes of a cluster."""

    folder: Path
    python: str | Path | None
    threads: int
    memory: str
    tls: Tls | None
    environment: dict[str, str]

    @property
    def file(self) -> Path:
        """Where the scheduler writes its address."""
        return self.folder / "scheduler.json"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def scheduler(self) -> Process:
        return self._start("scheduler", "--port", "0")

    def worker(self) -> Process:
        return self._start("worker", "--nthreads", str(self.threads), "--memory-limit", self.memory)

    def _start(self, role: str, *words: str) -> Process:
        inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        here = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(self.file)]
        secure = self.tls.words() if self.tls else []
        words = (*here, *secure, *words)
        environment = inherited | self.environment
        if self.python is None:
            begin = (role, *words)
            return preloaded.ForkedProcess(_dask, begin, self.folder, self.log, environment)
        with self.log.open("a") as output:
            return subprocess.Popen(
                [str(self.python), "-m", f"distributed.cli.dask_{role}", *words],
                cwd=self.folder,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )


def _dask(role: str, *words: str) -> None:
    """Run a command of Dask in this process."""
    sys.argv = [f"dask {role}", *words]
    # not the command "dask" itself, which would import what other packages add to it
    import_module(f"distributed.cli.dask_{role}").main()
