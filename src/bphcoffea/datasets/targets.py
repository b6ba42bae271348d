"""Where files can be written: a disk, an XRootD server, a WebDAV server; and what fails there."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlsplit

import requests
import urllib3.exceptions
from typing_extensions import override

from bphcoffea.datasets.storage import Retries, shortened
from bphcoffea.errors import InputError

#: Bytes that are read or written at once.
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Kind:
    """What a fault means, and whether trying again, or trying other files, is of no use."""

    meaning: str
    is_lasting: bool = False
    is_everywhere: bool = False


_FULL = Kind(
    "no space is left there (disk full, or quota used up); make room or choose another place",
    is_lasting=True,
    is_everywhere=True,
)
_READ_ONLY = Kind("it is read-only; choose another place", is_lasting=True, is_everywhere=True)
_DENIED = Kind(
    "may not be written (permission denied); is it your own area, and is there a valid grid proxy?",
    is_lasting=True,
)
_REFUSED = Kind(
    "the server refuses access; is there a valid grid proxy?", is_lasting=True, is_everywhere=True
)
_UNTRUSTED = Kind(
    "no secure connection to the server; is there a valid grid proxy (X509_USER_PROXY), and are "
    "the authorities' certificates in X509_CERT_DIR?",
    is_lasting=True,
    is_everywhere=True,
)
_NOT_A_FOLDER = Kind("a folder of that path is a file; choose another place", is_lasting=True)
_IS_FOLDER = Kind("there is a folder of that name; choose another name", is_lasting=True)
_NO_WEBDAV = Kind(
    "the server takes no files there; is it the address of its WebDAV door?",
    is_lasting=True,
    is_everywhere=True,
)
_NO_HOST = Kind("there is no such host; is its name right?", is_everywhere=True)
_SILENT = Kind(
    "the server does not answer; is its address right, and is it up?", is_everywhere=True
)
# so it looks over HTTP, too, when the disk of XRootD's server is full: it hangs up without a word
_BROKEN = Kind("the connection to the server broke; is it up, and has it space left?")
DIFFERS = Kind("what arrived there differs from what was sent; is the storage in order?")
_MISSING = Kind("it is not there")
UNREADABLE = Kind("the file here can't be read", is_lasting=True)
_OTHER = Kind("it failed; try again, or choose another place")

#: What servers of either protocol say, whatever the code that goes with it.
_WORDS = {
    "no space left": _FULL,
    "quota": _FULL,
    "read/only": _READ_ONLY,
    "read-only": _READ_ONLY,
    "permission denied": _DENIED,
    "is a directory": _IS_FOLDER,
    "not a directory": _NOT_A_FOLDER,
    "broken pipe": _BROKEN,
}


class TransferError(Exception):
    """A fault of the target."""

    def __init__(self, kind: Kind, detail: str = "") -> None:
        super().__init__(f"{kind.meaning} ({shortened(detail)})" if detail else kind.meaning)
        self.kind = kind


class Target(ABC):
    """Where files go. What fails there is raised as a TransferError.

    Attributes
    ----------
    path
        The place that the URL names.
    """

    path: str

    @abstractmethod
    def shown(self, path: str) -> str:
        """A path there as it is told: with the server, but without passwords."""

    @abstractmethod
    def make_folder(self, path: str) -> None:
        """Make a folder and its parents, where they are missing."""

    @abstractmethod
    def write(self, source: Path, path: str) -> None:
        """Copy a file there; what a fault leaves behind may be part of it."""

    @abstractmethod
    def read(self, path: str) -> Iterator[bytes]:
        """Blocks of a file."""

    @abstractmethod
    def size(self, path: str) -> int | None:
        """Size of a file; None if the server does not tell."""

    @abstractmethod
    def checksum(self, path: str) -> int | None:
        """Adler32 of a file; None if the server does not tell."""

    @abstractmethod
    def rename(self, old: str, new: str) -> None:
        """Give a file another name, and replace what has it."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""


