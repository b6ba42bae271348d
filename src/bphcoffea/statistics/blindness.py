"""Checks that the data a run hides are those that a fit or limit must not use."""

from __future__ import annotations

from bphcoffea.errors import RunError
from bphcoffea.physics import Window, covered, in_words
from bphcoffea.results import RunFolder


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
