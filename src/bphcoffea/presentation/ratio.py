"""Ratio of data and simulation, drawn in the lower panel of a figure."""

from __future__ import annotations

from typing import NamedTuple

import hist
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from bphcoffea.arrays import Floats
from bphcoffea.presentation.hidden_data import Windows, overlapping
from bphcoffea.presentation.style import counts_of, errors_of, steps

#: Smallest and largest range of the ratio, and the step between them.
LEAST, MOST, RATIO_STEP = (0.5, 1.5), (0.0, 3.0), 0.5
#: Smallest distance of a point from the edge of the ratio's range; nearer points would be cut.
EDGE = 0.05


class Ratio(NamedTuple):
    """Data over simulation in each bin; NaN in bins without simulation.

    Attributes
    ----------
    values
        Data over simulation, shape (bins,).
    down, up
        Lengths of the error bars, from the data alone, shape (bins,).
    band_down, band_up
        Relative uncertainty of the simulation, shape (bins,).
    """

    values: Floats
    down: Floats
    up: Floats
    band_down: Floats
    band_up: Floats


def ratio(data: hist.Hist, total: Floats, band: tuple[Floats, Floats]) -> Ratio:
    """Return the ratio of data and simulation.

    Parameters
    ----------
    data
        Histogram with one axis.
    total
        Sum of the simulation, shape (bins,).
    band
        Uncertainty of the sum downwards and upwards, shape (bins,).

    Returns
    -------
    Content of the lower panel; NaN in bins where the sum is not positive.
    """
    counts, (down, up) = counts_of(data), errors_of(data)
    return Ratio(*(_over(part, total) for part in (counts, down, up, *band)))


def _over(part: Floats, total: Floats) -> Floats:
    # weights that cancel leave a tiny total, for which the ratio overflows
    with np.errstate(over="ignore"):
        parts = np.divide(part, total, out=np.full_like(total, np.nan), where=total > 0)
    parts[~np.isfinite(parts)] = np.nan
    return parts


def draw_ratio(
    axes: Axes,
    data: hist.Hist,
    total: Floats,
    spread: tuple[Floats, Floats],
    edges: Floats,
    hidden: Windows,
) -> None:
    """Draw data over simulation; see :func:`ratio` for the parameters.

    Points beyond the range of the axis become arrows; `hidden` ranges have no points.
    """
    shown = ratio(data, total, spread)
    ones = np.where(np.isnan(shown.band_up), np.nan, 1.0)
    draw_band(axes, ones, (shown.band_down, shown.band_up), edges)
    axes.axhline(1, color="0.2", linewidth=1.5)
    # an empty bin is of interest if its upper error lies below the expectation
    drawn = ~np.isnan(shown.values) & ((counts_of(data) != 0) | ((shown.up > 0) & (shown.up < 1)))
    drawn &= ~overlapping(edges, hidden)
    centers = np.asarray(data.axes[0].centers)[drawn]
    values = shown.values[drawn]
    low, high = _ratio_range(values)
    inside = (values >= low) & (values <= high)
    bars = (shown.down[drawn], shown.up[drawn])
    axes.errorbar(centers, values, yerr=bars, fmt="none", ecolor="black", elinewidth=1.3)
    # the frame would cut a point at zero
    axes.plot(centers[inside], values[inside], "o", color="black", markersize=5, clip_on=False)
    at_edges = axes.get_xaxis_transform()
    for outside, height, arrow in ((values > high, 0.93, "^"), (values < low, 0.07, "v")):
        heights = np.full(np.count_nonzero(outside), height)
        axes.plot(centers[outside], heights, arrow, color="black", markersize=9, transform=at_edges)
    axes.set_ylim(low, high)
    step = 0.25 if high - low <= 1 else 0.5 if high - low <= 2 else 1.0
    ticks = step * np.arange(round(MOST[1] / step))
    # no tick at the edges, where the panel above has its own
    axes.set_yticks(ticks[(ticks > low) & (ticks < high)])
    axes.set_ylabel("Data / sim.", loc="center")


def _ratio_range(values: Floats) -> tuple[float, float]:
    low = float(np.min(values, initial=LEAST[0] + EDGE)) - EDGE
    high = float(np.max(values, initial=LEAST[1] - EDGE)) + EDGE
    return (
        max(float(np.floor(low / RATIO_STEP)) * RATIO_STEP, MOST[0]),
        min(float(np.ceil(high / RATIO_STEP)) * RATIO_STEP, MOST[1]),
    )


def draw_band(axes: Axes, middle: Floats, spread: tuple[Floats, Floats], edges: Floats) -> Artist:
    """Draw a hatched band of the widths `spread`, down and up, around `middle`."""
    return steps(
        axes,
        middle + spread[1],
        edges,
        baseline=middle - spread[0],
        fill=True,
        facecolor=("0.3", 0.25),
        edgecolor="0.25",
        hatch="////",
        zorder=1.5,
    )
