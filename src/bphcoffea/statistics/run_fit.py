"""Mass fit of a run: of its data, and of the simulation of their peaks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import hist

from bphcoffea.analysis import ALL, BackgroundShape, MassModel, PeakShape
from bphcoffea.errors import FitError, RunError
from bphcoffea.patterns import chosen
from bphcoffea.results import Datasets, RunFolder
from bphcoffea.statistics.blindness import check_fit
from bphcoffea.statistics.data_sample import of_year, year_of
from bphcoffea.statistics.fit_record import FitRecord, ModelFit, SimulationFit
from bphcoffea.statistics.histogram_fit import SEEN, fit_histogram, fit_simulation
from bphcoffea.statistics.mass_fit import MassFit, Tail
from bphcoffea.statistics.run_histograms import of_datasets
from bphcoffea.statistics.spectrum import Expectation, expected_contents

_log = logging.getLogger(__name__)

#: What evaluates the model of a fit.
Backend: TypeAlias = Literal["builtin", "zfit"]
#: Names of the simulated datasets of each peak.
Simulated = Mapping[str, Sequence[str]]


def fit_mass(
    run: RunFolder,
    datasets: Sequence[str] | None = None,
    by: Literal["dataset", "era", "year", "category"] | None = None,
    *,
    shape: PeakShape | None = None,
    background: BackgroundShape | None = None,
    backend: Backend = "builtin",
) -> FitRecord:
    """Fit the mass spectrum of a run.

    All data are summed; if the run or the chosen datasets hold only simulation, the simulation is.
    Data with simulated peaks, and the simulation, are fitted with the model and its alternative.

    Parameters
    ----------
    run
        The run.
    datasets
        Shell patterns of dataset names; all datasets by default.
    by
        Also fit each dataset, era, year, or category or region separately. The fit of a year takes
        tails and efficiency from simulation of that year, or of the nearest one.
    shape, background
        Function of the peaks and of the background; by default those that the analysis declares.
    backend
        ``builtin``, or ``zfit`` to make the same model of zfit's PDFs.

    Raises
    ------
    StillBlindError
        If the run hides data of the histogram.
    FitError
        If the analysis declares no fit, no dataset matches, no entry is in the range, there are no
        categories, or zfit is not installed.
    """
    check_fit(run)
    analysis = run.analysis
    model = analysis.fit
    if model is None:
        raise FitError(f"{run.path}: the analysis '{analysis.name}' declares no mass fit")
    histograms = run.histograms()
    requested = {"shape": shape, "background": background}
    model = model.model_copy(update={key: name for key, name in requested.items() if name})
    if model.histogram not in histograms:
        raise RunError(f"{run.path}: histograms.json has no '{model.histogram}' to fit")
    records = run.datasets
    matching = chosen(sorted(records), datasets or (), "dataset", FitError)
    data = [name for name in matching if not records[name].is_mc]
    selected = data or matching
    simulated = _simulated(model, records) if data else {}
    histogram = histograms[model.histogram]
    spectrum = _Spectrum(run, analysis.name, records, histogram, model, _expectation(backend))
    record, tail = spectrum.fit_with_simulation(selected, simulated)
    if not record.fit.entries:
        low, high = record.fit.range
        raise FitError(
            f"{run.path}: the histogram '{model.histogram}' is empty in {low:g}-{high:g} GeV "
            f"for {', '.join(selected)}: nothing to fit"
        )
    if by is None:
        return record
    if by == "category":
        categories = [name for name in histogram.axes["category"] if name != ALL]
        if not categories:
            raise FitError(f"{run.path}: the analysis '{analysis.name}' has no categories to fit")
        return replace(record, by={name: spectrum.fit(selected, tail, name) for name in categories})
    groups: dict[str, list[str]] = {}
    for name in selected:
        group = {"dataset": name, "era": records[name].era, "year": year_of(records[name])}[by]
        groups.setdefault(group, []).append(name)
    fits = {}
    for group, names in sorted(groups.items()):
        if by == "year":
            of_group = {peak: of_year(records, mc, group) for peak, mc in simulated.items()}
            fits[group], _ = spectrum.fit_with_simulation(names, of_group)
        else:
            fits[group] = spectrum.fit(names, tail)
    return replace(record, by=fits)


@dataclass(frozen=True)
class _Spectrum:
    """Fits of one histogram of a run with its mass model, and those of simulation made so far."""

    run: RunFolder
    analysis: str
    records: Datasets
    histogram: hist.Hist
    model: MassModel
    expectation: Expectation
    made: dict[object, dict[str, MassFit]] = field(default_factory=dict)

    def fit(
        self, names: Sequence[str], tail: Tail | None, category: str | None = None
    ) -> FitRecord:
        """Fit the sum of some datasets, or one category of it."""
        in_data = not any(self.records[name].is_mc for name in names)
        total = of_datasets(self.histogram, names, category)
        fit = fit_histogram(total, self.model, tail=tail, expectation=self.expectation)
        _log.debug("%s: %r", ", ".join(names), fit)
        return FitRecord(
            analysis=self.analysis,
            histogram=self.model.histogram,
            datasets=tuple(names),
            complete=self.run.complete,
            partial=self.run.partial,
            luminosity=self.run.luminosity_of(names) if in_data else None,
            nominal=ModelFit(fit),
            category=category,
        )

    def fit_with_simulation(
        self, names: Sequence[str], simulated: Simulated
    ) -> tuple[FitRecord, Tail | None]:
        """Fit some datasets with tails from simulation and with both models; return the tail."""
        simulation, tail = self._simulation(self.model, simulated)
        record = self.fit(names, tail)
        record = replace(record, nominal=ModelFit(record.fit, simulation))
        if not any(of_peak.fit.valid for of_peak in simulation.values()) or not record.fit.entries:
            return record, tail
        other_model = self.model.alternative
        others, other_tail = self._simulation(other_model, simulated)
        total = of_datasets(self.histogram, names)
        fit = fit_histogram(total, other_model, tail=other_tail, expectation=self.expectation)
        notes = [
            f"the simulation of {peak} is described better with {_IN_WORDS[other_model.shape]}; if "
            f"the mass model had shape='{other_model.shape}', that would be the result"
            for peak in _better(others, simulation)
        ]
        nominal = replace(record.fit, notes=(*record.fit.notes, *notes))
        return replace(
            record, nominal=ModelFit(nominal, simulation), alternative=ModelFit(fit, others)
        ), tail

    def _simulation(
        self, model: MassModel, simulated: Simulated
    ) -> tuple[dict[str, SimulationFit], Tail | None]:
        """Fit the simulated peaks, and return their common tail."""
        spectra = {peak: of_datasets(self.histogram, names) for peak, names in simulated.items()}
        # years without simulation of their own share that of another one
        key = model.shape, tuple((peak, tuple(names)) for peak, names in simulated.items())
        if key not in self.made:
            self.made[key] = fit_simulation(spectra, model, expectation=self.expectation)
        fits = self.made[key]
        used = {name for peak, fit in fits.items() if fit.valid for name in simulated[peak]}
        tail = Tail.of(fits.values(), f"simulation ({', '.join(sorted(used))})")
        records = {p: SimulationFit(tuple(simulated[p]), fit) for p, fit in fits.items()}
        return records, tail


def _expectation(backend: Backend) -> Expectation:
    if backend == "builtin":
        return expected_contents
    from bphcoffea.statistics.zfit_models import expected_contents as of_zfit

    return of_zfit


#: Shapes that an alternative model may have.
_IN_WORDS = {
    "crystal_ball": "a tail on the low side alone",
    "double_crystal_ball": "tails on both sides",
}


def _better(fits: Mapping[str, SimulationFit], others: Mapping[str, SimulationFit]) -> list[str]:
    """Return the peaks whose simulation is described clearly better by the first fits."""
    gains = {
        peak: (others[peak].fit.chi2 or 0.0) - of_peak.fit.chi2
        for peak, of_peak in fits.items()
        if of_peak.fit.chi2 is not None
    }
    return [peak for peak, gain in gains.items() if gain > SEEN]


def _simulated(model: MassModel, records: Datasets) -> dict[str, list[str]]:
    """Return the names of the simulated datasets of each peak with simulation."""
    names = {
        peak.name: [name for name in records.simulated if records[name].process == peak.process]
        for peak in model.peaks
        if peak.process
    }
    return {peak: datasets for peak, datasets in names.items() if datasets}
