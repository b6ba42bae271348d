"""The mass fit of a run's folder: which datasets are fitted, and where the tail comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import hist

from bphcoffea.analysis.histograms import NOMINAL
from bphcoffea.errors import InputError
from bphcoffea.execution.folder import RunFolder
from bphcoffea.inference.massfit import Tail, fit_mass, fit_tail
from bphcoffea.inference.model import MassModel


def fit_run(
    run: RunFolder,
    datasets: Sequence[str] | None = None,
    by: Literal["dataset", "era"] | None = None,
) -> dict[str, Any]:
    """Fit the mass spectrum of a run: the content of ``fit.json``.

    The data are summed; of a run, or a choice of datasets, that holds only simulation, that is.

    Parameters
    ----------
    run
        The folder of a finished run.
    datasets
        Patterns of dataset names, as in a shell; every dataset when not given.
    by
        Also fit each dataset or each era by itself, under the key ``by``.

    Raises
    ------
    InputError
        When the analysis declares no fit, no dataset matches, or nothing is in the range.
    """
    analysis = run.analysis
    if analysis.get("fit") is None:
        raise InputError(f"{run.path}: the analysis '{analysis['name']}' declares no mass fit")
    model = MassModel.model_validate(analysis["fit"])
    histograms = run.histograms()
    if model.histogram not in histograms:
        raise InputError(f"{run.path}: histograms.json holds no '{model.histogram}' to fit")
    histogram = histograms[model.histogram]
    known = run.datasets
    chosen = _matching(datasets, known)
    data = [name for name in chosen if not known[name]["is_mc"]]
    selected = data or chosen
    tail = _simulated_tail(histogram, model, known) if data else None

    def fitted(names: list[str]) -> dict[str, Any]:
        in_data = all(not known[name]["is_mc"] for name in names)
        return {
            "analysis": analysis["name"],
            "histogram": model.histogram,
            "datasets": names,
            "complete": run.complete,
            "partial": run.partial,
            "luminosity": run.luminosity_of(names) if in_data else None,
            **fit_mass(of_datasets(histogram, names), model, tail=tail).as_json(),
        }

    content = fitted(selected)
    if not content["entries"]:
        low, high = content["range"]
        raise InputError(
            f"{run.path}: the histogram '{model.histogram}' is empty in {low:g}-{high:g} GeV "
            f"for {', '.join(selected)}: nothing to fit"
        )
    if by is not None:
        groups: dict[str, list[str]] = {}
        for name in selected:
            groups.setdefault(name if by == "dataset" else str(known[name]["era"]), []).append(name)
        content["by"] = {label: fitted(names) for label, names in sorted(groups.items())}
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


def _simulated_tail(
    histogram: hist.Hist, model: MassModel, known: Mapping[str, Mapping[str, Any]]
) -> Tail | None:
    simulation, used = {}, set()
    for peak in model.peaks:
        names = [
            name
            for name, metadata in known.items()
            if metadata["is_mc"] and peak.process and metadata.get("process") == peak.process
        ]
        if names:
            simulation[peak.name] = of_datasets(histogram, names)
            used.update(names)
    return fit_tail(simulation, model, f"simulation ({', '.join(sorted(used))})")
