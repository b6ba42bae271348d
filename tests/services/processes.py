"""Starting and ending the processes of a service."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def end(process: Any) -> None:
    """End a process, kindly at first."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(true: Callable[[], bool], log: Path | None = None, seconds: float = 30) -> None:
    """Wait until something is true; if it does not become so, raise with what a log says."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            said = f"; the log says:\n{log.read_text()}" if log else ""
            raise RuntimeError(f"not within {seconds} s{said}")
        time.sleep(0.05)


def free_port() -> int:
    """A port of the loopback interface at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
