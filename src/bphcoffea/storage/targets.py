"""Storage that files are written to: its interface, its errors, and local disks."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from bphcoffea.local_files import regular
from bphcoffea.storage.servers import shortened

#: Size of the blocks that are read or written at once, bytes.
BLOCK = 1 << 22


class Fault(Enum):
    """Kind of a fault of storage.

    Attributes
    ----------
    meaning
        Meaning and remedy, in one line.
    is_lasting
        True if another attempt cannot succeed.
    is_everywhere
        True if other files would fail as well.
    """

    FULL = (
        "no space is left there (disk full, or quota used up); make room or choose another place",
        True,
        True,
    )
    READ_ONLY = "it is read-only; choose another place", True, True
    DENIED = (
        "may not be written (permission denied); is it your own area, and is there a valid grid "
        "proxy or bearer token?",
        True,
    )
    REFUSED = "the server refuses access; is there a valid grid proxy or bearer token?", True, True
    EXPIRED = "the server refuses access; the bearer token has expired, renew it", True, True
    UNTRUSTED = (
        "no secure connection to the server; is there a valid grid proxy (X509_USER_PROXY), and "
        "are the authorities' certificates in X509_CERT_DIR?",
        True,
        True,
    )
    NOT_A_FOLDER = "a folder of that path is a file; choose another place", True
    IS_FOLDER = "there is a folder of that name; choose another name", True
    NO_WEBDAV = (
        "the server does not accept files there; is it the address of its WebDAV door?",
        True,
        True,
    )
    NO_HOST = "there is no such host; is its name right?", False, True
    SILENT = "the server does not answer; is its address right, and is it up?", False, True
    # XRootD's HTTP server also closes the connection without an answer when its disk is full
    BROKEN = ("the connection to the server broke; is it up, and has it space left?",)
    DIFFERS = ("the file differs after the transfer; is the storage in order?",)
    MISSING = ("no such file",)
    UNREADABLE = "the file here cannot be read", True
    OTHER = ("it failed; try again, or choose another place",)

    def __init__(self, meaning: str, is_lasting: bool = False, is_everywhere: bool = False) -> None:
        self.meaning = meaning
        self.is_lasting = is_lasting
        self.is_everywhere = is_everywhere


#: Faults by words in the answers of servers, which precede the code of the answer.
_WORDS = {
    "no space left": Fault.FULL,
    "quota": Fault.FULL,
    "read/only": Fault.READ_ONLY,
    "read-only": Fault.READ_ONLY,
    "permission denied": Fault.DENIED,
    "is a directory": Fault.IS_FOLDER,
    "not a directory": Fault.NOT_A_FOLDER,
    "broken pipe": Fault.BROKEN,
}


class TransferError(Exception):
    """A file could not be written to storage, or read back."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(f"{fault.meaning} ({shortened(detail)})" if detail else fault.meaning)
        self.fault = fault


class Target(ABC):
    """Storage that files are written to; all methods raise :class:`TransferError`.

    Attributes
    ----------
    path
        Path in the URL.
    """

    path: str

    @abstractmethod
    def shown(self, path: str) -> str:
        """Return a path for messages: with the server, but without passwords."""

    @abstractmethod
    def make_folder(self, path: str) -> None:
        """Create a folder and its missing parents."""

    @abstractmethod
    def write(self, source: Path, path: str) -> None:
        """Copy a local file to a path; a fault may leave part of the file behind."""

    @abstractmethod
    def read(self, path: str) -> Iterator[bytes]:
        """Yield the blocks of a file."""

    @abstractmethod
    def size(self, path: str) -> int | None:
        """Return the size of a file, bytes; None if the server does not report it."""

    @abstractmethod
    def checksum(self, path: str) -> int | None:
        """Return the Adler-32 checksum of a file; None if the server does not report it."""

    @abstractmethod
    def rename(self, old: str, new: str) -> None:
        """Rename a file, replacing an existing one."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a file, if it exists."""


class Disk(Target):
    """A mounted file system."""

    _FAULTS: ClassVar[Mapping[int, Fault]] = {
        errno.ENOSPC: Fault.FULL,
        errno.EDQUOT: Fault.FULL,
        errno.EROFS: Fault.READ_ONLY,
        errno.EACCES: Fault.DENIED,
        errno.EPERM: Fault.DENIED,
        errno.EEXIST: Fault.NOT_A_FOLDER,
        errno.ENOTDIR: Fault.NOT_A_FOLDER,
        errno.EISDIR: Fault.IS_FOLDER,
    }

    def __init__(self, url: str) -> None:
        path = unquote(urlsplit(url).path) if url.startswith("file://") else url
        self.path = str(Path(path))

    @override
    def shown(self, path: str) -> str:
        return path

    @override
    def make_folder(self, path: str) -> None:
        with self._faults():
            Path(path).mkdir(parents=True, exist_ok=True)

    @override
    def write(self, source: Path, path: str) -> None:
        with self._faults(), source.open("rb") as old, Path(path).open("xb") as new:
            shutil.copyfileobj(old, new, BLOCK)
            # some file systems report only now that they are full
            os.fsync(new.fileno())

    @override
    def read(self, path: str) -> Iterator[bytes]:
        with self._faults():
            yield from blocks(Path(path))

    @override
    def size(self, path: str) -> int:
        with self._faults():
            return Path(path).stat().st_size

    @override
    def checksum(self, path: str) -> None:
        return None

    @override
    def rename(self, old: str, new: str) -> None:
        with self._faults():
            Path(old).replace(new)

    @override
    def remove(self, path: str) -> None:
        with self._faults():
            Path(path).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            fault = self._FAULTS.get(error.errno or 0, Fault.OTHER)
            raise TransferError(fault, error.strerror or str(error)) from error


def blocks(path: Path) -> Iterator[bytes]:
    """Yield the content of a file in blocks."""
    with regular(path).open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def by_words(text: str) -> Fault | None:
    """Return the fault in the answer of a server; None if its words are unknown."""
    # the path before the semicolon may contain any word
    answer = text.rpartition(";")[2].lower()
    return next((fault for words, fault in _WORDS.items() if words in answer), None)
