"""Closing remote files after use.

fsspec-xrootd keeps up to 256 files open in each process, for about a minute: a cluster of many
workers exhausts the descriptors of a server. Local files, and files over HTTP, are open only while
bytes are read.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

import fsspec

#: Files without readers that stay open in a process, since its next chunk is often of the same
#: file, and a redirector may take seconds to find one.
KEPT = 4


class _File(NamedTuple):
    system: Any
    url: str


_lock = threading.Lock()
_readers: Counter[_File] = Counter()
#: Files without readers, the longest unused first.
_unused: OrderedDict[_File, None] = OrderedDict()


@contextlib.contextmanager
def reading(place: str, timeout_s: int) -> Iterator[None]:
    """Read a file in this block, after which it counts as unused.

    The longest unused files are closed, and so is this one if the block fails: another try may be
    sent to another server. A file that another thread reads stays open.

    Parameters
    ----------
    place
        Path or URL.
    timeout_s
        Timeout that uproot opens the file with, s.
    """
    if not place.startswith("root://"):
        yield
        return
    # the file system that uproot uses: fsspec has one for each set of options
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
    # no other thread begins to read one of these files before it is certain that they are closed
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
    """Close a file without waiting for its server, which may be silent.

    Whoever opens the file from here on gets a new handle: the file system works on requests in
    order, and forgets the old one first.
    """
    handles = file.system._readonly_filehandle_cache
    # invalidate_cache, which is public, waits for the server
    closing = handles._close(file.url, file.system.timeout)
    asyncio.run_coroutine_threadsafe(closing, file.system.loop)
