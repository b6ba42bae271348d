"""Running an analysis over a fileset, into a run's folder."""

from __future__ import annotations

import datetime
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from coffea.processor.executor import WorkItem

from bphcoffea.analysis import Analysis
from bphcoffea.analysis.tracing import required_branches
from bphcoffea.datasets.check import FileReport, files_of, inspect
from bphcoffea.datasets.model import Fileset
from bphcoffea.datasets.storage import ONCE, TIMEOUT, Retries
from bphcoffea.errors import InputError
from bphcoffea.execution.checkpoints import Checkpoints, fingerprint
from bphcoffea.execution.executors import Engine, ExecutorName, engine, reporting
from bphcoffea.execution.folder import RunFolder, prepare
from bphcoffea.execution.outcome import Outcome, write
from bphcoffea.execution.provenance import provenance
from bphcoffea.execution.runner import FILE, REPLICAS, Detour, FaultTolerantRunner
from bphcoffea.execution.tally import Tally

#: What metrics are given by.
_KINDS = ("dataset", "file", "worker")


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
    retries
        How often a chunk that can't be read is tried.
    checkpoints
        Folder, or URL, where the results of finished chunks are kept until the run is complete;
        None: nowhere.
    resume
        Whether to go on from the checkpoints that are there.
    """

    executor: ExecutorName = "futures"
    workers: int | None = None
    scheduler: str | None = None
    chunksize: int = 100_000
    max_chunks: int | None = None
    retries: Retries = field(default_factory=Retries)
    checkpoints: str | None = None
    resume: bool = False


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
        When the folder can't be written, the metadata lack what the analysis needs, files can't be
        opened or lack branches (all of them are named), or no chunk could be read. Nothing is
        written then.

    Notes
    -----
    Chunks that can't be read are recorded in the ledger, with the reason; the rest is complete.
    """
    options = options or Options()
    prepare(folder)
    _check_metadata(analysis, fileset)
    checkpoints = _checkpoints(analysis, options)
    started = datetime.datetime.now(datetime.UTC)
    with tempfile.TemporaryDirectory(prefix="bphcoffea-") as scratch:
        report = Path(scratch, "dask-report.html")
        with (
            engine(options.executor, options.workers, options.scheduler) as running,
            reporting(running, report),
        ):
            if running.dashboard:
                print(f"Dask dashboard: {running.dashboard}")
            chunks, detours = find_chunks(
                analysis,
                fileset,
                running,
                options.chunksize,
                options.max_chunks,
                options.retries,
            )
            outcome = process(analysis, chunks, running, options.retries, checkpoints)
        if not outcome.processed:
            raise InputError("\n".join(sorted(failure.line() for failure in outcome.failed)))
        outcome = replace(outcome, detours=(*detours, *outcome.detours))
        made = {
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **provenance(analysis, fileset, asdict(options)),
        }
        pages = [report] if report.exists() else []
        written = write(folder, analysis, fileset, outcome, made, pages)
    if checkpoints and outcome.complete:
        checkpoints.clear()
    return written


