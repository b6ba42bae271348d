"""Replacement of workers that Dask has given up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import SpecCluster

#: Time between two replacements of lost workers, s.
REPLACED_AFTER = 2.0


@contextlib.contextmanager
def replacing_lost_workers(running: SpecCluster) -> Iterator[None]:
    """Replace workers that Dask has given up, for the duration of the block.

    A nanny does not restart a worker that is killed while it reports to the nanny. Dask's cluster
    forgets such a worker after a while (``distributed.deploy.lost-worker-timeout``), but starts
    another one only when it is scaled; without workers a run would wait for ever.
    """
    ended = threading.Event()

    def scale() -> None:
        running.scale(len(running.worker_spec))

    def watch() -> None:
        while not ended.wait(REPLACED_AFTER):
            # in the cluster's own thread, so that nothing else changes the number meanwhile
            running.loop.add_callback(scale)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
