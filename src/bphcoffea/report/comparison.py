"""Comparison of several runs: states, limits, yields, cutflows, provenance side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    tables = [_states(reports, names), *_limits(reports, names), *_fits(reports, names)]
    tables += [*_cutflows(reports, names), *_provenance(reports, names)]
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


def _limits(reports: Sequence[RunReport], names: Sequence[str]) -> Iterator[Table]:
    """Yield a table for each column of the limits: expected, observed, and others."""
    limits = [{table.caption: table for table in report.limits} for report in reports]
    for caption in dict.fromkeys(caption for of_run in limits for caption in of_run):
        tables = [of_run.get(caption) for of_run in limits]
        kind, *columns = next(table.header for table in tables if table is not None)
        for position, column in enumerate(columns, start=1):
            cells = [
                {row[0].text: row[position] for row in table.cells} if table is not None else {}
                for table in tables
            ]
            yield _side_by_side(f"{caption}: {column}", kind or "limit", cells, names)


def _fits(reports: Sequence[RunReport], names: Sequence[str]) -> Iterator[Table]:
    fits = [report.fit.parameters if report.fit else {} for report in reports]
    cells = [
        {
            name: Cell(
                f"{with_error(found.value, found.error or 0.0)} {found.unit}".rstrip(), found.value
            )
            for name, found in fit.items()
        }
        for fit in fits
    ]
    if any(cells):
        yield _side_by_side("Mass fits", "parameter", cells, names)


def _cutflows(reports: Sequence[RunReport], names: Sequence[str]) -> Iterator[Table]:
    cutflows = [report.run.cutflow for report in reports]
    for dataset in dict.fromkeys(name for cutflow in cutflows for name in cutflow):
        cells = [
            {row["step"]: Cell(f"{row['events']:,}", row["events"]) for row in of_run}
            for of_run in (cutflow.get(dataset, ()) for cutflow in cutflows)
        ]
        yield _side_by_side(f"Events of {dataset} after each cut", "step", cells, names)


def _side_by_side(
    caption: str,
    kind: str,
    cells: Sequence[Mapping[str, Cell]],
    names: Sequence[str],
) -> Table:
    """Return a table of the cells of all runs, each with its difference to the first run."""
    rows: list[Row] = []
    for name in dict.fromkeys(name for of_run in cells for name in of_run):
        row: list[CellLike] = [name]
        for index, of_run in enumerate(cells):
            if name not in of_run:
                row += [Cell("–", differs=True)] + [Cell("–")] * (index > 0)
                continue
            row.append(of_run[name])
            if index:
                row.append(_difference(of_run[name], cells[0].get(name)))
        rows.append(row)
    header = [kind, names[0]]
    for name in names[1:]:
        header += [name, f"{name} − {names[0]}"]
    return Table(caption, header, rows)


def _difference(cell: Cell, reference: Cell | None) -> Cell:
    if reference is None:
        return Cell("only here", differs=True)
    if cell.value is not None and reference.value is not None:
        return difference(cell.value, reference.value)
    return Cell("same", 0.0) if cell.text == reference.text else Cell("differs", differs=True)


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
