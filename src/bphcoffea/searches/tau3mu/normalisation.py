"""Expected τ → 3μ of a year, from the yield of Ds → φ(μμ)π.

Names of uncertainties that are independent in each year end in the year; those of branching
fractions, which all years share, do not.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError, RunError
from bphcoffea.results import RunFolder
from bphcoffea.searches.ds_yield import DsYield
from bphcoffea.searches.tau3mu import rates
from bphcoffea.searches.tau3mu.rates import Corrections, Factor
from bphcoffea.searches.tau3mu.signals import Origin, SimulatedSignal
from bphcoffea.statistics import DataSample, Record, data_of, year_of

#: B(τ → 3μ) at a strength of 1.
BRANCHING: Final = 1e-7
#: Prefixes of variations that replace the uncertainty of the muon efficiency.
MUON_WEIGHTS: Final = ("muon_id", "muon_reconstruction")
NO_FRACTION: Final = "τ from b hadrons are left out: the fraction of Ds from b hadrons is not given"
NO_SIMULATION: Final = "no simulation of τ from {}: they are left out of the expected signal"
SAME_EFFICIENCY: Final = "Ds → φπ from b hadrons is taken to be selected as its simulation is"
_WORDS: Final[dict[Origin, str]] = {"d": "D mesons", "b": "b hadrons"}


@dataclass(frozen=True)
class PhiPiRecord(Record):
    """Yield and efficiency of Ds → φ(μμ)π with their errors, and the fitted data.

    ``same_data`` is the assertion that these are the data of the search.
    """

    fitted: float
    fitted_error: float
    efficiency: float
    efficiency_error: float
    data: DataSample | None
    same_data: bool


@dataclass(frozen=True)
class YearRecord(Record):
    """Expected signal of a year, as stored in ``limit.json``.

    Attributes
    ----------
    phi_pi, search, luminosity_ratio
        Normalisation, data of the search, and their luminosity over that of the normalisation.
    decays
        Number of τ decays by their origin.
    simulation
        Names of the simulated datasets by origin.
    efficiency
        Efficiency and its error, by category and origin.
    events
        Expected events by category and origin.
    uncertainties
        Relative uncertainties by origin and source.
    classifier
        Whether a classifier splits the categories.
    notes
        Remarks for the user, one sentence each.
    """

    phi_pi: PhiPiRecord
    search: DataSample | None
    luminosity_ratio: float
    decays: Mapping[Origin, float]
    simulation: Mapping[Origin, tuple[str, ...]]
    efficiency: Mapping[str, Mapping[Origin, tuple[float, float]]]
    events: Mapping[str, Mapping[Origin, float]]
    uncertainties: Mapping[Origin, Mapping[str, float]]
    classifier: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class YearSignal:
    """Expected signal of a year.

    Attributes
    ----------
    year
        Year of the data, such as 2017.
    phi_pi
        Yield of Ds → φ(μμ)π in the data of that year, scaled to the luminosity of the search.
    simulated
        Simulation of τ → 3μ by the origin of the τ; an origin without simulation is missing.
    fraction_b
        Fraction of the Ds that comes from b hadrons; None if unknown: no τ from b hadrons count.
    corrections
        Factors for signal that simulation and selection lack.
    classifier
        Whether a classifier splits the categories, which adds its uncertainty.
    """

    year: str
    phi_pi: DsYield
    simulated: Mapping[Origin, SimulatedSignal]
    fraction_b: Factor | None = None
    corrections: Corrections = rates.STANDARD
    classifier: bool = False

    @property
    def seen(self) -> float:
        """Ds → φ(μμ)π in the luminosity of the search: the yield times the luminosity ratio."""
        return self.phi_pi.fitted * self.phi_pi.luminosity_ratio

    @property
    def decays(self) -> dict[Origin, float]:
        """Number of τ decays of any kind, by each origin with simulation."""
        produced = self.seen / self.phi_pi.efficiency
        decays: dict[Origin, float] = {}
        if "d" in self.simulated:
            decays["d"] = rates.decays_from_d(produced, self.corrections)
        if "b" in self.simulated and self.fraction_b is not None:
            fraction = self.fraction_b.value
            decays["b"] = rates.decays_from_b(produced, fraction, self.corrections)
        return decays

    def events(self, category: str) -> dict[Origin, float]:
        """Return the selected τ → 3μ in a category at B = `BRANCHING`, by origin of the τ."""
        return {
            origin: number * self.simulated[origin].efficiency(category)[0] * BRANCHING
            for origin, number in self.decays.items()
        }

    def stat(self, category: str) -> float:
        """Return the relative statistical uncertainty of the simulated events in a category."""
        errors = [
            number * self.simulated[origin].efficiency(category)[1] * BRANCHING
            for origin, number in self.decays.items()
        ]
        total = sum(self.events(category).values())
        return math.hypot(*errors) / total if total > 0 else 0.0

    def candidates(self, categories: Iterable[str]) -> tuple[Floats, Floats]:
        """Return simulated masses (GeV) in categories, and weights that sum to :meth:`events`."""
        masses, weights = [np.empty(0)], [np.empty(0)]
        for origin, number in self.decays.items():
            signal = self.simulated[origin]
            chosen = np.isin(signal.categories, list(categories))
            masses.append(signal.masses[chosen])
            weights.append(signal.weights[chosen] * (number * BRANCHING / signal.decays))
        return np.concatenate(masses), np.concatenate(weights)

    def uncertainties(self) -> dict[Origin, dict[str, float]]:
        """Return the relative uncertainties of the τ of each origin, by source."""
        common = self._of_the_year() | {"br_ds_phipi": rates.DS_TO_PHI_PI.uncertainty}
        of_origin: dict[Origin, dict[str, float]] = {
            "d": {
                "br_ds_taunu": rates.DS_TO_TAU.uncertainty,
                "dplus": self.corrections.dplus.uncertainty,
            }
        }
        if self.fraction_b is not None:
            of_origin["b"] = {
                "br_b_ds": rates.B_TO_DS.uncertainty,
                "br_b_tau": rates.B_TO_TAU.uncertainty,
                "f_b": self.fraction_b.uncertainty,
                "bs": self.corrections.bs.uncertainty,
            }
        return {
            origin: {name: size for name, size in (common | of_origin[origin]).items() if size > 0}
            for origin in self.decays
        }

    def shifts(self, category: str) -> dict[str, float]:
        """Return the relative changes of the events in a category, by source.

        A source that only affects τ of one origin is multiplied by their share.
        """
        events, uncertainties = self.events(category), self.uncertainties()
        total = sum(events.values())
        shifts: dict[str, float] = {}
        for origin, number in events.items():
            varied = self.simulated[origin].shifts.get(category, {})
            named = {f"{source}_{self.year}": size for source, size in varied.items()}
            for source, size in (uncertainties[origin] | named).items():
                shifts[source] = shifts.get(source, 0.0) + size * number / total
        return shifts

    def _of_the_year(self) -> dict[str, float]:
        """Return the uncertainties that all τ of the year share."""
        measured = self.phi_pi.uncertainties()
        normalisation = {name: measured.get(name, 0.0) for name in ("ds_yield", "ds_efficiency")}
        normalisation["ds_fit_model"] = measured.get("ds_fit_model", rates.FIT_MODEL)
        # the same fit may serve several years
        eras = self.phi_pi.data.eras if self.phi_pi.data else ()
        fitted = "_".join(sorted({era[:4] for era in eras})) or self.year
        sources = {
            "trigger": rates.TRIGGER,
            "trimuon_only": self.corrections.trimuon.uncertainty,
            "acceptance": rates.ACCEPTANCE,
        }
        varied = [
            source
            for signal in self.simulated.values()
            for shifts in signal.shifts.values()
            for source in shifts
        ]
        if not any(source.startswith(MUON_WEIGHTS) for source in varied):
            sources["muon_efficiency"] = rates.MUON_EFFICIENCY
        if self.classifier:
            sources["classifier"] = rates.CLASSIFIER
        named = {f"{name}_{fitted}": size for name, size in normalisation.items()}
        return named | {f"{name}_{self.year}": size for name, size in sources.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the expected signal for the user, one sentence each."""
        notes = list(self.phi_pi.notes)
        if "ds_fit_model" not in self.phi_pi.uncertainties():
            notes.append(
                f"the yield of Ds → φπ has an uncertainty of {rates.FIT_MODEL:.0%} instead"
            )
        for origin, words in _WORDS.items():
            if origin in self.simulated:
                notes += self.simulated[origin].notes
            else:
                notes.append(NO_SIMULATION.format(words))
        if "b" in self.simulated and self.fraction_b is None:
            notes.append(NO_FRACTION)
        if "b" in self.decays:
            notes.append(SAME_EFFICIENCY)
        return tuple(notes)

    def record(self, categories: Collection[str]) -> YearRecord:
        """Return the record of some categories."""
        phi_pi = self.phi_pi
        return YearRecord(
            phi_pi=PhiPiRecord.from_json(phi_pi.as_json()),
            search=phi_pi.search,
            luminosity_ratio=phi_pi.luminosity_ratio,
            decays=self.decays,
            simulation={origin: signal.datasets for origin, signal in self.simulated.items()},
            efficiency={
                name: {origin: signal.efficiency(name) for origin, signal in self.simulated.items()}
                for name in categories
            },
            events={name: self.events(name) for name in categories},
            uncertainties=self.uncertainties(),
            classifier=self.classifier,
            notes=self.notes,
        )


