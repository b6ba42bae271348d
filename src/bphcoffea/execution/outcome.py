"""What came of a run, and how it is written into the run's folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import hist
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from coffea.processor.executor import WorkItem

from bphcoffea.analysis import Analysis
from bphcoffea.analysis.result import DatasetResult
from bphcoffea.analysis.tracing import branches_of_cuts
from bphcoffea.datasets.model import Fileset
from bphcoffea.execution.folder import RunFolder, file_name, write_histograms, writing
from bphcoffea.execution.runner import Detour, Failure


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
    detours
        What was read, but not at the first try.
    metrics
        As in ``metrics.json``.
    """

    results: dict[str, DatasetResult]
    expected: frozenset[WorkItem]
    processed: frozenset[WorkItem]
    failed: tuple[Failure, ...]
    detours: tuple[Detour, ...]
    metrics: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Whether every chunk that was asked for is in the results."""
        return self.expected == self.processed

    def ledger(self) -> dict[str, Any]:
        """What was expected and what was processed, as in ``ledger.json``."""
        failures = {failure.item: failure for failure in self.failed}
        missing = [
            failures.get(item, Failure(item, "lost without a reason", 0))
            for item in sorted(self.expected - self.processed, key=_place)
        ]
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
                    **_where(failure.item),
                    "error": failure.error,
                    "attempts": failure.attempts,
                }
                for failure in missing
            ],
            "detours": [
                asdict(detour)
                for detour in sorted(self.detours, key=lambda d: (d.dataset, d.file, d.start))
            ],
        }


def write(
    folder: str | Path,
    analysis: Analysis,
    fileset: Fileset,
    outcome: Outcome,
    provenance: Mapping[str, Any],
    pages: Iterable[Path] = (),
) -> RunFolder:
    """Write the results of a run into its folder, all of them or none; with pages for people."""
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
        for page in pages:
            shutil.copy(page, temporary / page.name)
        _write_json(temporary / "ledger.json", outcome.ledger())
    return RunFolder(folder)


def _description(analysis: Analysis, fileset: Fileset) -> dict[str, Any]:
    description = analysis.describe()
    metadata = next(iter(fileset.root.values())).metadata.model_dump()
    reads = branches_of_cuts(analysis, metadata)
    for row in description["cuts"]:
        row["reads"] = list(reads.get(row["name"], ()))
    return description


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


def _where(item: WorkItem) -> dict[str, Any]:
    return {
        "dataset": item.dataset,
        "file": item.filename,
        "start": item.entrystart,
        "stop": item.entrystop,
    }


def _place(item: WorkItem) -> tuple[str, str, int]:
    return item.dataset, item.filename, item.entrystart


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
