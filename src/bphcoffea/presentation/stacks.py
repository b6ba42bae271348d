"""Figures of data and the stack of simulated processes, with the band of all variations."""

from __future__ import annotations

import hist
import numpy as np
from matplotlib.figure import Figure

from bphcoffea.analysis import DOWN, NOMINAL, UP
from bphcoffea.arrays import Floats
from bphcoffea.presentation.comparison import Sides, draw_comparison
from bphcoffea.presentation.hidden_data import RunHistogram
from bphcoffea.presentation.labels import literal
from bphcoffea.presentation.style import Heading
from bphcoffea.results import DatasetRecord
from bphcoffea.statistics import of_datasets, whole


def stack_figure(shown: RunHistogram, category: str | None, *, overlay_signal: bool) -> Figure:
    """Draw data, if there are any, and the stack of scaled simulation.

    Parameters
    ----------
    shown
        The histogram; its simulation must be scaled.
    category
        Category to draw; None for the sum of all.
    overlay_signal
        Draw each simulated signal as a line over the stack, instead of in it.
    """
    datasets, record, histogram = shown.datasets, shown.record, shown.scaled
    stack: dict[str, list[str]] = {}
    lines: dict[str, list[str]] = {}
    for name in datasets.simulated:
        dataset = datasets[name]
        if overlay_signal and dataset.kind == "signal":
            # each sample is a separate hypothesis
            lines.setdefault(dataset.label or literal(name), []).append(name)
        else:
            stack.setdefault(_label(name, dataset), []).append(name)
    return draw_comparison(
        of_datasets(histogram, datasets.data, category) if datasets.data else None,
        {label: of_datasets(histogram, names, category) for label, names in stack.items()},
        Heading.of(datasets.values(), shown.notes, category, scaled=True),
        label=shown.label,
        unit=record.unit,
        log_y=record.log_y,
        counted=record.counted,
        overlays={label: of_datasets(histogram, names, category) for label, names in lines.items()},
        hidden=shown.hidden,
        variations=totals(histogram, [n for names in stack.values() for n in names], category),
    )


def totals(histogram: hist.Hist, datasets: list[str], category: str | None) -> dict[str, Sides]:
    """Return the sum of datasets under each variation, downwards and upwards.

    Keys are names of variations without the side. Variations that have no sides, such as other
    lifetimes, are left out.
    """
    variations = list(histogram.axes["variation"])
    chosen = whole(histogram) if category is None else category

    def total(variation: str) -> Floats | None:
        if variation not in variations or not datasets:
            return None
        parts = [histogram[name, chosen, variation, :].values() for name in datasets]
        return np.asarray(np.sum(parts, axis=0, dtype=np.float64))

    names = dict.fromkeys(
        variation.removesuffix(side)
        for variation in variations
        for side in (UP, DOWN)
        if variation != NOMINAL and variation.endswith(side)
    )
    return {name: (total(name + DOWN), total(name + UP)) for name in names}


def _label(name: str, metadata: DatasetRecord) -> str:
    return metadata.label or metadata.process or literal(name)
