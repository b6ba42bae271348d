"""Refusing paths that cannot be read: pipes, sockets and devices, whose reading may never end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final, TypeVar

_P = TypeVar("_P", bound=str | Path)

_KINDS: Final = {
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


class IrregularFileError(OSError):
    """A path names something that cannot be read as a file."""


def is_text(path: Path) -> bool:
    """Return whether a path is UTF-8, as pyarrow requires."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def regular(place: _P) -> _P:
    """Return a path that can be read as a file, or a URL; to be called before a file is opened.

    Raises
    ------
    IrregularFileError
        If it is a pipe, a socket or a device.
    OSError
        If there is no such file, or it is a folder.
    """
    path = str(place).removeprefix("file://")
    if "://" in path:
        return place
    mode = Path(path).stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "special file")
        raise IrregularFileError(errno.EINVAL, f"is a {kind}, not a regular file", path)
    return place
