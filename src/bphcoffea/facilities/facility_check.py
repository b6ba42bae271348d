"""Check that a facility is ready for a run, and say how to mend what is not."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bphcoffea.errors import FacilityError, InputError
from bphcoffea.facilities.clusters import cluster
from bphcoffea.facilities.credentials import find_valid
from bphcoffea.facilities.facility import Facility
from bphcoffea.storage import Credential
from bphcoffea.versions import PACKAGES

if TYPE_CHECKING:
    from distributed import Client

#: Time that a server, and the first worker of a cluster, may take to answer, s.
SERVER_TIMEOUT = 10
WORKER_TIMEOUT = 120
_USUAL_CERTIFICATES = "/etc/grid-security/certificates"


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes
    ----------
    subject
        What was checked, such as ``credentials``.
    fault
        Error with its remedy; None if there is none.
    detail
        Result of a check without error, such as the time until a proxy expires.
    """

    subject: str
    fault: InputError | None = None
    detail: str = ""


def check(
    facility: Facility,
    hours: float = 0,
    address: str | None = None,
    stage_out: Callable[[str], None] | None = None,
) -> Iterator[Finding]:
    """Check everything that a run at a facility needs, one thing after the other.

    Parameters
    ----------
    facility
        Facility to check.
    hours
        Time for which the grid proxy must, and a bearer token should, be valid, h.
    address
        Address of a running scheduler, if the facility has none.
    stage_out
        Function that raises an error if a URL cannot be written to.
    """
    yield _finding("credentials", partial(_credentials, facility, hours))
    if facility.proxy.required:
        yield _finding("certificate authorities", partial(_certificates, facility))
    for server in facility.storage.redirectors:
        yield _finding(f"redirector {server}", partial(_answers, server))
    if facility.storage.stage_out and stage_out:
        target = facility.storage.stage_out
        yield _finding(f"stage-out to {target}", partial(_can_be_written, stage_out, target))
    yield from _workers(facility, address)


def _finding(subject: str, check_subject: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, detail=check_subject())
    except InputError as error:
        return Finding(subject, fault=error)


def _credentials(facility: Facility, hours: float) -> str:
    found = find_valid(hours, required=facility.proxy.required)
    return "; ".join(map(_described, found)) or "not needed"


def _described(credential: Credential) -> str:
    hours = credential.remaining_s() / 3600
    lifetime = "of unknown lifetime" if math.isinf(hours) else f"valid for {hours:.1f} h"
    return f"{credential.KIND} {credential.source}, {lifetime}"


def _certificates(facility: Facility) -> str:
    folder = Path(facility.proxy.certificates or _USUAL_CERTIFICATES)
    if not any(folder.glob("*.0")):
        state = "contains no certificates (*.0)" if folder.is_dir() else "no such folder"
        raise FacilityError(
            f"{folder}: {state}; set proxy.certificates to the folder of the certificate "
            "authorities, on many machines /cvmfs/grid.cern.ch/etc/grid-security/certificates"
        )
    return str(folder)


def _answers(server: str) -> str:
    from XRootD import client

    status, _ = client.FileSystem(server).ping(timeout=SERVER_TIMEOUT)
    if not status.ok:
        message = " ".join(status.message.split())
        raise FacilityError(
            f"does not answer ({message}); is its address right, and is it up? "
            "Remove it from storage.redirectors, or put another one before it"
        )
    return "answers"


def _can_be_written(stage_out: Callable[[str], None], target: str) -> str:
    stage_out(target)
    return "can be written"


def _workers(facility: Facility, address: str | None) -> Iterator[Finding]:
    subject = f"workers ({facility.kind})"
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(cluster(facility, 1, address))
            client.wait_for_workers(1, timeout=WORKER_TIMEOUT)
        except InputError as error:
            yield Finding(subject, fault=error)
            return
        except TimeoutError:
            logs = facility.workers.logs or "the current folder"
            late = FacilityError(
                f"none started within {WORKER_TIMEOUT} s; look at the queue of the batch system, "
                f"and at the logs of the jobs in {logs}"
            )
            yield Finding(subject, fault=late)
            return
        yield Finding(subject, detail=f"{len(client.nthreads())} at {client.scheduler.address}")
        yield _finding("versions on the workers", partial(_same_versions, client))


def _same_versions(client: Client) -> str:
    versions = client.get_versions(packages=PACKAGES)
    local = versions["client"]["packages"]
    names = ("python", *PACKAGES)
    different = {
        f"{name} {local[name]} here, {worker['packages'].get(name) or 'none'} on the workers"
        for worker in versions["workers"].values()
        for name in names
        if worker["packages"].get(name) != local[name]
    }
    if different:
        raise FacilityError(
            f"{'; '.join(sorted(different))}: make both environments the same, "
            "or choose another image"
        )
    return ", ".join(f"{name} {local[name]}" for name in ("python", "bphcoffea", "coffea", "dask"))
