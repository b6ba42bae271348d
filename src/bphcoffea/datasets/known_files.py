"""Reports on sound files, kept between runs, so that files that did not change need not be opened.

A file is the same if its storage reports the same size and time stamps
(:func:`bphcoffea.storage.identity`). Whoever reads a chunk still compares the UUID of the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from bphcoffea import storage
from bphcoffea.datasets.file_check import FileReport, FileToOpen, is_unchanged
from bphcoffea.redaction import redacted
from bphcoffea.versions import source_sha256, versions

#: Time after which reports that no run asked for are removed, s.
_KEPT_S: Final = 30 * 86_400
#: Fields of a report that are kept; the others are those of a sound file.
_KEPT: Final = ("entries", "held", "lacking", "identity", "unprotected", "form")
#: Fields of a file that differ between the files of a request, or are compared with its report.
_OF_FILE: Final = {"dataset", "path", "entries", "replicas", "uuid", "known"}

#: Kept reports by the path of the file, without secrets.
_Reports = dict[str, dict[str, Any]]


class KnownFiles:
    """Reports on files that earlier runs have opened.

    There is one JSON file for all files of which the same was asked: the same tree and branches, by
    the same version of this package. Runs may read and write it at the same time.

    Parameters
    ----------
    folder
        Folder of the reports; None to keep nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._paths: dict[str, Path] = {}

    def lookup(self, files: Iterable[FileToOpen]) -> tuple[list[FileReport], list[FileToOpen]]:
        """Return reports on files that did not change, and the files that are to be opened.

        A file that only a worker can see has the report of an earlier run as ``known``, so that
        the worker can decide.
        """
        kept: dict[Path, _Reports] = {}
        reports, to_open = [], []
        for file in files:
            path = self._path(file)
            if path is not None and path not in kept:
                kept[path] = _read(path)
            known = _known(file, kept[path]) if path is not None else None
            if known is not None and not storage.host(file.path) and is_unchanged(known):
                reports.append(known)
            else:
                to_open.append(replace(file, known=known))
        for path in kept:
            with contextlib.suppress(OSError):
                os.utime(path)
        return reports, to_open

    def remember(self, reports: Iterable[FileReport]) -> None:
        """Keep the reports on sound files; a full disk is ignored."""
        by_path: dict[Path, _Reports] = {}
        for report in reports:
            path = self._path(report.file)
            if path is not None and _is_sound(report) and report.uuid is not None:
                content = {key: getattr(report, key) for key in _KEPT}
                content["uuid"] = report.uuid.hex()
                by_path.setdefault(path, {})[redacted(report.file.path)] = content
        for path, content in by_path.items():
            with (
                contextlib.suppress(OSError),
                storage.locked(path.with_suffix(".lock"), "another run writes there", wait=True),
            ):
                known = _read(path)
                if known == known | json.loads(json.dumps(content)):
                    continue
                storage.write_whole(path, json.dumps(known | content).encode(), 0o600)
                _remove_old(path.parent)

    def _path(self, file: FileToOpen) -> Path | None:
        """Return the file of the reports on all files of which the same is asked."""
        if self._folder is None:
            return None
        asked = json.dumps(
            {key: value for key, value in vars(file).items() if key not in _OF_FILE}, default=repr
        )
        if asked not in self._paths:
            content = json.dumps([source_sha256(), versions(), asked])
            name = hashlib.sha256(content.encode()).hexdigest()[:32]
            self._paths[asked] = self._folder / f"{name}.json"
        return self._paths[asked]


def _is_sound(report: FileReport) -> bool:
    is_first = report.used == report.file.path and not report.faults
    return is_first and not report.problems and bool(report.identity)


def _known(file: FileToOpen, reports: Mapping[str, Mapping[str, Any]]) -> FileReport | None:
    """Return the kept report on a file, if it agrees with the fileset."""
    try:
        content = dict(reports[redacted(file.path)])
        uuid = UUID(hex=content.pop("uuid"))
        report = FileReport(file, uuid=uuid.bytes, used=file.path, **content)
    except (KeyError, TypeError, ValueError):
        return None
    report = replace(report, held=tuple(report.held), lacking=tuple(report.lacking))
    if file.entries not in (None, report.entries):
        return None
    with contextlib.suppress(ValueError):
        if file.uuid is None or UUID(file.uuid) == uuid:
            return report
    return None


def _read(path: Path) -> _Reports:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _remove_old(folder: Path) -> None:
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - _KEPT_S:
                path.unlink()
