"""Saying in one line that a worker has no room for what it spills."""

from __future__ import annotations

import logging
from typing import Any


def shorten_full_disk(client: Any) -> None:
    """Replace the traceback that Dask logs when a worker cannot spill to its disk.

    Dask keeps the data in memory then, so that nothing is lost.

    Parameters
    ----------
    client
        Connected to the cluster; workers that join later are included.
    """
    from distributed.diagnostics.plugin import WorkerPlugin

    class FullDisk(WorkerPlugin):  # type: ignore[misc]
        """Sent by value: a worker with another bphcoffea can say that it is another."""

        def setup(self, worker: Any) -> None:
            def shorten(record: logging.LogRecord) -> bool:
                if record.exc_info:
                    record.msg = f"{worker.local_directory}: {record.msg} ({record.exc_info[1]})"
                    record.exc_info = None
                return True

            logging.getLogger("distributed.spill").addFilter(shorten)

    client.register_plugin(FullDisk(), name="bphcoffea-full-disk")
