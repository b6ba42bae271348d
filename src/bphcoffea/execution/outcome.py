"""Outcome of a run, and writing it into the run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import hist
import pyarrow.parquet as pq

from bphcoffea.analysis import NOMINAL, Analysis, AnalysisRecord
from bphcoffea.datasets import Fileset
from bphcoffea.execution.candidate_tables import CandidateTables
from bphcoffea.luminosity import to_ranges
from bphcoffea.processing import DatasetResult
from bphcoffea.redaction import redacted
from bphcoffea.results import (
    Cutflow,
    Ledger,
    Luminosities,
    RunFolder,
    Timing,
    as_json,
    certification_of,
    combine_generator_variations,
    file_name,
    normalise,
    table,
    write_histograms,
    write_json,
    writing,
)


@dataclass(frozen=True)
class Outcome:
    """Results of a run, with its ledger and metrics.

    Attributes
    ----------
    results
        Sum of the results of the processed chunks, by dataset, without their candidates.
    ledger
        Expected, processed and unreadable entries.
    metrics
        Content of ``metrics.json``.
    timings
        Time and resources that each processed chunk took.
    candidates
        Tables of the candidates.
    """

    results: dict[str, DatasetResult]
    ledger: Ledger
    metrics: Mapping[str, object]
    timings: tuple[Timing, ...] = ()
    candidates: CandidateTables = field(default_factory=CandidateTables)


def write(
    folder: str | Path,
    analysis: Analysis,
    fileset: Fileset,
    outcome: Outcome,
    provenance: Mapping[str, object],
    pages: Iterable[Path] = (),
    *,
    began: float,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> RunFolder:
    """Write a run folder, completely or not at all.

    Parameters
    ----------
    folder
        The folder.
    analysis, fileset, outcome
        What was run, and its outcome.
    provenance
        Content of ``provenance.json``.
    pages
        HTML files to copy into the folder.
    began
        Value of :func:`time.perf_counter` when the run began; the metrics contain the time since.
    progress
        Called with the number of written histograms, and of all histograms.
    """
    results = _finished(outcome.results)
    with writing(Path(folder)) as temporary:
        cutflows = {name: result.cutflow.rows() for name, result in results.items()}
        write_json(temporary / "cutflow.json", cutflows)
        if analysis.objects:
            objects = {
                name: {of: _object_rows(counts) for of, counts in result.objects.items()}
                for name, result in results.items()
            }
            write_json(temporary / "objects.json", objects)
        if analysis.regions:
            regions = {
                name: {region: counts.rows() for region, counts in result.regions.items()}
                for name, result in results.items()
            }
            write_json(temporary / "regions.json", regions)
        simulated = [name for name in results if fileset[name].metadata.is_mc]
        variations = _variations(results)
        write_histograms(temporary, _with_dataset_axis(results, simulated), variations, progress)
        outcome.candidates.write(
            {
                name: temporary / "candidates" / f"{file_name(name, fileset.names)}.parquet"
                for name in results
            }
        )
        _write_luminosity(temporary, analysis, fileset, outcome)
        record = _record(analysis, fileset, results, variations)
        write_json(temporary / "analysis.json", record.model_dump(mode="json"))
        pq.write_table(table(outcome.timings), temporary / "chunks.parquet")
        write_json(temporary / "provenance.json", provenance)
        for page in pages:
            text = redacted(page.read_text(encoding="utf-8"))
            (temporary / page.name).write_text(text, encoding="utf-8")
        elapsed = time.perf_counter() - began
        write_json(temporary / "metrics.json", {"run_s": elapsed, **outcome.metrics})
        write_json(temporary / "ledger.json", outcome.ledger.as_json())
    return RunFolder(folder)


def _finished(results: Mapping[str, DatasetResult]) -> dict[str, DatasetResult]:
    """Return the results with the variations of the generator's weights normalised and combined."""
    return {
        name: replace(
            result,
            histograms=combine_generator_variations(
                name,
                result.histograms,
                result.generator_sumw,
                result.sums_of_variations,
                result.combinations,
            ),
        )
        for name, result in results.items()
    }


def _object_rows(counts: Cutflow) -> list[dict[str, object]]:
    """Return one row per step, as in ``objects.json``."""
    renamed = {"candidates": "objects"}
    return [{renamed.get(k, k): value for k, value in row.items()} for row in counts.rows()]


def _write_luminosity(folder: Path, analysis: Analysis, fileset: Fileset, outcome: Outcome) -> None:
    """Write ``lumis.json``, ``luminosity.json`` and ``normalisation.json``."""
    results = outcome.results
    metadata = {name: fileset[name].metadata for name in results}
    sections = {
        name: pairs
        for name, result in results.items()
        if not metadata[name].is_mc and len(pairs := result.lumis.pairs())
    }
    counts = outcome.ledger.as_json()["datasets"]
    certification = certification_of(analysis.era_corrections)
    luminosities = Luminosities.of(metadata, sections, counts, certification)
    generator_sumw = {name: result.generator_sumw for name, result in results.items()}
    of_variations = {name: result.sums_of_variations for name, result in results.items()}
    write_json(folder / "lumis.json", {name: to_ranges(lumis) for name, lumis in sections.items()})
    write_json(folder / "luminosity.json", luminosities.as_json())
    normalisation = normalise(metadata, generator_sumw, counts, luminosities, of_variations)
    write_json(folder / "normalisation.json", as_json(normalisation))


def _record(
    analysis: Analysis,
    fileset: Fileset,
    results: Mapping[str, DatasetResult],
    variations: Mapping[str, Sequence[str]],
) -> AnalysisRecord:
    datasets = (analysis.for_dataset(fileset[name].metadata.model_dump()) for name in results)
    shapes = dict.fromkeys(name for dataset in datasets for name in dataset.shape_names)
    per_event = {name for result in results.values() for name in result.per_event}
    return analysis.describe(variations, tuple(shapes), per_event)


def _variations(results: Mapping[str, DatasetResult]) -> dict[str, list[str]]:
    """Return the names of the variations of each dataset, in order."""
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
    """Return each histogram with all datasets, which are its first axis.

    For a variation that a simulated dataset lacks, its nominal content is filled; data only have
    the nominal content.
    """
    first = next(iter(results.values()))
    stacked = {}
    for name, pattern in first.histograms.items():
        parts = [result.histograms[name] for result in results.values()]
        variations = list(dict.fromkeys(v for part in parts for v in part.axes["variation"]))
        category, _, *variables = pattern.axes
        total = hist.Hist(
            hist.axis.StrCategory(list(results), name="dataset"),
            category,
            hist.axis.StrCategory(variations, name="variation"),
            *variables,
            storage=pattern.storage_type(),
        )
        for index, (dataset, histogram) in enumerate(zip(results, parts, strict=True)):
            available = list(histogram.axes["variation"])
            content = histogram.view(flow=True)
            for position, variation in enumerate(variations):
                if variation in available or dataset in simulated:
                    source = available.index(variation if variation in available else NOMINAL)
                    total.view(flow=True)[index, :, position] = content[:, source]
        stacked[name] = total
    return stacked
