"""One-line log messages of workers whose disk is full."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client, Worker


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
