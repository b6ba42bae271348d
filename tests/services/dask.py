"""Dask clusters whose scheduler and workers are processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.processes import end, until


@dataclass
class DaskCluster:
    """A scheduler and its workers, each a process of its own.

    Attributes
    ----------
    address
        Where the scheduler listens.
    scheduler
        Its process.
    """

    address: str
    scheduler: subprocess.Popen[bytes]


@contextlib.contextmanager
def dask_cluster(
    folder: Path,
    workers: int = 1,
    python: str | Path = sys.executable,
    threads: int = 1,
    memory: str = "auto",
) -> Iterator[DaskCluster]:
    """Start a Dask cluster whose processes know nothing of the project but what is installed.

    Parameters
    ----------
    folder
        Where they run; it is made.
    workers
        How many.
    python
        The interpreter whose packages they have.
    threads
        Of a worker.
    memory
        At 95% of it a worker is killed.
    """
    folder.mkdir()
    known, log = folder / "scheduler.json", folder / "log"
    dask = [str(python), "-m", "dask"]
    here = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(known)]
    worker = [*dask, "worker", *here, "--nthreads", str(threads), "--memory-limit", memory]
    started: list[subprocess.Popen[bytes]] = []
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    try:
        with log.open("w") as output:
            for words in ([*dask, "scheduler", *here, "--port", "0"], *[worker] * workers):
                started.append(
                    subprocess.Popen(
                        words, cwd=folder, stdout=output, stderr=output, env=environment
                    )
                )
                until(known.exists, log)
        yield DaskCluster(json.loads(known.read_text())["address"], started[0])
    finally:
        for process in reversed(started):
            end(process)
