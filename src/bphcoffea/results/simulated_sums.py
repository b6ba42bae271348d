"""Histograms of simulation, summed over datasets."""

from __future__ import annotations

from collections.abc import Sequence

import hist

from bphcoffea.analysis import ALL, NOMINAL
from bphcoffea.errors import RunError, alternatives
from bphcoffea.results.folder import RunFolder


def simulated_sum(
    run: RunFolder, name: str, datasets: Sequence[str], variation: str = NOMINAL
) -> hist.Hist:
    """Return the histogram of all selected candidates, summed over simulated datasets.

    Several datasets are added as the luminosity of the data demands, a single one as it is.

    Parameters
    ----------
    run
        The run.
    name
        Name of the histogram.
    datasets
        Names of simulated datasets.
    variation
        Name of the variation.

    Raises
    ------
    RunError
        If the run has no such histogram or no simulation, or if some of several datasets have no
        scale.
    """
    if not datasets:
        raise RunError(f"{run.path}: has no simulated datasets")
    histograms = run.histograms() if len(datasets) == 1 else run.normalised_histograms()
    if name not in histograms:
        raise RunError(
            f"{run.path}: has no histogram '{name}'{alternatives(name, sorted(histograms))}"
        )
    histogram = histograms[name]
    categories = list(histogram.axes["category"])
    # disjoint categories are all candidates together; with regions, one category is that of all
    chosen = [ALL] if ALL in categories else categories
    parts = [histogram[dataset, c, variation, ...] for dataset in datasets for c in chosen]
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total
