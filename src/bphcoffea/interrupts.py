"""Ctrl-C: workers do not get it, and packages do not change how it is handled."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Protect threads and processes started in this block from Ctrl-C.

    Workers would end with tracebacks. Threads and processes inherit the blocked signals of the
    thread that starts them, and so do workers that such a thread starts later. This thread receives
    a pending Ctrl-C at the end of the block.
    """
    # starting the tracker inside the block would unblock the signals of this thread
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def handler_kept() -> Iterator[None]:
    """Restore the handler of Ctrl-C after this block, in which a package is imported.

    On import, dask-jobqueue lets Ctrl-C end the process without a message and with status 0.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is not before:
            signal.signal(signal.SIGINT, before)
