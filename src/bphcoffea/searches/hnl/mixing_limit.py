"""Limits on |V|² of a heavy neutral lepton, from a run of the search and the yield of Ds → φ(μμ)π.

At each mass |V|² sets the rate and the lifetime together. The background of each category comes
from the sidebands of the mass, the signal from simulation that is weighted to the lifetime, and the
signal is normalised to Ds → φ(μμ)π.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import hist

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.physics import signal_window
from bphcoffea.results import RunFolder
from bphcoffea.searches.ds_yield import DsYield
from bphcoffea.searches.hnl.hypothesis import Hypothesis
from bphcoffea.searches.hnl.limit_record import MassLimit, MixingLimit
from bphcoffea.searches.hnl.rates import MAJORANA, Neutrino
from bphcoffea.searches.hnl.signals import MASS, Signals
from bphcoffea.statistics import (
    NEGLIGIBLE,
    DataSample,
    check_hidden,
    check_unblinding,
    data_of,
    read_candidates,
    relative_changes,
    scan,
)

#: Number of points with which a scan begins.
POINTS: Final = 20


def limit_mixing(
    run: RunFolder,
    normalisation: DsYield,
    masses: Sequence[float] | None = None,
    points: int = POINTS,
    *,
    unblind: bool = False,
    same_data: bool = False,
    level: float = 0.95,
    neutrino: Neutrino = MAJORANA,
    toys: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> MixingLimit:
    """Find the excluded |V|² at some masses.

    Parameters
    ----------
    run
        Run of the search, with data and simulated signal.
    normalisation
        Fitted yield of Ds → φπ; it is scaled to the luminosity of the search.
    masses
        Masses of N, GeV; the generated ones by default.
    points
        Number of mixings to test at each mass at first; further ones then narrow down the ends of
        excluded ranges.
    unblind
        Use the data in the windows; else the expectation without signal takes their place.
    same_data
        Assert that the normalisation was fitted in the data of the search: nothing is scaled.
    level
        Confidence level.
    neutrino
        Nature of N; a Majorana particle by default.
    toys, seed
        See :func:`~.statistics.cls_limits.cls_at`: by default toys are used at low counts.
    progress
        Called after each point with the numbers of tested points and of all points so far.

    Raises
    ------
    UnknownLuminosityError
        If the luminosity of the search or of the fitted data is unknown.
    StillBlindError, NotHiddenError
        If the run is blind and its hidden data are requested, or it does not hide those of a mass.
    RunError
        If the run lacks data or signal.
    FitError
        If a mass lies outside the simulated ones, or collision energies differ.
    """
    if points < 2:
        raise FitError(f"{points} points: a scan needs two or more")
    if unblind:
        check_unblinding(run)
    signals = Signals.of_run(run, neutrino)
    masses = masses or signals.masses
    for mass in masses:
        check_hidden(run, mass, signal_window(mass, signals.width(mass)))
    simulation = [sample.name for sample in signals.samples]
    search = DataSample.of_run(run, data_of(run), simulation)
    normalisation = normalisation.for_search(search, same_data=same_data)
    candidates = masses_of_data(run)
    histogram = run.histograms()[MASS]
    results: list[MassLimit] = []
    for mass in masses:
        tested = sum(len(result.points) for result in results)
        # the remaining masses need at least as many points
        remaining = tested + points * (len(masses) - len(results) - 1)

        def of_all(done: int, total: int, tested: int = tested, others: int = remaining) -> None:
            progress(tested + done, others + total)

        uncertainties = normalisation.uncertainties() | _systematics(mass, signals, histogram)
        interpolation = signals.interpolation_uncertainty(mass)
        if interpolation > NEGLIGIBLE:
            uncertainties["mass_interpolation"] = interpolation
        hypothesis = Hypothesis(
            mass,
            signals,
            normalisation.decays,
            candidates,
            uncertainties,
            unblind=unblind,
            hidden=run.hidden,
        )
        scanned = scan(
            hypothesis.mixings(points),
            hypothesis.workspace,
            level=level,
            toys=toys,
            seed=seed,
            progress=of_all,
        )
        results.append(hypothesis.record(scanned))
    samples = [sample for sample in (search, normalisation.data) if sample]
    return MixingLimit(
        blinded=not unblind,
        run_blinded=bool(run.hidden),
        hidden=run.hidden,
        level=level,
        neutrino=signals.neutrino.name,
        seed=seed,
        complete=all(sample.complete for sample in samples),
        partial=any(sample.partial for sample in samples),
        normalisation=normalisation,
        hypotheses=tuple(results),
        notes=tuple({doubt for mass in masses if (doubt := signals.doubt(mass))}),
    )


def masses_of_data(run: RunFolder) -> dict[str, Floats]:
    """Return the measured masses of the candidates in data, GeV, by category.

    Raises
    ------
    RunError
        If the run has no data.
    """
    categories, (masses,) = read_candidates(run, data_of(run), MASS)
    names = run.histograms()[MASS].axes["category"]
    return {name: masses[categories == name] for name in names}


def _systematics(mass: float, signals: Signals, histogram: hist.Hist) -> dict[str, float]:
    """Return the relative changes of the efficiency at the nearest simulated mass, by source."""
    nearest = min(signals.masses, key=lambda generated: abs(generated - mass))
    samples = [sample.name for sample in signals.of_mass(nearest)]
    categories = [name for name in histogram.axes["category"] if signals.has(name)]

    def total(variation: str) -> float:
        parts = (
            histogram[name, category, variation, sum] for name in samples for category in categories
        )
        return float(sum(part.value for part in parts))

    shifts = {
        source: max(map(abs, changes))
        for source, changes in relative_changes(histogram, total).items()
    }
    return {source: shift for source, shift in shifts.items() if shift > NEGLIGIBLE}
