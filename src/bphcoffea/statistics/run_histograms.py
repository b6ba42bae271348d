"""Distributions of some datasets of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import hist

from bphcoffea.analysis import ALL, NOMINAL


def whole(histogram: hist.Hist) -> str | Callable[..., object]:
    """Return the index of all candidates on the axis of categories, which they may be summed over.

    Regions may overlap, so that histograms of them have a category of their own for all candidates.
    """
    return ALL if ALL in histogram.axes["category"] else sum


def of_datasets(
    histogram: hist.Hist,
    datasets: Iterable[str],
    category: str | None = None,
    variation: str = NOMINAL,
) -> hist.Hist:
    """Return a distribution, summed over some datasets.

    Parameters
    ----------
    histogram
        Histogram of a run.
    datasets
        Names of the datasets; those that the histogram lacks count as empty.
    category
        Name of a category or region; by default all candidates.
    variation
        Name of the variation.
    """
    chosen = whole(histogram) if category is None else category
    total = histogram[0, chosen, variation, ...].copy().reset()
    for name in datasets:
        if name in histogram.axes["dataset"]:
            total += histogram[name, chosen, variation, ...]
    return total
