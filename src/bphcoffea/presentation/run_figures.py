"""All figures of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TypeAlias

import hist
from matplotlib.figure import Figure

from bphcoffea.analysis import ALL, DOWN, NOMINAL, UP, AnalysisRecord, HistogramRecord
from bphcoffea.errors import RunError
from bphcoffea.patterns import check_patterns, chosen, matching
from bphcoffea.presentation import hidden_data
from bphcoffea.presentation.cutflow import cutflow_figures
from bphcoffea.presentation.distributions import distribution_figure
from bphcoffea.presentation.drawing import Drawing
from bphcoffea.presentation.efficiency import efficiency_figure
from bphcoffea.presentation.hidden_data import RunHistogram, Windows
from bphcoffea.presentation.labels import literal
from bphcoffea.presentation.maps import map_figure
from bphcoffea.presentation.mass import mass_figures
from bphcoffea.presentation.options import FigureOptions
from bphcoffea.presentation.processes import Processes, processes_of
from bphcoffea.presentation.spectrum import spectrum_figure
from bphcoffea.presentation.stacks import stack_figure, stacked
from bphcoffea.presentation.style import experiment, figure_name
from bphcoffea.presentation.variations import breakdown_figure, variation_figure
from bphcoffea.results import Datasets, RunFolder
from bphcoffea.statistics import (
    FitRecord,
    blind_windows,
    category_windows,
    search_of,
)

#: Figures of one histogram, which are drawn one after the other.
Job: TypeAlias = list[Drawing]

_log = logging.getLogger(__name__)


def figures_of_run(
    run: RunFolder, options: FigureOptions | None = None
) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of a run with their names, one at a time to save memory."""
    options = options or FigureOptions()
    with experiment(options.experiment, options.status):
        for job in jobs_of_run(run, options):
            for name, draw in job:
                yield name, draw()


def jobs_of_run(run: RunFolder, options: FigureOptions) -> Iterator[Job]:
    """Yield the figures of a run, those of each histogram together."""
    figures = _Figures(run, options)
    histograms = run.histograms()
    names = chosen(histograms, options.histograms, "histogram", RunError)
    figures.check(histograms)
    is_whole = not (options.histograms or options.variation)
    if is_whole and figures.analysis.search and run.place("limit.json").is_file():
        limits = search_of(run).figures(run, unblind=options.unblind)
        yield from ([(figure_name(name), draw)] for name, draw in limits)
    if is_whole:
        yield from ([drawing] for drawing in cutflow_figures(run, figures.datasets))
    fit = figures.analysis.fit
    # the fit comes last: the process that draws from the end has imported what it needs
    for name in sorted(names, key=lambda name: fit is not None and name == fit.histogram):
        yield list(figures.of_histogram(name, histograms[name]))


