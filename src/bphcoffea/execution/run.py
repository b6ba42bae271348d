"""Running an analysis over a fileset, into a run's folder."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import inspect as python_inspect
import json
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hist
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from coffea.processor.executor import FileMeta, WorkItem

from bphcoffea.analysis import Analysis
from bphcoffea.analysis.result import DatasetResult
from bphcoffea.analysis.tracing import branches_of_cuts, required_branches
from bphcoffea.datasets.check import TIMEOUT, FileReport, files_of, inspect
from bphcoffea.datasets.model import Fileset
from bphcoffea.errors import InputError
from bphcoffea.execution.executors import Engine, engine
from bphcoffea.execution.folder import RunFolder, file_name, prepare, write_histograms, writing
from bphcoffea.execution.runner import Failure, FaultTolerantRunner

#: Packages whose versions a run records.
_PACKAGES = (
    "awkward",
    "bphcoffea",
    "coffea",
    "dask",
    "distributed",
    "hist",
    "numpy",
    "uproot",
    "vector",
)


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

    executor: Any = "futures"
    workers: int | None = None
    scheduler: str | None = None
    chunksize: int = 100_000
    max_chunks: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of the chunks of a run.

    Attributes
    ----------
    results
        For each dataset, the sum over its processed chunks.
    expected, processed
        The chunks that were asked for, and those that are in the results.
    failed
        The chunks that could not be read.
    metrics
        As in ``metrics.json``.
    """

    results: dict[str, DatasetResult]
    expected: frozenset[WorkItem]
    processed: frozenset[WorkItem]
    failed: tuple[Failure, ...]
    metrics: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Whether every chunk that was asked for is in the results."""
        return self.expected == self.processed

    def ledger(self) -> dict[str, Any]:
        """What was expected and what was processed, as in ``ledger.json``."""
        reasons = {failure.item: failure.error for failure in self.failed}
        return {
            "expected_events": sum(map(len, self.expected)),
            "processed_events": sum(map(len, self.processed)),
            "complete": self.complete,
            "chunks": len(self.expected),
            "datasets": {
                dataset: {
                    "expected_events": _events(self.expected, dataset),
                    "processed_events": _events(self.processed, dataset),
                }
                for dataset in sorted({item.dataset for item in self.expected})
            },
            "failed": [
                {
                    "dataset": item.dataset,
                    "file": item.filename,
                    "start": item.entrystart,
                    "stop": item.entrystop,
                    "error": reasons.get(item, "lost without a reason"),
                    "attempts": 1,
                }
                for item in sorted(self.expected - self.processed, key=_place)
            ],
        }


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
    provenance = {
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **_provenance(analysis, fileset, options),
    }
    return write(folder, analysis, fileset, outcome, provenance)


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
    if problems:
        raise InputError("\n".join(problems))
    chunks: list[WorkItem] = []
    for name in fileset.names:
        of_dataset: list[WorkItem] = []
        for report in reports:
            if report.file.dataset == name:
                known = metadata[name] | {"numentries": report.entries, "uuid": report.uuid}
                found = FileMeta(name, report.file.path, report.file.tree, known)
                of_dataset += found.chunks(chunksize, align_clusters=False)
        chunks += of_dataset[:max_chunks]
    return chunks


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


def write(
    folder: str | Path,
    analysis: Analysis,
    fileset: Fileset,
    outcome: Outcome,
    provenance: Mapping[str, Any],
) -> RunFolder:
    """Write the results of a run into its folder, all of them or none."""
    results = outcome.results
    with writing(folder) as temporary:
        cutflows = {name: result.cutflow.rows() for name, result in results.items()}
        _write_json(temporary / "cutflow.json", cutflows)
        write_histograms(temporary, _with_dataset_axis(results))
        tables = {name: r.candidates for name, r in results.items() if r.candidates is not None}
        if tables:
            (temporary / "candidates").mkdir()
        for name, table in tables.items():
            pq.write_table(table.table(), temporary / "candidates" / f"{file_name(name)}.parquet")
        sections = {
            name: _lumi_ranges(result.lumis)
            for name, result in results.items()
            if not fileset[name].metadata.is_mc and len(result.lumis)
        }
        _write_json(temporary / "lumis.json", sections)
        _write_json(temporary / "analysis.json", _description(analysis, fileset))
        _write_json(temporary / "metrics.json", outcome.metrics)
        _write_json(temporary / "provenance.json", provenance)
        _write_json(temporary / "ledger.json", outcome.ledger())
    return RunFolder(folder)


def _check_metadata(analysis: Analysis, fileset: Fileset) -> None:
    problems = [
        f"dataset '{name}': the analysis needs '{key}' in its metadata"
        for name, dataset in fileset.root.items()
        for key in analysis.metadata
        if getattr(dataset.metadata, key, None) is None
    ]
    if problems:
        raise InputError("\n".join(problems))


def _description(analysis: Analysis, fileset: Fileset) -> dict[str, Any]:
    description = analysis.describe()
    metadata = next(iter(fileset.root.values())).metadata.model_dump()
    reads = branches_of_cuts(analysis, metadata)
    for row in description["cuts"]:
        row["reads"] = list(reads.get(row["name"], ()))
    return description


def _provenance(analysis: Analysis, fileset: Fileset, options: Options) -> dict[str, Any]:
    source = _source(analysis)
    return {
        "command": sys.argv,
        "analysis": {
            "name": analysis.name(),
            "file": str(source) if source else None,
            "sha256": hashlib.sha256(source.read_bytes()).hexdigest() if source else None,
            "git_commit": _git_commit(source.parent) if source else None,
        },
        "fileset_sha256": fileset.sha256(),
        "datasets": {
            name: dataset.metadata.model_dump(mode="json", exclude_none=True)
            for name, dataset in fileset.root.items()
        },
        "options": {
            "executor": options.executor,
            "chunksize": options.chunksize,
            "max_chunks": options.max_chunks,
        },
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _source(analysis: Analysis) -> Path | None:
    """The file of an analysis; None for one that a notebook defines, or whose file is gone."""
    try:
        path = Path(python_inspect.getfile(type(analysis)))
    except (OSError, TypeError):
        return None
    return path if path.is_file() else None


def _git_commit(folder: Path) -> str | None:
    """Commit of the checkout that holds a folder, ``-dirty`` if it was changed since; or None."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None


