"""Figures of the fraction of the events that belong to a category or region."""

from __future__ import annotations

from collections.abc import Mapping

import hist
import numpy as np
from matplotlib.figure import Figure
from scipy.special import betaincinv

from bphcoffea.arrays import Floats
from bphcoffea.presentation import style
from bphcoffea.presentation.hidden_data import RunHistogram
from bphcoffea.statistics import of_datasets

#: Fraction of the axes above 1, for the legend.
ROOM = 0.3


def efficiency(passed: hist.Hist, total: hist.Hist) -> tuple[Floats, Floats, Floats]:
    """Return an efficiency, and its Clopper-Pearson interval [Biometrika 26 (1934) 404].

    Weighted bins are taken as as many events as have the relative uncertainty of the total.

    Parameters
    ----------
    passed, total
        Histograms of one axis, the first of a part of the entries of the second.

    Returns
    -------
    Efficiency, and distances to the lower and upper end of the central 68.3% interval, each of
    shape (bins,); NaN in bins without entries.
    """
    part, whole = style.counts_of(passed), style.counts_of(total)
    variances = whole if total.variances() is None else np.asarray(total.variances())
    nothing = np.full_like(whole, np.nan)
    filled = (whole > 0) & (variances > 0)
    value = np.clip(np.divide(part, whole, out=nothing.copy(), where=filled), 0, 1)
    entries = np.divide(whole**2, variances, out=nothing.copy(), where=filled)
    outside = (1 - style.COVERAGE) / 2
    successes = value * entries
    low = betaincinv(np.maximum(successes, 1e-9), entries - successes + 1, outside)
    high = betaincinv(successes + 1, np.maximum(entries - successes, 1e-9), 1 - outside)
    low, high = np.where(value == 0, 0.0, low), np.where(value == 1, 1.0, high)
    return value, value - np.minimum(low, value), np.maximum(high, value) - value


def efficiency_figure(shown: RunHistogram, category: str) -> Figure:
    """Draw the fraction of the events in a category, in data and in each simulated process."""
    histogram = shown.histogram if shown.scaled is None else shown.scaled
    groups = {style.DATA: tuple(shown.datasets.data)} if shown.datasets.data else {}
    groups |= {label: process.datasets for label, process in shown.processes.items()}
    colors = {label: process.color for label, process in shown.processes.items()}
    return draw_efficiency(
        {
            name: (of_datasets(histogram, of, category), of_datasets(histogram, of))
            for name, of in groups.items()
        },
        shown.heading(category),
        label=style.axis_label(shown.label, shown.record.unit),
        colors={style.DATA: "black", **colors},
    )


@style.cms_style()
def draw_efficiency(
    groups: Mapping[str, tuple[hist.Hist, hist.Hist]],
    heading: style.Heading,
    *,
    label: str,
    colors: Mapping[str, str],
) -> Figure:
    """Draw efficiencies as points; see :func:`efficiency`.

    Parameters
    ----------
    groups
        Histograms of what passed and of all, by label.
    heading
        Heading above the axes.
    label
        Label of the variable, with its unit.
    colors
        Colour of each group.
    """
    first = next(iter(groups.values()))[0].axes[0]
    edges = np.asarray(first.edges, dtype=np.float64)
    figure = style.new_figure()
    axes = figure.add_subplot()
    for name, (passed, total) in groups.items():
        value, down, up = efficiency(passed, total)
        is_data = name == style.DATA
        axes.errorbar(
            first.centers, value, yerr=(down, up), xerr=np.diff(edges) / 2, color=colors[name],
            fmt="o" if is_data else "none", markersize=5, elinewidth=1.5, label=style.brief(name),
            zorder=3 if is_data else 2,
        )  # fmt: skip
    style.scale_variable(axes, edges)
    axes.set_ylim(0, 1 / (1 - ROOM))
    axes.axhline(1, color="0.6", linewidth=1, linestyle=":")
    axes.set_xlabel(label)
    axes.set_ylabel("Fraction of the selected events")
    style.legend_of_two_columns(axes, heading)
    heading.above(axes)
    return figure
