"""The data that a run hides, or that figures and fits must not show before they are unblinded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from bphcoffea.analysis import AnalysisRecord, BlindRecord
from bphcoffea.arrays import Booleans, Floats
from bphcoffea.errors import RunError
from bphcoffea.physics import Window, covered, in_words, signal_window, width_of
from bphcoffea.results import RunFolder

Windows: TypeAlias = Sequence[Window]


class StillBlindError(RunError):
    """The run hides data that are needed."""


class NotHiddenError(RunError):
    """The run is blind, but not in the window of a mass."""


def check_unblinding(run: RunFolder) -> None:
    """Check that a run is not blind.

    Raises
    ------
    StillBlindError
        If it is.
    """
    if run.hidden:
        raise StillBlindError(
            f"{run.path}: the run is blind: it has no data in {in_words(run.hidden, 'GeV')}; "
            "run again unblinded"
        )


def check_hidden(run: RunFolder, mass: float, window: Window) -> None:
    """Check that a blind run hides the whole window of a mass; an unblinded run passes.

    Parameters
    ----------
    run
        Run of the search.
    mass, window
        Mass of the hypothesis, and window of its signal, GeV.

    Raises
    ------
    NotHiddenError
        If the run does not hide the window of this mass.
    RunError
        If the run was blinded for this mass, but with too narrow a window.
    """
    if not run.hidden or covered(window, run.hidden):
        return
    problem = (
        f"{run.path}: the run hides data in {in_words(run.hidden, 'GeV')}, which is not all of the "
        f"window of the mass {mass:g} GeV, {in_words([window], 'GeV')}"
    )
    if run.analysis.blind and mass in run.analysis.blind.masses:
        raise RunError(
            f"{problem}; the simulated peak is wider than declared: increase the resolution of "
            "Blind in the analysis, and run again"
        )
    raise NotHiddenError(f"{problem}; run again with this mass")


def check_fit(run: RunFolder) -> None:
    """Check that the run hides no data of the variable of the mass fit.

    Raises
    ------
    StillBlindError
        If it does.
    """
    analysis = run.analysis
    if not (run.hidden and analysis.fit and analysis.blind):
        return
    fitted = analysis.histograms.get(analysis.fit.histogram)
    if fitted and fitted.variable == analysis.blind.variable:
        check_unblinding(run)


def blind_windows(run: RunFolder) -> Windows | None:
    """Return the windows of the blind variable that figures hide.

    Parameters
    ----------
    run
        Folder of a finished run, whose analysis has a blind variable.

    Returns
    -------
    The windows in which a blind run left out data. For other runs: the windows that the analysis
    declares, else those of the simulated masses and of the masses in ``limit.json``. None if
    everything is to be hidden, because there are no windows or one of them is unknown.
    """
    if run.hidden:
        return run.hidden
    blind = run.analysis.blind
    if blind is None or blind.windows:
        return blind.windows if blind else ()
    variable = blind_variable(run.analysis, blind)
    windows: list[Window] = []
    for name, metadata in run.fileset_metadata.items():
        if metadata.is_mc and metadata.kind == "signal":
            window = _simulated_window(run, name, metadata.mass, variable)
            if window is None:
                return None
            windows.append(window)
    if run.analysis.search and run.place("limit.json").is_file():
        # imports the command line, which processes that draw do not need
        from bphcoffea.statistics.search import search_of

        windows += search_of(run).windows(run)
    return windows or None


def category_windows(run: RunFolder) -> dict[str, Windows]:
    """Return the windows that figures of a single category hide, by category.

    Empty if all categories hide the windows of :func:`blind_windows`.
    """
    analysis = run.analysis
    declared: Mapping[str, Windows] = analysis.blind.by_category if analysis.blind else {}
    parents = analysis.categories or {name: name for name in declared}
    return {name: declared[parent] for name, parent in parents.items() if parent in declared}


def blind_variable(analysis: AnalysisRecord, blind: BlindRecord) -> str:
    """Return the name of the blind variable."""
    # older versions did not record the variable itself
    return analysis.histograms[blind.histogram].variable


def _simulated_window(
    run: RunFolder, dataset: str, mass: float | None, variable: str
) -> Window | None:
    """Return the window of a simulated signal; None if its mass or width is unknown."""
    if mass is None or not run.has_candidates(dataset):
        return None
    table = run.candidates(dataset)
    if variable not in table.column_names or not table.num_rows:
        return None
    width = width_of(table[variable].to_numpy().astype(np.float64))
    return signal_window(mass, width) if width > 0 else None


def overlapping(edges: Floats, ranges: Windows) -> Booleans:
    """Return which bins overlap with a range.

    Parameters
    ----------
    edges
        Edges of the bins, shape (bins + 1,).
    ranges
        Lower and upper end of each range.

    Returns
    -------
    Array of shape (bins,).
    """
    inside = np.zeros(len(edges) - 1, dtype=np.bool_)
    for low, high in ranges:
        inside |= (edges[1:] > low) & (edges[:-1] < high)
    return inside
