"""Upper limits on B(τ → 3μ) from the mass spectra of the categories.

The shape of the signal comes from simulation, the background from the sidebands of the data. Data
in the windows of the categories are only used on request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from bphcoffea.errors import FitError
from bphcoffea.results import RunFolder
from bphcoffea.searches.tau3mu import rates
from bphcoffea.searches.tau3mu.limit_record import BranchingLimit, FittedBranching, GroupLimit
from bphcoffea.searches.tau3mu.normalisation import BRANCHING, year_signals
from bphcoffea.searches.tau3mu.rates import Corrections, Factor
from bphcoffea.searches.tau3mu.spectra import category_windows, fit_channels
from bphcoffea.statistics import check_unblinding, fit_strength, upper_limit

#: Confidence levels.
LEVELS: Final = (0.90, 0.95)
#: Name of the limit of all years together.
ALL_YEARS: Final = "all"


def limit_branching(
    run: RunFolder,
    normalisation: RunFolder,
    fraction_b: float | None = None,
    fraction_b_error: float | None = None,
    *,
    levels: Sequence[float] = LEVELS,
    unblind: bool = False,
    same_data: bool = False,
    corrections: Corrections = rates.STANDARD,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> BranchingLimit:
    """Set limits on B(τ → 3μ) of each category, each year and all together.

    Parameters
    ----------
    run
        Run of τ → 3μ, with data and simulated signal.
    normalisation
        Fitted run of Ds → φ(μμ)π.
    fraction_b, fraction_b_error
        Fraction of the Ds that comes from b hadrons, and its uncertainty, by default 3% of it.
        Without it only τ from D mesons are expected.
    levels
        Confidence levels.
    unblind
        Use the data in the windows; else the expectation without signal takes their place.
    same_data
        Assert that both runs are of the same data: the luminosity is not scaled.
    corrections
        Factors for signal that simulation and selection lack.
    progress
        Called after each limit with the number of finished limits and of all.

    Raises
    ------
    StillBlindError
        If the run is blind and its hidden data are requested.
    UnknownLuminosityError, NotFittedByYearError
        If the normalisation cannot be scaled to the data of each year.
    RunError
        If the run lacks data, signal or windows.
    FitError
        If a number is unusable, or a fit fails.
    """
    if not levels or not all(0 < level < 1 for level in levels):
        raise FitError("a confidence level lies between 0 and 1, such as 0.9")
    model = model_of_run(
        run,
        normalisation,
        fraction_b,
        fraction_b_error,
        unblind=unblind,
        same_data=same_data,
        corrections=corrections,
    )
    groups = _groups(model)
    limits: list[GroupLimit] = []
    for name, members in groups.items():
        spec = model.workspace(members)
        of_levels = tuple(
            upper_limit(spec, level=level, toys=0).scaled(BRANCHING) for level in levels
        )
        fitted = None
        if unblind:
            found = fit_strength(spec)
            value, error = found.value * BRANCHING, found.error * BRANCHING
            fitted = FittedBranching(value, error, found.p_value, found.significance)
        limits.append(GroupLimit(name, members, of_levels, fitted))
        progress(len(limits), len(groups))
    return replace(model, levels=tuple(levels), limits=tuple(limits))


def model_of_run(
    run: RunFolder,
    normalisation: RunFolder,
    fraction_b: float | None = None,
    fraction_b_error: float | None = None,
    *,
    unblind: bool = False,
    same_data: bool = False,
    corrections: Corrections = rates.STANDARD,
) -> BranchingLimit:
    """Return the inputs of all workspaces, as a record without limits.

    Parameters and errors are those of :func:`limit_branching`.
    """
    fraction = _fraction(fraction_b, fraction_b_error)
    if unblind:
        check_unblinding(run)
    windows = category_windows(run)
    signals = year_signals(
        run, normalisation, fraction, corrections=corrections, same_data=same_data
    )
    channels, notes = fit_channels(run, signals, windows, unblind=unblind)
    samples = [
        sample
        for signal in signals.values()
        for sample in (signal.phi_pi.data, signal.phi_pi.search)
        if sample
    ]
    return BranchingLimit(
        search="tau3mu",
        blinded=not unblind,
        run_blinded=bool(run.hidden),
        complete=all(sample.complete for sample in samples),
        partial=any(sample.partial for sample in samples),
        branching=BRANCHING,
        fraction_b=fraction,
        corrections=corrections,
        branching_fractions={
            "ds_taunu": rates.DS_TO_TAU,
            "ds_phipi": rates.DS_TO_PHI_PI,
            "b_tau": rates.B_TO_TAU,
            "b_ds": rates.B_TO_DS,
        },
        years={year: signal.record(windows) for year, signal in signals.items()},
        channels=channels,
        notes=notes,
    )


def _groups(model: BranchingLimit) -> dict[str, tuple[str, ...]]:
    """Return the channels of each limit: all, each year and each category, without duplicates."""
    names = tuple(channel.name for channel in model.channels)
    groups = {
        year: tuple(channel.name for channel in model.channels if channel.year == year)
        for year in dict.fromkeys(channel.year for channel in model.channels)
    }
    if len(groups) > 1:
        groups = {ALL_YEARS: names, **groups}
    groups |= {name: (name,) for name in names}
    distinct: dict[str, tuple[str, ...]] = {}
    for group, channels in groups.items():
        if channels not in distinct.values():
            distinct[group] = channels
    return distinct


def _fraction(value: float | None, error: float | None) -> Factor | None:
    """Return the fraction of Ds from b hadrons with its relative uncertainty."""
    if value is None:
        if error is not None:
            raise FitError("the fraction of Ds from b hadrons has an error, but no value")
        return None
    if not 0 < value < 1:
        raise FitError(f"the fraction of Ds from b hadrons is {value:g}, not between 0 and 1")
    if error is None:
        return Factor(value, rates.FRACTION_B_UNCERTAINTY, "given; uncertainty by default")
    if not 0 <= error < value:
        raise FitError(
            f"the fraction of Ds from b hadrons is {value:g} ± {error:g}; its error must be "
            "smaller than the fraction"
        )
    return Factor(value, error / value, "given")
