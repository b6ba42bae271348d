"""Whether a limit can be set with the data that a run hides."""

from __future__ import annotations

from bphcoffea.errors import InputError
from bphcoffea.physics.windows import Window, covered, in_words
from bphcoffea.results.folder import RunFolder


class StillBlindError(InputError):
    """Data are asked for that the run has hidden."""


class NotHiddenError(InputError):
    """The run is blind, but not in the window of a mass."""


def check_unblinding(run: RunFolder) -> None:
    """Make sure that a run holds the data in its windows.

    Raises
    ------
    StillBlindError
        If it does not.
    """
    if run.hidden:
        raise StillBlindError(
            f"{run.path}: the run is blind: it has no data in {in_words(run.hidden, 'GeV')}; "
            "run again unblinded"
        )


def check_hidden(run: RunFolder, mass: float, window: Window) -> None:
    """Make sure that a blind run hides the whole window of a mass; any mass will do if it is not.

    Parameters
    ----------
    run
        The run of the search.
    mass, window
        The hypothesis, and where its signal is searched for, GeV.

    Raises
    ------
    NotHiddenError
        If data in the window are not hidden, though others are.
    InputError
        If the mass is hidden, but in a window that is too narrow.
    """
    if not run.hidden or covered(window, run.hidden):
        return
    what = (
        f"{run.path}: the run hides data in {in_words(run.hidden, 'GeV')}, which is not all of the "
        f"window of the mass {mass:g} GeV, {in_words([window], 'GeV')}"
    )
    if run.analysis.blind and mass in run.analysis.blind.masses:
        raise InputError(
            f"{what}; simulation is wider than the analysis declares: increase the resolution of "
            "its Blind, and run again"
        )
    raise NotHiddenError(f"{what}; run again with this mass")


def check_fit(run: RunFolder) -> None:
    """Make sure that a mass fit has all data of the variable that it fits.

    Raises
    ------
    StillBlindError
        If some of them are hidden.
    """
    analysis = run.analysis
    if not (run.hidden and analysis.fit and analysis.blind):
        return
    fitted = analysis.histograms.get(analysis.fit.histogram)
    if fitted and fitted.variable == analysis.blind.variable:
        check_unblinding(run)
