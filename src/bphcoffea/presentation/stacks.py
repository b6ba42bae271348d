"""What is stacked against data: processes of simulation, and what variations make of their sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import hist
import numpy as np
from matplotlib.figure import Figure

from bphcoffea.analysis.histograms import NOMINAL
from bphcoffea.analysis.weights import DOWN, UP
from bphcoffea.presentation.comparison import Sides, draw_comparison
from bphcoffea.presentation.labels import literal
from bphcoffea.presentation.style import Heading
from bphcoffea.results.records import DatasetRecord, Datasets
from bphcoffea.statistics import of_datasets


def comparison(
    histogram: hist.Hist,
    category: str | None,
    about: Mapping[str, Any],
    datasets: Datasets,
    *,
    overlay_signal: bool,
) -> Figure:
    """Draw data and the stack of simulated processes.

    Parameters
    ----------
    histogram
        With axes dataset, category, variation and that of the variable; simulation is scaled.
    category
        One category; the sum of all when not given.
    about
        ``label``, ``unit`` and ``log_y`` of the variable; ``hidden`` ranges and ``notes``.
    datasets
        Metadata by dataset.
    overlay_signal
        Whether simulated signal is drawn as lines, and not as a part of the stack.
    """
    data = [name for name, known in datasets.items() if not known.is_mc]
    stack: dict[str, list[str]] = {}
    lines: dict[str, list[str]] = {}
    for name, known in datasets.items():
        if known.is_mc:
            if overlay_signal and known.kind == "signal":
                # each sample is a hypothesis of its own
                lines.setdefault(str(known.label or literal(name)), []).append(name)
            else:
                stack.setdefault(_label(name, known), []).append(name)
    return draw_comparison(
        of_datasets(histogram, data, category),
        {label: of_datasets(histogram, names, category) for label, names in stack.items()},
        Heading.of(datasets.values(), about.get("notes", ())),
        label=about["label"],
        unit=about["unit"],
        log_y=about["log_y"],
        overlays={name: of_datasets(histogram, own, category) for name, own in lines.items()},
        hidden=about.get("hidden", ()),
        variations=totals(histogram, [n for names in stack.values() for n in names], category),
    )


def totals(histogram: hist.Hist, datasets: list[str], category: str | None) -> dict[str, Sides]:
    """Sum of datasets under each variation downwards and upwards, by its name without the side.

    Variations that are no sides of an uncertainty, such as other lifetimes, are left out.
    """
    variations = list(histogram.axes["variation"])
    chosen = sum if category is None else category

    def total(variation: str) -> Any:
        if variation not in variations or not datasets:
            return None
        parts = [histogram[name, chosen, variation, :].values() for name in datasets]
        return np.sum(parts, axis=0, dtype=np.float64)

    names = dict.fromkeys(
        variation.removesuffix(side)
        for variation in variations
        for side in (UP, DOWN)
        if variation != NOMINAL and variation.endswith(side)
    )
    return {name: (total(name + DOWN), total(name + UP)) for name in names}


def _label(name: str, metadata: DatasetRecord) -> str:
    return str(metadata.label or metadata.process or literal(name))