def find_chunks(
    analysis: Analysis,
    fileset: Fileset,
    running: Engine,
    chunksize: int,
    max_chunks: int | None = None,
    retries: Retries | None = None,
) -> tuple[list[WorkItem], list[Detour]]:
    """Open all files, check that they hold what the analysis needs, and cut them into chunks.

    Returns
    -------
    The chunks, and the files that were opened at a replica.

    Raises
    ------
    InputError
        When files are unfit; every problem of every file in a line of its own.
    """
    metadata = {name: dataset.metadata.model_dump() for name, dataset in fileset.root.items()}
    branches = {name: required_branches(analysis, known) for name, known in metadata.items()}
    reports = open_files(fileset, branches, running, retries)
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
    detours = []
    for name in fileset.names:
        of_dataset: list[WorkItem] = []
        for report in (report for report in reports if report.file.dataset == name):
            entry = fileset[name].files[report.file.path]
            others = [p for p in (report.file.path, *entry.replicas) if p != report.used]
            known = metadata[name] | {FILE: report.file.path, REPLICAS: tuple(others)}
            of_dataset += [
                WorkItem(name, report.used, report.file.tree, start, stop, report.uuid, known)
                for start, stop in _ranges(report.entries or 0, entry.steps, chunksize)
            ]
            if report.faults:
                tries = len(report.faults) + 1
                whole = (0, report.entries or 0)
                detours.append(
                    Detour(name, report.file.path, *whole, report.used, tries, report.faults[0])
                )
        chunks += of_dataset[:max_chunks]
    return chunks, detours


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
    fileset: Fileset,
    branches: dict[str, tuple[str, ...]],
    running: Engine,
    retries: Retries | None = None,
) -> list[FileReport]:
    """Open all files of a fileset, in parallel; the reports are in the order of the files."""
    files = files_of(fileset, branches)
    executor = running.executor.copy(desc="Opening files", unit="file", compression=None)
    reports: list[FileReport] = executor(files, partial(inspect, retries or ONCE), [])[0]
    order = {file: position for position, file in enumerate(files)}
    return sorted(reports, key=lambda report: order[report.file])


def process(
    analysis: Analysis,
    chunks: list[WorkItem],
    running: Engine,
    retries: Retries | None = None,
    checkpoints: Checkpoints | None = None,
) -> Outcome:
    """Process chunks and add up their results."""
    runner = FaultTolerantRunner(
        executor=running.executor,
        schema=analysis.schema,
        savemetrics=True,
        xrootdtimeout=TIMEOUT,
        processor_compression=None if running.name == "iterative" else 1,
        policy=retries or Retries(),
        checkpointer=checkpoints,
    )
    clock = time.perf_counter()
    out = runner.run(chunks, analysis)
    wall = time.perf_counter() - clock
    columns = out.get("metrics", {}).get("columns", ())
    tallies = out.get("tally", {})
    total = sum(tallies.get("workers", {}).values(), Tally())
    return Outcome(
        results=dict(sorted(out["out"].items())),
        expected=frozenset(chunks),
        processed=frozenset(out["processed"]),
        failed=tuple(out.get("failed", ())),
        detours=tuple(out.get("detours", ())),
        metrics={
            **total.as_json(),
            "wall_s": wall,
            "events_per_s": total.events / wall,
            "bytes_per_s": total.bytes_read / wall,
            "cpu_fraction": total.cpu_s / (wall * running.workers),
            "columns": sorted({column.rpartition("-")[0] for column in columns}),
            "chunks_resumed": out.get("resumed", 0),
            "chunks_not_kept": out.get("not_kept", 0),
            "executor": running.name,
            "workers": running.workers,
            **{f"by_{kind}": _slowest_first(tallies.get(f"{kind}s", {})) for kind in _KINDS},
        },
    )


def _slowest_first(tallies: Mapping[str, Tally]) -> dict[str, Any]:
    ranked = sorted(tallies.items(), key=lambda item: -item[1].wall_s)
    return {name: tally.as_json() for name, tally in ranked}


def _checkpoints(analysis: Analysis, options: Options) -> Checkpoints | None:
    if options.checkpoints is None:
        if options.resume:
            raise InputError("to resume a run, say with --checkpoints where they are")
        return None
    code = fingerprint(analysis)
    checkpoints = Checkpoints(options.checkpoints, code, resume=options.resume)
    checkpoints.prepare()
    return checkpoints


def _check_metadata(analysis: Analysis, fileset: Fileset) -> None:
    problems = [
        f"dataset '{name}': the analysis needs '{key}' in its metadata"
        for name, dataset in fileset.root.items()
        for key in analysis.metadata
        if getattr(dataset.metadata, key, None) is None
    ]
    if problems:
        raise InputError("\n".join(problems))
