"""What came of a run, and how it is written into the run's folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hist
import pyarrow as pa
import pyarrow.parquet as pq

from bphcoffea.analysis import Analysis, AnalysisRecord
from bphcoffea.analysis.histograms import NOMINAL
from bphcoffea.datasets.fileset import Fileset
from bphcoffea.luminosity import to_ranges
from bphcoffea.processing.result import Columns, DatasetResult
from bphcoffea.processing.tracing import branches_of_cuts
from bphcoffea.redaction import redacted
from bphcoffea.results.folder import (
    RunFolder,
    file_name,
    write_histograms,
    write_json,
    writing,
)
from bphcoffea.results.ledger import Ledger
from bphcoffea.results.luminosities import Luminosities, certification_of
from bphcoffea.results.normalisation import normalise
from bphcoffea.results.records import as_json
from bphcoffea.results.work_totals import Timing, table


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
    with writing(Path(folder)) as temporary:
        cutflows = {name: result.cutflow.rows() for name, result in results.items()}
        write_json(temporary / "cutflow.json", cutflows)
        simulated = [name for name in results if fileset[name].metadata.is_mc]
        variations = _variations(results)
        write_histograms(temporary, _with_dataset_axis(results, simulated), variations)
        tables = {name: r.candidates for name, r in results.items() if r.candidates is not None}
        if tables:
            (temporary / "candidates").mkdir()
        for name, table_of in _tables(results, tables).items():
            own = f"{file_name(name, fileset.names)}.parquet"
            pq.write_table(table_of, temporary / "candidates" / own)
        _write_luminosity(temporary, analysis, fileset, outcome)
        record = _record(analysis, fileset, variations)
        write_json(temporary / "analysis.json", record.model_dump(mode="json"))
        write_json(temporary / "metrics.json", outcome.metrics)
        pq.write_table(table(outcome.timings), temporary / "chunks.parquet")
        write_json(temporary / "provenance.json", provenance)
        for page in pages:
            text = redacted(page.read_text(encoding="utf-8"))
            (temporary / page.name).write_text(text, encoding="utf-8")
        write_json(temporary / "ledger.json", outcome.ledger.as_json())
    return RunFolder(folder)


def _tables(
    results: Mapping[str, DatasetResult], columns: Mapping[str, Columns]
) -> dict[str, pa.Table]:
    """The candidates of each dataset; of one of which nothing was read, a table without rows."""
    tables = {name: own.table() for name, own in columns.items()}
    if tables:
        pattern = next(iter(tables.values())).slice(0, 0)
        tables |= {name: pattern for name in results if name not in tables}
    return tables


def _write_luminosity(folder: Path, analysis: Analysis, fileset: Fileset, outcome: Outcome) -> None:
    """Write ``lumis.json``, ``luminosity.json`` and ``normalisation.json``."""
    results = outcome.results
    metadata = {name: fileset[name].metadata for name in results}
    sections = {
        name: result.lumis
        for name, result in results.items()
        if not metadata[name].is_mc and len(result.lumis)
    }
    counts = outcome.ledger.as_json()["datasets"]
    certification = certification_of(analysis.era_corrections)
    luminosities = Luminosities.of(metadata, sections, counts, certification)
    generator_sumw = {name: result.generator_sumw for name, result in results.items()}
    write_json(folder / "lumis.json", {name: to_ranges(each) for name, each in sections.items()})
    write_json(folder / "luminosity.json", luminosities.as_json())
    normalisation = normalise(metadata, generator_sumw, counts, luminosities)
    write_json(folder / "normalisation.json", as_json(normalisation))


def _record(
    analysis: Analysis, fileset: Fileset, variations: Mapping[str, Sequence[str]]
) -> AnalysisRecord:
    metadata = next(iter(fileset.root.values())).metadata.model_dump()
    return analysis.describe(branches_of_cuts(analysis, metadata), variations)


def _variations(results: Mapping[str, DatasetResult]) -> dict[str, list[str]]:
    """Names of the variations of each dataset, in order."""
    return {
        name: list(
            dict.fromkeys(
                variation
                for histogram in result.histograms.values()
                for variation in histogram.axes["variation"]
                if variation != NOMINAL
            )
        )
        for name, result in results.items()
    }


def _with_dataset_axis(
    results: Mapping[str, DatasetResult], simulated: Collection[str]
) -> dict[str, hist.Hist]:
    """The histograms of all datasets in one each, with the dataset as first axis.

    A variation that a simulated dataset does not have leaves it as it is; data have the nominal
    alone.
    """
    first = next(iter(results.values()))
    stacked = {}
    for name, pattern in first.histograms.items():
        own = [result.histograms[name] for result in results.values()]
        variations = list(dict.fromkeys(v for each in own for v in each.axes["variation"]))
        category, _, *others = pattern.axes
        total = hist.Hist(
            hist.axis.StrCategory(list(results), name="dataset"),
            category,
            hist.axis.StrCategory(variations, name="variation"),
            *others,
            storage=pattern.storage_type(),
        )
        for index, (dataset, histogram) in enumerate(zip(results, own, strict=True)):
            there = list(histogram.axes["variation"])
            content = histogram.view(flow=True)
            for place, variation in enumerate(variations):
                if variation in there or dataset in simulated:
                    source = there.index(variation if variation in there else NOMINAL)
                    total.view(flow=True)[index, :, place] = content[:, source]
        stacked[name] = total
    return stacked