def _with_dataset_axis(results: Mapping[str, DatasetResult]) -> dict[str, hist.Hist]:
    """The histograms of all datasets in one each, with the dataset as first axis."""
    first = next(iter(results.values()))
    stacked = {}
    for name, pattern in first.histograms.items():
        dataset_axis = hist.axis.StrCategory(list(results), name="dataset")
        total = hist.Hist(dataset_axis, *pattern.axes, storage=pattern.storage_type())
        for index, result in enumerate(results.values()):
            total.view(flow=True)[index] = result.histograms[name].view(flow=True)
        stacked[name] = total
    return stacked


def _lumi_ranges(sections: npt.NDArray[np.int64]) -> dict[str, list[list[int]]]:
    """Luminosity sections as the ranges of a CMS JSON: ``{run: [[first, last], …]}``."""
    ranges: dict[str, list[list[int]]] = {}
    for number, lumi in sections.tolist():
        of_run = ranges.setdefault(str(number), [])
        if of_run and of_run[-1][1] == lumi - 1:
            of_run[-1][1] = lumi
        else:
            of_run.append([lumi, lumi])
    return ranges


def _events(items: frozenset[WorkItem], dataset: str) -> int:
    return sum(len(item) for item in items if item.dataset == dataset)


def _place(item: WorkItem) -> tuple[str, str, int]:
    return item.dataset, item.filename, item.entrystart


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
