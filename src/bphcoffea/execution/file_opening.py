"""Opening many files in parallel, to check them or to compare them with their checksums."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from bphcoffea.datasets import (
    ChecksumReport,
    FileReport,
    FileToCompare,
    FileToOpen,
    KnownFiles,
    compare,
    inspect,
)
from bphcoffea.execution.executors.engines import Engine
from bphcoffea.storage import ONCE, Retries

#: A file to open or to compare, and the report on it.
File = TypeVar("File", FileToOpen, FileToCompare)
Report = TypeVar("Report", FileReport, ChecksumReport)


def open_files(
    files: list[FileToOpen],
    running: Engine,
    retries: Retries = ONCE,
    description: str = "Opening files",
    known: KnownFiles | None = None,
) -> list[FileReport]:
    """Open files in parallel, and return the reports in the order of the files.

    Files that are known from earlier runs, and did not change, are not opened.
    """

    def if_killed(file: FileToOpen, reason: str, attempts: int) -> list[FileReport]:
        return [FileReport(file, file.entries, faults=(reason,) * attempts)]

    known = known or KnownFiles(None)
    reports, to_open = known.lookup(files)
    inspecting = partial(inspect, retries)
    opened = _in_parallel(to_open, running, inspecting, if_killed, description)
    known.remember(opened)
    order = {file: position for position, file in enumerate(files)}
    return sorted((*reports, *opened), key=lambda report: order[report.file])


def compare_checksums(
    files: list[FileToCompare], running: Engine, retries: Retries = ONCE
) -> list[ChecksumReport]:
    """Compare files with their checksums in parallel, and return the reports in their order."""

    def if_killed(file: FileToCompare, reason: str, attempts: int) -> list[ChecksumReport]:
        return [ChecksumReport(file, None, (f"no checksum ({reason}; tried {attempts} times)",))]

    return _in_parallel(files, running, partial(compare, retries), if_killed, "Comparing checksums")


def _in_parallel(
    files: list[File],
    running: Engine,
    function: Callable[[File], list[Report]],
    if_killed: Callable[[File, str, int], list[Report]],
    description: str,
) -> list[Report]:
    if not files:
        return []
    executor = running.executor.copy(desc=description, unit="file")
    if hasattr(executor, "if_killed"):
        executor.if_killed, executor.halve = if_killed, _indivisible
    reports: list[Report] = executor(files, function, [])[0]
    order: dict[object, int] = {file: position for position, file in enumerate(files)}
    return sorted(reports, key=lambda report: order[report.file])


def _indivisible(_file: File) -> tuple[File, ...]:
    return ()
