"""Recognising whether a file was replaced, without reading it."""

from __future__ import annotations

from pathlib import Path

import fsspec

from bphcoffea.storage.servers import fsspec_url, host

#: Properties reported by fsspec's file systems that change when the content of a file changes.
_STAMPS = ("size", "mtime", "LastModified", "Last-Modified", "ETag", "Content-MD5", "created")


def identity(place: str) -> str:
    """Return size and time stamps of a file as a text that changes when the file is replaced.

    On a disk they include the time of the last change of the inode, which a copy that preserves the
    time of modification does not keep. XRootD reports the time of modification, HTTP that or an
    ETag.

    Parameters
    ----------
    place
        Path or URL.

    Raises
    ------
    OSError
        If size and time stamps cannot be read.
    """
    if not host(place) and "::" not in place:
        stat = Path(place.removeprefix("file://")).stat()
        return f"size={stat.st_size} mtime={stat.st_mtime_ns} ctime={stat.st_ctime_ns}"
    system, path = fsspec.url_to_fs(fsspec_url(place))
    info = system.info(path)
    return " ".join(f"{key}={info[key]}" for key in _STAMPS if info.get(key) is not None)
