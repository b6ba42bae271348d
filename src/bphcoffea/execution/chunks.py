"""Opening the files of a fileset, and cutting what they hold into chunks."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from coffea.processor.executor import WorkItem

from bphcoffea.analysis import Analysis
from bphcoffea.analysis.tracing import required_branches
from bphcoffea.datasets.check import FileReport, FileToOpen, files_of, inspect
from bphcoffea.datasets.model import FileEntry, Fileset
from bphcoffea.errors import InputError
from bphcoffea.execution.executors import Engine
from bphcoffea.execution.ledger import FILE, REPLICAS, Detour, Failure
from bphcoffea.storage.servers import ONCE, Retries


@dataclass(frozen=True)
class Plan:
    """What a run is to process.

    Attributes
    ----------
    chunks
        In the order of the fileset.
    unopened
        What would have been processed, had its file been opened.
    detours
        Files that were opened, but not at the first try.
    dataset_events
        Events of all files of each dataset; None where the length of a file is not known.
    """

    chunks: list[WorkItem]
    unopened: list[Failure]
    detours: list[Detour]
    dataset_events: dict[str, int | None]


def find_chunks(
    analysis: Analysis,
    fileset: Fileset,
    running: Engine,
    chunksize: int,
    max_chunks: int | None = None,
    retries: Retries = ONCE,
) -> Plan:
    """Open all files, check that they hold what the analysis needs, and cut them into chunks.

    Raises
    ------
    InputError
        When files are unfit, or none can be opened; every problem of every file in a line of its
        own.
    """
    metadata = {name: dataset.metadata.model_dump() for name, dataset in fileset.root.items()}
    branches = {name: required_branches(analysis, known) for name, known in metadata.items()}
    # no file gives less than one chunk
    files = files_of(fileset, branches, max_chunks)
    reports = open_files(files, running, retries)
    unfit = [
        line for report in reports for line in (*report.lines(), *_steps_beyond(fileset, report))
    ]
    unopened = [report for report in reports if report.unreadable]
    if any(report.problems or _steps_beyond(fileset, report) for report in reports) or (
        len(unopened) == len(reports)
    ):
        raise InputError("\n".join(unfit))
    if unopened:
        print(
            f"bphcoffea: warning: {len(unopened)} of {len(reports)} files cannot be opened; "
            "the others are processed",
            file=sys.stderr,
        )
    plan = Plan([], [], [], _events(fileset, reports))
    for name in fileset.names:
        pieces: list[WorkItem | Failure] = []
        for report in (report for report in reports if report.file.dataset == name):
            entry = fileset[name].files[report.file.path]
            if report.unreadable:
                pieces += _failures(report, entry)
                continue
            pieces += _chunks(report, entry, metadata[name], chunksize)
            if report.faults:
                plan.detours.append(_detour(report))
        for piece in pieces[:max_chunks]:
            of_its_kind: list[Any] = plan.unopened if isinstance(piece, Failure) else plan.chunks
            of_its_kind.append(piece)
    return plan


def _events(fileset: Fileset, reports: Sequence[FileReport]) -> dict[str, int | None]:
    opened = {(report.file.dataset, report.file.path): report.entries for report in reports}
    events: dict[str, int | None] = {}
    for name, dataset in fileset.root.items():
        lengths = [
            opened.get((name, path)) if opened.get((name, path)) is not None else entry.num_entries
            for path, entry in dataset.files.items()
        ]
        known = [length for length in lengths if length is not None]
        events[name] = sum(known) if len(known) == len(lengths) else None
    return events


def open_files(
    files: list[FileToOpen], running: Engine, retries: Retries = ONCE
) -> list[FileReport]:
    """Open files, in parallel; the reports are in the order of the files."""
    executor = running.executor.copy(desc="Opening files", unit="file")
    if hasattr(executor, "if_killed"):
        executor.if_killed = _report_of_killer
    reports: list[FileReport] = executor(files, partial(inspect, retries), [])[0]
    order = {file: position for position, file in enumerate(files)}
    return sorted(reports, key=lambda report: order[report.file])


def _report_of_killer(file: FileToOpen, reason: str, attempts: int) -> list[FileReport]:
    return [FileReport(file, file.entries, faults=(reason,) * attempts)]


def _steps_beyond(fileset: Fileset, report: FileReport) -> list[str]:
    steps = fileset[report.file.dataset].files[report.file.path].steps
    if not steps or report.entries is None or steps[-1][1] <= report.entries:
        return []
    return [
        f"dataset '{report.file.dataset}', {report.file.path}: the fileset's steps reach "
        f"to entry {steps[-1][1]}, but the tree has {report.entries}"
    ]


def _chunks(
    report: FileReport, entry: FileEntry, metadata: dict[str, Any], chunksize: int
) -> Iterator[WorkItem]:
    file = report.file
    others = tuple(place for place in (file.path, *entry.replicas) if place != report.used)
    known = metadata | {FILE: file.path, REPLICAS: others}
    for start, stop in cut(report.entries or 0, entry.steps, chunksize):
        yield WorkItem(file.dataset, report.used, file.tree, start, stop, report.uuid, known)


def cut(
    entries: int, steps: Sequence[tuple[int, int]] | None, chunksize: int
) -> Iterator[tuple[int, int]]:
    """Ranges of about the chunk size that make up the steps; one empty range for an empty file."""
    for first, last in [(0, entries)] if steps is None else steps:
        pieces = max(round((last - first) / chunksize), 1)
        size = max(math.ceil((last - first) / pieces), 1)
        yield from ((start, min(start + size, last)) for start in range(first, last, size))
    if entries == 0:
        yield 0, 0


def _failures(report: FileReport, entry: FileEntry) -> Iterator[Failure]:
    for start, stop in entry.steps or [(0, report.entries)]:
        yield Failure(
            report.file.dataset,
            report.file.path,
            start,
            stop,
            str(report.unreadable),
            len(report.faults),
        )


def _detour(report: FileReport) -> Detour:
    return Detour(
        report.file.dataset,
        report.file.path,
        0,
        report.entries or 0,
        report.used,
        len(report.faults) + 1,
        report.faults[0],
    )
