"""Figures of data and the stack of simulated processes, with the band of all variations."""

from __future__ import annotations

from collections.abc import Collection

import hist
import numpy as np
from matplotlib.figure import Figure

from bphcoffea.analysis import ALL, DOWN, NOMINAL, UP
from bphcoffea.arrays import Floats
from bphcoffea.presentation.comparison import Sides, draw_comparison
from bphcoffea.presentation.hidden_data import RunHistogram
from bphcoffea.presentation.shape_noise import systematic_part
from bphcoffea.statistics import of_datasets, whole


def stack_figure(shown: RunHistogram, category: str | None) -> Figure:
    """Draw data, if there are any, and the stack of scaled simulation.

    Parameters
    ----------
    shown
        The histogram; its simulation must be scaled.
    category
        Category to draw; None for the sum of all.
    """
    datasets, record, histogram = shown.datasets, shown.record, shown.scaled
    drawn = {
        label: of_datasets(histogram, process.datasets, category) * process.scale
        for label, process in shown.processes.items()
    }
    lines = [label for label, process in shown.processes.items() if process.is_line]
    return draw_comparison(
        of_datasets(histogram, datasets.data, category) if datasets.data else None,
        {label: of for label, of in drawn.items() if label not in lines},
        shown.heading(category),
        label=shown.label,
        unit=record.unit,
        log_y=record.log_y,
        counted=record.counted,
        overlays={label: drawn[label] for label in lines},
        hidden=shown.hidden,
        variations=totals(histogram, stacked(shown), category, shown.shapes),
        colors={label: process.color for label, process in shown.processes.items()},
        without=record.left_out,
        bounds=record.bounds,
        kept=record.kept,
    )


def stacked(shown: RunHistogram) -> list[str]:
    """Return the datasets of the stack, which has no lines."""
    return [
        n for process in shown.processes.values() if not process.is_line for n in process.datasets
    ]


def totals(
    histogram: hist.Hist,
    datasets: Collection[str],
    category: str | None,
    shapes: Collection[str] = (),
) -> dict[str, Sides]:
    """Return the sum of datasets under each variation, downwards and upwards.

    Keys are names of variations without the side. Variations that have no sides, such as other
    lifetimes, are left out.

    Parameters
    ----------
    histogram
        Histogram of a run with one variable.
    datasets
        Names of the datasets.
    category
        Category; None for the sum of all.
    shapes
        Names of the shape variations, whose shifts are given without their statistical part.
    """
    variations = {name: place for place, name in enumerate(histogram.axes["variation"])}
    contents = [_contents(histogram, name, category) for name in datasets]
    values, variances = (np.sum([of[part] for of in contents], axis=0) for part in (0, 1))

    def total(variation: str) -> Floats | None:
        if variation not in variations or not contents:
            return None
        nominal, varied = values[variations[NOMINAL]], values[variations[variation]]
        if variation not in shapes:
            return np.asarray(varied)
        shift = systematic_part(varied - nominal, nominal, variances[variations[NOMINAL]])
        return np.asarray(nominal + shift)

    names = dict.fromkeys(
        variation.removesuffix(side)
        for variation in variations
        for side in (UP, DOWN)
        if variation != NOMINAL and variation.endswith(side)
    )
    return {name: (total(name + DOWN), total(name + UP)) for name in names}


def _contents(histogram: hist.Hist, dataset: str, category: str | None) -> tuple[Floats, Floats]:
    """Return contents and variances of a dataset, shape (variations, bins) each."""
    names = list(histogram.axes["category"])
    view = histogram.view()[histogram.axes["dataset"].index(dataset)]
    if category is None and whole(histogram) is not sum:
        category = ALL
    # slices of a view are faster than those of a histogram, of which there would be thousands
    parts = slice(len(names)) if category is None else [names.index(category)]
    return view["value"][parts].sum(axis=0), view["variance"][parts].sum(axis=0)
