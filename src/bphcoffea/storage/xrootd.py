"""Writing to XRootD servers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from typing_extensions import override

from bphcoffea.storage.targets import BLOCK, Fault, Target, TransferError, blocks, by_words

if TYPE_CHECKING:
    from XRootD.client import File
    from XRootD.client.responses import XRootDStatus


class XRootD(Target):
    """An XRootD server."""

    #: Status codes of the client (XrdClStatus.hh).
    _CODES: ClassVar[Mapping[int, Fault]] = {
        101: Fault.NO_HOST,
        102: Fault.BROKEN,
        103: Fault.SILENT,
        104: Fault.BROKEN,
        107: Fault.BROKEN,
        108: Fault.SILENT,
        110: Fault.UNTRUSTED,
        203: Fault.REFUSED,
        204: Fault.REFUSED,
        206: Fault.SILENT,
    }
    #: Status code for an error of the server, and error numbers of servers (XProtocol.hh).
    _ANSWERED = 400
    _EXISTS = 3018
    _ANSWERS: ClassVar[Mapping[int, Fault]] = {
        3009: Fault.FULL,
        3010: Fault.DENIED,
        3011: Fault.MISSING,
        3016: Fault.IS_FOLDER,
        _EXISTS: Fault.NOT_A_FOLDER,
        3021: Fault.FULL,
        3025: Fault.READ_ONLY,
        3030: Fault.REFUSED,
    }

    def __init__(self, url: str, timeout_s: int) -> None:
        # on import, the client reads the environment variables that storage.servers sets
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
            # the parents of a user's area may not be writable
            return
        if not status.ok and self._fault(status) != Fault.MISSING:
            self._check(status)
        status, _ = self._system.mkdir(
            path, self._flags.MkDirFlags.MAKEPATH, self._mode("UR UW UX GR GX OR OX"), self._timeout
        )
        self._check(status)

    @override
    def write(self, source: Path, path: str) -> None:
        new, mode = self._flags.OpenFlags.NEW, self._mode("UR UW GR OR")
        with self._opened(path, new, mode) as file:
            # a broken file is sent again under another name, never repaired by the client: the
            # repaired file could be incomplete
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
                status, block = file.read(offset, BLOCK, timeout=self._timeout)
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
        if self._fault(status) != Fault.MISSING:
            self._check(status)

    @contextlib.contextmanager
    def _opened(self, path: str, flags: int, mode: int = 0) -> Iterator[File]:
        file = self._file()
        status, _ = file.open(f"{self._server}/{path}", flags, mode, timeout=self._timeout)
        self._check(status)
        try:
            yield file
        except BaseException:
            file.close(timeout=self._timeout)
            raise
        # a server may report only now that its disk is full
        status, _ = file.close(timeout=self._timeout)
        self._check(status)

    def _mode(self, names: str) -> int:
        return sum(getattr(self._flags.AccessMode, name) for name in names.split())

    def _check(self, status: XRootDStatus) -> None:
        if not status.ok:
            raise TransferError(self._fault(status), status.message)

    def _fault(self, status: XRootDStatus) -> Fault:
        if status.code != self._ANSWERED:
            return self._CODES.get(status.code) or by_words(status.message) or Fault.OTHER
        # words first: a server answers 3005 for any failure of its file system
        return by_words(status.message) or self._ANSWERS.get(status.errno, Fault.OTHER)
