"""What a report says about one run: its sections, each with texts, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

from bphcoffea.report.figures import PageFigure, Place, figures_for_page
from bphcoffea.report.run_tables import completeness_tables, provenance_tables, throughput_tables
from bphcoffea.report.tables import Cell, Row, Table, number, share
from bphcoffea.report.yield_tables import luminosity_tables, yield_tables
from bphcoffea.results import RunFolder, blinding_in_words, processed_share
from bphcoffea.rounding import rounded
from bphcoffea.statistics import FitRecord, MassFit, Parameter, search_of

#: Rows of the summary about the yields of a fit: parameters with this prefix.
YIELD: Final = "n_"


@dataclass(frozen=True)
class Section:
    """Section of a report.

    Attributes
    ----------
    name
        Anchor, unique among the sections of a run.
    title
        Heading.
    texts
        Paragraphs.
    tables, figures
        What follows the paragraphs, in this order.
    """

    name: str
    title: str
    texts: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[PageFigure] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.texts or self.tables or self.figures)


class RunReport:
    """Content of the report on one run.

    Parameters
    ----------
    run
        Folder of a finished run.
    prefix
        Beginning of the anchors of this run.
    unblind
        Also show the data that the analysis declares blind.
    progress
        Called with the number of drawn histograms, and of all histograms.
    """

    def __init__(
        self,
        run: RunFolder,
        prefix: str,
        *,
        unblind: bool = False,
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        self.run, self.prefix, self._unblind = run, prefix, unblind
        self.path = str(run.path)
        self.analysis = run.analysis
        self.ledger: dict[str, Any] = run.read("ledger.json")
        self.provenance: dict[str, Any] = run.read("provenance.json")
        self.metrics: dict[str, Any] = run.read("metrics.json")
        self.fit = FitRecord.of_run(run) if run.place("fit.json").is_file() else None
        self.figures = list(figures_for_page(run, prefix, unblind=unblind, progress=progress))

    @property
    def title(self) -> str:
        """Title of the analysis."""
        return self.analysis.title or self.analysis.name

    @property
    def complete(self) -> bool:
        """Whether every expected event was processed."""
        return self.run.complete

    @property
    def partial(self) -> bool:
        """Whether only a part of the datasets was requested."""
        return self.run.partial

    @property
    def state(self) -> str:
        """Whether the run is complete, in a sentence."""
        done = f"{self.ledger['processed_events']:,} of {self.ledger['expected_events']:,} events"
        if not self.complete:
            failed = self.ledger["failed"]
            files = len({(failure["dataset"], failure["file"]) for failure in failed})
            lack = "1 file lacks entries" if files == 1 else f"{files:,} files lack entries"
            whole = self.ledger["uncounted_files"]
            unknown = f", {whole:,} of an unknown number" if whole else ""
            return f"Incomplete: {done} were processed; {lack}{unknown}. All results lack them."
        if self.partial:
            return (
                f"Partial: {done} requested were processed, {processed_share(self.ledger)} of the "
                "datasets. All results are preliminary."
            )
        return f"Complete: {done} were processed."

    @property
    def blinding(self) -> str:
        """Whether the results are blind, in a sentence; empty if nothing is blind."""
        return blinding_in_words(self.run)

    @property
    def main_figure(self) -> PageFigure | None:
        """Figure of the summary: limit, else mass fit, else the first distribution."""
        limits = [figure for figure in self._figures("limit") if "mass" not in figure.name]
        # the figure of all points is named as the limit itself, or comes first
        named = [figure for figure in limits if figure.name == "limit"]
        fits, distributions = self._figures("fit"), self._figures("distributions")
        for found in (named, limits[:1], fits, distributions):
            if found:
                return found[0]
        return None

    @cached_property
    def results(self) -> list[Table]:
        """Tables of the summary: limits, yields, and events after all cuts."""
        tables = self.limits[:1]
        if self.fit is not None:
            yields: list[Row] = [
                (name.removeprefix(YIELD), _with_error(parameter))
                for name, parameter in self.fit.parameters.items()
                if name.startswith(YIELD)
            ]
            tables.append(Table("Fitted yields", ("component", "candidates"), yields))
        selected = [
            (name, rows[-1]["events"], share(rows[-1]["events"], rows[0]["events"]))
            for name, rows in self.run.cutflow.items()
            if rows
        ]
        header = ("dataset", "events", "of all")
        tables.append(Table("Events that pass all cuts", header, selected))
        return tables

    @cached_property
    def sections(self) -> list[Section]:
        """All sections with content."""
        notes = [f"Note: {note}" for note in self.ledger.get("notes", ())]
        fit = self._figures("fit")
        cutflow = (*self._cutflows(), *self._selections())
        texts, tables = [text for text in self._limit if isinstance(text, str)], self.limits
        found = (
            Section("completeness", "Completeness", notes, list(completeness_tables(self.ledger))),
            Section("limit", "Limits", texts, tables, self._figures("limit")),
            Section("fit", "Mass fit", list(self._fit_texts()), list(self._fit_tables()), fit),
            Section("cutflow", "Cutflow", (), cutflow, self._figures("cutflow")),
            Section("luminosity", "Luminosity and normalisation", (), luminosity_tables(self.run)),
            Section(
                "distributions",
                "Data and simulation",
                (),
                list(yield_tables(self.run, unblind=self._unblind)),
                self._figures("distributions"),
            ),
            Section("n-1", "N-1 distributions", (), (), self._figures("n-1")),
            Section("throughput", "Throughput", (), list(throughput_tables(self.metrics))),
            Section(
                "provenance", "Provenance", (), [*provenance_tables(self.run, self.provenance)]
            ),
        )
        return [section for section in found if not section.is_empty]

    @property
    def limits(self) -> list[Table]:
        """Tables of the limits of a search; empty if it has none."""
        return [content for content in self._limit if isinstance(content, Table)]

    def _figures(self, place: Place) -> list[PageFigure]:
        return [figure for figure in self.figures if figure.place == place]

    @cached_property
    def _limit(self) -> list[str | Table]:
        if not (self.analysis.search and self.run.place("limit.json").is_file()):
            return []
        search = search_of(self.run)
        return [
            content if isinstance(content, str) else Table.of_terminal(content)
            for content in search.report(search.record(self.run), unblind=self._unblind)
        ]

    def _fit_texts(self) -> Iterator[str]:
        if self.fit is None:
            return
        fit = self.fit.fit
        if fit.p_value is not None:
            yield f"χ²/ndof = {fit.chi2:.1f}/{fit.ndof}, p-value {fit.p_value:.2g}"
        for problem in fit.problems:
            yield f"The fit is not valid: {problem}"
        for note in fit.notes:
            yield f"Note: {note}"

    def _fit_tables(self) -> Iterator[Table]:
        if self.fit is None:
            return
        fits = {f"Mass fit of {self.fit.histogram}": self.fit.fit}
        fits |= {f"Mass fit, {group}": record.fit for group, record in self.fit.by.items()}
        for peak, simulation in self.fit.nominal.simulation.items():
            names = ", ".join(simulation.datasets)
            fits[f"Simulation of {peak} ({names})"] = simulation.fit
        if self.fit.alternative is not None:
            fits["Alternative model"] = self.fit.alternative.fit
        for caption, fit in fits.items():
            if fit.p_value is not None:
                caption = f"{caption}: χ²/ndof = {fit.chi2:.1f}/{fit.ndof}"
            yield Table(caption, ("parameter", "value", "error", "unit"), list(_parameters(fit)))

    def _cutflows(self) -> Iterator[Table]:
        requirements = {cut.name: "; ".join(cut.requirements) for cut in self.analysis.cuts}
        for name, rows in self.run.cutflow.items():
            yield cutflow_table(f"Cutflow of {name}", rows, requirements)

    def _selections(self) -> Iterator[Table]:
        for kind, content in (("region", self.run.regions), ("objects", self.run.objects)):
            for dataset, parts in content.items():
                for part, rows in parts.items():
                    yield cutflow_table(f"{kind.capitalize()} {part} in {dataset}", rows, {})


def cutflow_table(
    caption: str, rows: Sequence[Mapping[str, Any]], requirements: Mapping[str, str]
) -> Table:
    """Return a cutflow with the efficiency of each step and of all steps so far.

    Parameters
    ----------
    caption
        Caption of the table.
    rows
        Steps in order, as in ``cutflow.json`` or ``objects.json``.
    requirements
        Requirements of each step, in words.
    """
    columns = [key for key in ("objects", "events", "candidates", "sumw") if key in rows[0]]
    header = ["step", *columns, "of previous", "of all"]
    if requirements:
        header.append("requirements")
    content = []
    for before, row in zip((rows[0], *rows), rows, strict=False):
        counts = [row[key] for key in columns]
        shares = (share(row["events"], total["events"]) for total in (before, rows[0]))
        texts = [requirements.get(row["step"], "")] if requirements else []
        content.append((row["step"], *counts, *shares, *texts))
    names = {"sumw": "Σw"}
    return Table(caption, [names.get(name, name) for name in header], content)


def _parameters(fit: MassFit) -> Iterator[tuple[str, Cell, Cell, str]]:
    for name, parameter in fit.parameters.items():
        error = Cell("fixed") if parameter.fixed else number(parameter.error, ".4g")
        yield name, number(parameter.value), error, parameter.unit


def _with_error(parameter: Parameter) -> Cell:
    if parameter.error is None:
        return Cell(f"{parameter.value:,.0f}", parameter.value)
    grouped = (f"{Decimal(text):,}" for text in rounded(parameter.value, parameter.error))
    return Cell(" ± ".join(grouped), parameter.value)
