"""Folders of checkpoints: one for each run, below a place that many runs share.

Other files at that place are never touched.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeAlias

import fsspec

from bphcoffea.errors import InputError, RunError
from bphcoffea.results import RUN, RunFolder
from bphcoffea.storage import is_locked, lock_of, scheme_fault, user_cache

#: A file system of fsspec.
FileSystem: TypeAlias = fsspec.AbstractFileSystem
#: End of a checkpoint's name; while it is being written, a unique name and PART are appended.
SUFFIX: Final = ".pkl.lz4"
PART: Final = ".part"
#: File in each folder that says which run it belongs to.
DESCRIPTION: Final = "checkpoints.json"
_FOLDER: Final = re.compile(r"bphcoffea-[0-9a-f]{16}")
_CHECKPOINT: Final = re.compile(
    rf"[0-9a-f]{{64}}{re.escape(SUFFIX)}(\.[0-9a-f]{{32}}{re.escape(PART)})?"
)
#: Exceptions of file systems. An unknown scheme raises a ValueError, a missing package an
#: ImportError, and writing to a read-only file system a NotImplementedError.
STORAGE_ERRORS: Final = (OSError, ValueError, ImportError, NotImplementedError)
#: Age at which checkpoints of an abandoned run are pointed out, days.
OLD_DAYS: Final = 14
_DAY_S: Final = 86_400


def default_place() -> str | None:
    """Return the default place for checkpoints, in the user's cache; None if not writable."""
    folder = user_cache("checkpoints")
    return None if folder is None else str(folder)


def folder_for(place: str, results: str | Path) -> str:
    """Return the folder for the checkpoints of a run, below a place.

    Parameters
    ----------
    place
        Path, or URL that fsspec supports.
    results
        Folder of the run.

    Raises
    ------
    RunError
        If the place is the folder of the run, contains it, or lies inside it; or if its scheme
        cannot be used.
    """
    if fault := scheme_fault(place):
        raise RunError(f"{place}: cannot write checkpoints there: {fault}")
    path = Path(results).absolute()
    if (local := local_path(place)) is not None:
        resolved, run_folder = local.resolve(), path.resolve()
        if resolved.is_relative_to(run_folder) or run_folder.is_relative_to(resolved):
            raise RunError(
                f"{place}: cannot hold the checkpoints of a run with its results in {results}; "
                "choose a folder that neither contains the results nor lies inside them"
            )
    name = hashlib.sha256(f"{os.getuid()}:{path}".encode(errors="surrogateescape")).hexdigest()[:16]
    return _below(place if local is None else str(local), f"bphcoffea-{name}")


def _below(place: str, name: str) -> str:
    return f"{place}{name}" if place.endswith("/") else f"{place}/{name}"


def local_path(place: str) -> Path | None:
    """Return the path of a place on a local disk; None for another storage."""
    try:
        system, path = fsspec.url_to_fs(place)
    except STORAGE_ERRORS:
        return None
    return Path(path) if isinstance(system, fsspec.implementations.local.LocalFileSystem) else None


def failure_reason(error: BaseException) -> str:
    """Return in a few words why an operation of a file system failed."""
    if isinstance(error, NotImplementedError):
        return "its file system is read-only"
    return str(getattr(error, "strerror", None) or error).partition("\n")[0]


def describe(system: FileSystem, path: str, results: Path, analysis: str) -> None:
    """Write into a folder of checkpoints which run it belongs to."""
    description = {
        "results": str(results.absolute()),
        "host": socket.gethostname(),
        "analysis": analysis,
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    with system.open(f"{path}/{DESCRIPTION}", "wb") as file:
        file.write((json.dumps(description, indent=1) + "\n").encode())


def remove(system: FileSystem, path: str) -> None:
    """Remove the checkpoints in a folder, and the folder if nothing else is in it."""
    for file in _files(system, path):
        if _CHECKPOINT.fullmatch(_name(file["name"])):
            system.rm_file(file["name"])
    remaining = [_name(file["name"]) for file in _files(system, path)]
    if remaining == [DESCRIPTION]:
        system.rm_file(f"{path}/{DESCRIPTION}")
    if remaining in ([DESCRIPTION], []) and system.exists(path):
        system.rmdir(path)


def _files(system: FileSystem, path: str) -> list[dict[str, Any]]:
    # other processes also write there
    system.invalidate_cache()
    return list(system.ls(path, detail=True)) if system.exists(path) else []


def _name(path: str) -> str:
    return PurePosixPath(path.rstrip("/")).name


@dataclass(frozen=True)
class CheckpointFolder:
    """Folder with the checkpoints of a run.

    Attributes
    ----------
    place
        Path or URL of the folder.
    results
        Folder of the run.
    analysis
        Name of the analysis.
    age_days
        Time since the run began, days.
    size
        Total size of the checkpoints, bytes.
    state
        State of the run: ``complete``, ``incomplete``, ``no results``, or ``running``.
    """

    place: str
    results: str
    analysis: str
    age_days: float
    size: int
    state: str

    def remove(self) -> None:
        """Remove the checkpoints, and their folder if nothing else is in it.

        Raises
        ------
        RunError
            If that fails.
        """
        try:
            remove(*fsspec.url_to_fs(self.place))
        except STORAGE_ERRORS as error:
            raise RunError(f"{self.place}: cannot be removed ({failure_reason(error)})") from None


def list_checkpoints(place: str, older_than_days: float = 0) -> list[CheckpointFolder]:
    """Return the folders of checkpoints at a place, oldest first.

    Parameters
    ----------
    place
        Path, or URL that fsspec supports.
    older_than_days
        Minimum age, days.

    Raises
    ------
    RunError
        If the place cannot be listed.
    """
    if fault := scheme_fault(place):
        raise RunError(f"{place}: cannot be listed: {fault}")
    try:
        system, path = fsspec.url_to_fs(place)
        names = [file["name"] for file in _files(system, path) if file["type"] == "directory"]
        names = [name for name in names if _FOLDER.fullmatch(_name(name))]
        folders = [folder for name in names for folder in _described(system, place, name)]
    except STORAGE_ERRORS as error:
        raise RunError(f"{place}: cannot be listed ({failure_reason(error)})") from None
    old = [folder for folder in folders if folder.age_days >= older_than_days]
    return sorted(old, key=lambda folder: -folder.age_days)


def _described(system: FileSystem, place: str, folder: str) -> Iterator[CheckpointFolder]:
    files = _files(system, folder)
    if DESCRIPTION not in [_name(file["name"]) for file in files]:
        return
    with system.open(f"{folder}/{DESCRIPTION}", "rb") as file:
        content = file.read()
    try:
        description = json.loads(content)
        results, analysis = Path(description["results"]), str(description["analysis"])
        made = datetime.datetime.fromisoformat(description["made"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return
    yield CheckpointFolder(
        _below(place, _name(folder)),
        str(results),
        analysis,
        (time.time() - made) / _DAY_S,
        sum(file["size"] or 0 for file in files),
        _state(results),
    )


def _state(results: Path) -> str:
    if is_locked(lock_of(results, RUN)):
        return "running"
    try:
        return "complete" if RunFolder(results).complete else "incomplete"
    except InputError:
        return "no results"
