"""All figures of a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import hist
from matplotlib.figure import Figure

from bphcoffea.analysis import ALL, AnalysisRecord, HistogramRecord
from bphcoffea.presentation import hidden_data
from bphcoffea.presentation.cutflow import cutflow_figures
from bphcoffea.presentation.distributions import distribution_figure
from bphcoffea.presentation.hidden_data import RunHistogram, Windows
from bphcoffea.presentation.labels import LabelledRun, Labels
from bphcoffea.presentation.maps import map_figure
from bphcoffea.presentation.mass import mass_figures
from bphcoffea.presentation.spectrum import spectrum_figure
from bphcoffea.presentation.stacks import stack_figure
from bphcoffea.presentation.style import FIGURES, cms_style, name_of_its_own, save
from bphcoffea.results import RunFolder, file_name
from bphcoffea.statistics import (
    FitRecord,
    blind_windows,
    category_windows,
    check_unblinding,
    search_of,
)

_log = logging.getLogger(__name__)


def plot_run(
    run: RunFolder,
    *,
    shapes: bool = False,
    unblind: bool = False,
    labels: Labels | None = None,
    pdf: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Path]:
    """Draw every figure of a run into the folder ``figures``.

    Data are summed; simulated datasets are summed by process. A fitted mass histogram is drawn
    with its fit, and a spectrum with the labels of its declared resonances. If all simulation can
    be scaled to the luminosity of the data, or to that of its metadata if there are no data, it is
    stacked, with the band of all variations and the ratio. Texts that cannot be drawn as they are
    meant are logged.

    Parameters
    ----------
    run
        Folder of a finished run.
    shapes
        Scale each simulated process to the area of the data instead.
    unblind
        Also draw the data that the analysis declares blind; the run must have kept them.
    labels
        Texts that replace those of the run.
    pdf
        Also write a PDF of each figure, which takes as long as all PNGs.
    progress
        Called with the number of drawn histograms, and of all histograms.

    Returns
    -------
    The paths of the new files: a PNG of each figure, and a PDF if asked for. They replace the
    figures of an earlier call, all at once; other files stay.

    Raises
    ------
    StillBlindError
        If `unblind` is set and the run left out data.
    UnwritableError
        If the files cannot be written; earlier figures stay.
    """
    if unblind:
        check_unblinding(run)
    formats = ("png", "pdf") if pdf else ("png",)
    paths: list[Path] = []
    taken: set[str] = set()
    labelled = LabelledRun(run, labels)
    with run.replacing(FIGURES) as temporary, cms_style():
        figures = figures_of_run(labelled, shapes=shapes, unblind=unblind, progress=progress)
        for name, figure in figures:
            paths += save(figure, temporary / FIGURES, name_of_its_own(name, taken), formats)
    for note in labelled.notes:
        _log.warning("%s", note)
    return [run.output / FIGURES / path.name for path in paths]


def figures_of_run(
    run: RunFolder,
    *,
    shapes: bool = False,
    unblind: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of a run with their names, one at a time to save memory.

    See :func:`plot_run` for the parameters.
    """
    analysis, datasets = run.analysis, run.datasets
    yield from cutflow_figures(run)
    fit = FitRecord.of_run(run) if run.place("fit.json").is_file() else None
    if analysis.search and run.place("limit.json").is_file():
        yield from search_of(run).figures(run, unblind=unblind)
    notes = (hidden_data.left_out(run),) if datasets.data else ()
    scaled = {} if shapes else _scaled_histograms(run)
    hidden = {} if unblind or not datasets.data else _hidden_windows(run)
    histograms = run.histograms()
    for number, (name, histogram) in enumerate(histograms.items()):
        progress(number, len(histograms))
        record = analysis.histograms.get(name, HistogramRecord(variable=name))
        shown = RunHistogram(name, histogram, scaled.get(name), record, datasets, notes)
        by_category = {
            # no range of one axis holds the window of a histogram of several variables
            category: shown.hiding(None if record.others else windows, category)
            for category, windows in hidden.get(name, {}).items()
            # N-1 histograms have no categories
            if category in (None, *histogram.axes["category"])
        }
        yield from _histogram_figures({None: shown, **by_category}, analysis, fit)
    progress(len(histograms), len(histograms))


def _histogram_figures(
    by_category: Mapping[str | None, RunHistogram],
    analysis: AnalysisRecord,
    fit: FitRecord | None,
) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of one histogram.

    Parameters
    ----------
    by_category
        The histogram for figures of all categories, under the key None, and for figures of a
        single category if it differs there.
    analysis
        Record of the analysis.
    fit
        Fit of the run; None if there is none.
    """
    whole = by_category[None]
    dimensions = len(whole.histogram.axes) - 3
    if dimensions > 2:
        _log.debug("histogram '%s' of %d variables is not drawn", whole.name, dimensions)
        return
    is_fitted = analysis.fit is not None and whole.name == analysis.fit.histogram
    is_n_minus_1 = whole.record.n_minus_1 is not None
    if is_fitted:
        yield from mass_figures(whole, fit)
    categories: list[str | None] = [None]
    if whole.record.regions:
        categories = [*whole.record.regions]
    elif len(whole.histogram.axes["category"]) > 1 and not is_n_minus_1:
        categories += [name for name in whole.histogram.axes["category"] if name != ALL]
    for category in categories:
        shown = by_category.get(category, whole)
        if category is not None and category in shown.record.regions:
            shown = replace(shown, record=shown.record.of_region(category))
        name = whole.name if category is None else f"{whole.name}_{file_name(category)}"
        if dimensions == 2:
            yield name, map_figure(shown, category)
            continue
        is_stacked = shown.scaled is not None and not is_n_minus_1
        if is_stacked:
            figure = stack_figure(shown, category, overlay_signal=analysis.overlay_signal)
            # the figure of the fit has the plain name
            yield f"{name}_stack" if is_fitted else name, figure
        elif is_fitted:
            continue
        if shown.record.resonances and (is_stacked or shown.scaled is None):
            yield f"{name}_spectrum" if is_stacked else name, spectrum_figure(shown, category)
        elif not is_stacked:
            yield name, distribution_figure(shown, category)


def _hidden_windows(run: RunFolder) -> dict[str, dict[str | None, Windows | None]]:
    """Return the windows to hide by histogram and category; None stands for all categories."""
    names = hidden_data.blind_histograms(run.analysis)
    if not names:
        return {}
    by_category: dict[str | None, Windows | None] = {None: blind_windows(run)}
    by_category.update(category_windows(run))
    return dict.fromkeys(names, by_category)


def _scaled_histograms(run: RunFolder) -> dict[str, hist.Hist]:
    """Return the histograms with scaled simulation; empty if some cannot be scaled."""
    if not (run.path / "normalisation.json").is_file():
        return {}
    scales = [record.scale for record in run.normalisation.values()]
    if not scales or None in scales:
        return {}
    return run.normalised_histograms()
