"""Interruption of local clusters, whose workers then end at once and without tracebacks."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import LocalCluster


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Protect threads and processes started in this block from Ctrl-C.

    A terminal sends Ctrl-C to all processes, and workers would end with tracebacks. Threads and
    processes inherit the blocked signals of the thread that starts them, and so do workers that the
    cluster's thread starts later. This thread receives a pending Ctrl-C at the end of the block.
    """
    # starting the tracker inside the block would unblock the signals of this thread
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def ending_at_once(running: LocalCluster) -> Iterator[None]:
    """Kill the workers if the block is interrupted, and silence Dask's messages about it.

    Dask would give the tasks a few more seconds, and log each one that is cancelled. The cluster
    must outlive the block.
    """
    try:
        yield
    except KeyboardInterrupt:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        for nanny in list(running.workers.values()):
            nanny.auto_restart = False
            if nanny.process is not None and nanny.process.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(nanny.process.pid, signal.SIGKILL)
        raise


@contextlib.contextmanager
def restored_logging() -> Iterator[None]:
    """Restore the level of Dask's logger at the end of the block."""
    logger = logging.getLogger("distributed")
    level = logger.level
    try:
        yield
    finally:
        logger.setLevel(level)
