"""Open the files of a fileset and split their entries into chunks."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from coffea.processor.executor import WorkItem

from bphcoffea.analysis import HELD, Analysis
from bphcoffea.datasets import (
    Dataset,
    FileEntry,
    FileReport,
    Fileset,
    FileToOpen,
    KnownFiles,
    compare_files,
    files_of,
)
from bphcoffea.errors import RunError
from bphcoffea.execution.executors.engines import Engine
from bphcoffea.execution.file_opening import open_files
from bphcoffea.execution.needs import needs_of
from bphcoffea.redaction import redacted
from bphcoffea.results import FILE, IDENTITY, REPLICAS, Failure, Recovery
from bphcoffea.storage import ONCE, Retries

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Chunks that a run will process, and files that it cannot open.

    Attributes
    ----------
    chunks
        Chunks, in the order of the fileset.
    unopened
        Entry ranges that will be missing, because their file could not be opened.
    recoveries
        Files that were opened, but not at the first attempt.
    dataset_events
        Number of events in all files of each dataset, requested or not; None if unknown.
    notes
        Notes on the files for the user, one line each.
    """

    chunks: list[WorkItem]
    unopened: list[Failure]
    recoveries: list[Recovery]
    dataset_events: dict[str, int | None]
    notes: list[str]


def find_chunks(
    analysis: Analysis,
    fileset: Fileset,
    running: Engine,
    chunksize: int,
    max_chunks: int | None = None,
    retries: Retries = ONCE,
    known: KnownFiles | None = None,
) -> Plan:
    """Open all files, check that they contain what the analysis needs, and split them into chunks.

    In a partial run (with ``max_chunks``), files beyond the requested chunks are only opened to
    count their events, and not at all if the fileset gives the number. Files that are known from
    earlier runs are not opened if they did not change.

    Raises
    ------
    RunError
        If files are unfit, none can be opened, or no entries are requested; one line per problem.
    """
    metadata = {name: dataset.metadata.model_dump() for name, dataset in fileset.root.items()}
    needs = needs_of(analysis, fileset, running, retries, known)
    for name, need in needs.items():
        _log.debug("dataset '%s': every file must have %s", name, ", ".join(need.required))
    files = files_of(fileset, needs)
    skipped = _not_to_open(fileset, files, max_chunks)
    to_open = [file for file in files if file not in skipped]
    reports = open_files(to_open, running, retries, known=known)
    compared = compare_files(fileset, reports, needs, {file.dataset for file in skipped})
    plan = Plan([], [], [], {}, [*compared.notes, *unprotected(reports)])
    unfit: list[str] = []
    for name in fileset.names:
        dataset_reports = [report for report in reports if report.file.dataset == name]
        metadata[name][HELD] = compared.held[name]
        absent = analysis.for_dataset(metadata[name]).absent
        # the branches of files that cannot be opened are not known
        if absent and any(not report.unreadable for report in dataset_reports):
            steps = ", ".join(f"{step} ({reason})" for step, reason in absent.items())
            plan.notes.append(f"dataset '{name}': absent steps and columns: {steps}")
        unfit += _add(plan, fileset[name], dataset_reports, metadata[name], chunksize, max_chunks)
        events = plan.dataset_events[name] = _events_of(fileset[name], dataset_reports)
        if events and all(entry.steps == () for entry in fileset[name].files.values()):
            plan.notes.append(
                f"dataset '{name}': the fileset's steps select none of its {events:,} events"
            )
    if unfit or compared.problems or (plan.unopened and not plan.chunks):
        unreadable = [line for r in reports if r.unreadable for line in r.lines()]
        raise RunError("\n".join((*unreadable, *unfit, *compared.problems)))
    if not plan.chunks and any(plan.dataset_events.values()):
        raise RunError("\n".join((*plan.notes, "no entries to read: change the fileset's steps")))
    if plan.unopened:
        missing = {(failure.dataset, failure.file) for failure in plan.unopened}
        _log.warning(
            "%d of %d files cannot be opened; the others are processed", len(missing), len(reports)
        )
    return plan


