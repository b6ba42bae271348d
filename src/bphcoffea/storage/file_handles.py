"""Handles of files on XRootD servers, which are closed after use.

fsspec-xrootd keeps up to 256 files open per process for about a minute, so a large cluster of
workers exhausts the file descriptors of a server. Local files, and files over HTTP, are open only
while bytes are read.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import fsspec

#: Number of unused files that stay open in a process: its next chunk is often from the same file,
#: and a redirector may take seconds to find a file.
KEPT = 4


class _File(NamedTuple):
    system: fsspec.AbstractFileSystem
    url: str


_lock = threading.Lock()
_readers: Counter[_File] = Counter()
#: Open files without readers, the longest unused first.
_unused: OrderedDict[_File, None] = OrderedDict()


@contextlib.contextmanager
def in_use(place: str, timeout_s: int) -> Iterator[None]:
    """Keep a file open in this block, after which it counts as unused.

    The longest unused files are closed. If the block fails, this file is closed at once, so that
    another attempt may be redirected to another server. A file that another thread reads stays
    open.

    Parameters
    ----------
    place
        Path or URL.
    timeout_s
        Timeout with which uproot opens the file, s.
    """
    if not place.startswith("root://"):
        yield
        return
    # uproot's file system: fsspec caches one per set of options
    system, path = fsspec.url_to_fs(place, timeout=timeout_s)
    file = _File(system, system.unstrip_protocol(path))
    with _lock:
        _readers[file] += 1
        _unused.pop(file, None)
    try:
        yield
    except BaseException:
        _leave(file, keep=False)
        raise
    _leave(file, keep=True)


def _leave(file: _File, *, keep: bool) -> None:
    # the lock is held until the files are closed, so that no other thread begins to read them
    with _lock:
        _readers[file] -= 1
        if _readers[file]:
            return
        del _readers[file]
        if keep:
            _unused[file] = None
        else:
            _close(file)
        while len(_unused) > KEPT:
            _close(_unused.popitem(last=False)[0])


def _close(file: _File) -> None:
    """Close a file without waiting for its server, which may not answer.

    Later readers get a new handle: the file system handles requests in order, and forgets the old
    handle first.
    """
    handles = file.system._readonly_filehandle_cache
    # the public method invalidate_cache would wait for the server
    closing = handles._close(file.url, file.system.timeout)
    asyncio.run_coroutine_threadsafe(closing, file.system.loop)
