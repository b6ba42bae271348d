"""Hiding data of a search: which windows, which histograms, which bins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import hist
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from bphcoffea.analysis.description import AnalysisRecord
from bphcoffea.arrays import Floats
from bphcoffea.physics.resolution import width_of
from bphcoffea.physics.windows import in_words, signal_window
from bphcoffea.results.folder import RunFolder

Windows = Sequence[tuple[float, float]]
#: Colour of what is hidden.
SHADE = "0.92"


def blind_histograms(analysis: AnalysisRecord) -> set[str]:
    """Return the names of all histograms of the variable that is blind; none without one.

    Parameters
    ----------
    analysis
        Record of the analysis.
    """
    if analysis.blind is None:
        return set()
    variable = analysis.blind.variable
    return {name for name, record in analysis.histograms.items() if record.variable == variable}


def blind_windows(run: RunFolder) -> Windows | None:
    """Find what figures hide of the blind variable.

    Parameters
    ----------
    run
        The folder of a finished run, whose analysis has a blind variable.

    Returns
    -------
    Ends of the windows: those in which the run left data out. Of a run that is not blind they are
    those that the analysis declares, else those of the simulated masses and of the masses in
    ``limit.json``. None if everything is hidden: there are no windows, or that of a simulated
    signal is not known.
    """
    if run.hidden:
        return run.hidden
    blind = run.analysis.blind
    if blind is None or blind.windows:
        return blind.windows if blind else ()
    found: list[tuple[float, float]] = []
    for name, known in run.fileset_metadata.items():
        if known.is_mc and known.kind == "signal":
            window = _simulated(run, name, known.mass, blind.variable)
            if window is None:
                return None
            found.append(window)
    if run.place("limit.json").is_file():
        for hypothesis in run.read("limit.json")["hypotheses"]:
            categories = hypothesis["categories"].values()
            found += [(low, high) for low, high in (known["window"] for known in categories)]
    return found or None


def category_windows(run: RunFolder) -> dict[str, Windows]:
    """Find what figures of one category hide of the blind variable, by the category's name.

    Empty if all categories hide what :func:`blind_windows` finds.
    """
    analysis = run.analysis
    own: Mapping[str, Windows] = analysis.blind.by_category if analysis.blind else {}
    parents = analysis.categories or {name: name for name in own}
    return {name: own[parent] for name, parent in parents.items() if parent in own}


def _simulated(
    run: RunFolder, name: str, mass: float | None, variable: str
) -> tuple[float, float] | None:
    """Window of a simulated signal; None if its mass or its width is not known."""
    if mass is None or not run.has_candidates(name):
        return None
    table = run.candidates(name)
    if variable not in table.column_names or not table.num_rows:
        return None
    width = width_of(table[variable].to_numpy().astype(np.float64))
    return signal_window(mass, width) if width > 0 else None


def hide(
    histogram: hist.Hist,
    windows: Windows | None,
    datasets: Iterable[str],
    category: str | None = None,
) -> Windows:
    """Empty the bins of datasets that overlap with a window.

    Parameters
    ----------
    histogram
        With the axes of a run's histograms; it is changed.
    windows
        What to hide; None for everything, also beyond the axis.
    datasets
        Names of the data.
    category
        The only category to change; every one if it is not given.

    Returns
    -------
    The ranges of the variable whose bins were emptied.
    """
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
    return [(float(edges[a]), float(edges[b])) for a, b in zip(starts, stops, strict=True)]


def overlapping(edges: Floats, ranges: Windows) -> npt.NDArray[np.bool_]:
    """Tell which bins overlap with a range.

    Parameters
    ----------
    edges
        Of the bins, shape (bins + 1,).
    ranges
        Their ends.
    """
    inside = np.zeros(len(edges) - 1, dtype=np.bool_)
    for low, high in ranges:
        inside |= (edges[1:] > low) & (edges[:-1] < high)
    return inside


def blinded_in(ranges: Windows, unit: str) -> str:
    """Say what is hidden of a variable, for the heading of a figure of it."""
    return f"Data blinded in {in_words(ranges, unit)}" if ranges else ""


def left_out(run: RunFolder) -> str:
    """Say which data a blind run lacks, for the heading of a figure of something else."""
    blind = run.analysis.blind
    if blind is None or not blind.hidden:
        return ""
    return f"Without data of {blind.variable} in {in_words(blind.hidden, blind.unit)}"


def shade(figure: Figure, ranges: Windows) -> None:
    """Shade what is hidden in all axes of a figure, of which all show the variable."""
    for axes in figure.axes:
        limits = axes.get_xlim()
        for low, high in ranges:
            axes.axvspan(low, high, color=SHADE, linewidth=0, zorder=-5)
        axes.set_xlim(limits)
