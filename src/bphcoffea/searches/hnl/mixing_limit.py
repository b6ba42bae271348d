"""The search for a heavy neutral lepton: from two runs to the mixings |V|² that are excluded.

At each mass |V|² sets the rate and the lifetime together. The background of each category comes
from the sidebands of the mass, the signal from simulation that is weighted to the lifetime, and
both are normalised to Ds → φ(μμ)π in the same data.

The uncertainty of the width of N moves its lifetime and its branching fraction together, at the
|V|² that is tested. Where N lives long they cancel; else a larger width leaves fewer decays, most
of all in categories of long flights.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bphcoffea.analysis.histograms import NOMINAL
from bphcoffea.analysis.weights import DOWN, UP
from bphcoffea.errors import InputError
from bphcoffea.physics.windows import Window, signal_window
from bphcoffea.results.folder import RunFolder
from bphcoffea.searches.ds_yield import DsYield
from bphcoffea.searches.hnl.rates import MAXIMUM_MASS, MINIMUM_MASS, Neutrino
from bphcoffea.searches.hnl.signals import CATEGORY, MASS, Efficiency, Signals
from bphcoffea.statistics.blindness import check_hidden, check_unblinding
from bphcoffea.statistics.counting import Channel, workspace
from bphcoffea.statistics.data_sample import DataSample
from bphcoffea.statistics.exclusion import scan
from bphcoffea.statistics.sidebands import SidebandFit, fit_sidebands

#: Longest lifetime that is scanned, in units of the longest generated. The shortest is that of
#: |V|² = 1.
LONGER: Final = 20.0
#: Points with which a scan begins.
POINTS: Final = 20
#: Fractions of systematic uncertainties that are too small to matter are left out.
NEGLIGIBLE = 1e-4
#: Name of the uncertainty of the width of N.
WIDTH: Final = "hnl_width"
#: Relative uncertainty of efficiencies that are interpolated between generated masses: of toys at
#: 1.25 GeV, from 1 and 1.5 GeV, they are 4% to 10% too large, 7% in the mean.
INTERPOLATION: Final = 0.07


@dataclass(frozen=True)
class Hypothesis:
    """What is known at one mass, whatever the mixing is.

    Attributes
    ----------
    mass, width
        Of the signal, and of its measured mass, GeV.
    categories
        For each category, its background, and its data in the window where they are looked at.
    uncertainties
        Relative uncertainties of the signal that all categories share, by source.
    """

    mass: float
    width: float
    categories: Mapping[str, tuple[SidebandFit, int | None]]
    uncertainties: Mapping[str, float]

    @classmethod
    def of_candidates(
        cls,
        mass: float,
        width: float,
        candidates: Mapping[str, npt.NDArray[np.float64]],
        uncertainties: Mapping[str, float],
        *,
        unblind: bool,
        hidden: Sequence[Window] = (),
    ) -> Hypothesis:
        """Predict the background of each category, and count its data if they may be looked at.

        Parameters
        ----------
        mass, width, uncertainties
            As above.
        candidates
            Measured masses in the data of each category, GeV, shapes (n,).
        unblind
            Look at the data in the windows.
        hidden
            Windows whose data the candidates lack, GeV.
        """
        known: dict[str, tuple[SidebandFit, int | None]] = {}
        for name, masses in candidates.items():
            fit = fit_sidebands(
                masses,
                mass=mass,
                resolution=width,
                allowed=(MINIMUM_MASS, MAXIMUM_MASS),
                hidden=hidden,
            )
            low, high = fit.window
            inside = int(np.count_nonzero((masses > low) & (masses < high)))
            known[name] = fit, inside if unblind else None
        return cls(mass, width, known, uncertainties)

    @property
    def blinded(self) -> bool:
        """Whether some window was not looked at."""
        return any(observed is None for _, observed in self.categories.values())

    def workspace(self, mixing: float, signals: Signals, decays: float) -> dict[str, Any]:
        """The model of a mixing, as pyhf takes it; arguments as of :meth:`channels`."""
        channels = self.channels(mixing, signals, decays)
        return workspace(channels, self.uncertainties, blinded=self.blinded)

    def channels(self, mixing: float, signals: Signals, decays: float) -> list[Channel]:
        """The counting experiments at a mixing.

        Parameters
        ----------
        mixing
            |V|².
        signals
            Simulation.
        decays
            Ds that decayed in any way.
        """
        natures = [signals.neutrino.shifted(sigmas) for sigmas in (0, 1, -1)]
        rates = [nature.branching_product(self.mass, mixing) for nature in natures]
        channels = []
        for name, (background, observed) in self.categories.items():
            efficiencies = [self._efficiency(name, mixing, signals, nature) for nature in natures]
            nominal, up, down = (
                decays * rate * efficiency.value
                for rate, efficiency in zip(rates, efficiencies, strict=True)
            )
            stat = shift = 0.0
            if min(nominal, up, down) > 0:
                stat = efficiencies[0].error / efficiencies[0].value
                shift = math.sqrt(up / down) - 1
            channels.append(
                Channel(
                    name=name,
                    signal=nominal,
                    background=background.prediction,
                    observed=observed,
                    signal_stat=stat,
                    background_stat=background.stat,
                    background_shape=background.shape_uncertainty,
                    signal_shifts={WIDTH: shift} if abs(shift) > NEGLIGIBLE else {},
                )
            )
        return channels

    def bound(self, category: str, mixing: float, signals: Signals, decays: float) -> float | None:
        """Return the upper bound (95%) of the signal, events, in a category without simulation.

        The model takes the signal as 0 there, so that less is excluded rather than more. None if
        events are simulated. Arguments as in :meth:`channels`.
        """
        bound = self._efficiency(category, mixing, signals, signals.neutrino).bound
        if bound is None:
            return None
        return decays * signals.neutrino.branching_product(self.mass, mixing) * bound

    def _efficiency(
        self, category: str, mixing: float, signals: Signals, neutrino: Neutrino
    ) -> Efficiency:
        ctau = neutrino.ctau_from_mixing(self.mass, mixing)
        window = self.categories[category][0].window
        return signals.efficiency(category, self.mass, ctau, window)


def limit_run(
    run: RunFolder,
    normalisation: DsYield,
    masses: Sequence[float] | None = None,
    points: int = POINTS,
    *,
    unblind: bool = False,
    same_data: bool = False,
    level: float = 0.95,
    neutrino: Neutrino | None = None,
    toys: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Any]:
    """Scan |V|² at some masses: the content of ``limit.json``.

    Parameters
    ----------
    run
        The folder of a finished run of the search, with data and simulated signal.
    normalisation
        Fitted yield of Ds → φπ; it is scaled to the luminosity of the search.
    masses
        GeV; the generated ones when not given.
    points
        How many mixings to test at each mass at first; the ends of excluded ranges are then
        narrowed down with further ones.
    unblind
        Look at the data in the windows; else what is expected without signal takes their place.
    same_data
        Assert that the normalisation was fitted in the data of the search: no scaling.
    level
        Confidence level.
    neutrino
        Nature of N; by default a Majorana particle.
    toys, seed
        As :func:`~.statistics.cls_limits.cls_at` takes them: by default toys where counts are
        low. Each point of ``limit.json`` says how many were used.
    progress
        Called after each point with the number of points that are tested, and of those and the
        ones that are to be tested.

    Raises
    ------
    UnknownLuminosityError
        When the luminosity of the search or of the fitted data is not known.
    StillBlindError, NotHiddenError
        When the run is blind and is asked for its hidden data, or does not hide those of a mass.
    InputError
        When the run lacks data or signal, a mass lies outside what is simulated, or collision
        energies differ.
    """
    if points < 2:
        raise InputError(f"{points} points: a scan needs two or more")
    if unblind:
        check_unblinding(run)
    signals = Signals.of_run(run, neutrino)
    masses = masses or signals.masses
    for mass in masses:
        check_hidden(run, mass, signal_window(mass, signals.width(mass)))
    names = [sample.name for sample in signals.samples]
    search = DataSample.of_run(run, data_names(run), names)
    normalisation = normalisation.for_search(search, same_data=same_data)
    candidates = data_of(run)
    histogram = run.histograms()[MASS]
    results: list[dict[str, Any]] = []
    for mass in masses:
        tested = sum(len(known["points"]) for known in results)
        # the other masses need as many points at least
        expected = tested + points * (len(masses) - len(results) - 1)

        def of_all(done: int, total: int, tested: int = tested, expected: int = expected) -> None:
            progress(tested + done, expected + total)

        uncertainties = normalisation.uncertainties() | _systematics(mass, signals, histogram)
        if not signals.is_generated(mass):
            uncertainties["mass_interpolation"] = INTERPOLATION
        hypothesis = Hypothesis.of_candidates(
            mass,
            signals.width(mass),
            candidates,
            uncertainties,
            unblind=unblind,
            hidden=run.hidden,
        )
        results.append(
            _scanned(
                hypothesis,
                signals,
                normalisation,
                points,
                level=level,
                toys=toys,
                seed=seed,
                progress=of_all,
            )
        )
    return {
        "blinded": not unblind,
        "run_blinded": bool(run.hidden),
        "hidden": [list(window) for window in run.hidden],
        "level": level,
        "neutrino": signals.neutrino.name,
        "seed": seed,
        "complete": all(each.complete for each in (search, normalisation.data) if each),
        "partial": any(each.partial for each in (search, normalisation.data) if each),
        "normalisation": normalisation.as_json(),
        "hypotheses": results,
    }


def data_names(run: RunFolder) -> list[str]:
    """Return the names of a run's data.

    Raises
    ------
    InputError
        When it has none.
    """
    names = [name for name, known in run.fileset_metadata.items() if not known.is_mc]
    if not names:
        raise InputError(f"{run.path}: no data, from whose sidebands the background is predicted")
    return names


def data_of(run: RunFolder) -> dict[str, npt.NDArray[np.float64]]:
    """Measured masses of the candidates in data, GeV, by category.

    Raises
    ------
    InputError
        When the run has no data.
    """
    tables = [run.candidates(name) for name in data_names(run)]
    masses = np.concatenate([table[MASS].to_numpy().astype(np.float64) for table in tables])
    categories = np.concatenate([np.array(t[CATEGORY].to_pylist(), dtype=object) for t in tables])
    there = run.histograms()[MASS].axes["category"]
    return {name: masses[categories == name] for name in there}


def _systematics(mass: float, signals: Signals, histogram: Any) -> dict[str, float]:
    """What the variations of the nearest simulated mass change of the efficiency, relatively."""
    nearest = min(signals.masses, key=lambda generated: abs(generated - mass))
    names = [sample.name for sample in signals.of_mass(nearest)]
    categories = [name for name in histogram.axes["category"] if signals.has(name)]

    def total(variation: str) -> float:
        parts = (histogram[name, own, variation, sum] for name in names for own in categories)
        return float(sum(part.value for part in parts))

    nominal = total(NOMINAL)
    there = [v for v in histogram.axes["variation"] if v.endswith((UP, DOWN))]
    shifts: dict[str, float] = {}
    for variation in there:
        source = variation.removesuffix(UP).removesuffix(DOWN)
        shift = abs(total(variation) / nominal - 1)
        shifts[source] = max(shifts.get(source, 0.0), shift)
    return {source: shift for source, shift in shifts.items() if shift > NEGLIGIBLE}


def _scanned(
    hypothesis: Hypothesis, signals: Signals, normalisation: DsYield, points: int, **options: Any
) -> dict[str, Any]:
    generated, neutrino = [sample.ctau for sample in signals.samples], signals.neutrino
    # a mixing of 1 has the shortest lifetime of all
    shortest = (1 + 1e-9) * neutrino.ctau_from_mixing(hypothesis.mass, 1.0)
    lengths = np.geomspace(shortest, LONGER * max(generated), points)
    mixings = sorted(
        float(neutrino.mixing_from_ctau(hypothesis.mass, length)) for length in lengths
    )
    decays = normalisation.decays

    @functools.cache
    def channels(mixing: float) -> list[Channel]:
        return hypothesis.channels(mixing, signals, decays)

    def model(mixing: float) -> dict[str, Any]:
        shared = hypothesis.uncertainties
        return workspace(channels(mixing), shared, blinded=hypothesis.blinded)

    scanned = scan(mixings, model, **options).as_json()
    for row in scanned["points"]:
        row["ctau"] = float(neutrino.ctau_from_mixing(hypothesis.mass, row["mixing"]))
        row["signal"] = {
            channel.name: {
                "events": channel.signal,
                "stat": channel.signal_stat,
                "shifts": dict(channel.signal_shifts),
                "bound": None
                if channel.signal > 0
                else hypothesis.bound(channel.name, row["mixing"], signals, decays),
            }
            for channel in channels(row["mixing"])
        }
    return {
        "mass": hypothesis.mass,
        "width": hypothesis.width,
        "uncertainties": dict(hypothesis.uncertainties),
        "categories": {
            name: {**background.as_json(), "observed": observed}
            for name, (background, observed) in hypothesis.categories.items()
        },
        **scanned,
    }


def workspace_of(content: Mapping[str, Any], mass: float, mixing: float) -> dict[str, Any]:
    """The workspace of one point of a scan, from ``limit.json``.

    Parameters
    ----------
    content
        Of ``limit.json``.
    mass, mixing
        GeV and |V|²; the nearest that were scanned are taken.
    """
    channels, uncertainties = channels_of(content, mass, mixing)
    return workspace(channels, uncertainties, blinded=bool(content["blinded"]))


def channels_of(
    content: Mapping[str, Any], mass: float, mixing: float
) -> tuple[list[Channel], dict[str, float]]:
    """The counting experiments of one point of a scan, and what they share; see above."""
    hypothesis = min(content["hypotheses"], key=lambda known: abs(known["mass"] - mass))
    point = min(hypothesis["points"], key=lambda row: abs(np.log(row["mixing"] / mixing)))
    channels = []
    for name, known in hypothesis["categories"].items():
        channel = Channel(
            name,
            point["signal"][name]["events"],
            known["prediction"],
            signal_stat=point["signal"][name]["stat"],
            background_stat=known["stat"],
            background_shape=known["shape_uncertainty"],
            signal_shifts=point["signal"][name]["shifts"],
        )
        observed = known["observed"]
        channels.append(channel if observed is None else replace(channel, observed=observed))
    return channels, dict(hypothesis["uncertainties"])
