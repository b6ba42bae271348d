"""Grid proxy and bearer token: find them, check how long they are valid, send them to the workers.

Each worker receives them in a message, and keeps each in a file that only its owner can read, in
memory or on a local disk. They are not part of a job script, a task or a plugin: the scheduler
passes them on, but does not keep them.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bphcoffea.errors import FacilityError
from bphcoffea.periodic import repeating
from bphcoffea.storage import BearerToken, Credential, Proxy, usual_proxy

if TYPE_CHECKING:
    from distributed import Client

_log = logging.getLogger(__name__)

#: Permissions of everyone but the owner.
_OTHERS = 0o077
#: Time between two looks for workers without the credentials, and for renewed ones, s.
_LOOK_EVERY = 0.5
#: Time that a worker waits for the credentials before it reads without them, s.
_PATIENCE = 60.0


class ShortProxyError(FacilityError):
    """The grid proxy is valid, but not for as long as requested."""


def check_validity(credential: Credential, hours: float = 0) -> None:
    """Check that a credential is valid for a number of hours.

    A bearer token that expires earlier is only reported, because other programs renew it.

    Raises
    ------
    FacilityError
        If it has expired; :class:`ShortProxyError` if a proxy is valid for a shorter time.
    """
    remaining = credential.remaining_s()
    if remaining > 0 and remaining >= 3600 * hours:
        return
    # a token may claim any number
    end = datetime.datetime.fromtimestamp(max(credential.expires(), 0))
    expires = "expired" if remaining <= 0 else "expires"
    message = f"{credential.source}: the {credential.KIND} {expires} at {end:%Y-%m-%d %H:%M}"
    if remaining <= 0:
        raise FacilityError(f"{message}; {credential.REMEDY}")
    message += f", in {remaining / 3600:.1f} h, but {hours:g} h are requested"
    if isinstance(credential, Proxy):
        raise ShortProxyError(f"{message}; renew it, or request less")
    _log.warning("%s; it must be renewed in a file (BEARER_TOKEN_FILE) during the run", message)


def find_valid(hours: float, *, required: bool) -> list[Credential]:
    """Return the user's proxy and token, if there are any, which must be valid for some hours.

    One at its usual place that is not valid is ignored, unless one is required and there is no
    other. A token that expires too soon is reported with a warning, because it can be renewed.

    Raises
    ------
    FacilityError
        If one that a variable selects cannot be read or is not valid, or if one is required and
        none is valid.
    """
    found: list[Credential] = []
    fault = FacilityError(
        f"no grid proxy: X509_USER_PROXY is not set and {usual_proxy()} does not exist; "
        f"{Proxy.REMEDY}, or provide a bearer token"
    )
    for credential in filter(None, (BearerToken.find(), Proxy.find())):
        try:
            check_validity(credential, hours)
        except FacilityError as error:
            if any(os.environ.get(variable) for variable in credential.VARIABLES):
                raise
            fault = error
        else:
            found.append(credential)
    if required and not found:
        raise fault
    return found


def install(contents: Mapping[str, bytes], certificates: str | None = None) -> None:
    """Store credentials on this worker, and set the variables by which clients find them.

    Parameters
    ----------
    contents
        Content of each file, by the variable that is to contain its path.
    certificates
        Folder of the certificate authorities.
    """
    folder = _private_folder()
    for variable, content in contents.items():
        path = folder / variable
        part = path.with_suffix(".part")
        with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        part.rename(path)
        os.environ[variable] = str(path)
    if "BEARER_TOKEN_FILE" in contents:
        os.environ.pop("BEARER_TOKEN", None)  # an older one, which would precede the file
    if certificates:
        os.environ["X509_CERT_DIR"] = certificates
    _installed.set()


def wait() -> None:
    """Wait until the client has sent the credentials to this worker.

    If they do not come, reading goes on without them, and fails with a message of its own. A
    process waits only once.
    """
    if not _installed.wait(_PATIENCE):
        _installed.set()


#: Set when this process, a worker, has the credentials or no longer waits for them.
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
def shipping(
    client: Client, credentials: Sequence[Credential], certificates: str | None = None
) -> Iterator[None]:
    """Send credentials to all present and later workers of a cluster, and again when renewed.

    Parameters
    ----------
    client
        Client of the cluster.
    credentials
        The user's proxy, token, or both.
    certificates
        Folder of the certificate authorities on the workers; None for their machines' default.
    """
    sent: dict[str, str] = {}  # hash of the credentials that a worker has, by its address

    def ship() -> None:
        with contextlib.suppress(FacilityError):  # while one is being renewed
            contents = {each.VARIABLES[-1]: each.read() for each in credentials}
            digest = hashlib.sha256(b"".join(contents.values())).hexdigest()
            workers = client.scheduler_info(n_workers=-1)["workers"]
            lacking = [worker for worker in workers if sent.get(worker) != digest]
            if lacking:
                answers = client.run(
                    install, contents, certificates, workers=lacking, on_error="ignore"
                )
                sent.update(dict.fromkeys(answers, digest))

    def ship_again() -> None:
        try:
            ship()
        except (OSError, TimeoutError):  # the cluster is ending, or gone
            time.sleep(_LOOK_EVERY)

    ship()
    with repeating(ship_again, _LOOK_EVERY, "credentials"):
        yield
