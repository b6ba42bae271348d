"""What a report says about one run: its sections, each with texts, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import numpy as np

from bphcoffea.analysis import ALL, HistogramRecord
from bphcoffea.report.figures import PageFigure, Place, figures_for_page
from bphcoffea.report.tables import Cell, Row, Table, number, pairs, share
from bphcoffea.results import RunFolder, blinding_in_words, processed_share
from bphcoffea.rounding import rounded
from bphcoffea.statistics import FitRecord, MassFit, Parameter, search_of

#: Rows of the summary about the yields of a fit: parameters with this prefix.
YIELD: Final = "n_"
#: Keys of ``metrics.json`` with totals, and what a row of them is.
WORK: Final = {
    "by_dataset": "dataset",
    "by_worker": "worker",
    "by_site": "site",
    "by_file": "file",
}


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
        tables = [content for content in self._limit if isinstance(content, Table)][:1]
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
        fit = self._figures("fit")
        cutflow = (*self._cutflows(), *self._selections())
        texts, tables = self._of_kind(self._limit, str), self._of_kind(self._limit, Table)
        found = (
            self._completeness(),
            Section("limit", "Limits", texts, tables, self._figures("limit")),
            Section("fit", "Mass fit", list(self._fit_texts()), list(self._fit_tables()), fit),
            Section("cutflow", "Cutflow", (), cutflow, self._figures("cutflow")),
            Section("luminosity", "Luminosity and normalisation", (), self._luminosity()),
            Section(
                "distributions",
                "Data and simulation",
                (),
                list(self._variations()),
                self._figures("distributions"),
            ),
            Section("n-1", "N-1 distributions", (), (), self._figures("n-1")),
            Section("throughput", "Throughput", (), list(self._throughput())),
            Section("provenance", "Provenance", (), list(self._provenance())),
        )
        return [section for section in found if not section.is_empty]

    @staticmethod
    def _of_kind(contents: Sequence[Any], kind: type) -> list[Any]:
        return [content for content in contents if isinstance(content, kind)]

    def _figures(self, place: Place) -> list[PageFigure]:
        return [figure for figure in self.figures if figure.place == place]

    def _completeness(self) -> Section:
        rows: list[Row] = []
        for name, counts in self.ledger["datasets"].items():
            expected, processed = counts["expected_events"], counts["processed_events"]
            rows.append(
                (
                    *(name, counts["dataset_events"], expected, processed, expected - processed),
                    counts["uncounted_files"],
                )
            )
        header = ("dataset", "in all", "expected", "processed", "missing", "files not counted")
        tables = [Table("Events of each dataset", header, rows)]
        if failed := self.ledger["failed"]:
            lost = [
                (f["file"], f["dataset"], *_range(f), f["attempts"], f["error"]) for f in failed
            ]
            columns = ("file", "dataset", "entries", "tries", "reason")
            tables.append(Table("Missing entries", columns, lost))
        if detours := self.ledger["detours"]:
            read: list[Row] = [
                (d["file"], d["dataset"], *_range(d), d["used"], d["attempts"], d["error"])
                for d in detours
            ]
            places = ("file", "dataset", "entries", "read from", "tries", "first error")
            tables.append(Table("Entries that were read after an error", places, read))
        notes = [f"Note: {note}" for note in self.ledger.get("notes", ())]
        return Section("completeness", "Completeness", notes, tables)

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

    def _luminosity(self) -> list[Table]:
        tables = []
        if self.run.place("luminosity.json").is_file():
            content = self.run.read("luminosity.json")
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
        if self.run.place("normalisation.json").is_file():
            normalised: list[Row] = [
                (
                    *(name, number(of.cross_section), number(of.luminosity, ".4g")),
                    *(number(of.generator_sumw), number(of.scale, ".4g"), "; ".join(of.notes)),
                )
                for name, of in self.run.normalisation.items()
            ]
            columns = ("dataset", "σ [pb]", "luminosity [fb⁻¹]", "generator Σw", "scale", "notes")
            tables.append(Table("Normalisation of the simulation", columns, normalised))
        return [table for table in tables if table.rows]

    def _variations(self) -> Iterator[Table]:
        """Yield the yields of data and simulation, and how each variation changes the sum."""
        name = self._counted_histogram()
        if name is None or not self.run.place("normalisation.json").is_file():
            return
        scales = [record.scale for record in self.run.normalisation.values()]
        if not scales or None in scales:
            return
        histogram = self.run.normalised_histograms()[name]
        category = ALL if ALL in histogram.axes["category"] else sum
        datasets = self.run.datasets

        def total(names: Sequence[str], variation: str) -> float:
            return float(sum(histogram[each, category, variation, sum].value for each in names))

        nominal = {
            process: total(names, "nominal") for process, names in datasets.by_process.items()
        }
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
            np.sqrt(sum(_towards(changes, source, sign) ** 2 for source in sources))
            for sign in (1, -1)
        ]
        rows.append(("sum in quadrature", _percent(ends[0]), _percent(-ends[1])))
        yields: list[Row] = [
            (process, number(value), share(value, simulated)) for process, value in nominal.items()
        ]
        yields.append(("sum of simulation", number(simulated), share(simulated, simulated)))
        if datasets.data:
            is_blind = self.analysis.blind is not None and not self._unblind
            data = total(datasets.data, "nominal")
            yields.append(
                ("data", "blinded", "–")
                if is_blind
                else ("data", number(data), share(data, simulated))
            )
        yield Table(
            f"Candidates in the histogram {name}", ("process", "sum", "of simulation"), yields
        )
        if sources:
            header = ("source", "up", "down")
            yield Table(f"Change of the simulation in {name} by each variation", header, rows)

    def _counted_histogram(self) -> str | None:
        """Return the fitted histogram, else the first that is of selected candidates."""
        fit, records = self.analysis.fit, self.analysis.histograms
        if fit is not None and fit.histogram in records:
            return fit.histogram
        return next((name for name, record in records.items() if _counts_once(record)), None)

    def _throughput(self) -> Iterator[Table]:
        metrics = self.metrics
        yield pairs(
            "Work of the run",
            ("quantity", "value"),
            (
                ("executor", f"{metrics['executor']}, {metrics['workers']} workers"),
                ("whole run", f"{metrics.get('run_s', metrics['wall_s']):.1f} s"),
                ("chunks", f"{metrics['chunks']:,} in {metrics['wall_s']:.1f} s"),
                ("events per second", f"{metrics['events_per_s']:,.0f}"),
                ("read", f"{metrics['bytes_read'] / 1e6:,.1f} MB"),
                ("highest memory of a worker", f"{metrics['peak_rss_mb']:,.0f} MB"),
                ("resumed chunks", f"{metrics['chunks_resumed']:,}"),
            ),
        )
        header = ("chunks", "events", "s", "events/s", "in input", "MB/s", "CPU", "memory [MB]")
        for key, kind in WORK.items():
            rows = [
                (
                    *(name, total["chunks"], total["events"], number(total["wall_s"], ".1f")),
                    number(total["events_per_s"], ",.0f"),
                    share(total["input_s"], total["wall_s"]),
                    number(total["bytes_per_s"] / 1e6, ".1f"),
                    number(total["cpu_fraction"], ".0%"),
                    number(total["peak_rss_mb"], ",.0f"),
                )
                for name, total in metrics[key].items()
            ]
            yield Table(f"Work by {kind}", (kind, *header), rows)

    def _provenance(self) -> Iterator[Table]:
        content = self.provenance
        header = ("quantity", "value")
        analysis = content["analysis"]
        yield pairs(
            "How the run was made",
            header,
            (
                ("command", " ".join(content["command"])),
                ("started", content["started"]),
                ("finished", content["finished"]),
                ("analysis", f"{analysis['name']}, {analysis['file']}"),
                ("SHA-256 of the analysis", analysis["sha256"]),
                ("SHA-256 with imported files", analysis.get("with_imported_sha256")),
                ("git commit of the analysis", analysis.get("git_commit")),
                ("SHA-256 of the fileset", content["fileset_sha256"]),
                ("classifier", content.get("classifier") and content["classifier"].get("name")),
            ),
        )
        datasets: list[Row] = [
            (
                *(name, "simulation" if of.is_mc else "data", of.era, of.kind),
                *(of.process or "", of.label or ""),
            )
            for name, of in self.run.fileset_metadata.items()
        ]
        columns = ("dataset", "kind", "era", "role", "process", "label")
        yield Table("Datasets", columns, datasets)
        files = [
            (f"{era['name']}: {place}", file["file"], file["sha256"])
            for era in content["corrections"]
            for place, file in _files(era)
        ]
        if files:
            yield Table("Corrections", ("correction", "file", "SHA-256"), files)
        versions = {"python": content["python"], **content["packages"]}
        yield pairs("Versions", ("package", "version"), versions.items())
        yield pairs("Options", ("option", "value"), _flat(content["options"]))


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


def _range(entry: Mapping[str, Any]) -> tuple[str]:
    return ("all" if entry["stop"] is None else f"{entry['start']:,}–{entry['stop']:,}",)


def _counts_once(record: HistogramRecord) -> bool:
    return record.n_minus_1 is None and not record.others and record.counted != "Objects"


def _percent(change: float | None) -> Cell:
    return Cell("–") if change is None else Cell(f"{100 * change:+.2f}%", change)


def _towards(changes: Mapping[str, float], source: str, sign: int) -> float:
    """Return by how much a source moves the sum upwards (`sign` 1) or downwards (-1) at most."""
    return max(sign * changes.get(f"{source}{end}", 0.0) for end in ("Up", "Down", "")) or 0.0


def _files(content: Any, place: str = "") -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield all files with their hashes in the record of corrections, and where they stand."""
    if isinstance(content, Mapping):
        if "file" in content and "sha256" in content:
            yield place or "declaration", {key: str(content[key]) for key in ("file", "sha256")}
        for name, part in content.items():
            yield from _files(part, f"{place} {name}".strip())
    elif isinstance(content, list):
        for part in content:
            yield from _files(part, place)


def _flat(content: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, object]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{place}{name} ")
        else:
            yield f"{place}{name}", value
