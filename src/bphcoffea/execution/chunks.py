"""Opening the files of a fileset, and cutting what they hold into chunks."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from coffea.processor.executor import WorkItem

from bphcoffea.analysis import Analysis
from bphcoffea.analysis.branch_needs import HELD
from bphcoffea.datasets import Dataset, FileEntry, Fileset
from bphcoffea.datasets.checksums import ChecksumReport, FileToCompare, compare
from bphcoffea.datasets.file_check import FileReport, FileToOpen, files_of, inspect
from bphcoffea.datasets.file_differences import compare_files
from bphcoffea.errors import InputError
from bphcoffea.execution.executors.engine import Engine
from bphcoffea.processing.tracing import branch_needs
from bphcoffea.redaction import redacted
from bphcoffea.results.ledger import FILE, IDENTITY, REPLICAS, Failure, Recovery
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
        Events of all files of each dataset, whether they were asked for or not; None if it is not
        known how many there are.
    notes
        What a user must know of the files, one line each.
    """

    chunks: list[WorkItem]
    unopened: list[Failure]
    detours: list[Recovery]
    dataset_events: dict[str, int | None]
    notes: list[str]


def find_chunks(
    analysis: Analysis,
    fileset: Fileset,
    running: Engine,
    chunksize: int,
    max_chunks: int | None = None,
    retries: Retries = ONCE,
) -> Plan:
    """Open all files, check that they hold what the analysis needs, and cut them into chunks.

    Of a partial run (``max_chunks``) files that are not asked for are opened only to count their
    events, and not even that if the fileset says how many they have.

    Raises
    ------
    InputError
        When files are unfit, none can be opened, or nothing is asked for; every problem of every
        file in a line of its own.
    """
    metadata = {name: dataset.metadata.model_dump() for name, dataset in fileset.root.items()}
    needs = {name: branch_needs(analysis, known) for name, known in metadata.items()}
    files = files_of(fileset, needs)
    passed_over = _not_to_open(fileset, files, max_chunks)
    reports = open_files([file for file in files if file not in passed_over], running, retries)
    compared = compare_files(fileset, reports, needs, {file.dataset for file in passed_over})
    plan = Plan([], [], [], {}, [*compared.notes, *unprotected(reports)])
    unfit: list[str] = []
    for name in fileset.names:
        own = [report for report in reports if report.file.dataset == name]
        known = metadata[name] | {HELD: compared.held[name]}
        absent = analysis.absences(known)
        if absent and own:
            steps = ", ".join(f"{step} ({reason})" for step, reason in absent.items())
            plan.notes.append(f"dataset '{name}': absent steps and columns: {steps}")
        unfit += _add(plan, fileset[name], own, known, chunksize, max_chunks)
        events = plan.dataset_events[name] = _events_of(fileset[name], own)
        if events and all(entry.steps == () for entry in fileset[name].files.values()):
            plan.notes.append(
                f"dataset '{name}': the fileset's steps ask for none of its {events:,} events"
            )
    if unfit or compared.problems or (plan.unopened and not plan.chunks):
        unreadable = [line for r in reports if r.unreadable for line in r.lines()]
        raise InputError("\n".join((*unreadable, *unfit, *compared.problems)))
    if not plan.chunks and any(plan.dataset_events.values()):
        raise InputError("\n".join((*plan.notes, "there is nothing to read: see 'steps' above")))
    if plan.unopened:
        missing = {(failure.dataset, failure.file) for failure in plan.unopened}
        print(
            f"bphcoffea: warning: {len(missing)} of {len(reports)} files cannot be opened; "
            "the others are processed",
            file=sys.stderr,
        )
    return plan


def _add(
    plan: Plan,
    dataset: Dataset,
    reports: Sequence[FileReport],
    metadata: dict[str, Any],
    chunksize: int,
    max_chunks: int | None,
) -> list[str]:
    """Add the chunks of a dataset, and its files that can't be opened, to a plan.

    Returns
    -------
    Problems of the files that are asked for, one line each.
    """
    pieces: list[WorkItem | Failure] = []
    unfit: list[str] = []
    for report in reports:
        if max_chunks is not None and len(pieces) >= max_chunks:
            break
        entry = dataset.files[report.file.path]
        wrong = [*report.lines(), *_steps_beyond(entry, report)]
        if report.unreadable:
            pieces += _failures(report, entry)
        elif wrong:
            unfit += wrong
        else:
            pieces += _chunks(report, entry, metadata, chunksize)
            if report.faults:
                plan.detours.append(_detour(report))
    for piece in pieces[:max_chunks]:
        of_its_kind: list[Any] = plan.unopened if isinstance(piece, Failure) else plan.chunks
        of_its_kind.append(piece)
    return unfit


