"""Replacing the workers of a cluster that Dask has given up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

#: How often lost workers are replaced, s.
REPLACED_AFTER = 2.0


@contextlib.contextmanager
def replacing_lost_workers(running: Any) -> Iterator[None]:
    """Start workers again that Dask has given up for lost.

    A worker that is killed while it reports to its nanny is not restarted by it. Dask's cluster
    forgets such a worker after a while (``distributed.deploy.lost-worker-timeout``), but starts
    another one only when it is scaled; without workers a run would wait for ever.
    """
    ended = threading.Event()

    def scale() -> None:
        running.scale(len(running.worker_spec))

    def watch() -> None:
        while not ended.wait(REPLACED_AFTER):
            # in the thread of the cluster, where nothing else changes their number meanwhile
            running.loop.add_callback(scale)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
