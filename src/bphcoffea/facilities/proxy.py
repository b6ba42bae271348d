"""The grid proxy: where it is, how long it is valid, and how it gets to the workers of a cluster.

It goes in messages to each worker, and into a file that only its owner can read, in the memory or
on the own disk of the worker's machine. It is in no job script, no task, no plugin: the scheduler
passes it on, but does not keep it.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from bphcoffea.errors import InputError

_MAKE_ONE = "make one with: voms-proxy-init --voms cms --valid 192:00"
_OTHERS = 0o077
#: How often the client looks for workers that lack the proxy, and for a renewed one, s.
_LOOK_EVERY = 0.5
#: How long a worker waits for the proxy before it reads without it, s.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Proxy:
    """An X.509 proxy certificate in a file.

    Attributes
    ----------
    path
        The file: the certificate, its key, and the chain that signed it.
    """

    path: Path

    @classmethod
    def find(cls) -> Proxy | None:
        """The user's: that of ``X509_USER_PROXY``, or else ``/tmp/x509up_u<uid>``; None without."""
        named = os.environ.get("X509_USER_PROXY")
        path = Path(named) if named else Path(f"/tmp/x509up_u{os.getuid()}")  # noqa: S108
        return cls(path) if named or path.exists() else None

    def read(self) -> bytes:
        """What the file holds.

        Raises
        ------
        InputError
            When it is not there, or others may read it, which the servers' clients refuse.
        """
        try:
            content, mode = self.path.read_bytes(), self.path.stat().st_mode
        except OSError as error:
            raise InputError(
                f"{self.path}: no grid proxy can be read there ({error.strerror}); {_MAKE_ONE}"
            ) from None
        if mode & _OTHERS:
            raise InputError(f"{self.path}: others may read this grid proxy; chmod 600 it")
        return content

    def expires(self) -> datetime.datetime:
        """When the first certificate of its chain ends.

        Raises
        ------
        InputError
            When it can't be read, or holds no certificate.
        """
        try:
            chain = x509.load_pem_x509_certificates(self.read())
        except ValueError:
            raise InputError(f"{self.path}: holds no grid proxy; {_MAKE_ONE}") from None
        return min(certificate.not_valid_after_utc for certificate in chain)

    def remaining_s(self) -> float:
        """How long it is still valid, s; negative once it expired."""
        return (self.expires() - datetime.datetime.now(datetime.UTC)).total_seconds()

    def check(self, hours: float = 0) -> None:
        """Make sure that it is valid for that many hours.

        Raises
        ------
        InputError
            When it is not.
        """
        end, remaining = self.expires(), self.remaining_s()
        when = end.astimezone().strftime("%Y-%m-%d %H:%M")
        if remaining <= 0:
            raise InputError(f"{self.path}: the grid proxy expired at {when}; {_MAKE_ONE}")
        if remaining < 3600 * hours:
            raise InputError(
                f"{self.path}: the grid proxy expires at {when}, in {remaining / 3600:.1f} h, but "
                f"{hours:g} h are asked for; renew it, or say less with --min-proxy-lifetime"
            )


def find_valid(hours: float, *, required: bool) -> Proxy | None:
    """The user's proxy, if there is one that is valid for long enough.

    One that lies at its usual place but is not asked for does no harm when it expired.

    Parameters
    ----------
    hours
        How long it must be valid.
    required
        Whether the data can't be read without it.

    Raises
    ------
    InputError
        When it is required, or named by ``X509_USER_PROXY``, and not there or not valid.
    """
    proxy = Proxy.find()
    if proxy is None:
        if required:
            raise InputError(
                f"no grid proxy: X509_USER_PROXY is not set and /tmp/x509up_u{os.getuid()} is not "
                f"there; {_MAKE_ONE}"
            )
        return None
    try:
        proxy.check(hours)
    except InputError:
        if required or "X509_USER_PROXY" in os.environ:
            raise
        return None
    return proxy


def install(content: bytes, certificates: str | None = None) -> None:
    """Keep a proxy on this worker, and let the clients of servers in this process find it.

    Parameters
    ----------
    content
        Of the proxy's file.
    certificates
        Folder of the certificate authorities; None where the machine knows.
    """
    folder = _own_folder()
    fresh, path = folder / "x509up.part", folder / "x509up"
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    fresh.rename(path)
    os.environ["X509_USER_PROXY"] = str(path)
    if certificates:
        os.environ["X509_CERT_DIR"] = certificates
    _installed.set()


def wait() -> None:
    """Wait for the proxy that the client ships to every worker, also to those that join later.

    Without it, in the end, what is read fails by itself, and says so; it is waited for once.
    """
    if not _installed.wait(_PATIENCE):
        _installed.set()


#: Set once this process, a worker, has a proxy, or waits for it no more.
_installed = threading.Event()


def _own_folder() -> Path:
    """A folder that only this user can enter, and that no other machine sees."""
    memory = Path("/dev/shm")  # noqa: S108
    top = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    mark = f"bphcoffea-{os.getuid()}-"
    for left in top.glob(f"{mark}*"):  # by processes that were killed
        if left.lstat().st_uid == os.getuid() and not process_runs(left.name.removeprefix(mark)):
            shutil.rmtree(left, ignore_errors=True)
    folder = top / f"{mark}{os.getpid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & _OTHERS:
        raise PermissionError(f"{folder}: is not this user's own")
    return folder


def process_runs(process: str) -> bool:
    """Whether a process of that number runs on this machine, or nobody can tell."""
    return not process.isdigit() or Path("/proc", process).exists() or not Path("/proc").exists()


@contextlib.contextmanager
def shipping(client: Any, proxy: Proxy, certificates: str | None = None) -> Iterator[None]:
    """Ship a proxy to all workers of a cluster, to those that join later, and again once renewed.

    Parameters
    ----------
    client
        Of Dask.
    proxy
        The user's.
    certificates
        Folder of the certificate authorities on the workers; None where their machines know.
    """
    done = threading.Event()
    has: dict[str, str] = {}

    def ship() -> None:
        with contextlib.suppress(InputError):  # while it is renewed
            content = proxy.read()
            digest = hashlib.sha256(content).hexdigest()
            workers = client.scheduler_info(n_workers=-1)["workers"]
            lacking = [worker for worker in workers if has.get(worker) != digest]
            if lacking:
                answers = client.run(
                    install, content, certificates, workers=lacking, on_error="ignore"
                )
                has.update(dict.fromkeys(answers, digest))

    def keep_shipping() -> None:
        while not done.wait(_LOOK_EVERY):
            try:
                ship()
            except (OSError, TimeoutError):  # a cluster that is ending, or gone
                time.sleep(_LOOK_EVERY)

    ship()
    thread = threading.Thread(target=keep_shipping, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