def year_signals(
    run: RunFolder,
    normalisation: RunFolder,
    fraction_b: Factor | None = None,
    *,
    corrections: Corrections = rates.STANDARD,
    same_data: bool = False,
) -> dict[str, YearSignal]:
    """Normalise the signal of each year of the data of a run to Ds → φ(μμ)π.

    Parameters
    ----------
    run
        Run of τ → 3μ, with data and simulation.
    normalisation
        Fitted run of Ds → φ(μμ)π, with separate fits if it has several years.
    fraction_b
        Fraction of the Ds that comes from b hadrons.
    corrections
        Factors for signal that simulation and selection lack.
    same_data
        Assert that both runs are of the same data: the luminosity is not scaled.

    Raises
    ------
    RunError
        If the run lacks data or simulation.
    FitError
        If the normalisation is unusable.
    """
    datasets = run.datasets
    years = {name: year_of(datasets[name]) for name in data_of(run)}
    classifier = any(name != declared for name, declared in run.analysis.categories.items())
    signals = {}
    for year in sorted(set(years.values())):
        origins: tuple[Origin, ...] = ("d", "b")
        read = {origin: SimulatedSignal.of_run(run, origin, year) for origin in origins}
        simulated = {origin: signal for origin, signal in read.items() if signal is not None}
        if "d" not in simulated and (fraction_b is None or not simulated):
            raise RunError(
                f"{run.path}: no simulated signal that can be normalised: datasets of the process "
                "tau3mu_d, or of tau3mu_b and a fraction of Ds from b hadrons"
            )
        searched = [name for name in years if years[name] == year]
        simulation = [name for signal in simulated.values() for name in signal.datasets]
        sample = DataSample.of_run(run, searched, simulation)
        fitted = DsYield.of_run(normalisation, year=year)
        if same_data and fitted.data and not any(era[:4] == year for era in fitted.data.eras):
            raise FitError(
                f"{normalisation.path}: has no data of {year}, and can't be of the same data as "
                f"{run.path}; scale it by the luminosity instead"
            )
        signals[year] = YearSignal(
            year,
            fitted.for_search(sample, same_data=same_data),
            simulated,
            fraction_b,
            corrections,
            classifier,
        )
    return signals
