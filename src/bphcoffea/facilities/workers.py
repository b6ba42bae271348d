"""Workers of a Dask cluster: replacement, interruption, and one-line messages of a full disk."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bphcoffea.periodic import repeating

if TYPE_CHECKING:
    from distributed import Client, LocalCluster, Nanny, SpecCluster, Worker

#: Time between two replacements of lost workers, s.
REPLACED_AFTER = 2.0
#: Longest time for which the end of a cluster waits for a worker that is being restarted, s.
RESTART = 5.0


def replacing_lost_workers(running: SpecCluster) -> contextlib.AbstractContextManager[None]:
    """Replace workers that Dask has given up, for the duration of the block.

    A nanny does not restart a worker that is killed while it reports to the nanny. Dask's cluster
    forgets such a worker after a while (``distributed.deploy.lost-worker-timeout``), but starts
    another one only when it is scaled; without workers a run would wait for ever.
    """

    def scale() -> None:
        running.scale(len(running.worker_spec))

    # in the cluster's own thread, so that nothing else changes the number meanwhile
    return repeating(lambda: running.loop.add_callback(scale), REPLACED_AFTER, "lost workers")


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
def restarts_awaited(running: LocalCluster) -> Iterator[None]:
    """Wait at the end of the block until no worker is being restarted, for at most `RESTART`.

    A cluster that is closed while one of its workers is restarted raises an error, and leaves its
    scheduler running. An interrupted block ends at once.
    """
    try:
        yield
    except Exception:
        _await_restarts(running)
        raise
    _await_restarts(running)


def _await_restarts(running: LocalCluster) -> None:
    end = time.monotonic() + RESTART
    while time.monotonic() < end and any(map(_restarts, list(running.workers.values()))):
        time.sleep(0.05)


def _restarts(nanny: Nanny) -> bool:
    """Return whether a nanny that runs has no running worker yet.

    If a worker dies just after it has started, its status may already be that of its successor.
    """
    from distributed import Status

    process = nanny.process
    return nanny.status == Status.running and (
        process is None or process.status != Status.running or process.pid is None
    )


@contextlib.contextmanager
def restored_logging() -> Iterator[None]:
    """Restore the level of Dask's logger at the end of the block."""
    logger = logging.getLogger("distributed")
    level = logger.level
    try:
        yield
    finally:
        logger.setLevel(level)


def shorten_full_disk(client: Client) -> None:
    """Shorten to one line what Dask logs when a worker cannot spill data to its disk.

    Dask then keeps the data in memory, so nothing is lost. Workers that join later are included.
    """
    from distributed.diagnostics.plugin import WorkerPlugin

    class FullDisk(WorkerPlugin):  # type: ignore[misc]
        """Shortens messages; sent by value, for workers with another version of bphcoffea."""

        def setup(self, worker: Worker) -> None:
            def shorten(record: logging.LogRecord) -> bool:
                if record.exc_info:
                    record.msg = f"{worker.local_directory}: {record.msg} ({record.exc_info[1]})"
                    record.exc_info = None
                return True

            logging.getLogger("distributed.spill").addFilter(shorten)

    client.register_plugin(FullDisk(), name="bphcoffea-full-disk")
