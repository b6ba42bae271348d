"""Comparison of several runs: states, yields, cutflows and provenance side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bphcoffea.report.sections import RunReport, Section
from bphcoffea.report.tables import Cell, CellLike, Row, Table, difference, number
from bphcoffea.rounding import with_error


def compare(reports: Sequence[RunReport], names: Sequence[str]) -> Section:
    """Return the comparison of some runs; differences are relative to the first one.

    Parameters
    ----------
    reports
        Reports of at least two runs.
    names
        Short name of each run.
    """
    tables = [_states(reports, names), *_fits(reports, names), *_cutflows(reports, names)]
    tables += _provenance(reports, names)
    first = names[0]
    text = f"Differences are relative to {first}; cells that differ are marked."
    figures = [
        report.main_figure.copy(name)
        for name, report in zip(names, reports, strict=True)
        if report.main_figure is not None
    ]
    return Section("comparison", "Comparison", [text], tables, figures)


def _states(reports: Sequence[RunReport], names: Sequence[str]) -> Table:
    rows: list[Row] = []
    for name, report in zip(names, reports, strict=True):
        state = "partial" if report.partial else "complete"
        rows.append(
            (
                *(name, report.path, report.analysis.name),
                state if report.complete else Cell("incomplete", differs=True),
                report.ledger["processed_events"],
                number(report.run.luminosity_of(report.run.datasets.data), ".4g"),
                number(report.metrics["events_per_s"], ",.0f"),
            )
        )
    header = ("run", "folder", "analysis", "state", "events", "luminosity [fb⁻¹]", "events/s")
    return Table("Runs", header, rows)


def _fits(reports: Sequence[RunReport], names: Sequence[str]) -> Iterator[Table]:
    fits = [report.fit.parameters if report.fit else {} for report in reports]
    values = [{name: parameter.value for name, parameter in fit.items()} for fit in fits]

    def shown(index: int, name: str) -> Cell:
        parameter = fits[index][name]
        unit = f" {parameter.unit}" if parameter.unit else ""
        return Cell(f"{with_error(parameter.value, parameter.error or 0.0)}{unit}", parameter.value)

    if any(values):
        yield _side_by_side("Mass fits", "parameter", values, names, shown)


def _cutflows(reports: Sequence[RunReport], names: Sequence[str]) -> Iterator[Table]:
    cutflows = [report.run.cutflow for report in reports]
    for dataset in dict.fromkeys(name for cutflow in cutflows for name in cutflow):
        values = [
            {row["step"]: row["events"] for row in cutflow.get(dataset, ())} for cutflow in cutflows
        ]
        caption = f"Events of {dataset} after each cut"
        yield _side_by_side(caption, "step", values, names, _count_of(values))


def _count_of(values: Sequence[Mapping[str, int]]) -> Callable[[int, str], CellLike]:
    return lambda index, step: values[index][step]


def _side_by_side(
    caption: str,
    kind: str,
    values: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    shown: Callable[[int, str], CellLike],
) -> Table:
    """Return a table of the numbers of all runs, each with its difference to the first run."""
    rows: list[Row] = []
    for name in dict.fromkeys(name for of_run in values for name in of_run):
        cells: list[CellLike] = [name]
        for index, of_run in enumerate(values):
            if name not in of_run:
                cells += [Cell("–", differs=True)] + [Cell("–")] * (index > 0)
                continue
            cells.append(shown(index, name))
            if index:
                reference = values[0].get(name)
                cells.append(
                    Cell("only here", differs=True)
                    if reference is None
                    else difference(of_run[name], reference)
                )
        rows.append(cells)
    header = [kind, names[0]]
    for name in names[1:]:
        header += [name, f"{name} − {names[0]}"]
    return Table(caption, header, rows)


def _provenance(reports: Sequence[RunReport], names: Sequence[str]) -> Iterator[Table]:
    """Yield what differs in how the runs were made."""
    contents = [dict(_facts(report.provenance)) for report in reports]
    rows: list[Row] = [
        (name, *(Cell(content.get(name, "–"), differs=True) for content in contents))
        for name in dict.fromkeys(name for content in contents for name in content)
        if len({content.get(name) for content in contents}) > 1
    ]
    if rows:
        yield Table("What differs in how the runs were made", ("quantity", *names), rows)


def _facts(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "command", " ".join(provenance["command"])
    yield "SHA-256 of the analysis", str(provenance["analysis"]["with_imported_sha256"])
    yield "SHA-256 of the fileset", str(provenance["fileset_sha256"])
    for era in provenance["corrections"]:
        yield f"SHA-256 of the corrections {era['name']}", str(era["sha256"])
    yield "python", str(provenance["python"])
    for package, version in provenance["packages"].items():
        yield package, str(version)
