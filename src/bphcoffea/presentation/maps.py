"""Figures of distributions of two variables."""

from __future__ import annotations

from collections.abc import Mapping

import hist
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from bphcoffea.presentation import style
from bphcoffea.presentation.hidden_data import RunHistogram
from bphcoffea.statistics import of_datasets


def map_figure(shown: RunHistogram, category: str | None) -> Figure:
    """Draw the data, and the sum of the simulated processes, as maps side by side.

    Parameters
    ----------
    shown
        The histogram; simulation is normalised if it is scaled.
    category
        Category or region to draw; None for all.
    """
    datasets = shown.datasets
    histogram = shown.histogram if shown.scaled is None else shown.scaled
    parts = {style.DATA: datasets.data, style.SIMULATION: datasets.simulated}
    maps = {name: of_datasets(histogram, of, category) for name, of in parts.items() if of}
    if shown.scaled is None and len(maps) == 2:
        data, simulation = maps.values()
        if data.sum().value > 0 and simulation.sum().value > 0:
            maps[f"{style.SIMULATION}, scaled to data"] = maps.pop(style.SIMULATION) * (
                data.sum().value / simulation.sum().value
            )
    return draw_maps(maps, shown.heading(category), counted=shown.record.counted)


@style.cms_style()
def draw_maps(
    maps: Mapping[str, hist.Hist], heading: style.Heading, *, counted: str = "Events"
) -> Figure:
    """Draw histograms of two variables side by side, with one scale of colours.

    Parameters
    ----------
    maps
        Histograms of the same axes, by name.
    heading
        Heading above the left one.
    counted
        What the histograms count.
    """
    largest = max(float(np.max(of.values(), initial=0)) for of in maps.values())
    positive = [of.values()[of.values() > 0] for of in maps.values()]
    smallest = min((float(np.min(values)) for values in positive if values.size), default=1.0)
    figure = style.new_figure(10 * len(maps) + 2, 9, layout="constrained")
    panels = figure.subplots(1, len(maps), sharey=True, squeeze=False)[0]
    norm = LogNorm(min(smallest, largest / 10), largest) if largest > 0 else None
    for axes, (name, histogram) in zip(panels, maps.items(), strict=True):
        across, along = (np.asarray(axis.edges, dtype=np.float64) for axis in histogram.axes)
        content = np.ma.masked_less_equal(histogram.values(), 0)
        mesh = axes.pcolormesh(across, along, content.T, norm=norm, cmap="viridis")
        axes.set_xlabel(histogram.axes[0].label)
        axes.text(0.97, 0.95, name, transform=axes.transAxes, ha="right", va="top")
    panels[0].set_ylabel(histogram.axes[1].label)
    figure.colorbar(mesh, ax=list(panels), label=counted)
    heading.above(panels[0])
    heading.inside(panels[0])
    return figure