class _Disk(Target):
    """A file system that is mounted here."""

    _KINDS: ClassVar[Mapping[int, Kind]] = {
        errno.ENOSPC: _FULL,
        errno.EDQUOT: _FULL,
        errno.EROFS: _READ_ONLY,
        errno.EACCES: _DENIED,
        errno.EPERM: _DENIED,
        errno.EEXIST: _NOT_A_FOLDER,
        errno.ENOTDIR: _NOT_A_FOLDER,
        errno.EISDIR: _IS_FOLDER,
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
            shutil.copyfileobj(old, new, _BLOCK)
            # some file systems tell only now that they are full
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
            kind = self._KINDS.get(error.errno or 0, _OTHER)
            raise TransferError(kind, error.strerror or str(error)) from error


class _XRootD(Target):
    """A server of XRootD."""

    #: What the client says (XrdClStatus.hh).
    _CODES: ClassVar[Mapping[int, Kind]] = {
        101: _NO_HOST,
        102: _BROKEN,
        103: _SILENT,
        104: _BROKEN,
        107: _BROKEN,
        108: _SILENT,
        110: _UNTRUSTED,
        203: _REFUSED,
        204: _REFUSED,
        206: _SILENT,
    }
    #: That it is the server that says something, and what: a number of XProtocol.hh.
    _ANSWERED = 400
    _EXISTS = 3018
    _ANSWERS: ClassVar[Mapping[int, Kind]] = {
        3009: _FULL,
        3010: _DENIED,
        3011: _MISSING,
        3016: _IS_FOLDER,
        _EXISTS: _NOT_A_FOLDER,
        3021: _FULL,
        3025: _READ_ONLY,
        3030: _REFUSED,
    }

    def __init__(self, url: str, timeout_s: int) -> None:
        # what its client is told in the environment (see storage) it reads when it is imported
        from XRootD import client
        from XRootD.client import flags

        parts = urlsplit(url, allow_fragments=False)
        self._server = f"root://{parts.netloc}"
        self._named = f"root://{parts.netloc.rpartition('@')[2]}"
        self.path = f"/{parts.path.strip('/')}"
        self._timeout = timeout_s
        self._file, self._flags = client.File, flags
        self._system = client.FileSystem(self._server)

    @override
    def shown(self, path: str) -> str:
        return f"{self._named}/{path}"

    @override
    def make_folder(self, path: str) -> None:
        status, found = self._system.stat(path, timeout=self._timeout)
        if status.ok and found.flags & self._flags.StatInfoFlags.IS_DIR:
            # an area of one's own may lie in folders that one may not make
            return
        if not status.ok and self._kind(status) != _MISSING:
            self._check(status)
        status, _ = self._system.mkdir(
            path, self._flags.MkDirFlags.MAKEPATH, self._mode("UR UW UX GR GX OR OX"), self._timeout
        )
        self._check(status)

    @override
    def write(self, source: Path, path: str) -> None:
        new, mode = self._flags.OpenFlags.NEW, self._mode("UR UW GR OR")
        with self._opened(path, new, mode) as file:
            # after a break, all is sent again under another name: what the client itself would
            # mend of the old file, nobody has seen whole
            file.set_property("WriteRecovery", "false")
            offset = 0
            for block in blocks(source):
                status, _ = file.write(block, offset, len(block), timeout=self._timeout)
                self._check(status)
                offset += len(block)

    @override
    def read(self, path: str) -> Iterator[bytes]:
        with self._opened(path, self._flags.OpenFlags.READ) as file:
            offset = 0
            while True:
                status, block = file.read(offset, _BLOCK, timeout=self._timeout)
                self._check(status)
                if not block:
                    return
                yield block
                offset += len(block)

    @override
    def size(self, path: str) -> int:
        status, found = self._system.stat(path, timeout=self._timeout)
        self._check(status)
        return int(found.size)

    @override
    def checksum(self, path: str) -> int | None:
        status, answer = self._system.query(
            self._flags.QueryCode.CHECKSUM, f"{path}?cks.type=adler32", timeout=self._timeout
        )
        if status.code == self._ANSWERED:
            return None
        self._check(status)
        kind, _, value = answer.decode().strip("\0 \n").partition(" ")
        return int(value, 16) if kind == "adler32" else None

    @override
    def rename(self, old: str, new: str) -> None:
        status, _ = self._system.mv(old, new, timeout=self._timeout)
        if status.errno == self._EXISTS:
            # not every server replaces a file; for a moment there is none
            self.remove(new)
            status, _ = self._system.mv(old, new, timeout=self._timeout)
        self._check(status)

    @override
    def remove(self, path: str) -> None:
        status, _ = self._system.rm(path, timeout=self._timeout)
        if self._kind(status) != _MISSING:
            self._check(status)

    @contextlib.contextmanager
    def _opened(self, path: str, flags: int, mode: int = 0) -> Iterator[Any]:
        file = self._file()
        status, _ = file.open(f"{self._server}/{path}", flags, mode, timeout=self._timeout)
        self._check(status)
        try:
            yield file
        except BaseException:
            file.close(timeout=self._timeout)
            raise
        # a server may tell only now that its disk is full
        status, _ = file.close(timeout=self._timeout)
        self._check(status)

    def _mode(self, names: str) -> int:
        return sum(getattr(self._flags.AccessMode, name) for name in names.split())

    def _check(self, status: Any) -> None:
        if not status.ok:
            raise TransferError(self._kind(status), status.message)

    def _kind(self, status: Any) -> Kind:
        if status.code != self._ANSWERED:
            return self._CODES.get(status.code) or _by_words(status.message) or _OTHER
        # words first: a server answers 3005 to whatever its file system could not do
        return _by_words(status.message) or self._ANSWERS.get(status.errno, _OTHER)


class _WebDAV(Target):
    """A server of WebDAV.

    For TLS it shows the grid proxy that X509_USER_PROXY names, and trusts the authorities in the
    folder X509_CERT_DIR.
    """

    SCHEMES: ClassVar[Mapping[str, str]] = {
        "davs": "https",
        "https": "https",
        "dav": "http",
        "http": "http",
    }
    _STATUSES: ClassVar[Mapping[int, Kind]] = {
        401: _REFUSED,
        403: _DENIED,
        404: _MISSING,
        405: _NO_WEBDAV,
        501: _NO_WEBDAV,
        507: _FULL,
    }

    def __init__(self, url: str, timeout_s: int) -> None:
        parts = urlsplit(url, allow_fragments=False)
        scheme, host = self.SCHEMES[parts.scheme], parts.netloc.rpartition("@")[2]
        self._server = f"{scheme}://{parts.netloc}"
        self._destination = f"{scheme}://{host}"
        self._named = f"{parts.scheme}://{host}"
        self.path = f"/{unquote(parts.path).strip('/')}"
        self._timeout = timeout_s
        secure = scheme == "https"
        self._proxy = _file_of("X509_USER_PROXY") if secure else None
        self._authorities = _file_of("X509_CERT_DIR") if secure else None

    @override
    def shown(self, path: str) -> str:
        return f"{self._named}{quote(path)}"

    @override
    def make_folder(self, path: str) -> None:
        if path == "/" or self._status("PROPFIND", path, Depth="0") == 207:
            return
        if self._status("MKCOL", path) in (404, 409):
            self.make_folder(str(PurePosixPath(path).parent))
            with self._answer("MKCOL", path):
                pass

    @override
    def write(self, source: Path, path: str) -> None:
        with source.open("rb") as file:
            # an empty stream would be sent in chunks, which not every server takes
            content = file if source.stat().st_size else b""
            with self._answer("PUT", path, content):
                pass

    @override
    def read(self, path: str) -> Iterator[bytes]:
        with self._answer("GET", path) as answer, self._faults():
            yield from answer.iter_content(_BLOCK)

    @override
    def size(self, path: str) -> int | None:
        with self._answer("HEAD", path) as answer:
            length = answer.headers.get("Content-Length")
        return int(length) if length else None

    @override
    def checksum(self, path: str) -> int | None:
        # a server that knows no checksums may take the question for a wrong one
        unknown = (400, 403, 404, 405, 500, 501)
        with self._answer("HEAD", path, allowed=unknown, Want_Digest="adler32") as answer:
            told = answer.headers.get("Digest", "")
        for digest in told.split(","):
            kind, _, value = digest.strip().partition("=")
            if kind.lower() == "adler32":
                return int(value, 16)
        return None

    @override
    def rename(self, old: str, new: str) -> None:
        self._move(old, quote(new))
        if quote(new) == new or self._status("HEAD", new) != 404:
            return
        # XRootD 5.5 takes the new name as it stands: what was moved is called as it was quoted
        self._move(quote(new), new)
        folder = str(PurePosixPath(new).parent)
        if quote(folder) != folder:
            with contextlib.suppress(TransferError):
                self.remove(quote(folder))

    def _move(self, old: str, destination: str) -> None:
        # in bytes, for a header of text knows only Latin letters
        place = f"{self._destination}{destination}".encode()
        with self._answer("MOVE", old, Destination=place, Overwrite="T"):
            pass

    @override
    def remove(self, path: str) -> None:
        self._status("DELETE", path)

    def _status(self, method: str, path: str, **headers: str) -> int:
        """How a server answers; what another answer may mean is up to the caller."""
        allowed = {
            "PROPFIND": (403, 404, 405, 501),
            "MKCOL": (404, 405, 409),
            "DELETE": (404,),
            "HEAD": (404,),
        }
        with self._answer(method, path, allowed=allowed[method], **headers) as answer:
            return answer.status_code

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        content: Any = None,
        allowed: Iterable[int] = (),
        **headers: str | bytes,
    ) -> Iterator[requests.Response]:
        with self._faults():
            # a connection for each request: a kept one may have been closed in the meantime
            answer = requests.request(
                method,
                f"{self._server}{quote(path)}",
                data=content,
                headers={name.replace("_", "-"): value for name, value in headers.items()}
                | {"Accept-Encoding": "identity"},
                timeout=self._timeout,
                stream=True,
                cert=self._proxy,
                verify=self._authorities or True,
            )
        with answer:
            if not answer.ok and answer.status_code not in allowed:
                with self._faults():
                    said = "" if "html" in answer.headers.get("Content-Type", "") else answer.text
                kind = _by_words(said) or self._STATUSES.get(answer.status_code, _OTHER)
                raise TransferError(kind, f"HTTP {answer.status_code} {said or answer.reason}")
            yield answer

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except requests.exceptions.SSLError as error:
            raise TransferError(_UNTRUSTED) from error
        except requests.RequestException as error:
            raise TransferError(_kind_of_silence(error)) from error