def _add(
    plan: Plan,
    dataset: Dataset,
    reports: Sequence[FileReport],
    metadata: Mapping[str, object],
    chunksize: int,
    max_chunks: int | None,
) -> list[str]:
    """Add the chunks of a dataset, and its files that cannot be opened, to a plan.

    Returns
    -------
    Problems of the requested files, one line each.
    """
    pieces: list[WorkItem | Failure] = []
    unfit: list[str] = []
    for report in reports:
        if max_chunks is not None and len(pieces) >= max_chunks:
            break
        entry = dataset.files[report.file.path]
        problems = [*report.lines(), *_steps_beyond(entry, report)]
        if report.unreadable:
            pieces += _failures(report, entry)
        elif problems:
            unfit += problems
        else:
            pieces += _chunks(report, entry, metadata, chunksize)
            if report.faults:
                plan.recoveries.append(_recovery(report))
    for piece in pieces[:max_chunks]:
        (plan.unopened if isinstance(piece, Failure) else plan.chunks).append(piece)
    return unfit


def _not_to_open(
    fileset: Fileset, files: Sequence[FileToOpen], max_chunks: int | None
) -> set[FileToOpen]:
    """Return the files beyond the requested chunks whose number of entries is known."""
    skipped: set[FileToOpen] = set()
    chunks: Counter[str] = Counter()  # minimum number of chunks, by dataset
    for file in files:
        if max_chunks is not None and chunks[file.dataset] >= max_chunks:
            if file.entries is not None:
                skipped.add(file)
            continue
        # a file with entries gives at least one chunk
        if file.entries and fileset[file.dataset].files[file.path].steps != ():
            chunks[file.dataset] += 1
    return skipped


def _events_of(dataset: Dataset, reports: Sequence[FileReport]) -> int | None:
    """Return the number of events in all files of a dataset; None if unknown."""
    counts = {path: entry.num_entries for path, entry in dataset.files.items()}
    counts |= {r.file.path: r.entries for r in reports if r.entries is not None}
    numbers = [count for count in counts.values() if count is not None]
    return sum(numbers) if len(numbers) == len(counts) else None


def unprotected(reports: Sequence[FileReport]) -> Iterator[str]:
    """Yield a note with the number of files whose damage would not be noticed, if there are any."""
    count = sum(report.unprotected for report in reports)
    if count:
        yield (
            f"{count} of {len(reports)} files are stored without checksums, so silent corruption "
            "cannot be seen while reading; compare them with the checksums of their storage"
        )


def _steps_beyond(entry: FileEntry, report: FileReport) -> list[str]:
    steps = entry.steps
    if not steps or report.entries is None or steps[-1][1] <= report.entries:
        return []
    return [
        f"dataset '{report.file.dataset}', {report.file.path}: the fileset's steps end at entry "
        f"{steps[-1][1]}, but the tree has {report.entries} entries"
    ]


def _chunks(
    report: FileReport, entry: FileEntry, metadata: Mapping[str, object], chunksize: int
) -> Iterator[WorkItem]:
    # a file without entries may lack any branch, and nothing is read of it
    if report.lacking or not (report.entries or report.file.branches):
        return
    file = report.file
    replicas = tuple(path for path in (file.path, *entry.replicas) if path != report.used)
    meta = {**metadata, FILE: redacted(file.path), REPLICAS: replicas, IDENTITY: report.identity}
    read = frozenset(file.branches)
    for start, stop in cut(report.entries or 0, entry.steps, chunksize):
        where = (file.dataset, report.used, file.tree, start, stop, report.uuid)
        yield WorkItem(*where, meta, preload=read)


def cut(
    entries: int, steps: Sequence[tuple[int, int]] | None, chunksize: int
) -> Iterator[tuple[int, int]]:
    """Yield ranges of about the chunk size that cover the steps; an empty file gives one range."""
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


def _recovery(report: FileReport) -> Recovery:
    return Recovery(
        report.file.dataset,
        redacted(report.file.path),
        0,
        report.entries or 0,
        redacted(report.used),
        len(report.faults) + 1,
        redacted(report.faults[0]),
    )
