"""Tables of a report about luminosity, yields, and the variations of the simulation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bphcoffea.analysis import ALL, AnalysisRecord, HistogramRecord
from bphcoffea.report.tables import Cell, Row, Table, number, share
from bphcoffea.results import RunFolder


def luminosity_tables(run: RunFolder) -> list[Table]:
    """Return the luminosity of the data, and how the simulation is scaled to it."""
    tables = []
    if run.place("luminosity.json").is_file():
        content = run.read("luminosity.json")
        rows: list[Row] = [
            (
                *(name, number(of["luminosity"], ".4g"), of["sections"]),
                number(of["uncertainty"], ".2%"),
                of["source"],
            )
            for name, of in content["datasets"].items()
        ]
        rows.append(("all", number(content["luminosity"], ".4g"), None, None, None))
        header = ("dataset", "luminosity [fb⁻¹]", "sections", "uncertainty", "source")
        tables.append(Table("Luminosity of the data", header, rows))
    if run.place("normalisation.json").is_file():
        normalised: list[Row] = [
            (
                *(name, number(of.cross_section), number(of.luminosity, ".4g")),
                *(number(of.generator_sumw), number(of.scale, ".4g"), "; ".join(of.notes)),
            )
            for name, of in run.normalisation.items()
        ]
        columns = ("dataset", "σ [pb]", "luminosity [fb⁻¹]", "generator Σw", "scale", "notes")
        tables.append(Table("Normalisation of the simulation", columns, normalised))
    return [table for table in tables if table.rows]


def yield_tables(run: RunFolder, *, unblind: bool) -> Iterator[Table]:
    """Yield the yields of data and simulation, and how each variation changes the sum."""
    name = _counted_histogram(run.analysis)
    if name is None or not run.can_be_normalised:
        return
    histogram = run.normalised_histograms()[name]
    category = ALL if ALL in histogram.axes["category"] else sum
    datasets = run.datasets

    def total(names: Sequence[str], variation: str) -> float:
        return float(sum(histogram[each, category, variation, sum].value for each in names))

    nominal = {process: total(names, "nominal") for process, names in datasets.by_process.items()}
    simulated = sum(nominal.values())
    changes = {
        variation: total(datasets.simulated, variation) / simulated - 1
        for variation in histogram.axes["variation"]
        if variation != "nominal" and simulated
    }
    sources = dict.fromkeys(v.removesuffix("Up").removesuffix("Down") for v in changes)
    rows = [
        (source, *(_percent(changes.get(f"{source}{end}")) for end in ("Up", "Down")))
        for source in sources
    ]
    ends = [
        np.sqrt(sum(_towards(changes, source, sign) ** 2 for source in sources)) for sign in (1, -1)
    ]
    rows.append(("sum in quadrature", _percent(ends[0]), _percent(-ends[1])))
    yields: list[Row] = [
        (process, number(value), share(value, simulated)) for process, value in nominal.items()
    ]
    yields.append(("sum of simulation", number(simulated), share(simulated, simulated)))
    if datasets.data:
        is_blind = run.analysis.blind is not None and not unblind
        data = total(datasets.data, "nominal")
        yields.append(
            ("data", "blinded", "–") if is_blind else ("data", number(data), share(data, simulated))
        )
    yield Table(f"Candidates in the histogram {name}", ("process", "sum", "of simulation"), yields)
    if sources:
        header = ("source", "up", "down")
        yield Table(f"Change of the simulation in {name} by each variation", header, rows)


def _counted_histogram(analysis: AnalysisRecord) -> str | None:
    """Return the fitted histogram, else the first that is of selected candidates."""
    fit, records = analysis.fit, analysis.histograms
    if fit is not None and fit.histogram in records:
        return fit.histogram
    return next((name for name, record in records.items() if _counts_once(record)), None)


def _counts_once(record: HistogramRecord) -> bool:
    return record.n_minus_1 is None and not record.others and record.counted != "Objects"


def _percent(change: float | None) -> Cell:
    return Cell("–") if change is None else Cell(f"{100 * change:+.2f}%", change)


def _towards(changes: Mapping[str, float], source: str, sign: int) -> float:
    """Return by how much a source moves the sum upwards (`sign` 1) or downwards (-1) at most."""
    return max(sign * changes.get(f"{source}{end}", 0.0) for end in ("Up", "Down", "")) or 0.0
