"""Upper limits on B(τ → 3μ) from the mass spectra of the categories.

The signal's shape comes from simulation, the background from the sidebands of the data. Data in the
windows of the categories are not looked at unless that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.errors import InputError
from bphcoffea.physics.windows import Window, within
from bphcoffea.results.folder import RunFolder
from bphcoffea.searches.tau3mu import rates
from bphcoffea.searches.tau3mu.normalisation import BRANCHING, YearSignal, year_signals
from bphcoffea.searches.tau3mu.rates import Corrections, Factor
from bphcoffea.searches.tau3mu.signals import MASS, RANGE, candidates_of
from bphcoffea.statistics.blindness import check_unblinding
from bphcoffea.statistics.cls_limits import upper_limit
from bphcoffea.statistics.data_sample import year_of
from bphcoffea.statistics.mass_background import Background, fit_background
from bphcoffea.statistics.shape_workspace import MassChannel, shape_workspace
from bphcoffea.statistics.signal_fit import SignalFit, fit_signal_shape
from bphcoffea.statistics.signal_shape import SignalShape
from bphcoffea.statistics.strength import fit_strength

#: Bins of the mass, GeV: 10 MeV each.
EDGES: Final = tuple(round(1.62 + 0.01 * number, 2) for number in range(39))
#: Confidence levels.
LEVELS: Final = (0.90, 0.95)
#: Name of the limit of all years together.
ALL_YEARS: Final = "all"


def limit_run(
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
) -> dict[str, Any]:
    """Set limits on B(τ → 3μ) of each category, each year and all together.

    Parameters
    ----------
    run
        The folder of a finished run of τ → 3μ, with data and simulated signal.
    normalisation
        The folder of a fitted run of Ds → φ(μμ)π.
    fraction_b, fraction_b_error
        Part of the Ds that comes from b hadrons, and its uncertainty, by default 3% of it. Without
        it only τ from D mesons are expected.
    levels
        Confidence levels.
    unblind
        Look at the data in the windows; else what is expected without signal takes their place.
    same_data
        Assert that both runs are of the same data: the luminosity is not scaled.
    corrections
        Factors for what simulation and selection lack.
    progress
        Called after each limit with the number of limits that are set, and of all.

    Returns
    -------
    The content of ``limit.json``. It holds all that workspaces are made of.

    Raises
    ------
    StillBlindError
        When the run is blind and is asked for its hidden data.
    UnknownLuminosityError, NotFittedByYearError
        When the normalisation can't be scaled to the data of each year.
    InputError
        When the run lacks data, signal or windows, or a number is not usable.
    """
    if not levels or not all(0 < level < 1 for level in levels):
        raise InputError("a confidence level lies between 0 and 1, such as 0.9")
    content = model_of_run(
        run,
        normalisation,
        fraction_b,
        fraction_b_error,
        unblind=unblind,
        same_data=same_data,
        corrections=corrections,
    )
    content["levels"] = list(levels)
    content["limits"] = _limits(content, progress)
    return content


def model_of_run(
    run: RunFolder,
    normalisation: RunFolder,
    fraction_b: float | None = None,
    fraction_b_error: float | None = None,
    *,
    unblind: bool = False,
    same_data: bool = False,
    corrections: Corrections = rates.STANDARD,
) -> dict[str, Any]:
    """Return the inputs of all workspaces: the content of ``limit.json`` but for the limits.

    Parameters and errors are those of :func:`limit_run`.
    """
    fraction = _fraction(fraction_b, fraction_b_error)
    if unblind:
        check_unblinding(run)
    windows = category_windows(run)
    signals = year_signals(
        run, normalisation, fraction, corrections=corrections, same_data=same_data
    )
    parents = run.analysis.categories or {name: name for name in windows}
    channels, notes = [], []
    for year, signal in signals.items():
        data = masses_of_data(run, year, windows, unblind=unblind)
        for name, window in windows.items():
            channel = _channel(signal, name, window, data[name], parents, unblind=unblind)
            if channel is None:
                notes.append(f"category {name} of {year} is left out: no simulated signal in it")
            else:
                channels.append(channel)
    if not channels:
        raise InputError(f"{run.path}: no simulated signal is selected in any category")
    samples = [s for one in signals.values() for s in (one.phi_pi.data, one.phi_pi.search) if s]
    return {
        "search": "tau3mu",
        "blinded": not unblind,
        "run_blinded": bool(run.hidden),
        "complete": all(sample.complete for sample in samples),
        "partial": any(sample.partial for sample in samples),
        "branching": BRANCHING,
        "fraction_b": fraction.as_json() if fraction else None,
        "corrections": corrections.as_json(),
        "branching_fractions": {
            "ds_taunu": rates.DS_TO_TAU.as_json(),
            "ds_phipi": rates.DS_TO_PHI_PI.as_json(),
            "b_tau": rates.B_TO_TAU.as_json(),
            "b_ds": rates.B_TO_DS.as_json(),
        },
        "years": {year: signal.as_json(windows) for year, signal in signals.items()},
        "channels": channels,
        "notes": notes,
    }


def category_windows(run: RunFolder) -> dict[str, tuple[Window, ...]]:
    """Return the windows of each category in which data are blind, GeV.

    Raises
    ------
    InputError
        When the run does not know them, or has no categories.
    """
    analysis = run.analysis
    names = list(run.histograms()[MASS].axes["category"])
    parents, blind = analysis.categories, analysis.blind
    by_category = blind.by_category if blind else {}
    common = run.hidden or (blind.windows if blind else ())
    windows: dict[str, tuple[Window, ...]] = {}
    for name in names:
        found = by_category.get(parents.get(name, name), common)
        windows[name] = tuple((float(low), float(high)) for low, high in found)
        if not windows[name]:
            raise InputError(
                f"{run.path}: analysis.json has no window of the category {name}, in which data "
                "are blind; run again with an analysis that declares one"
            )
    return windows


def masses_of_data(
    run: RunFolder, year: str, windows: Mapping[str, Iterable[Window]], *, unblind: bool
) -> dict[str, Floats]:
    """Masses of the data of a year, GeV, by category; without those in the windows if blinded."""
    names = [
        name
        for name, known in run.fileset_metadata.items()
        if not known.is_mc and year_of(known) == year
    ]
    masses, _, categories = candidates_of(run, names)
    found = {name: masses[categories == name] for name in windows}
    if unblind:
        return found
    return {name: own[~within(own, windows[name])] for name, own in found.items()}


def _channel(
    signal: YearSignal,
    category: str,
    windows: Sequence[Window],
    data: Floats,
    parents: Mapping[str, str],
    *,
    unblind: bool,
) -> dict[str, Any] | None:
    """What ``limit.json`` holds of a category of a year; None if no signal is simulated in it."""
    events = signal.events(category)
    if sum(events.values()) <= 0:
        return None
    fit, notes = fit_signal_shape(*signal.candidates([category]), range_=RANGE), []
    if not fit.valid:
        # bins of the classifier differ in purity: the resolution is that of the whole category
        parent = parents.get(category, category)
        alike = [name for name, own in parents.items() if own == parent]
        whole = fit_signal_shape(*signal.candidates(alike), range_=RANGE)
        if not whole.valid:
            raise InputError(
                f"the simulated signal of category {category} of {signal.year} can't be fitted: "
                f"{'; '.join(fit.problems)}; add simulation"
            )
        notes.append(f"the signal's shape is that of {', '.join(alike)} together")
        fit = whole
    background = fit_background(data, windows=windows, range_=RANGE)
    observed = np.histogram(data, EDGES)[0].tolist() if unblind else None
    return {
        "name": f"{category}_{signal.year}",
        "category": category,
        "year": signal.year,
        "windows": [list(window) for window in windows],
        "edges": list(EDGES),
        # candidates with a wrong particle make no peak
        "signal": (1 - fit.flat) * sum(events.values()),
        "events": dict(events),
        "signal_stat": signal.stat(category),
        "signal_shifts": signal.shifts(category),
        "signal_fit": fit.as_json(),
        "background": background.as_json(),
        "observed": observed,
        "notes": [
            *notes,
            *(f"signal: {note}" for note in fit.notes),
            *(f"background: {note}" for note in background.notes),
        ],
    }


def _limits(
    content: Mapping[str, Any], progress: Callable[[int, int], None]
) -> list[dict[str, Any]]:
    """Limits of each category, each year and all; those of the same categories only once."""
    channels = content["channels"]
    by_year: dict[str, list[str]] = {}
    for channel in channels:
        by_year.setdefault(channel["year"], []).append(channel["name"])
    named = {ALL_YEARS: [channel["name"] for channel in channels]} if len(by_year) > 1 else {}
    named |= by_year | {channel["name"]: [channel["name"]] for channel in channels}
    members_of: dict[str, list[str]] = {}
    for name, members in named.items():
        if members not in members_of.values():
            members_of[name] = members
    found: list[dict[str, Any]] = []
    for name, members in members_of.items():
        spec = workspace_of(content, members)
        limits = [_limit(spec, level) for level in content["levels"]]
        fitted = None if content["blinded"] else _strength(spec)
        found.append({"name": name, "channels": members, "limits": limits, "fitted": fitted})
        progress(len(found), len(members_of))
    return found


def _limit(spec: Mapping[str, Any], level: float) -> dict[str, Any]:
    """An upper limit on B(τ → 3μ)."""
    limit = upper_limit(spec, level=level, toys=0).as_json()

    def branching(strength: float | str | None) -> float | str | None:
        return strength * BRANCHING if isinstance(strength, float) else strength

    expected = [branching(value) for value in limit["expected"]]
    return {**limit, "observed": branching(limit["observed"]), "expected": expected}


def _strength(spec: Mapping[str, Any]) -> dict[str, float]:
    fitted = fit_strength(spec)
    return {
        "branching": fitted.value * BRANCHING,
        "error": fitted.error * BRANCHING,
        "p_value": fitted.p_value,
        "significance": fitted.significance,
    }


def channels_of(
    content: Mapping[str, Any], names: Iterable[str] | None = None
) -> list[MassChannel]:
    """Return the mass spectra of ``limit.json``, or some of them, as the statistics take them.

    Parameters
    ----------
    content
        Of ``limit.json``.
    names
        Of channels, such as ``A_2018``; all if not given.
    """
    chosen = None if names is None else set(names)
    channels = []
    for known in content["channels"]:
        if chosen is not None and known["name"] not in chosen:
            continue
        fit = SignalFit.from_json(known["signal_fit"])
        observed = known["observed"]
        channels.append(
            MassChannel(
                name=known["name"],
                edges=tuple(known["edges"]),
                signal=known["signal"],
                shape=_shape(fit),
                background=Background.from_json(known["background"]),
                observed=None if observed is None else tuple(map(float, observed)),
                signal_stat=known["signal_stat"],
                mean_error=fit.mean_error,
                width_error=fit.width_error,
                signal_shifts=known["signal_shifts"],
            )
        )
    return channels


def _shape(fit: SignalFit) -> SignalShape:
    if fit.shape is None:
        raise ValueError("only fits that found a shape are written to limit.json")
    return fit.shape


def workspace_of(content: Mapping[str, Any], names: Iterable[str] | None = None) -> dict[str, Any]:
    """Return the workspace of ``limit.json``, or of some of its channels.

    A strength of 1 stands for B(τ → 3μ) = ``branching``.
    """
    return shape_workspace(channels_of(content, names), blinded=bool(content["blinded"]))


def _fraction(value: float | None, error: float | None) -> Factor | None:
    if value is None:
        if error is not None:
            raise InputError("the fraction of Ds from b hadrons has an error, but no value")
        return None
    if not 0 < value < 1:
        raise InputError(f"the fraction of Ds from b hadrons is {value:g}, not between 0 and 1")
    if error is None:
        return Factor(value, rates.FRACTION_B_UNCERTAINTY, "given; uncertainty by default")
    if not 0 <= error < value:
        raise InputError(
            f"the fraction of Ds from b hadrons is {value:g} ± {error:g}; its error must be "
            "smaller than the fraction"
        )
    return Factor(value, error / value, "given")
