"""The doctor: whether a facility is ready for a run, and what to do where it is not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bphcoffea.errors import InputError
from bphcoffea.facilities import proxy as grid
from bphcoffea.facilities.clusters import cluster
from bphcoffea.facilities.facility import Facility
from bphcoffea.versions import PACKAGES

#: How long a server, and the first worker of a cluster, may take to answer, s.
SERVER_TIMEOUT = 10
WORKER_TIMEOUT = 120
_USUAL_CERTIFICATES = "/etc/grid-security/certificates"


@dataclass(frozen=True)
class Finding:
    """What was found out of one thing.

    Attributes
    ----------
    what
        That thing.
    fault
        What is wrong with it and what to do; None where it is well.
    detail
        What was found.
    """

    what: str
    fault: str | None = None
    detail: str = ""


def check(
    facility: Facility,
    hours: float = 0,
    address: str | None = None,
    stage_out: Callable[[str], None] | None = None,
) -> Iterator[Finding]:
    """Look at everything that a run at a facility needs, one after the other.

    Parameters
    ----------
    facility
        Which one.
    hours
        How long the grid proxy must be valid.
    address
        Of the scheduler, where the facility does not say.
    stage_out
        Makes sure that a URL can be written to.
    """
    yield _finding("grid proxy", partial(_proxy, facility, hours))
    if facility.proxy.required:
        yield _finding("certificate authorities", partial(_certificates, facility))
    for server in facility.storage.redirectors:
        yield _finding(f"redirector {server}", partial(_answers, server))
    if facility.storage.stage_out and stage_out:
        target = facility.storage.stage_out
        yield _finding(f"stage-out to {target}", partial(_can_be_written, stage_out, target))
    yield from _workers(facility, address)


def _finding(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, detail=look())
    except InputError as error:
        return Finding(what, fault=str(error))


def _proxy(facility: Facility, hours: float) -> str:
    proxy = grid.find_valid(hours, required=facility.proxy.required)
    if proxy is None:
        return "not needed"
    return f"{proxy.path}, valid for {proxy.remaining_s() / 3600:.1f} h"


def _certificates(facility: Facility) -> str:
    folder = Path(facility.proxy.certificates or _USUAL_CERTIFICATES)
    if not any(folder.glob("*.0")):
        state = "holds no certificates (*.0)" if folder.is_dir() else "there is no such folder"
        raise InputError(
            f"{folder}: {state}; set proxy.certificates to where the authorities' certificates "
            "are, on many machines /cvmfs/grid.cern.ch/etc/grid-security/certificates"
        )
    return str(folder)


def _answers(server: str) -> str:
    from XRootD import client

    status, _ = client.FileSystem(server).ping(timeout=SERVER_TIMEOUT)
    if not status.ok:
        said = " ".join(status.message.split())
        raise InputError(
            f"does not answer ({said}); is its address right, and is it up? "
            "Take it out of storage.redirectors, or put another one before it"
        )
    return "answers"


def _can_be_written(stage_out: Callable[[str], None], target: str) -> str:
    stage_out(target)
    return "can be written"


def _workers(facility: Facility, address: str | None) -> Iterator[Finding]:
    what = f"workers ({facility.kind})"
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(cluster(facility, 1, address))
            client.wait_for_workers(1, timeout=WORKER_TIMEOUT)
        except InputError as error:
            yield Finding(what, fault=str(error))
            return
        except TimeoutError:
            yield Finding(
                what,
                fault=f"none came within {WORKER_TIMEOUT} s; look at the batch system's queue, "
                f"and at the jobs' logs in {facility.workers.logs or 'the current folder'}",
            )
            return
        yield Finding(what, detail=f"{len(client.nthreads())} at {client.scheduler.address}")
        yield _finding("versions on the workers", partial(_same_versions, client))


def _same_versions(client: Any) -> str:
    found = client.get_versions(packages=PACKAGES)
    here = found["client"]["packages"]
    names = ("python", *PACKAGES)
    different = {
        f"{name} {here[name]} here, {there['packages'].get(name) or 'none'} on the workers"
        for there in found["workers"].values()
        for name in names
        if there["packages"].get(name) != here[name]
    }
    if different:
        raise InputError(
            f"{'; '.join(sorted(different))}: make both environments the same, "
            "or choose another image"
        )
    return ", ".join(f"{name} {here[name]}" for name in ("python", "bphcoffea", "coffea", "dask"))
