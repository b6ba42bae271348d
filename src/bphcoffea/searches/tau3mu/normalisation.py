"""Expected τ → 3μ of a year, from the yield of Ds → φ(μμ)π.

Names of uncertainties end in the year if they are independent in each year; those of branching
fractions don't, since the same numbers serve all years.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.errors import InputError
from bphcoffea.results.folder import RunFolder
from bphcoffea.searches.ds_yield import DsYield
from bphcoffea.searches.tau3mu import rates
from bphcoffea.searches.tau3mu.rates import Corrections, Factor
from bphcoffea.searches.tau3mu.signals import Origin, SimulatedSignal
from bphcoffea.statistics.data_sample import DataSample, year_of

#: B(τ → 3μ) at a strength of 1.
BRANCHING: Final = 1e-7
#: Beginning of the names of variations that replace the uncertainty of the muons' efficiency.
MUON_WEIGHTS: Final = ("muon_id", "muon_reconstruction")
NO_FRACTION: Final = "τ from b hadrons are left out: the fraction of Ds from b hadrons is not given"
NO_SIMULATION: Final = "no simulation of τ from {}: they are left out of the expected signal"
SAME_EFFICIENCY: Final = "Ds → φπ from b hadrons is taken to be selected as its simulation is"
_WORDS: Final[dict[Origin, str]] = {"d": "D mesons", "b": "b hadrons"}


@dataclass(frozen=True)
class YearSignal:
    """Expected signal of a year.

    Attributes
    ----------
    year
        Such as 2017.
    phi_pi
        Ds → φ(μμ)π in the data of that year, and its efficiency; scaled to the luminosity of the
        search.
    simulated
        Simulation of τ → 3μ by the origin of the τ; an origin without simulation is missing.
    fraction_b
        Part of the Ds that comes from b hadrons; None if not known: then no τ from b hadrons count.
    corrections
        For what simulation and selection lack.
    classifier
        Whether categories are split by a classifier, which adds its uncertainty.
    """

    year: str
    phi_pi: DsYield
    simulated: Mapping[Origin, SimulatedSignal]
    fraction_b: Factor | None = None
    corrections: Corrections = rates.STANDARD
    classifier: bool = False

    @property
    def seen(self) -> float:
        """Ds → φ(μμ)π that the luminosity of the search would give: N_φπ times its ratio."""
        return self.phi_pi.fitted * self.phi_pi.luminosity_ratio

    @property
    def decays(self) -> dict[Origin, float]:
        """τ that decayed in any way, by their origin: those of which simulation exists."""
        produced = self.seen / self.phi_pi.efficiency
        decays: dict[Origin, float] = {}
        if "d" in self.simulated:
            decays["d"] = rates.decays_from_d(produced, self.corrections)
        if "b" in self.simulated and self.fraction_b is not None:
            fraction = self.fraction_b.value
            decays["b"] = rates.decays_from_b(produced, fraction, self.corrections)
        return decays

    def events(self, category: str) -> dict[Origin, float]:
        """Selected τ → 3μ in a category at B(τ → 3μ) = `BRANCHING`, by the origin of the τ."""
        return {
            origin: number * self.simulated[origin].efficiency(category)[0] * BRANCHING
            for origin, number in self.decays.items()
        }

    def stat(self, category: str) -> float:
        """Relative statistical uncertainty of the events in a category, from simulation."""
        errors = [
            number * self.simulated[origin].efficiency(category)[1] * BRANCHING
            for origin, number in self.decays.items()
        ]
        total = sum(self.events(category).values())
        return math.hypot(*errors) / total if total > 0 else 0.0

    def candidates(self, categories: Iterable[str]) -> tuple[Floats, Floats]:
        """Simulated masses (GeV) in some categories; weights add up to :meth:`events`."""
        masses, weights = [np.empty(0)], [np.empty(0)]
        for origin, number in self.decays.items():
            known = self.simulated[origin]
            chosen = np.isin(known.categories, list(categories))
            masses.append(known.masses[chosen])
            weights.append(known.weights[chosen] * (number * BRANCHING / known.decays))
        return np.concatenate(masses), np.concatenate(weights)

    def uncertainties(self) -> dict[Origin, dict[str, float]]:
        """Relative uncertainties by source, of the τ of each origin."""
        common = self._of_the_year() | {"br_ds_phipi": rates.DS_TO_PHI_PI.relative}
        own: dict[Origin, dict[str, float]] = {
            "d": {"br_ds_taunu": rates.DS_TO_TAU.relative, "dplus": self.corrections.dplus.relative}
        }
        if self.fraction_b is not None:
            own["b"] = {
                "br_b_ds": rates.B_TO_DS.relative,
                "br_b_tau": rates.B_TO_TAU.relative,
                "f_b": self.fraction_b.relative,
                "bs": self.corrections.bs.relative,
            }
        return {
            origin: {name: size for name, size in (common | own[origin]).items() if size > 0}
            for origin in self.decays
        }

    def shifts(self, category: str) -> dict[str, float]:
        """Relative change of the events in a category by each source.

        A source that touches the τ of one origin alone counts with their share.
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
        measured = self.phi_pi.uncertainties()
        normalisation = {name: measured.get(name, 0.0) for name in ("ds_yield", "ds_efficiency")}
        normalisation["ds_fit_model"] = measured.get("ds_fit_model", rates.FIT_MODEL)
        # the same fit may serve several years
        eras = self.phi_pi.data.eras if self.phi_pi.data else ()
        fitted = "_".join(sorted({era[:4] for era in eras})) or self.year
        sources = {
            "trigger": rates.TRIGGER,
            "trimuon_only": self.corrections.trimuon.relative,
            "acceptance": rates.ACCEPTANCE,
        }
        varied = {s for known in self.simulated.values() for c in known.shifts.values() for s in c}
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

    def as_json(self, categories: Iterable[str]) -> dict[str, Any]:
        """As it stands in ``limit.json``."""
        phi_pi, search = self.phi_pi, self.phi_pi.search
        return {
            "phi_pi": {
                "fitted": phi_pi.fitted,
                "fitted_error": phi_pi.fitted_error,
                "efficiency": phi_pi.efficiency,
                "efficiency_error": phi_pi.efficiency_error,
                "data": phi_pi.data.as_json() if phi_pi.data else None,
                "same_data": phi_pi.same_data,
            },
            "search": search.as_json() if search else None,
            "luminosity_ratio": phi_pi.luminosity_ratio,
            "decays": self.decays,
            "simulation": {origin: list(k.datasets) for origin, k in self.simulated.items()},
            "efficiency": {
                name: {o: list(k.efficiency(name)) for o, k in self.simulated.items()}
                for name in categories
            },
            "events": {name: self.events(name) for name in categories},
            "uncertainties": self.uncertainties(),
            "classifier": self.classifier,
            "notes": list(self.notes),
        }


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
        Of τ → 3μ, with data and simulation.
    normalisation
        Of Ds → φ(μμ)π, fitted; each year by itself if it has several.
    fraction_b
        Part of the Ds that comes from b hadrons.
    corrections
        For what simulation and selection lack.
    same_data
        Assert that both runs are of the same data: the luminosity is not scaled.

    Raises
    ------
    InputError
        When the run lacks data or simulation, or the normalisation is not usable.
    """
    metadata, analysis = run.fileset_metadata, run.analysis
    data = [name for name, known in metadata.items() if not known.is_mc]
    if not data:
        raise InputError(f"{run.path}: no data, from whose sidebands the background is fitted")
    classifier = any(name != own for name, own in analysis.categories.items())
    signals = {}
    for year in sorted({year_of(metadata[name]) for name in data}):
        origins: tuple[Origin, ...] = ("d", "b")
        read = {origin: SimulatedSignal.of_run(run, origin, year) for origin in origins}
        simulated = {origin: known for origin, known in read.items() if known is not None}
        if "d" not in simulated and (fraction_b is None or not simulated):
            raise InputError(
                f"{run.path}: no simulated signal that can be normalised: datasets of the process "
                "tau3mu_d, or of tau3mu_b and a fraction of Ds from b hadrons"
            )
        searched = [name for name in data if year_of(metadata[name]) == year]
        simulation = [name for known in simulated.values() for name in known.datasets]
        sample = DataSample.of_run(run, searched, simulation)
        fitted = DsYield.of_run(normalisation, year=year)
        if same_data and fitted.data and not any(era[:4] == year for era in fitted.data.eras):
            raise InputError(
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
