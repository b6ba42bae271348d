"""Clusters of this machine when their client is interrupted: workers end at once, in silence."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Start threads and processes that Ctrl-C does not reach; this thread gets it at the end.

    A terminal sends Ctrl-C to all processes, and workers would end with tracebacks. Threads and
    processes inherit the blocked signals of the thread that starts them, and so do workers that the
    cluster's thread starts later.
    """
    # its start, else in the middle of the block, would unblock the signals of this thread
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def ending_at_once(running: Any) -> Iterator[None]:
    """Kill the workers if the block is interrupted, without what Dask says of that.

    Dask would let them finish their tasks for a few seconds, and log each that is cancelled.

    Parameters
    ----------
    running
        A ``LocalCluster``. The block must end before it does.
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
    """Restore the level of Dask's logger at the end."""
    logger = logging.getLogger("distributed")
    level = logger.level
    try:
        yield
    finally:
        logger.setLevel(level)
