"""Hiding the data of a search in figures: windows, histograms and bins."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import hist
import numpy as np
from matplotlib.figure import Figure

from bphcoffea.analysis import AnalysisRecord, HistogramRecord
from bphcoffea.physics import in_words
from bphcoffea.presentation.processes import Processes
from bphcoffea.presentation.style import Heading
from bphcoffea.results import Datasets, RunFolder
from bphcoffea.statistics import Windows as Windows
from bphcoffea.statistics import blind_variable
from bphcoffea.statistics import overlapping as overlapping

#: Colour of hidden ranges.
SHADE = "0.92"


def blind_histograms(analysis: AnalysisRecord) -> set[str]:
    """Return the names of all histograms of the blind variable; empty if there is none."""
    if analysis.blind is None:
        return set()
    variable = blind_variable(analysis, analysis.blind)
    return {
        name
        for name, record in analysis.histograms.items()
        if variable in (record.variable, *record.others)
    }


def hide(
    histogram: hist.Hist,
    windows: Windows | None,
    datasets: Collection[str],
    category: str | None = None,
) -> tuple[hist.Hist, Windows]:
    """Empty all bins of some datasets that overlap with a window.

    Parameters
    ----------
    histogram
        Histogram with the axes of a run's histograms.
    windows
        Windows to hide; None to hide everything, overflow included.
    datasets
        Names of the data.
    category
        Category in which bins are emptied; None for all categories.

    Returns
    -------
    A copy of the histogram with the emptied bins, and the ranges of the variable that they cover.
    """
    histogram = histogram.copy()
    edges = np.asarray(histogram.axes[-1].edges, dtype=np.float64)
    hidden = overlapping(edges, [(-np.inf, np.inf)] if windows is None else windows)
    flow = histogram.view(flow=True)
    bins = np.concatenate([[windows is None], hidden, [windows is None]])
    which = slice(None) if category is None else list(histogram.axes["category"]).index(category)
    for index, name in enumerate(histogram.axes["dataset"]):
        if name in datasets:
            for part in ("value", "variance"):
                flow[part][index, which][..., bins] = 0
    starts = np.flatnonzero(hidden & ~np.concatenate([[False], hidden[:-1]]))
    stops = np.flatnonzero(hidden & ~np.concatenate([hidden[1:], [False]])) + 1
    ranges = [(float(edges[a]), float(edges[b])) for a, b in zip(starts, stops, strict=True)]
    return histogram, ranges


def blinded_in(ranges: Windows, unit: str) -> str:
    """Return a note on the hidden ranges of a variable, for figures of this variable."""
    return f"Data blinded in {in_words(ranges, unit)}" if ranges else ""


def left_out(run: RunFolder) -> str:
    """Return a note on the data that a blind run lacks, for figures of other variables."""
    blind = run.analysis.blind
    if blind is None or not blind.hidden:
        return ""
    return f"Without data of {blind.variable} in {in_words(blind.hidden, blind.unit)}"


def shade(figure: Figure, ranges: Windows) -> None:
    """Shade hidden ranges in all axes of a figure; all of them must show the variable."""
    for axes in figure.axes:
        limits = axes.get_xlim()
        for low, high in ranges:
            axes.axvspan(low, high, color=SHADE, linewidth=0, zorder=-5)
        axes.set_xlim(limits)


@dataclass(frozen=True)
class RunHistogram:
    """Histogram of a run, as its figures show it.

    Attributes
    ----------
    name
        Name of the histogram in the run.
    histogram
        Entries, with the axes dataset, category, variation and that of the variable.
    scaled
        The same with simulation scaled to the data; None to compare shapes only.
    record
        Label, unit and scale of the variable, resonances, and the bounds of an N-1 histogram.
    datasets
        Datasets of the run.
    notes
        Notes for the heading; empty ones are not shown.
    hidden
        Ranges of the variable in which data are hidden.
    processes
        Simulated processes by label.
    parts
        Labels of categories and regions, by name.
    shapes
        Names of the shape variations.
    """

    name: str
    histogram: hist.Hist
    scaled: hist.Hist | None
    record: HistogramRecord
    datasets: Datasets
    notes: Sequence[str] = ()
    hidden: Windows = ()
    processes: Processes = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    shapes: Collection[str] = ()

    def heading(self, category: str | None, datasets: Collection[str] | None = None) -> Heading:
        """Return the heading of a figure of a category, of some or of all datasets."""
        records = (self.datasets[name] for name in (datasets or self.datasets))
        part = "" if category is None else self.parts.get(category, category)
        scaled = self.scaled is not None and datasets is None
        return Heading.of(records, self.notes, part, scaled=scaled)

    @property
    def label(self) -> str:
        """Label of the variable."""
        return self.record.label or self.record.variable

    def hiding(self, windows: Windows | None, category: str | None = None) -> RunHistogram:
        """Return a copy without the data in some windows.

        Parameters
        ----------
        windows
            Windows to hide; None to hide all data.
        category
            Category in which data are hidden; None for all categories.
        """
        data = self.datasets.data
        histogram, hidden = hide(self.histogram, windows, data, category)
        scaled = None if self.scaled is None else hide(self.scaled, windows, data, category)[0]
        notes = (blinded_in(hidden, self.record.unit),)
        if self.record.others:
            notes = ("Data blinded in all bins",)
        return replace(self, histogram=histogram, scaled=scaled, hidden=hidden, notes=notes)
