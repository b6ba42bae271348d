"""Certificates and private folders, which keep other users out of a cluster."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask

from bphcoffea.errors import InputError
from bphcoffea.facilities.facility import Facility
from bphcoffea.facilities.options import listen
from bphcoffea.facilities.proxy import process_runs

#: Room that a cluster needs on this machine to start, bytes; workers may spill more later.
SCRATCH = 1_000_000


def given_certificates(facility: Facility) -> Any:
    """``distributed.Security`` with the certificates of the facility's file; None without.

    Raises
    ------
    InputError
        When one of them can't be read.
    """
    files = {name: getattr(facility.security, name) for name in ("ca", "cert", "key")}
    if not all(files.values()):
        return None
    for name, file in files.items():
        if not os.access(file, os.R_OK) or not Path(file).is_file():
            raise InputError(f"{facility.name}: security.{name}: cannot read {file}; is it there?")
    return _security(**files)


@contextlib.contextmanager
def certificates(facility: Facility, folder: Path) -> Iterator[Any]:
    """Certificates for scheduler, workers and client of a cluster that is started here.

    Parameters
    ----------
    facility
        Its file may give them or turn TLS off, which is said at the terminal.
    folder
        Private folder for certificates that are made, with their key; gone at the end.

    Yields
    ------
    distributed.Security
        With paths of files; None without TLS.
    """
    given = given_certificates(facility)
    if given is not None or not facility.security.tls:
        if given is None:
            host, _ = listen(facility)
            who = "every user of this machine" if is_loopback(host) else f"whoever reaches {host}"
            print(
                f"{facility.name}: security.tls is false, so {who} can run code as you",
                file=sys.stderr,
            )
        yield given
        return
    from distributed import Security

    made = Security.temporary()
    # one file is enough: the certificate is its own authority, and OpenSSL finds the key in it
    file = folder / "bphcoffea-tls.pem"
    try:
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as opened:
            opened.write(made.tls_worker_cert + made.tls_worker_key)
        yield _security(str(file), str(file), str(file))
    finally:
        file.unlink(missing_ok=True)


def for_workers(security: Any, folder: str | None = None) -> Any:
    """The same certificates as the command line of a worker names them, quoted for its shell.

    Parameters
    ----------
    security
        With paths of files.
    folder
        Where the worker finds copies, in shell; None if the paths are the same there.
    """

    def there(path: str) -> str:
        return f"{folder}/{Path(path).name}" if folder else shlex.quote(path)

    files = security.get_tls_config_for_role("worker")
    return _security(there(files["ca_file"]), there(files["cert"]), there(files["key"]))


def _security(ca: str, cert: str, key: str) -> Any:
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
    """Make a folder for what Dask writes on this machine, which only the user may enter.

    Dask's own, ``dask-scratch-space``, can be made by anyone before. Scheduler and nannies import
    modules from it, and workers keep there what they have spilled. The folder is set in Dask's
    configuration, and removed at the end with all that is in it.

    Raises
    ------
    InputError
        When there is no room for it.
    """
    asked = facility.workers.options.get("local_directory") if facility.kind == "local" else None
    top = Path(asked or dask.config.get("temporary-directory", None) or tempfile.gettempdir())
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(_private_folder(top))
            trial = folder / "trial"
            trial.write_bytes(os.urandom(SCRATCH))
            trial.unlink()
        except OSError as error:
            advice = "make room there, or let TMPDIR name another folder"
            raise _no_room(facility, top, advice, error) from None
        stack.enter_context(dask.config.set({"temporary-directory": str(folder)}))
        yield folder


@contextlib.contextmanager
def shared_folder(facility: Facility) -> Iterator[Path]:
    """Make a folder for certificates where jobs can read it, and nobody but the user.

    Raises
    ------
    InputError
        When it can't be made.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    top = Path(facility.security.folder or cache / "bphcoffea")
    with contextlib.ExitStack() as stack:
        try:
            top.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = stack.enter_context(_private_folder(top))
        except OSError as error:
            advice = "let security.folder name one that the jobs share with this machine"
            raise _no_room(facility, top, advice, error) from None
        yield folder


@contextlib.contextmanager
def _private_folder(top: Path) -> Iterator[Path]:
    """Make a folder; those that processes of this machine left when they were killed go."""
    mark = f"bphcoffea-{socket.gethostname()}-"
    for left in top.glob(f"{mark}*"):
        process = left.name.removeprefix(mark).partition("-")[0]
        with contextlib.suppress(OSError):  # another process removes it as well
            if left.lstat().st_uid == os.getuid() and not process_runs(process):
                shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=f"{mark}{os.getpid()}-", dir=top))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _no_room(facility: Facility, place: str | Path, advice: str, error: OSError) -> InputError:
    reason = os.strerror(error.errno or errno.EIO)
    return InputError(f"{facility.name}: cannot write to {place} ({reason}); {advice}")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    return host in {"localhost", "::1"} or host.startswith("127.")
