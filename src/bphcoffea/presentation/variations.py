"""Figures of systematic variations: one beside the nominal content, and the parts of the band."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import hist
import numpy as np
from matplotlib.figure import Figure

from bphcoffea.analysis import DOWN, NOMINAL, UP
from bphcoffea.arrays import Floats
from bphcoffea.presentation import style
from bphcoffea.presentation.colors import BLUE, RED, palette
from bphcoffea.presentation.comparison import STATISTICAL, TOTAL, Sides, band
from bphcoffea.presentation.hidden_data import RunHistogram
from bphcoffea.presentation.ratio import draw_band
from bphcoffea.presentation.stacks import stacked, totals
from bphcoffea.statistics import of_datasets

#: Sources that a breakdown draws one by one; the others are added up.
SOURCES = 8
#: Fraction of the axes for the legend.
ROOM = 0.36


def breakdown_figure(shown: RunHistogram, category: str | None) -> Figure:
    """Draw the contribution of each source to the band of the stack.

    Parameters
    ----------
    shown
        The histogram; its simulation must be scaled.
    category
        Category to draw; None for the sum of all.
    """
    names = stacked(shown)
    total = of_datasets(shown.scaled, names, category)
    return draw_breakdown(
        total,
        totals(shown.scaled, names, category, shown.shapes),
        shown.heading(category),
        label=style.axis_label(shown.label, shown.record.unit),
    )


@style.cms_style()
def draw_breakdown(
    total: hist.Hist, variations: Mapping[str, Sides], heading: style.Heading, *, label: str
) -> Figure:
    """Draw the relative uncertainty from each source, as in :func:`.band`.

    Parameters
    ----------
    total
        Sum of the simulation, with sums of squared weights.
    variations
        Sum under each variation; see :func:`.draw_comparison`.
    heading
        Heading above the axes.
    label
        Label of the variable, with its unit.
    """
    nominal, variance = style.counts_of(total), np.asarray(total.variances())
    edges = np.asarray(total.axes[0].edges, dtype=np.float64)
    none = np.zeros_like(nominal)
    parts = {STATISTICAL: band(nominal, variance, {})}
    parts |= {name: band(nominal, none, {name: sides}) for name, sides in variations.items()}

    def size(name: str) -> float:
        return float(np.sum(np.square(parts[name])))

    largest = sorted((name for name in variations if size(name) > 0), key=size, reverse=True)
    shown = [STATISTICAL, *largest[:SOURCES]]
    if rest := largest[SOURCES:]:
        last = f"{len(rest)} others"
        parts[last] = band(nominal, none, {name: variations[name] for name in rest})
        shown.append(last)
    whole = band(nominal, variance, variations)
    figure = style.new_figure(10, 10)
    axes = figure.add_subplot()
    down, up = (_percent(side, nominal) for side in whole)
    middle = np.where(np.isnan(up), np.nan, 0.0)
    draw_band(axes, middle, (down, up), edges).set_label(TOTAL if variations else STATISTICAL)
    for number, (name, color) in enumerate(zip(shown, palette(len(shown)), strict=True)):
        low, high = (_percent(side, nominal) for side in parts[name])
        look: Any = {"color": color, "linewidth": 2.5, "linestyle": ("-", "--", ":")[number % 3]}
        style.steps(axes, high, edges, baseline=None, label=name, **look)
        style.steps(axes, -low, edges, baseline=None, **look)
    # bins with hardly any content have an uncertainty of any size
    filled = nominal > 0.01 * np.max(nominal, initial=0)
    top = float(np.max(np.concatenate([down[filled], up[filled], [1.0]])))
    axes.set_ylim(-1.15 * top, 1.15 * top * (1 + ROOM) / (1 - ROOM))
    style.scale_variable(axes, edges)
    axes.set_xlabel(label)
    axes.set_ylabel("Uncertainty [%]")
    style.legend_of_two_columns(axes, heading)
    heading.above(axes)
    return figure


def _percent(part: Floats, nominal: Floats) -> Floats:
    filled = nominal > 0
    return np.divide(100 * part, nominal, out=np.full_like(nominal, np.nan), where=filled)


def variation_figure(shown: RunHistogram, category: str | None, variation: str) -> Figure:
    """Draw a variation of the simulation beside the nominal distribution, and the ratio.

    Parameters
    ----------
    shown
        The histogram.
    category
        Category to draw; None for the sum of all.
    variation
        Name of the variation, without ``Up`` and ``Down`` if it has sides.
    """
    histogram = shown.histogram if shown.scaled is None else shown.scaled
    names, known = stacked(shown), histogram.axes["variation"]
    return draw_variation(
        of_datasets(histogram, names, category),
        {
            side or variation: of_datasets(histogram, names, category, variation + side)
            for side in (UP, DOWN, "")
            if variation + side in known
        },
        shown.heading(category),
        name=variation,
        label=shown.label,
        unit=shown.record.unit,
        log_y=shown.record.log_y,
        counted=shown.record.counted,
    )


@style.cms_style()
def draw_variation(
    nominal: hist.Hist,
    sides: Mapping[str, hist.Hist],
    heading: style.Heading,
    *,
    name: str,
    label: str,
    unit: str = "",
    log_y: bool = False,
    counted: str = "Candidates",
) -> Figure:
    """Draw a distribution, the same under a variation, and the ratio of both.

    Parameters
    ----------
    nominal
        Nominal distribution, with its statistical uncertainty as a band.
    sides
        The same under the variation: ``Up``, ``Down``, or any other name.
    heading
        Heading above the axes.
    name
        Name of the variation.
    label, unit, log_y, counted
        See :func:`.draw_comparison`.
    """
    edges = np.asarray(nominal.axes[0].edges, dtype=np.float64)
    counts, error = style.counts_of(nominal), np.sqrt(np.asarray(nominal.variances()))
    figure = style.new_figure(10, 10)
    axes, below = style.panels(figure, 2)
    style.steps(axes, counts, edges, color="black", linewidth=2, label=NOMINAL.capitalize())
    draw_band(axes, counts, (error, error), edges).set_label(STATISTICAL)
    relative = np.divide(error, counts, out=np.full_like(counts, np.nan), where=counts > 0)
    draw_band(below, np.where(np.isnan(relative), np.nan, 1.0), (relative, relative), edges)
    largest, ratios = float(np.max(counts + error, initial=0)), [np.array([0.95, 1.05])]
    for (side, varied), color in zip(sides.items(), (RED, BLUE, "0.4"), strict=False):
        values = style.counts_of(varied)
        look: Any = {"color": color, "linewidth": 2, "linestyle": "--" if side == DOWN else "-"}
        style.steps(
            axes, values, edges, label=side if side == name else f"{name} {side.lower()}", **look
        )
        ratio = np.divide(values, counts, out=np.full_like(counts, np.nan), where=counts > 0)
        style.steps(below, ratio, edges, baseline=None, **look)
        largest = max(largest, float(np.max(values, initial=0)))
        ratios.append(ratio[np.isfinite(ratio) & (counts > 0.01 * np.max(counts, initial=0))])
    far = 1.2 * min(float(np.max(np.abs(np.concatenate(ratios) - 1))), 1.0)
    below.set_ylim(1 - far, 1 + far)
    below.axhline(1, color="0.2", linewidth=1.5)
    below.set_ylabel("Var. / nom.", loc="center")
    style.scale_variable(below, edges)
    style.scale_counts(axes, largest, log=log_y, headroom=ROOM)
    below.set_xlabel(style.axis_label(label, unit))
    axes.set_ylabel(style.per_bin(counted, edges, unit))
    title = heading.legend_title or None
    axes.legend(loc="upper right", fontsize=style.SMALL, title=title, title_fontsize=style.SMALL)
    heading.above(axes)
    return figure
