"""The grid proxy: find it, check how long it is valid, and send it to the workers of a cluster.

Each worker receives it in a message, and keeps it in a file that only its owner can read, in memory
or on a local disk. It is not part of a job script, a task or a plugin: the scheduler passes it on,
but does not keep it.
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
from typing import TYPE_CHECKING

from bphcoffea.errors import FacilityError
from bphcoffea.local_files import regular
from bphcoffea.periodic import repeating
from bphcoffea.storage import usual_proxy

if TYPE_CHECKING:
    from distributed import Client

_REMEDY = "make one with: voms-proxy-init --voms cms --valid 192:00"
#: Permissions of everyone but the owner.
_OTHERS = 0o077
#: Time between two looks for workers without the proxy, and for a renewed proxy, s.
_LOOK_EVERY = 0.5
#: Time that a worker waits for the proxy before it reads without one, s.
_PATIENCE = 60.0


class ShortProxyError(FacilityError):
    """The grid proxy is valid, but not for as long as requested."""


@dataclass(frozen=True)
class Proxy:
    """An X.509 proxy certificate in a file.

    Attributes
    ----------
    path
        File with the certificate, its key, and the chain that signed it.
    """

    path: Path

    @classmethod
    def find(cls) -> Proxy | None:
        """Return the proxy at ``X509_USER_PROXY``, or ``/tmp/x509up_u<uid>``; None if missing."""
        named = os.environ.get("X509_USER_PROXY")
        path = Path(named) if named else usual_proxy()
        return cls(path) if named or path.exists() else None

    def read(self) -> bytes:
        """Return the content of the file.

        Raises
        ------
        FacilityError
            If it is missing, or others may read it, which the clients of servers refuse.
        """
        try:
            content, mode = regular(self.path).read_bytes(), self.path.stat().st_mode
        except OSError as error:
            raise FacilityError(
                f"{self.path}: grid proxy cannot be read ({error.strerror}); {_REMEDY}"
            ) from None
        if mode & _OTHERS:
            raise FacilityError(f"{self.path}: others may read this grid proxy; run chmod 600")
        return content

    def expires(self) -> datetime.datetime:
        """Return the time at which the first certificate of its chain expires.

        Raises
        ------
        FacilityError
            If the file cannot be read, or contains no certificate.
        """
        from cryptography import x509

        try:
            chain = x509.load_pem_x509_certificates(self.read())
        except ValueError:
            raise FacilityError(f"{self.path}: contains no grid proxy; {_REMEDY}") from None
        return min(certificate.not_valid_after_utc for certificate in chain)

    def remaining_s(self) -> float:
        """Return the remaining time until it expires, s; negative if it has expired."""
        return (self.expires() - datetime.datetime.now(datetime.UTC)).total_seconds()

    def check(self, hours: float = 0) -> None:
        """Check that it is valid for a number of hours.

        Raises
        ------
        FacilityError
            If it is not; :class:`ShortProxyError` if it is valid for a shorter time.
        """
        end, remaining = self.expires(), self.remaining_s()
        when = end.astimezone().strftime("%Y-%m-%d %H:%M")
        if remaining <= 0:
            raise FacilityError(f"{self.path}: the grid proxy expired at {when}; {_REMEDY}")
        if remaining < 3600 * hours:
            raise ShortProxyError(
                f"{self.path}: the grid proxy expires at {when}, in {remaining / 3600:.1f} h, but "
                f"{hours:g} h are requested; renew it, or request less"
            )


def find_valid(hours: float, *, required: bool) -> Proxy | None:
    """Return the user's proxy, which must be valid for a number of hours; None if there is none.

    An expired proxy at the usual place is ignored if none is required.

    Raises
    ------
    FacilityError
        If it is required, or named by ``X509_USER_PROXY``, and missing or not valid for that long.
    """
    proxy = Proxy.find()
    if proxy is None:
        if required:
            raise FacilityError(
                f"no grid proxy: X509_USER_PROXY is not set and {usual_proxy()} does not exist; "
                f"{_REMEDY}"
            )
        return None
    try:
        proxy.check(hours)
    except FacilityError:
        if required or "X509_USER_PROXY" in os.environ:
            raise
        return None
    return proxy


def install(content: bytes, certificates: str | None = None) -> None:
    """Store a proxy on this worker, and set the variables by which clients of servers find it."""
    folder = _private_folder()
    part, path = folder / "x509up.part", folder / "x509up"
    with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    part.rename(path)
    os.environ["X509_USER_PROXY"] = str(path)
    if certificates:
        os.environ["X509_CERT_DIR"] = certificates
    _installed.set()


def wait() -> None:
    """Wait until the client has sent the proxy to this worker.

    If it does not come, reading goes on without it, and fails with a message of its own. A process
    waits only once.
    """
    if not _installed.wait(_PATIENCE):
        _installed.set()


#: Set when this process, a worker, has a proxy or no longer waits for one.
_installed = threading.Event()


def _private_folder() -> Path:
    """Return a folder that only this user can enter, and that is not shared between machines."""
    memory = Path("/dev/shm")  # noqa: S108
    top = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    prefix = f"bphcoffea-{os.getuid()}-"
    for old in top.glob(f"{prefix}*"):  # left behind by processes that were killed
        if old.lstat().st_uid == os.getuid() and not process_runs(old.name.removeprefix(prefix)):
            shutil.rmtree(old, ignore_errors=True)
    folder = top / f"{prefix}{os.getpid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & _OTHERS:
        raise PermissionError(f"{folder}: other users can enter this folder; remove it")
    return folder


def process_runs(process: str) -> bool:
    """Return whether a process id is in use on this machine; True if that is unknown."""
    return not process.isdigit() or Path("/proc", process).exists() or not Path("/proc").exists()


@contextlib.contextmanager
def shipping(client: Client, proxy: Proxy, certificates: str | None = None) -> Iterator[None]:
    """Send a proxy to all present and later workers of a cluster, and again when it is renewed.

    Parameters
    ----------
    client
        Client of the cluster.
    proxy
        The user's proxy.
    certificates
        Folder of the certificate authorities on the workers; None for their machines' default.
    """
    sent: dict[str, str] = {}  # hash of the proxy that a worker has, by its address

    def ship() -> None:
        with contextlib.suppress(FacilityError):  # while it is being renewed
            content = proxy.read()
            digest = hashlib.sha256(content).hexdigest()
            workers = client.scheduler_info(n_workers=-1)["workers"]
            lacking = [worker for worker in workers if sent.get(worker) != digest]
            if lacking:
                answers = client.run(
                    install, content, certificates, workers=lacking, on_error="ignore"
                )
                sent.update(dict.fromkeys(answers, digest))

    def ship_again() -> None:
        try:
            ship()
        except (OSError, TimeoutError):  # the cluster is ending, or gone
            time.sleep(_LOOK_EVERY)

    ship()
    with repeating(ship_again, _LOOK_EVERY, "grid proxy"):
        yield
