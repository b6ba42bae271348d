"""Writing files to a disk, whole or not at all, with one clear line if that fails."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bphcoffea.errors import InputError

#: Faults of a disk that prevent writing, by error number, and their remedies.
_MEANINGS: Final = {
    errno.ENOSPC: "no space is left there; make room, or choose another folder",
    errno.EDQUOT: "the quota is used up; make room, or choose another folder",
    errno.EROFS: "it is read-only; choose another folder",
    errno.EACCES: "permission denied; choose another folder",
    errno.EPERM: "permission denied; choose another folder",
}
#: The same for a folder or file that a user named.
_MEANINGS_OF_PLACES: Final = _MEANINGS | {
    errno.EEXIST: "a file is in its place; choose another folder",
    errno.ENOTDIR: "a file is in its place; choose another folder",
    errno.EISDIR: "it is a folder; choose another file",
    errno.ENOENT: "nothing can be made there; choose another place",
}
#: Error numbers among these that reading a file may cause as well.
_OF_READING: Final = (errno.EACCES, errno.EPERM)


def user_cache(name: str) -> Path | None:
    """Return a folder in the user's cache, which only the user can read; None if not writable."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "bphcoffea" / name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return folder


class UnwritableError(InputError):
    """A file or folder cannot be written, for example because the disk is full or read-only."""


@contextlib.contextmanager
def writing_to(place: str | Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn faults of the disk, in this block, into an error that names the file.

    Parameters
    ----------
    place
        File or folder to write.
    temporary
        Folder in which the files of ``place`` are written first.

    Raises
    ------
    UnwritableError
        If the disk is full or read-only, or permission is denied.
    """
    try:
        yield
    except OSError as error:
        meaning = _MEANINGS.get(error.errno or 0)
        file = Path(error.filename) if isinstance(error.filename, str) else None
        inside = file is not None and any(
            file.is_relative_to(folder) for folder in (Path(place), temporary) if folder
        )
        if meaning is None or (error.errno in _OF_READING and not inside):
            raise
        if file is not None and temporary is not None and file.is_relative_to(temporary):
            place = Path(place, file.relative_to(temporary))
        raise UnwritableError(f"{place}: not written: {meaning}") from None


def make_folder(folder: Path, mode: int = 0o777) -> Path:
    """Create a folder and its parents, if it does not exist, and return it.

    Raises
    ------
    UnwritableError
        If it cannot be created.
    """
    try:
        folder.mkdir(mode, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None
    return folder


def write_file(path: Path, content: bytes) -> Path:
    """Write a file that a user named, whole or not at all, into a folder that may be missing.

    Raises
    ------
    UnwritableError
        If it cannot be written.
    """
    make_folder(path.parent)
    try:
        return write_whole(path, content)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(place: Path, error: OSError) -> UnwritableError:
    meaning = _MEANINGS_OF_PLACES.get(error.errno or 0) or error.strerror
    return UnwritableError(f"{place}: not written: {meaning}")


def write_whole(path: Path, content: bytes, mode: int = 0o666) -> Path:
    """Write a file; if that fails, an existing file of that name is unchanged.

    Parameters
    ----------
    path
        The file.
    content
        New content.
    mode
        Permissions of the file, before the user's mask is applied.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.unlink(missing_ok=True)
        temporary.touch(mode)
        temporary.write_bytes(content)
        return temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