def _not_to_open(
    fileset: Fileset, files: Sequence[FileToOpen], max_chunks: int | None
) -> set[FileToOpen]:
    """Files beyond the requested number of chunks whose number of entries is already known."""
    passed_over: set[FileToOpen] = set()
    certain: Counter[str] = Counter()
    for file in files:
        if max_chunks is not None and certain[file.dataset] >= max_chunks:
            if file.entries is not None:
                passed_over.add(file)
            continue
        # a file with entries gives at least one chunk
        if file.entries and fileset[file.dataset].files[file.path].steps != ():
            certain[file.dataset] += 1
    return passed_over


def _events_of(dataset: Dataset, reports: Sequence[FileReport]) -> int | None:
    """Events of all files of a dataset; None if it is not known how many there are."""
    counts = {path: entry.num_entries for path, entry in dataset.files.items()}
    counts |= {r.file.path: r.entries for r in reports if r.entries is not None}
    known = [count for count in counts.values() if count is not None]
    return sum(known) if len(known) == len(counts) else None


def open_files(
    files: list[FileToOpen], running: Engine, retries: Retries = ONCE
) -> list[FileReport]:
    """Open files, in parallel; the reports are in the order of the files."""

    def if_killed(file: FileToOpen, reason: str, attempts: int) -> list[FileReport]:
        return [FileReport(file, file.entries, faults=(reason,) * attempts)]

    return _look_at(files, running, partial(inspect, retries), if_killed, "Opening files")


def compare_checksums(
    files: list[FileToCompare], running: Engine, retries: Retries = ONCE
) -> list[ChecksumReport]:
    """Compare files with their checksums, in parallel; the reports are in the files' order."""

    def if_killed(file: FileToCompare, reason: str, attempts: int) -> list[ChecksumReport]:
        return [ChecksumReport(file, None, (f"no checksum ({reason}; tried {attempts} times)",))]

    return _look_at(files, running, partial(compare, retries), if_killed, "Comparing checksums")


def _look_at(
    files: list[Any],
    running: Engine,
    function: Callable[[Any], list[Any]],
    if_killed: Callable[[Any, str, int], list[Any]],
    description: str,
) -> list[Any]:
    executor = running.executor.copy(desc=description, unit="file")
    if hasattr(executor, "if_killed"):
        executor.if_killed = if_killed
    reports: list[Any] = executor(files, function, [])[0]
    order = {file: position for position, file in enumerate(files)}
    return sorted(reports, key=lambda report: order[report.file])


def unprotected(reports: Sequence[FileReport]) -> Iterator[str]:
    """Yield a note of how many files may be damaged without that being seen, if there are some."""
    count = sum(report.unprotected for report in reports)
    if count:
        yield (
            f"{count} of {len(reports)} files are stored without checksums, so that silent "
            "corruption cannot be seen while reading; look for it with: "
            "bphcoffea fileset check --checksum"
        )


def _steps_beyond(entry: FileEntry, report: FileReport) -> list[str]:
    steps = entry.steps
    if not steps or report.entries is None or steps[-1][1] <= report.entries:
        return []
    return [
        f"dataset '{report.file.dataset}', {report.file.path}: the fileset's steps reach "
        f"to entry {steps[-1][1]}, but the tree has {report.entries}"
    ]


def _chunks(
    report: FileReport, entry: FileEntry, metadata: dict[str, Any], chunksize: int
) -> Iterator[WorkItem]:
    if report.lacking:  # it has no entries, so nothing of it is read
        return
    file = report.file
    others = tuple(place for place in (file.path, *entry.replicas) if place != report.used)
    known = metadata | {FILE: redacted(file.path), REPLICAS: others, IDENTITY: report.identity}
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
    for start, stop in [(0, report.entries)] if entry.steps is None else entry.steps:
        yield Failure(
            report.file.dataset,
            redacted(report.file.path),
            start,
            stop,
            redacted(str(report.unreadable)),
            len(report.faults),
        )


def _detour(report: FileReport) -> Recovery:
    return Recovery(
        report.file.dataset,
        redacted(report.file.path),
        0,
        report.entries or 0,
        redacted(report.used),
        len(report.faults) + 1,
        redacted(report.faults[0]),
    )
