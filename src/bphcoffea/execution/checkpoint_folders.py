"""Where checkpoints lie: a folder of its own for each run, below a place that serves many.

Nothing else at that place is ever touched.
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
from typing import Any, Final

import fsspec

from bphcoffea.errors import InputError
from bphcoffea.results.folder import RUN, RunFolder
from bphcoffea.storage.locks import is_locked
from bphcoffea.storage.manifest import lock_of

#: End of a checkpoint's name; one that is being written has another name and PART appended.
SUFFIX: Final = ".pkl.lz4"
PART: Final = ".part"
#: File of each folder that says what it is for.
DESCRIPTION: Final = "checkpoints.json"
_FOLDER: Final = re.compile(r"bphcoffea-[0-9a-f]{16}")
_OWN_FILE: Final = re.compile(
    rf"[0-9a-f]{{64}}{re.escape(SUFFIX)}(\.[0-9a-f]{{32}}{re.escape(PART)})?"
)
#: Exceptions of file systems: unknown schemes are a ValueError, those whose package is missing an
#: ImportError, those that are read-only a NotImplementedError.
CANNOT: Final = (OSError, ValueError, ImportError, NotImplementedError)
#: After how many days checkpoints of a run that was given up are pointed out.
OLD_DAYS: Final = 14
_DAY_S: Final = 86_400


def default_place() -> str | None:
    """Return the place in the cache of the user's home; None if it can't be written."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    checkpoints = cache / "bphcoffea" / "checkpoints"
    try:
        checkpoints.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return str(checkpoints)


def folder_for(place: str, results: str | Path) -> str:
    """Return the folder for the checkpoints of a run, below a place.

    Parameters
    ----------
    place
        Folder: a path, or a URL that fsspec knows.
    results
        The folder of the run.

    Raises
    ------
    InputError
        When the place is the folder of the run, contains it, or lies inside.
    """
    path = Path(results).absolute()
    if (local := _local(place)) is not None:
        there, here = local.resolve(), path.resolve()
        if there.is_relative_to(here) or here.is_relative_to(there):
            raise InputError(
                f"{place}: is no place for the checkpoints of a run with its results in {results}; "
                "choose one that neither holds the results nor lies inside"
            )
    name = hashlib.sha256(f"{os.getuid()}:{path}".encode()).hexdigest()[:16]
    return _below(place if local is None else str(local), f"bphcoffea-{name}")


def _below(place: str, name: str) -> str:
    return f"{place}{name}" if place.endswith("/") else f"{place}/{name}"


def _local(place: str) -> Path | None:
    try:
        system, path = fsspec.url_to_fs(place)
    except CANNOT:
        return None
    return Path(path) if isinstance(system, fsspec.implementations.local.LocalFileSystem) else None


def because(error: BaseException) -> str:
    """Say in a few words why a file system could not do something."""
    if isinstance(error, NotImplementedError):
        return "nothing can be written to such a place"
    return str(getattr(error, "strerror", None) or error).partition("\n")[0]


def describe(system: Any, path: str, results: Path, analysis: str) -> None:
    """Write down what a folder of checkpoints is for.

    Parameters
    ----------
    system, path
        The folder, as fsspec knows it.
    results
        The folder of the run.
    analysis
        Its name.
    """
    about = {
        "results": str(results.absolute()),
        "host": socket.gethostname(),
        "analysis": analysis,
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    with system.open(f"{path}/{DESCRIPTION}", "wb") as file:
        file.write((json.dumps(about, indent=1) + "\n").encode())


def remove(system: Any, path: str) -> None:
    """Remove the checkpoints in a folder, and the folder if nothing else is in it.

    Parameters
    ----------
    system, path
        The folder, as fsspec knows it.
    """
    own = [file for file in _files(system, path) if _OWN_FILE.fullmatch(_name(file["name"]))]
    for file in own:
        system.rm_file(file["name"])
    left = [_name(file["name"]) for file in _files(system, path)]
    if left == [DESCRIPTION]:
        system.rm_file(f"{path}/{DESCRIPTION}")
    if left in ([DESCRIPTION], []) and system.exists(path):
        system.rmdir(path)


def _files(system: Any, path: str) -> list[dict[str, Any]]:
    # others write there, too
    system.invalidate_cache()
    return list(system.ls(path, detail=True)) if system.exists(path) else []


def _name(path: str) -> str:
    return PurePosixPath(path.rstrip("/")).name


@dataclass(frozen=True)
class Kept:
    """Checkpoints of a run.

    Attributes
    ----------
    place
        Their folder.
    results
        The folder of the run.
    analysis
        Its name.
    age_days
        Time since the run began, days.
    size
        Of all checkpoints together, bytes.
    state
        What is known of the run: ``complete``, ``incomplete``, ``no results``, or ``running``.
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
        InputError
            When that fails.
        """
        try:
            remove(*fsspec.url_to_fs(self.place))
        except CANNOT as error:
            raise InputError(f"{self.place}: cannot be removed ({because(error)})") from None


def kept_at(place: str, older_than_days: float = 0) -> list[Kept]:
    """List the folders of checkpoints at a place, oldest first.

    Parameters
    ----------
    place
        Folder: a path, or a URL that fsspec knows.
    older_than_days
        Leave out younger ones, days.

    Raises
    ------
    InputError
        When the place can't be listed.
    """
    try:
        system, path = fsspec.url_to_fs(place)
        folders = [each["name"] for each in _files(system, path) if each["type"] == "directory"]
        own = [folder for folder in folders if _FOLDER.fullmatch(_name(folder))]
        found = [kept for folder in own for kept in _kept(system, place, folder)]
    except CANNOT as error:
        raise InputError(f"{place}: cannot be listed ({because(error)})") from None
    old = [kept for kept in found if kept.age_days >= older_than_days]
    return sorted(old, key=lambda kept: -kept.age_days)


def _kept(system: Any, place: str, folder: str) -> Iterator[Kept]:
    files = _files(system, folder)
    if DESCRIPTION not in [_name(file["name"]) for file in files]:
        return
    with system.open(f"{folder}/{DESCRIPTION}", "rb") as file:
        content = file.read()
    try:
        about = json.loads(content)
        results, analysis = Path(about["results"]), str(about["analysis"])
        made = datetime.datetime.fromisoformat(about["made"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return
    yield Kept(
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
