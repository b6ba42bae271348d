"""Certificates and private folders, which keep other users out of a cluster."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shlex
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dask

from bphcoffea.errors import FacilityError
from bphcoffea.facilities.credentials import process_runs
from bphcoffea.facilities.facility import Facility
from bphcoffea.facilities.options import listen

if TYPE_CHECKING:
    from distributed import Security

#: Disk space that a cluster needs on this machine to start, bytes; workers may spill more later.
SCRATCH = 1_000_000

_log = logging.getLogger(__name__)


def given_certificates(facility: Facility) -> Security | None:
    """Return the certificates that the facility file names; None if it names none.

    Raises
    ------
    FacilityError
        If one of them cannot be read.
    """
    files = {name: getattr(facility.security, name) for name in ("ca", "cert", "key")}
    if not all(files.values()):
        return None
    for name, file in files.items():
        if not os.access(file, os.R_OK) or not Path(file).is_file():
            raise FacilityError(
                f"{facility.name}: security.{name}: cannot read {file}; does it exist?"
            )
    return _security(**files)


@contextlib.contextmanager
def certificates(facility: Facility, folder: Path) -> Iterator[Security | None]:
    """Provide certificates for scheduler, workers and client of a new cluster.

    Parameters
    ----------
    facility
        Facility, whose file may name certificates or turn TLS off; the latter is logged.
    folder
        Private folder for new certificates and their key, which are removed at the end.

    Yields
    ------
    distributed.Security
        Paths of the files; None without TLS.
    """
    named = given_certificates(facility)
    if named is not None or not facility.security.tls:
        if named is None:
            host, _ = listen(facility)
            who = "every user of this machine" if is_loopback(host) else f"whoever reaches {host}"
            _log.warning("%s: security.tls is false, so %s can run code as you", facility.name, who)
        yield named
        return
    from distributed import Security

    made = Security.temporary()
    # one file is enough: the certificate is its own authority, and OpenSSL finds its key there
    file = folder / "bphcoffea-tls.pem"
    try:
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as opened:
            opened.write(made.tls_worker_cert + made.tls_worker_key)
        yield _security(str(file), str(file), str(file))
    finally:
        file.unlink(missing_ok=True)


def for_workers(security: Security, folder: str | None = None) -> Security:
    """Return certificates with the paths of a worker's machine, quoted for its shell.

    Parameters
    ----------
    security
        Certificates with the paths of this machine.
    folder
        Folder of the copies on the worker's machine, a shell expression; None if the paths are the
        same.
    """

    def worker_path(path: str) -> str:
        return f"{folder}/{Path(path).name}" if folder else shlex.quote(path)

    files = security.get_tls_config_for_role("worker")
    return _security(*(worker_path(files[name]) for name in ("ca_file", "cert", "key")))


def _security(ca: str, cert: str, key: str) -> Security:
    from distributed import Security

    roles = ("client", "scheduler", "worker")
    return Security(
        require_encryption=True,
        tls_ca_file=ca,
        **{f"tls_{role}_cert": cert for role in roles},
        **{f"tls_{role}_key": key for role in roles},
    )


@contextlib.contextmanager
def scratch_folder(facility: Facility) -> Iterator[Path]:
    """Make a private folder for Dask's temporary files on this machine.

    Another user could create Dask's own, ``dask-scratch-space``, in advance. Scheduler and nannies
    import modules from it, and workers spill data there. The folder is set in Dask's configuration,
    and removed at the end with its content.

    Raises
    ------
    FacilityError
        If the disk has no space for it.
    """
    option = facility.workers.options.get("local_directory") if facility.kind == "local" else None
    parent = option or dask.config.get("temporary-directory", None) or tempfile.gettempdir()
    top = Path(str(parent))
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(_private_folder(top))
            trial = folder / "trial"
            trial.write_bytes(os.urandom(SCRATCH))
            trial.unlink()
        except OSError as error:
            advice = "free some space, or set TMPDIR to another folder"
            raise _unwritable(facility, top, advice, error) from None
        stack.enter_context(dask.config.set({"temporary-directory": str(folder)}))
        yield folder


@contextlib.contextmanager
def shared_folder(facility: Facility) -> Iterator[Path]:
    """Make a folder for certificates that only jobs of the user can read.

    Raises
    ------
    FacilityError
        If it cannot be made.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    top = Path(facility.security.folder or cache / "bphcoffea")
    with contextlib.ExitStack() as stack:
        try:
            top.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = stack.enter_context(_private_folder(top))
        except OSError as error:
            advice = "set security.folder to one that the jobs share with this machine"
            raise _unwritable(facility, top, advice, error) from None
        yield folder


@contextlib.contextmanager
def _private_folder(top: Path) -> Iterator[Path]:
    """Make a private folder, and remove those of processes of this machine that were killed."""
    prefix = f"bphcoffea-{socket.gethostname()}-"
    for old in top.glob(f"{prefix}*"):
        process = old.name.removeprefix(prefix).partition("-")[0]
        with contextlib.suppress(OSError):  # another process may be removing it
            if old.lstat().st_uid == os.getuid() and not process_runs(process):
                shutil.rmtree(old)
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=top))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unwritable(facility: Facility, folder: Path, advice: str, error: OSError) -> FacilityError:
    reason = os.strerror(error.errno or errno.EIO)
    return FacilityError(f"{facility.name}: cannot write to {folder} ({reason}); {advice}")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host."""
    return host in {"localhost", "::1"} or host.startswith("127.")
