"""What came of a run, and how it is written into the run's folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hist
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from bphcoffea.analysis import Analysis
from bphcoffea.analysis.result import DatasetResult
from bphcoffea.analysis.tracing import branches_of_cuts
from bphcoffea.datasets.model import Fileset
from bphcoffea.execution.folder import RunFolder, file_name, write_histograms, writing
from bphcoffea.execution.ledger import Ledger
from bphcoffea.execution.tally import Timing, table


@dataclass(frozen=True)
class Outcome:
    """What came of the chunks of a run.

    Attributes
    ----------
    results
        For each dataset, the sum over its processed chunks.
    ledger
        What was expected, what was processed, and what could not be read.
    metrics
        As in ``metrics.json``.
    timings
        What each processed chunk cost.
    """

    results: dict[str, DatasetResult]
    ledger: Ledger
    metrics: dict[str, Any]
    timings: tuple[Timing, ...] = ()


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
        for name, columns in tables.items():
            pq.write_table(columns.table(), temporary / "candidates" / f"{file_name(name)}.parquet")
        sections = {
            name: _lumi_ranges(result.lumis)
            for name, result in results.items()
            if not fileset[name].metadata.is_mc and len(result.lumis)
        }
        _write_json(temporary / "lumis.json", sections)
        _write_json(temporary / "analysis.json", _description(analysis, fileset))
        _write_json(temporary / "metrics.json", outcome.metrics)
        pq.write_table(table(outcome.timings), temporary / "chunks.parquet")
        _write_json(temporary / "provenance.json", provenance)
        for page in pages:
            shutil.copy(page, temporary / page.name)
        _write_json(temporary / "ledger.json", outcome.ledger.as_json())
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


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