def target_of(url: str, retries: Retries) -> Target:
    """What a path or URL names.

    Raises
    ------
    InputError
        When nothing can be written to such a one.
    """
    scheme = url.partition("://")[0] if "://" in url else "file"
    if scheme == "file":
        return _Disk(url)
    if scheme != "root" and scheme not in _WebDAV.SCHEMES:
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
    return _XRootD(url, retries.timeout_s) if scheme == "root" else _WebDAV(url, retries.timeout_s)


def _file_of(variable: str) -> str | None:
    """The file or folder that a variable of the environment names."""
    place = os.environ.get(variable)
    if place and not Path(place).exists():
        raise InputError(f"{place}: not there, but {variable} names it; correct or unset it")
    return place or None


def blocks(path: Path) -> Iterator[bytes]:
    """The content of a file, in pieces."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _by_words(text: str) -> Kind | None:
    # before it stands the path, which may hold any word
    said = text.rpartition(";")[2].lower()
    return next((kind for words, kind in _WORDS.items() if words in said), None)


def _kind_of_silence(error: BaseException) -> Kind:
    """What it means that there is no answer over HTTP, from the exceptions behind one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, urllib3.exceptions.NameResolutionError):
            return _NO_HOST
        if isinstance(cause, urllib3.exceptions.NewConnectionError | TimeoutError):
            return _SILENT
        cause = cause.__cause__ or cause.__context__
    return _SILENT if isinstance(error, requests.Timeout) else _BROKEN
