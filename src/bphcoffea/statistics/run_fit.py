"""The mass fits of a run's folder: of its data, and of the simulation of their peaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import hist

from bphcoffea.analysis.histograms import NOMINAL
from bphcoffea.analysis.mass_model import MassModel
from bphcoffea.datasets import Metadata
from bphcoffea.errors import FitError, InputError
from bphcoffea.results.folder import RunFolder
from bphcoffea.statistics.blindness import check_fit
from bphcoffea.statistics.data_sample import of_year, year_of
from bphcoffea.statistics.mass_fit import SEEN, MassFit, Tail, fit_mass, fit_simulation


def fit_run(
    run: RunFolder,
    datasets: Sequence[str] | None = None,
    by: Literal["dataset", "era", "year"] | None = None,
) -> dict[str, Any]:
    """Fit the mass spectrum of a run: the content of ``fit.json``.

    The data are summed; of a run, or a choice of datasets, that holds only simulation, that is.
    Data whose peaks are simulated are fitted twice, with the tails of the model and with those of
    its alternative (under the key ``alternative``); ``simulation`` of each holds the fits of the
    simulated peaks with the same tails, by the peak's name.

    Parameters
    ----------
    run
        The folder of a finished run.
    datasets
        Patterns of dataset names, as in a shell; every dataset when not given.
    by
        Also fit each dataset, era or year by itself, under the key ``by``. The fit of a year has
        simulation of that year, or of the nearest one, for tails and efficiency.

    Raises
    ------
    StillBlindError
        When the run hides data of the histogram.
    InputError
        When the analysis declares no fit, no dataset matches, or nothing is in the range.
    """
    check_fit(run)
    analysis = run.analysis
    model = analysis.fit
    if model is None:
        raise FitError(f"{run.path}: the analysis '{analysis.name}' declares no mass fit")
    histograms = run.histograms()
    if model.histogram not in histograms:
        raise InputError(f"{run.path}: histograms.json holds no '{model.histogram}' to fit")
    histogram = histograms[model.histogram]
    known = run.datasets
    chosen = _matching(datasets, known)
    data = [name for name in chosen if not known[name].is_mc]
    selected = data or chosen
    simulated = _simulated(model, known) if data else {}

    def tail_of(fits: Mapping[str, MassFit], simulated: Mapping[str, list[str]]) -> Tail | None:
        used = {name for peak, fit in fits.items() if fit.valid for name in simulated[peak]}
        return Tail.of(fits.values(), f"simulation ({', '.join(sorted(used))})")

    def as_json(fits: Mapping[str, MassFit], simulated: Mapping[str, list[str]]) -> dict[str, Any]:
        return {peak: {"datasets": simulated[peak], **fit.as_json()} for peak, fit in fits.items()}

    def fitted(names: list[str], tail: Tail | None) -> dict[str, Any]:
        in_data = all(not known[name].is_mc for name in names)
        return {
            "analysis": analysis.name,
            "histogram": model.histogram,
            "datasets": names,
            "complete": run.complete,
            "partial": run.partial,
            "luminosity": run.luminosity_of(names) if in_data else None,
            **fit_mass(of_datasets(histogram, names), model, tail=tail).as_json(),
        }

    def with_simulation(
        names: list[str], simulated: Mapping[str, list[str]]
    ) -> tuple[dict[str, Any], Tail | None]:
        spectra = {peak: of_datasets(histogram, own) for peak, own in simulated.items()}
        in_simulation = fit_simulation(spectra, model)
        tail = tail_of(in_simulation, simulated)
        content = fitted(names, tail)
        if simulated:
            content["simulation"] = as_json(in_simulation, simulated)
        if tail is not None and content["entries"]:
            other = fit_simulation(spectra, model.alternative)
            other_tail = tail_of(other, simulated)
            fit = fit_mass(of_datasets(histogram, names), model.alternative, tail=other_tail)
            content["alternative"] = {**fit.as_json(), "simulation": as_json(other, simulated)}
            for peak in _better(other, in_simulation):
                content["notes"].append(
                    f"the simulation of {peak} is described better with tails on "
                    f"{_SIDES[model.alternative.tails]}; if the mass model had "
                    f"tails='{model.alternative.tails}', that would be the result"
                )
        return content, tail

    content, tail = with_simulation(selected, simulated)
    if not content["entries"]:
        low, high = content["range"]
        raise InputError(
            f"{run.path}: the histogram '{model.histogram}' is empty in {low:g}-{high:g} GeV "
            f"for {', '.join(selected)}: nothing to fit"
        )
    if by is not None:
        groups: dict[str, list[str]] = {}
        for name in selected:
            label = year_of(known[name]) if by == "year" else known[name].era
            groups.setdefault(name if by == "dataset" else label, []).append(name)
        content["by"] = {
            group: with_simulation(
                names, {peak: of_year(known, own, group) for peak, own in simulated.items()}
            )[0]
            if by == "year"
            else fitted(names, tail)
            for group, names in sorted(groups.items())
        }
    return content


def of_datasets(
    histogram: hist.Hist, datasets: Iterable[str], category: str | None = None
) -> hist.Hist:
    """Sum the nominal distribution over some datasets.

    Parameters
    ----------
    histogram
        With the axes of a run's histograms.
    datasets
        Their names; those that the histogram does not know have no entries.
    category
        One category; the sum of all when not given.
    """
    chosen = sum if category is None else category
    total = histogram[0, chosen, NOMINAL, :].copy().reset()
    for name in datasets:
        if name in histogram.axes["dataset"]:
            total += histogram[name, chosen, NOMINAL, :]
    return total


def _matching(patterns: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    names = sorted(known)
    if patterns is None:
        return names
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(f"no dataset matches '{pattern}'; there are: {', '.join(names)}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


_SIDES = {"low": "the low side alone", "both": "both sides"}


def _better(fits: Mapping[str, MassFit], others: Mapping[str, MassFit]) -> list[str]:
    """Peaks whose fits describe the simulation clearly better than the others do."""
    gains = {
        peak: (others[peak].chi2 or 0.0) - fit.chi2
        for peak, fit in fits.items()
        if fit.chi2 is not None
    }
    return [peak for peak, gain in gains.items() if gain > SEEN]


def _simulated(model: MassModel, known: Mapping[str, Metadata]) -> dict[str, list[str]]:
    """Names of the simulated datasets of each peak that has some."""
    names = {
        peak.name: [
            name
            for name, metadata in known.items()
            if metadata.is_mc and peak.process and metadata.process == peak.process
        ]
        for peak in model.peaks
    }
    return {peak: datasets for peak, datasets in names.items() if datasets}
