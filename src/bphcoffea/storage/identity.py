"""What tells one content of a file from another without reading it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import fsspec

from bphcoffea.storage.servers import TIMEOUT, host
from bphcoffea.storage.targets import TransferError
from bphcoffea.storage.webdav import WebDAV

#: What file systems of fsspec report about a remote file that changes when its content does.
_STAMPS = ("size", "mtime", "LastModified", "Last-Modified", "ETag", "Content-MD5", "created")


def identity(place: str) -> str:
    """Return size and time stamps of a file, in one text that changes when the file is replaced.

    On a disk that includes the time of the last change of its inode: a copy that keeps the time of
    modification is recognised. Servers report what they know: XRootD the time of modification,
    HTTP that or an ETag.

    Parameters
    ----------
    place
        Path or URL.

    Raises
    ------
    OSError
        If the file can't be looked at.
    """
    if not host(place) and "::" not in place:
        path = Path(place.removeprefix("file://"))
        found = path.stat()
        return f"size={found.st_size} mtime={found.st_mtime_ns} ctime={found.st_ctime_ns}"
    system, path_there = fsspec.url_to_fs(place)
    info = system.info(path_there)
    stamps = {key: info[key] for key in _STAMPS if info.get(key) is not None}
    if set(stamps) <= {"size"} and urlsplit(place).scheme in WebDAV.SCHEMES:
        stamps["mtime"] = _modified(place)
    return " ".join(f"{key}={value}" for key, value in stamps.items())


def _modified(url: str) -> str:
    """Ask over WebDAV: XRootD's HTTP server has no time in its headers."""
    server = WebDAV(url, TIMEOUT)
    try:
        return server.modified(server.path)
    except TransferError:
        return ""
