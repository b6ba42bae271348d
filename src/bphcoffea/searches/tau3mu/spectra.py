"""Mass spectra of the categories: windows, data, and fits of signal and background."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError, RunError
from bphcoffea.physics import Window, within
from bphcoffea.results import RunFolder
from bphcoffea.searches.tau3mu.limit_record import ChannelRecord
from bphcoffea.searches.tau3mu.normalisation import YearSignal
from bphcoffea.searches.tau3mu.signals import MASS, RANGE, candidates_of
from bphcoffea.statistics import fit_background, fit_signal_shape, year_of

#: Edges of the bins of the mass, GeV: 10 MeV each.
EDGES: Final = tuple(round(1.62 + 0.01 * number, 2) for number in range(39))


def category_windows(run: RunFolder) -> dict[str, tuple[Window, ...]]:
    """Return the blind windows of each category, GeV.

    Raises
    ------
    RunError
        If the run does not have them.
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
            raise RunError(
                f"{run.path}: analysis.json has no window of the category {name}, in which data "
                "are blind; run again with an analysis that declares one"
            )
    return windows


def masses_of_data(
    run: RunFolder, year: str, windows: Mapping[str, Iterable[Window]], *, unblind: bool
) -> dict[str, Floats]:
    """Return the masses of the data of a year, GeV, by category; without the windows if blinded."""
    datasets = run.datasets
    names = [name for name in datasets.data if year_of(datasets[name]) == year]
    masses, _, categories = candidates_of(run, names)
    by_category = {name: masses[categories == name] for name in windows}
    if unblind:
        return by_category
    return {name: x[~within(x, windows[name])] for name, x in by_category.items()}


def fit_channels(
    run: RunFolder,
    signals: Mapping[str, YearSignal],
    windows: Mapping[str, tuple[Window, ...]],
    *,
    unblind: bool,
) -> tuple[tuple[ChannelRecord, ...], tuple[str, ...]]:
    """Return the mass spectra with simulated signal, and notes about the others."""
    parents = run.analysis.categories or {name: name for name in windows}
    channels, notes = [], []
    for year, signal in signals.items():
        data = masses_of_data(run, year, windows, unblind=unblind)
        for name, of_category in windows.items():
            channel = _fit_channel(signal, name, of_category, data[name], parents, unblind=unblind)
            if channel is None:
                notes.append(f"category {name} of {year} is left out: no simulated signal in it")
            else:
                channels.append(channel)
    if not channels:
        raise RunError(f"{run.path}: no simulated signal is selected in any category")
    return tuple(channels), tuple(notes)


def _fit_channel(
    signal: YearSignal,
    category: str,
    windows: Sequence[Window],
    data: Floats,
    parents: Mapping[str, str],
    *,
    unblind: bool,
) -> ChannelRecord | None:
    """Fit signal and background of a category in one year; None without simulated signal.

    Parameters
    ----------
    signal
        Expected signal of the year.
    category, windows
        Name of the category, and its blind windows, GeV.
    data
        Masses of the data, GeV, shape (n,).
    parents
        Declared category of each one, which a classifier may split into several.
    unblind
        Count the data in the windows.

    Raises
    ------
    FitError
        If the simulated signal cannot be fitted.
    """
    events = signal.events(category)
    if sum(events.values()) <= 0:
        return None
    fit, notes = fit_signal_shape(*signal.candidates([category]), range_=RANGE), []
    if not fit.valid:
        # bins of the classifier differ in purity: the resolution is that of the whole category
        parent = parents.get(category, category)
        alike = [name for name, declared in parents.items() if declared == parent]
        whole = fit_signal_shape(*signal.candidates(alike), range_=RANGE)
        if not whole.valid:
            raise FitError(
                f"the simulated signal of category {category} of {signal.year} can't be fitted: "
                f"{'; '.join(fit.problems)}; add simulation"
            )
        notes.append(f"the signal's shape is that of {', '.join(alike)} together")
        fit = whole
    background = fit_background(data, windows=windows, range_=RANGE)
    return ChannelRecord(
        name=f"{category}_{signal.year}",
        category=category,
        year=signal.year,
        windows=tuple(windows),
        edges=EDGES,
        # candidates with a wrong particle do not peak
        signal=(1 - fit.flat) * sum(events.values()),
        events=events,
        signal_stat=signal.stat(category),
        signal_shifts=signal.shifts(category),
        signal_fit=fit,
        background=background,
        observed=tuple(np.histogram(data, EDGES)[0].tolist()) if unblind else None,
        notes=(
            *notes,
            *(f"signal: {note}" for note in fit.notes),
            *(f"background: {note}" for note in background.notes),
        ),
    )