@dataclass(frozen=True)
class _Figures:
    """Figures of the histograms of a run."""

    run: RunFolder
    options: FigureOptions

    @cached_property
    def analysis(self) -> AnalysisRecord:
        """Record of the analysis."""
        return self.run.analysis

    @cached_property
    def datasets(self) -> Datasets:
        """The chosen datasets."""
        datasets = self.run.datasets
        names = chosen(datasets, self.options.datasets, "dataset", RunError)
        return Datasets((name, datasets[name]) for name in names)

    @cached_property
    def processes(self) -> Processes:
        """The processes of the chosen datasets, with the colours that they have among all."""
        options = self.options
        found = processes_of(
            self.run.datasets,
            options.style,
            overlay_signal=self.analysis.overlay_signal,
            scale_signal=options.scale_signal,
        )
        parts = {
            label: replace(of, datasets=tuple(n for n in of.datasets if n in self.datasets))
            for label, of in found.items()
        }
        return {label: process for label, process in parts.items() if process.datasets}

    @cached_property
    def parts(self) -> dict[str, str]:
        """Labels of regions and categories by name."""
        labels = self.options.style.labels
        regions = {region.name: f"Region {region.name}" for region in self.analysis.regions}
        categories = {name: f"Category {name}" for name in self.analysis.categories}
        return {
            name: labels.get(name, literal(text)) for name, text in (categories | regions).items()
        }

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Notes for all headings."""
        return (hidden_data.left_out(self.run),) if self.datasets.data else ()

    @cached_property
    def fit(self) -> FitRecord | None:
        """Mass fit of the run."""
        return FitRecord.of_run(self.run) if self.run.place("fit.json").is_file() else None

    @cached_property
    def hidden(self) -> dict[str, dict[str | None, Windows | None]]:
        """Windows to hide by histogram and category; None stands for all categories."""
        names = hidden_data.blind_histograms(self.analysis)
        if not names or self.options.unblind or not self.datasets.data:
            return {}
        windows: dict[str | None, Windows | None] = {None: blind_windows(self.run)}
        windows.update(category_windows(self.run))
        return dict.fromkeys(names, windows)

    @cached_property
    def scaled(self) -> dict[str, hist.Hist]:
        """Histograms with scaled simulation; empty if some cannot be scaled."""
        if self.options.shapes or not self.run.can_be_normalised:
            return {}
        return self.run.normalised_histograms()

    def check(self, histograms: Mapping[str, hist.Hist]) -> None:
        """Raise a RunError if an option names what the run does not have."""
        options = self.options
        simulated = {name: self.run.datasets[name] for name in self.run.datasets.simulated}
        names = {name for of in histograms.values() for name in of.axes["category"] if name != ALL}
        options.style.check(simulated, dict.fromkeys(names, ""))
        check_patterns(sorted(names), options.categories, "category or region", RunError)
        if options.variation is not None:
            varied = {v for of in (self.scaled or histograms).values() for v in _variations(of)}
            check_patterns(sorted(varied), [options.variation], "variation", RunError)

    def of_histogram(self, name: str, histogram: hist.Hist) -> Iterator[Drawing]:
        """Yield the figures of one histogram."""
        options, analysis = self.options, self.analysis
        record = analysis.histograms.get(name, HistogramRecord(variable=name))
        if options.log_y is not None:
            record = record.model_copy(update={"log_y": options.log_y})
        dimensions = len(histogram.axes) - 3
        if dimensions > 2:
            _log.debug("histogram '%s' of %d variables is not drawn", name, dimensions)
            return
        whole = RunHistogram(
            name, histogram, self.scaled.get(name), record, self.datasets, self.notes,
            processes=self.processes, parts=self.parts, shapes=frozenset(analysis.shapes),
        )  # fmt: skip
        by_category = {None: whole} | {
            # no range of one axis holds the window of a histogram of several variables
            category: whole.hiding(None if record.others else windows, category)
            for category, windows in self.hidden.get(name, {}).items()
            # N-1 histograms have no categories
            if category in (None, *histogram.axes["category"])
        }
        is_fitted = analysis.fit is not None and name == analysis.fit.histogram
        if is_fitted and not options.categories and options.variation is None:
            yield from mass_figures(by_category[None], self.fit)
        for category in self._categories(by_category[None]):
            shown = by_category.get(category, by_category[None])
            if category is not None and category in record.regions:
                shown = replace(shown, record=record.of_region(category))
            file = figure_name(name, *([] if category is None else [category]))
            if options.variation is None:
                yield from self._figures(shown, category, file, is_fitted=is_fitted)
            elif dimensions == 1:
                varied = histogram if shown.scaled is None else shown.scaled
                for variation in matching(_variations(varied), [options.variation]):
                    draw = partial(variation_figure, shown, category, variation)
                    yield figure_name(file, variation), draw

    def _categories(self, shown: RunHistogram) -> Sequence[str | None]:
        """Return the categories to draw; None stands for all."""
        names = [name for name in shown.histogram.axes["category"] if name != ALL]
        wanted = self.options.categories
        if wanted:
            return [*matching(names, wanted)]
        if shown.record.regions:
            return [*shown.record.regions]
        is_split = len(shown.histogram.axes["category"]) > 1 and shown.record.n_minus_1 is None
        return [None, *names] if is_split else [None]

    def _figures(
        self, shown: RunHistogram, category: str | None, file: str, *, is_fitted: bool
    ) -> Iterator[Drawing]:
        """Yield the figures of a category."""
        if shown.record.others:
            yield file, partial(map_figure, shown, category)
            return
        is_stacked = shown.scaled is not None and bool(shown.processes)
        if is_stacked:
            # the figure of the fit has the plain name
            yield f"{file}_stack" if is_fitted else file, partial(stack_figure, shown, category)
            if self.options.breakdown and stacked(shown):
                yield f"{file}_uncertainties", partial(breakdown_figure, shown, category)
        elif is_fitted:
            return
        if shown.record.resonances and (is_stacked or shown.scaled is None):
            spectrum = partial(spectrum_figure, shown, category)
            yield f"{file}_spectrum" if is_stacked else file, spectrum
        elif not is_stacked:
            yield file, partial(distribution_figure, shown, category)
        if self.options.efficiency and category is not None and not shown.record.regions:
            yield f"{file}_efficiency", partial(efficiency_figure, shown, category)


def _variations(histogram: hist.Hist) -> list[str]:
    """Return the names of the variations without their sides."""
    names = [name for name in histogram.axes["variation"] if name != NOMINAL]
    return list(dict.fromkeys(name.removesuffix(UP).removesuffix(DOWN) for name in names))
