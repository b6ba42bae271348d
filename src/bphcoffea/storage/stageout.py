"""Copying results to where they stay: a disk, an XRootD server, a WebDAV server.

A file is written under a temporary name beside its place, compared with its source, and only then
renamed: under its final name it is whole.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from bphcoffea.errors import InputError
from bphcoffea.storage.servers import ONCE, Retries
from bphcoffea.storage.targets import (
    BROKEN,
    DIFFERS,
    UNREADABLE,
    Disk,
    Target,
    TransferError,
    blocks,
)
from bphcoffea.storage.webdav import WebDAV
from bphcoffea.storage.xrootd import XRootD

#: A folder of a run without this file holds no result, so it goes last.
_LEDGER = "ledger.json"
#: How long after a connection broke its server has noticed that, s.
_NOTICED_S = 0.5


def stage_out(source: Path, url: str, retries: Retries) -> None:
    """Copy a file to a place: under its name there it is whole, or not at all.

    Parameters
    ----------
    source
        The file.
    url
        Where it goes: a path, or a URL with ``file``, ``root``, ``davs``, ``https``, ``dav`` or
        ``http``. A file of that name is replaced, folders that are missing are made.
    retries
        How often a transfer is begun that breaks.

    Raises
    ------
    InputError
        When it can't be read, can't be written there, or arrives as something else.
    """
    target = _target_of(url, retries)
    try:
        _transfer(source, target, target.path, retries)
    except TransferError as error:
        raise InputError(f"{target.shown(target.path)}: not written: {error}") from None


def stage_out_folder(folder: Path, url: str, retries: Retries) -> list[str]:
    """Copy the folder of a run to a place, ``ledger.json`` last; hidden files stay here.

    An older ledger there is removed first, so that the folder holds no result until it holds all
    of this one. The folder here is only read.

    Parameters
    ----------
    folder
        That of the run.
    url
        The folder where its files go; see :func:`stage_out`.
    retries
        How often a transfer is begun that breaks.

    Returns
    -------
    list of str
        URLs of the files, in the order in which they were written.

    Raises
    ------
    InputError
        When there is no finished run, or files can't be copied, a line each. Then there is no
        ledger at that place.
    """
    names = _files(folder)
    if _LEDGER not in names:
        raise InputError(f"{folder}: no finished run here (it has no {_LEDGER}); nothing is copied")
    target = _target_of(url, retries)
    try:
        _tried(lambda: target.remove(f"{target.path}/{_LEDGER}"), retries)
    except TransferError as error:
        raise InputError(f"{target.shown(target.path)}: not written: {error}") from None
    problems: list[str] = []
    for name in names:
        place = f"{target.path}/{name}"
        try:
            if name != _LEDGER or not problems:
                _transfer(folder / name, target, place, retries)
        except TransferError as error:
            problems.append(f"{target.shown(place)}: not written: {error}")
            if error.kind.is_everywhere:
                problems.append(f"{target.shown(target.path)}: the files after it were not tried")
                break
    if problems:
        raise InputError("\n".join([*problems, f"{folder}: the result is here, and whole"]))
    return [target.shown(f"{target.path}/{name}") for name in names]


def check_target(url: str, retries: Retries = ONCE) -> None:
    """Make sure, before a run begins, that files can be written to a folder.

    The folder is made; a tiny file is written there, renamed and removed.

    Raises
    ------
    InputError
        When that fails.
    """
    target = _target_of(url, retries)
    place = f"{target.path}/.{secrets.token_hex(4)}.try"
    with tempfile.TemporaryDirectory() as folder:
        tiny = Path(folder, "try")
        tiny.write_bytes(b"bphcoffea\n")
        try:
            _transfer(tiny, target, place, retries)
            target.remove(place)
        except TransferError as error:
            raise InputError(
                f"{target.shown(target.path)}: results can't be written there: {error}"
            ) from None


def _transfer(source: Path, target: Target, path: str, retries: Retries) -> None:
    try:
        size, checksum = source.stat().st_size, _adler32(blocks(source))
    except OSError as error:
        raise TransferError(UNREADABLE, f"{source}: {error.strerror}") from error
    folder, name = str(PurePosixPath(path).parent), PurePosixPath(path).name

    broken: list[str] = []

    def attempt() -> None:
        # another name each time: a server may hold on to what a broken transfer left
        temporary = str(PurePosixPath(folder, f".{name}.{secrets.token_hex(4)}.part"))
        target.make_folder(folder)
        with _removed_after_fault(target, temporary, broken):
            target.write(source, temporary)
            _compare(target, temporary, size, checksum)
            target.rename(temporary, path)

    try:
        _tried(attempt, retries)
    finally:
        _remove_late(target, broken)


def _remove_late(target: Target, paths: list[str]) -> None:
    """Remove what a server wrote after it was told to remove it: it notices a break late."""
    if not paths:
        return
    time.sleep(_NOTICED_S)
    with contextlib.suppress(TransferError):
        for path in paths:
            target.remove(path)


def _tried(action: Callable[[], None], retries: Retries) -> None:
    for attempt in retries.tries():
        try:
            action()
        except TransferError as error:
            if error.kind.is_lasting or attempt == retries.attempts - 1:
                raise
        else:
            return


@contextlib.contextmanager
def _removed_after_fault(target: Target, path: str, broken: list[str]) -> Iterator[None]:
    """Remove a file if the block fails; tell of those whose connection broke."""
    try:
        yield
    except BaseException as error:
        # its server may be gone
        with contextlib.suppress(TransferError):
            target.remove(path)
            if isinstance(error, TransferError) and error.kind is BROKEN:
                broken.append(path)
        raise


def adler32_at(url: str, retries: Retries = ONCE) -> int:
    """Checksum of a file: the server's where it has one, else by reading all of it.

    Parameters
    ----------
    url
        A path, or a URL as for :func:`stage_out`.
    retries
        How often it is tried.

    Raises
    ------
    InputError
        If it is no such URL.
    TransferError
        If there is no such file, or it can't be read.
    """
    target = _target_of(url, retries)
    found: list[int] = []
    _tried(lambda: found.append(_checksum(target, target.path)), retries)
    return found[0]


def _checksum(target: Target, path: str) -> int:
    told = target.checksum(path)
    return _adler32(target.read(path)) if told is None else told


def _compare(target: Target, path: str, size: int, checksum: int) -> None:
    there = target.size(path)
    if there is not None and there != size:
        raise TransferError(DIFFERS, f"{there} of {size} bytes")
    found = _checksum(target, path)
    if found != checksum:
        raise TransferError(DIFFERS, f"adler32 {found:08x}, not {checksum:08x}")


def _files(folder: Path) -> list[str]:
    """Paths of the files to copy, relative to the folder, ledger last."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    names = [
        path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)
    ]
    return sorted(names, key=lambda name: (name == _LEDGER, name))


def _adler32(blocks: Iterable[bytes]) -> int:
    value = 1
    for block in blocks:
        value = zlib.adler32(block, value)
    return value


def _target_of(url: str, retries: Retries) -> Target:
    """What a path or URL names.

    Raises
    ------
    InputError
        When nothing can be written to such a one.
    """
    scheme = url.partition("://")[0] if "://" in url else "file"
    if scheme == "file":
        return Disk(url)
    if scheme != "root" and scheme not in WebDAV.SCHEMES:
        raise InputError(
            f"{scheme}://…: no place to write to; give a path, root://, davs:// or https://"
        )
    parts = urlsplit(url, allow_fragments=False)
    named = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if parts.query:
        raise InputError(f"{named}: leave out what begins with '?'; the grid proxy gives access")
    try:
        complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete:
        raise InputError(f"{named}: host or port are not right; write {scheme}://host:port/path")
    return XRootD(url, retries.timeout_s) if scheme == "root" else WebDAV(url, retries.timeout_s)
