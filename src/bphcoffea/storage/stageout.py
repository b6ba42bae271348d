"""Copying results to permanent storage: a disk, an XRootD server or a WebDAV server.

A file is written under a temporary name in its final folder, compared with its source, and only
then renamed: under its final name it is complete.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from bphcoffea.errors import FacilityError
from bphcoffea.storage.servers import ONCE, Retries
from bphcoffea.storage.targets import Disk, Fault, Target, TransferError, blocks
from bphcoffea.storage.webdav import WebDAV
from bphcoffea.storage.xrootd import XRootD

_log = logging.getLogger(__name__)

#: File that is copied last: the folder of a run without it holds no result.
_LEDGER = "ledger.json"
#: Time after which a server has noticed a broken connection, s.
_NOTICED_S = 0.5


def stage_out(source: Path, url: str, retries: Retries) -> None:
    """Copy a file to a place, completely or not at all.

    Parameters
    ----------
    source
        The file.
    url
        Path or URL of the copy, with the scheme ``file``, ``root``, ``davs``, ``https``, ``dav`` or
        ``http``. An existing file is replaced, missing folders are created.
    retries
        Number of attempts, if a transfer breaks.

    Raises
    ------
    FacilityError
        If the file cannot be read or written, or differs after the transfer.
    """
    target = _target_of(url, retries)
    try:
        _transfer(source, target, target.path, retries)
    except TransferError as error:
        raise FacilityError(f"{target.shown(target.path)}: not written: {error}") from None


def stage_out_folder(folder: Path, url: str, retries: Retries) -> list[str]:
    """Copy the folder of a run to a place, without hidden files, ``ledger.json`` last.

    An older ledger at the place is removed first, so that the place holds no result until all files
    are copied.

    Parameters
    ----------
    folder
        Folder of the run.
    url
        Path or URL of the copy of the folder, see :func:`stage_out`.
    retries
        Number of attempts, if a transfer breaks.

    Returns
    -------
    list of str
        URLs of the files, in the order in which they were written.

    Raises
    ------
    FacilityError
        If the folder holds no finished run, or files cannot be copied: one line per file. The place
        then has no ledger.
    """
    names = _files(folder)
    if _LEDGER not in names:
        raise FacilityError(f"{folder}: no finished run (no {_LEDGER}); nothing was copied")
    target = _target_of(url, retries)
    try:
        _retry(lambda: target.remove(f"{target.path}/{_LEDGER}"), retries)
    except TransferError as error:
        raise FacilityError(f"{target.shown(target.path)}: not written: {error}") from None
    problems: list[str] = []
    for name in names:
        place = f"{target.path}/{name}"
        try:
            if name != _LEDGER or not problems:
                _transfer(folder / name, target, place, retries)
        except TransferError as error:
            problems.append(f"{target.shown(place)}: not written: {error}")
            if error.fault.is_everywhere:
                problems.append(f"{target.shown(target.path)}: the files after it were not tried")
                break
    if problems:
        raise FacilityError("\n".join([*problems, f"{folder}: the result is complete here"]))
    return [target.shown(f"{target.path}/{name}") for name in names]


def check_target(url: str, retries: Retries = ONCE) -> None:
    """Check that files can be written to a folder, before a run begins.

    The folder is created; a tiny file is written there, renamed and removed.

    Raises
    ------
    FacilityError
        If one of these steps fails.
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
            raise FacilityError(
                f"{target.shown(target.path)}: results cannot be written there: {error}"
            ) from None


def _transfer(source: Path, target: Target, path: str, retries: Retries) -> None:
    try:
        size, checksum = source.stat().st_size, _adler32(blocks(source))
    except OSError as error:
        raise TransferError(Fault.UNREADABLE, f"{source}: {error.strerror}") from error
    folder, name = str(PurePosixPath(path).parent), PurePosixPath(path).name

    broken: list[str] = []

    def attempt() -> None:
        # a new name each time: a server may keep open the file of a broken transfer
        temporary = str(PurePosixPath(folder, f".{name}.{secrets.token_hex(4)}.part"))
        target.make_folder(folder)
        with _removed_after_fault(target, temporary, broken):
            target.write(source, temporary)
            _compare(target, temporary, size, checksum)
            target.rename(temporary, path)

    try:
        _retry(attempt, retries)
    finally:
        _remove_late(target, broken)
    _log.debug("%s: written, %d bytes", target.shown(path), size)


def _remove_late(target: Target, paths: list[str]) -> None:
    """Remove partial files again, since a server notices a broken connection late."""
    if not paths:
        return
    time.sleep(_NOTICED_S)
    with contextlib.suppress(TransferError):
        for path in paths:
            target.remove(path)


def _retry(action: Callable[[], None], retries: Retries) -> None:
    for attempt in retries.tries():
        try:
            action()
        except TransferError as error:
            if error.fault.is_lasting or attempt == retries.attempts - 1:
                raise
        else:
            return


@contextlib.contextmanager
def _removed_after_fault(target: Target, path: str, broken: list[str]) -> Iterator[None]:
    """Remove a file if the block fails, and add it to `broken` if the connection broke."""
    try:
        yield
    except BaseException as error:
        # the server may be down
        with contextlib.suppress(TransferError):
            target.remove(path)
            if isinstance(error, TransferError) and error.fault is Fault.BROKEN:
                broken.append(path)
        raise


def adler32_at(url: str, retries: Retries = ONCE) -> int:
    """Return the Adler-32 checksum of a file: the server's, or from reading the whole file.

    Parameters
    ----------
    url
        Path or URL, see :func:`stage_out`.
    retries
        Number of attempts.

    Raises
    ------
    FacilityError
        If the URL is invalid.
    TransferError
        If the file does not exist or cannot be read.
    """
    target = _target_of(url, retries)
    found: list[int] = []
    _retry(lambda: found.append(_checksum(target, target.path)), retries)
    return found[0]


def _checksum(target: Target, path: str) -> int:
    reported = target.checksum(path)
    return _adler32(target.read(path)) if reported is None else reported


def _compare(target: Target, path: str, size: int, checksum: int) -> None:
    written = target.size(path)
    if written is not None and written != size:
        raise TransferError(Fault.DIFFERS, f"{written} of {size} bytes")
    found = _checksum(target, path)
    if found != checksum:
        raise TransferError(Fault.DIFFERS, f"adler32 {found:08x}, not {checksum:08x}")


def _files(folder: Path) -> list[str]:
    """Return the paths of the files to copy, relative to the folder, ledger last."""
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
    """Return the storage of a path or URL.

    Raises
    ------
    FacilityError
        If the URL is invalid, or its scheme cannot be written to.
    """
    scheme = url.partition("://")[0] if "://" in url else "file"
    if scheme == "file":
        return Disk(url)
    if scheme != "root" and scheme not in WebDAV.SCHEMES:
        raise FacilityError(
            f"{scheme}://…: cannot be written to; give a path, root://, davs:// or https://"
        )
    parts = urlsplit(url, allow_fragments=False)
    named = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if parts.query:
        raise FacilityError(f"{named}: remove '?' and what follows; the grid proxy gives access")
    try:
        complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete:
        raise FacilityError(f"{named}: invalid host or port; write {scheme}://host:port/path")
    return XRootD(url, retries.timeout_s) if scheme == "root" else WebDAV(url, retries.timeout_s)
