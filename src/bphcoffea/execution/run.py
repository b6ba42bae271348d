"""Running an analysis over a fileset, into a run's folder."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from coffea.processor.executor import WorkItem

from bphcoffea.analysis import Analysis
from bphcoffea.analysis.tracing import required_branches
from bphcoffea.datasets.check import FileReport, files_of, inspect
from bphcoffea.datasets.model import Fileset
from bphcoffea.datasets.storage import TIMEOUT
from bphcoffea.errors import InputError
from bphcoffea.execution.executors import Engine, ExecutorName, engine
from bphcoffea.execution.folder import RunFolder, prepare
from bphcoffea.execution.outcome import Outcome, write
from bphcoffea.execution.provenance import provenance
from bphcoffea.execution.runner import FaultTolerantRunner


@dataclass(frozen=True)
class Options:
    """How to run.

    Attributes
    ----------
    executor
        ``iterative``, ``futures`` or ``dask``.
    workers
        Number of processes; None for one a core.
    scheduler
        Address of a Dask scheduler that runs already.
    chunksize
        Events of a chunk, about.
    max_chunks
        At most so many chunks of each dataset; None for all.
    """

    executor: ExecutorName = "futures"
    workers: int | None = None
    scheduler: str | None = None
    chunksize: int = 100_000
    max_chunks: int | None = None


def run(
    analysis: Analysis, fileset: Fileset, folder: str | Path, options: Options | None = None
) -> RunFolder:
    """Run an analysis over all files of a fileset and write the results.

    Parameters
    ----------
    analysis
        What to run, as :func:`bphcoffea.execution.load_analysis` gives it.
    fileset
        What to run over.
    folder
        Where the results go. They replace those of an earlier run there, all at once, at the end.
    options
        How to run.

    Raises
    ------
    InputError
        When the folder can't be written, the metadata lack what the analysis needs, or files can't
        be read or lack branches; all of them are named. Nothing is written then.
    """
    options = options or Options()
    prepare(folder)
    _check_metadata(analysis, fileset)
    started = datetime.datetime.now(datetime.UTC)
    with engine(options.executor, options.workers, options.scheduler) as running:
        if running.dashboard:
            print(f"Dask dashboard: {running.dashboard}")
        chunks = find_chunks(analysis, fileset, running, options.chunksize, options.max_chunks)
        outcome = process(analysis, chunks, running)
    if outcome.failed:
        raise InputError("\n".join(sorted(failure.line() for failure in outcome.failed)))
    made = {
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **provenance(analysis, fileset, asdict(options)),
    }
    return write(folder, analysis, fileset, outcome, made)


def find_chunks(
    analysis: Analysis,
    fileset: Fileset,
    running: Engine,
    chunksize: int,
    max_chunks: int | None = None,
) -> list[WorkItem]:
    """Open all files, check that they hold what the analysis needs, and cut them into chunks.

    Raises
    ------
    InputError
        When files are unfit; every problem of every file in a line of its own.
    """
    metadata = {name: dataset.metadata.model_dump() for name, dataset in fileset.root.items()}
    branches = {name: required_branches(analysis, known) for name, known in metadata.items()}
    reports = open_files(fileset, branches, running)
    problems = [line for report in reports for line in report.lines()]
    for report in reports:
        steps = fileset[report.file.dataset].files[report.file.path].steps
        if steps and report.entries is not None and steps[-1][1] > report.entries:
            problems.append(
                f"dataset '{report.file.dataset}', {report.file.path}: the fileset's steps reach "
                f"to entry {steps[-1][1]}, but the tree has {report.entries}"
            )
    if problems:
        raise InputError("\n".join(problems))
    chunks: list[WorkItem] = []
    for name in fileset.names:
        of_dataset: list[WorkItem] = []
        for report in reports:
            if report.file.dataset == name:
                steps = fileset[name].files[report.file.path].steps
                of_dataset += [
                    WorkItem(
                        name,
                        report.file.path,
                        report.file.tree,
                        start,
                        stop,
                        report.uuid,
                        metadata[name],
                    )
                    for start, stop in _ranges(report.entries or 0, steps, chunksize)
                ]
        chunks += of_dataset[:max_chunks]
    return chunks


def _ranges(
    entries: int, steps: Sequence[tuple[int, int]] | None, chunksize: int
) -> Iterator[tuple[int, int]]:
    """Ranges of about the chunk size that make up the steps; one empty range for an empty file."""
    for first, last in [(0, entries)] if steps is None else steps:
        pieces = max(round((last - first) / chunksize), 1)
        size = max(math.ceil((last - first) / pieces), 1)
        yield from ((start, min(start + size, last)) for start in range(first, last, size))
    if entries == 0:
        yield 0, 0


def open_files(
    fileset: Fileset, branches: dict[str, tuple[str, ...]], running: Engine
) -> list[FileReport]:
    """Open all files of a fileset, in parallel; the reports are in the order of the files."""
    files = files_of(fileset, branches)
    executor = running.executor.copy(desc="Opening files", unit="file", compression=None)
    reports: list[FileReport] = executor(files, inspect, [])[0]
    order = {file: position for position, file in enumerate(files)}
    return sorted(reports, key=lambda report: order[report.file])


def process(analysis: Analysis, chunks: list[WorkItem], running: Engine) -> Outcome:
    """Process chunks and add up their results."""
    runner = FaultTolerantRunner(
        executor=running.executor,
        schema=analysis.schema,
        savemetrics=True,
        xrootdtimeout=TIMEOUT,
        processor_compression=None if running.name == "iterative" else 1,
    )
    clock = time.perf_counter()
    out = runner.run(chunks, analysis)
    wall = time.perf_counter() - clock
    measured = out.get("metrics", {})
    processed = frozenset(out["processed"])
    events = sum(map(len, processed))
    peak = measured.get("peak_rss_mb")
    return Outcome(
        results=dict(sorted(out["out"].items())),
        expected=frozenset(chunks),
        processed=processed,
        failed=tuple(out.get("failed", ())),
        metrics={
            "wall_s": wall,
            "cpu_s": measured.get("cpu_s", 0.0),
            "events": events,
            "events_per_s": events / wall,
            "bytes_read": measured.get("bytesread", 0),
            "columns": sorted({c.rpartition("-")[0] for c in measured.get("columns", ())}),
            "peak_rss_mb": peak.value if peak else 0.0,
            "executor": running.name,
            "workers": running.workers,
        },
    )


def _check_metadata(analysis: Analysis, fileset: Fileset) -> None:
    problems = [
        f"dataset '{name}': the analysis needs '{key}' in its metadata"
        for name, dataset in fileset.root.items()
        for key in analysis.metadata
        if getattr(dataset.metadata, key, None) is None
    ]
    if problems:
        raise InputError("\n".join(problems))
