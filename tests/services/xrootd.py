"""Real XRootD servers.

They need Debian's ``xrootd-server``, and root: the server itself runs as user nobody.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from services.processes import end, free_port

START_TIME = 20.0
"""How long a server may take until it answers, s."""


@dataclass
class XRootDServer:
    """A server that runs.

    Attributes
    ----------
    folder
        What it serves.
    port
        Where it listens.
    """

    folder: Path
    port: int

    def url(self, path: str = "") -> str:
        """URL of a path in its folder."""
        return f"root://localhost:{self.port}//{path}"


def why_no_xrootd() -> str:
    """Why no XRootD server can be started here; empty where one can."""
    if shutil.which("xrootd") is None:
        return "Debian's xrootd-server is not installed"
    if os.geteuid() != 0:
        return "only root can start xrootd as user nobody"
    return ""


@contextlib.contextmanager
def server_folders() -> Iterator[tuple[Path, Path]]:
    """A folder to serve, into which user nobody may write, and one for the server's own files."""
    with tempfile.TemporaryDirectory(prefix="xrootd-") as top:
        Path(top).chmod(0o755)
        served, run = Path(top, "served"), Path(top, "run")
        for folder in (served, run):
            folder.mkdir(mode=0o755)
            shutil.chown(folder, "nobody")
        yield served, run


@contextlib.contextmanager
def xrootd_server(
    folder: Path,
    run_folder: Path,
    *,
    http: bool = False,
    readonly: bool = False,
    checksums: bool = True,
    extra: str = "",
    descriptors: int | None = None,
) -> Iterator[RestartableServer]:
    """Serve a folder over XRootD; the parameters are those of :class:`RestartableServer`."""
    with RestartableServer(
        folder,
        run_folder,
        http=http,
        readonly=readonly,
        checksums=checksums,
        extra=extra,
        descriptors=descriptors,
    ) as server:
        yield server


class RestartableServer(XRootDServer):
    """A server that can die, and come back at the same port.

    Parameters
    ----------
    folder
        What to serve; user nobody must be able to read it, and its parents.
    run_folder
        Where the server keeps its configuration, state and log; it belongs to user nobody.
    http
        Whether it speaks HTTP with WebDAV, too, at a port of its own.
    readonly
        Whether it refuses to write.
    checksums
        Whether it tells the adler32 of a file.
    extra
        More lines of its configuration.
    descriptors
        Files and connections that it may have open, its own 22 included; None for no limit.
    """

    def __init__(
        self,
        folder: Path,
        run_folder: Path,
        *,
        http: bool = False,
        readonly: bool = False,
        checksums: bool = True,
        extra: str = "",
        descriptors: int | None = None,
    ) -> None:
        super().__init__(folder, free_port())
        self._run_folder = run_folder
        self._limit = ["prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors else []
        self.outages = 0
        self.http_port = free_port() if http else None
        self._lines = [f"all.export / {'r/o' if readonly else 'r/w'}"]
        if http:
            self._lines.append(f"xrd.protocol http:{self.http_port} libXrdHttp.so")
        if checksums:
            self._lines.append("xrootd.chksum max 2 adler32")
        self._lines.append(extra)

    def http_url(self, path: str = "") -> str:
        """URL of a path in its folder, over HTTP."""
        return f"http://localhost:{self.http_port}/{path}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        run_folder, log = self._run_folder, self._run_folder / "log"
        configuration = run_folder / "xrootd.cfg"
        lines = [
            *self._lines,
            f"oss.localroot {self.folder}",
            f"xrd.port {self.port}",
            f"all.adminpath {run_folder}",
            f"all.pidpath {run_folder}",
        ]
        configuration.write_text("\n".join(lines) + "\n")
        name = f"test{self.port}"
        server = ["xrootd", "-R", "nobody", "-c", configuration, "-l", log, "-n", name]
        for attempt in range(3):
            process = subprocess.Popen(
                [*self._limit, *server],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd=run_folder,
            )
            self._process = process
            try:
                for port in filter(None, (self.port, self.http_port)):
                    _wait_for(port, process, log)
            except BaseException:
                self.stop()
                # xrootd itself crashes in about one of a thousand starts, before its first line
                if process.returncode != -signal.SIGSEGV or attempt == 2:
                    raise
            else:
                return

    def stop(self) -> None:
        """End it, by its process id."""
        end(self._process)

    def outage(self, after_bytes: float, seconds: float) -> None:
        """Die once the server has read so many bytes, and come back some seconds later."""
        deadline = time.monotonic() + START_TIME
        while self.bytes_read() < after_bytes and time.monotonic() < deadline:
            time.sleep(0.01)
        self._process.kill()
        self._process.wait()
        time.sleep(seconds)
        self.start()
        self.outages = self.outages + 1

    def freeze(self) -> None:
        """Fall silent: connections stay, answers don't come."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Answer again."""
        self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """What it has written into its log."""
        logs = (path for path in self._run_folder.rglob("log") if path.is_file())
        return "".join(path.read_text(errors="replace") for path in logs)

    def open_files(self) -> list[str]:
        """Paths that it has open below its folder."""
        found = []
        for descriptor in Path(f"/proc/{self._process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since
                found.append(str(descriptor.readlink()))
        return [path for path in found if path.startswith(str(self.folder))]

    def bytes_read(self) -> int:
        """Bytes that it has read since it was started."""
        line = Path(f"/proc/{self._process.pid}/io").read_text().splitlines()[0]
        return int(line.removeprefix("rchar: "))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        # not before the library has told XRootD's client how patient to be
        from fsspec_xrootd import XRootDFileSystem

        # the client closes its files when Python ends, with a traceback if the server is gone
        for system in XRootDFileSystem._cache.values():
            system.invalidate_cache()
        XRootDFileSystem.clear_instance_cache()
        self.stop()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIME
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    said = "\n".join(
        path.read_text(errors="replace") for path in log.parent.rglob("log*") if path.is_file()
    )
    raise RuntimeError(f"xrootd does not answer at port {port}; its log:\n{said}")
