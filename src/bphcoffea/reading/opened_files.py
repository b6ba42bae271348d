"""Files that a thread keeps open from one chunk to the next.

Opening NanoAOD and finding its types takes 0.1 s, and most chunks are from the same file as the
chunk before.
"""

from __future__ import annotations

import os
import queue
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import uproot

from bphcoffea.local_files import regular
from bphcoffea.storage import fsspec_url

#: Number of files that a thread keeps open.
KEPT = 3


#: First byte in a file, and the first one after it.
Range: TypeAlias = tuple[int, int]


class OpenedFile:
    """A file that stays open.

    Parameters
    ----------
    place
        Path or URL.
    timeout_s
        Timeout for an answer of a server, s.

    Attributes
    ----------
    root
        The file.
    version
        Numbers that differ if a file on a disk was changed; None for a URL.
    known
        What is expensive to find out about the file, for whoever needs it, by keys of their choice.
    is_remote
        Whether the file is read through a URL.
    """

    def __init__(self, place: str, timeout_s: int) -> None:
        self.is_remote = "://" in place
        self.version = _version(regular(place))
        # a dictionary, because uproot takes the text after a colon for an object's name; the chunk
        # keeps its columns itself
        self.root = uproot.open({fsspec_url(place): None}, timeout=timeout_s, array_cache=None)
        self.known: dict[object, Any] = {}
        self._local_bytes = 0
        self._descriptor = -1
        if not self.is_remote:
            self._descriptor = os.open(place, os.O_RDONLY)
            self._closing = weakref.finalize(self, os.close, self._descriptor)

    @property
    def bytes_read(self) -> int:
        """Number of bytes that were read since the file was opened."""
        return int(self.root.file.source.num_requested_bytes) + self._local_bytes

    def read(self, ranges: Sequence[Range]) -> Iterator[bytes | memoryview]:
        """Yield the bytes of the file in some ranges, which a server is asked for at once.

        Raises
        ------
        OSError
            If the file ends before, or the server does not send them.
        """
        if self.is_remote:
            for chunk in self.root.file.source.chunks(list(ranges), notifications=queue.Queue()):
                yield memoryview(chunk.raw_data)
            return
        for start, stop in ranges:
            self._local_bytes += stop - start
            yield os.pread(self._descriptor, stop - start, start)

    def close(self) -> None:
        """Close the file."""
        self.root.close()
        if not self.is_remote:
            self._closing()


_local = threading.local()


def opened(place: str, timeout_s: int) -> OpenedFile:
    """Return an open file, which this thread keeps open.

    Parameters
    ----------
    place
        Path or URL.
    timeout_s
        Timeout for an answer of a server, s.
    """
    files = _files()
    file = files.get(place)
    if file is not None and file.version != _version(place):
        forget(place)
        file = None
    if file is None:
        file = files[place] = OpenedFile(place, timeout_s)
    files.move_to_end(place)
    while len(files) > KEPT:
        forget(next(iter(files)))
    return file


def forget(place: str) -> None:
    """Close a file, so that it is opened anew when it is needed again."""
    file = _files().pop(place, None)
    if file is not None:
        file.close()


def _files() -> OrderedDict[str, OpenedFile]:
    if not hasattr(_local, "files"):
        _local.files = OrderedDict()
    files: OrderedDict[str, OpenedFile] = _local.files
    return files


def _version(place: str) -> tuple[int, ...] | None:
    if "://" in place:
        return None
    status = Path(place).stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
