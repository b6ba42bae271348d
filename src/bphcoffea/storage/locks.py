"""Locks between processes, also on different machines that share a disk."""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bphcoffea.errors import FacilityError

#: Error numbers of file systems without locks.
_UNSUPPORTED: Final = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class LockedError(FacilityError):
    """Another process holds a lock."""


@contextlib.contextmanager
def locked(path: Path, purpose: str, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock in this block; the operating system releases it if the process dies.

    Parameters
    ----------
    path
        File of the lock, which exists while the lock is held.
    purpose
        Activity of the holder, for the message to others: ``another run writes into results``.
    wait
        Wait until the lock is free, instead of raising.

    Raises
    ------
    LockedError
        If another process holds the lock; the message names its host and process id.
    OSError
        If the file of the lock cannot be written.

    Notes
    -----
    The lock is ``flock``, which NFS supports since Linux 2.6.12. On a file system without locks
    nothing is locked.
    """
    descriptor = _open(path, purpose, wait=wait)
    try:
        yield
    finally:
        # removed before it is released; a new holder checks that its file still exists
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether a process holds a lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _open(path: Path, purpose: str, *, wait: bool) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(descriptor, path, purpose, wait=wait)
            if _is_at(descriptor, path):
                since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
                holder = f"host {socket.gethostname()}, process {os.getpid()}, since {since}"
                with contextlib.suppress(OSError):  # the disk may be full
                    os.truncate(descriptor, 0)
                    os.write(descriptor, holder.encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, path: Path, purpose: str, *, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        holder = os.read(descriptor, 1000).decode(errors="replace")
        raise LockedError(
            f"{purpose} ({holder or path}); wait for it, or choose another folder"
        ) from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file still has its name: the last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
