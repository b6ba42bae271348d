"""Data and the normalised simulation of everything expected in them, and the ratio of the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import hist
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogFormatter
from typing_extensions import override

from bphcoffea.arrays import Floats
from bphcoffea.presentation.blinding import Windows, overlapping, shade
from bphcoffea.presentation.style import (
    DATA,
    PALETTE,
    RED,
    SMALL,
    TINY,
    VIOLET,
    WIDE_PALETTE,
    Heading,
    axis_label,
    brief,
    cms_style,
    garwood,
    is_logarithmic,
    new_figure,
    per_bin,
    points,
    scale_counts,
)

#: Totals of the stack under a variation downwards and upwards; None for a side that is not known.
Sides = tuple[Floats | None, Floats | None]
#: What is drawn, with its name in the legend.
Entry = tuple[Artist | Container, str]

STATISTICAL, TOTAL = "Stat.", r"Stat. $\oplus$ syst."
#: Lines over the stack: those colours and dashes are given to no process of the stack.
LINE_COLORS, LINE_STYLES = (RED, VIOLET, "black"), ("-", "--", "-.")
#: The ratio is shown at least and at most in these ranges, and grows by steps.
LEAST, MOST, RATIO_STEP = (0.5, 1.5), (0.0, 3.0), 0.5
#: A point nearer to the edge of the ratio's range than this would be cut.
EDGE = 0.05
#: Columns and font sizes of the legend, best first; that of many rows is wide.
LEGENDS = ((1, SMALL), (2, SMALL), (1, TINY), (2, TINY), (1, 11))
MANY_ROWS = 4
#: Decades up to which some, and all, of the minor ticks of a logarithmic axis have labels.
LABELLED_DECADES = (1.5, 0.4)
#: Parts of the axes that a legend may take, and that stay free below it.
LEGEND_WIDTH, LEGEND_HEIGHT, LEGEND_GAP = 0.97, 0.5, 0.02


class Ratio(NamedTuple):
    """Data over simulation in each bin; NaN where there is no simulation to divide by.

    Attributes
    ----------
    values
        Data over simulation, shape (bins,).
    down, up
        Lengths of the error bars, of the data alone, shapes (bins,).
    band_down, band_up
        Uncertainty of the simulation relative to it, shapes (bins,).
    """

    values: Floats
    down: Floats
    up: Floats
    band_down: Floats
    band_up: Floats


def band(
    nominal: Floats, statistical_variance: Floats, variations: Mapping[str, Sides]
) -> tuple[Floats, Floats]:
    """Uncertainty of the simulation in each bin: of its statistics and of all variations.

    They are taken for independent. A variation whose two sides shift a bin the same way counts
    there once, with the larger shift; one with a single side is taken for symmetric.

    Parameters
    ----------
    nominal, statistical_variance
        Contents and sums of squared weights, shape (bins,).
    variations
        By name, the contents under the variation downwards and upwards, shapes (bins,); None for
        a side that is not known.

    Returns
    -------
    Distances from the content down and up to the ends of the band, each of shape (bins,).
    """
    down = np.sqrt(statistical_variance)
    up = down.copy()
    for sides in variations.values():
        shifts = [side - nominal for side in sides if side is not None]
        if len(shifts) == 1:
            shifts.append(-shifts[0])
        if shifts:
            down = np.hypot(down, np.maximum(-np.minimum(*shifts), 0))
            up = np.hypot(up, np.maximum(np.maximum(*shifts), 0))
    return down, up


def ratio(data: hist.Hist, total: Floats, band: tuple[Floats, Floats]) -> Ratio:
    """Divide data by simulation.

    Parameters
    ----------
    data
        One axis.
    total
        Sum of the simulation, shape (bins,).
    band
        Its uncertainty downwards and upwards, shapes (bins,).

    Returns
    -------
    What the lower panel shows; bins without simulation, or with a negative sum, are NaN.
    """
    counts, (down, up) = _counts(data), _errors(data)
    return Ratio(*(_over(part, total) for part in (counts, down, up, *band)))


def _over(part: Floats, total: Floats) -> Floats:
    # a total next to nothing, left over where weights cancel, overflows: no ratio there either
    with np.errstate(over="ignore"):
        parts = np.divide(part, total, out=np.full_like(total, np.nan), where=total > 0)
    parts[~np.isfinite(parts)] = np.nan
    return parts


def _counts(histogram: hist.Hist) -> Floats:
    return np.asarray(histogram.values(), dtype=np.float64)


def _variances(histogram: hist.Hist) -> Floats:
    return np.asarray(histogram.variances(), dtype=np.float64)


def _errors(data: hist.Hist) -> tuple[Floats, Floats]:
    return garwood(_counts(data), None if data.variances() is None else _variances(data))


@cms_style()
def draw_comparison(
    data: hist.Hist | None,
    stack: Mapping[str, hist.Hist],
    heading: Heading,
    *,
    label: str,
    unit: str = "",
    log_y: bool = False,
    overlays: Mapping[str, hist.Hist] = {},
    variations: Mapping[str, Sides] = {},
    hidden: Windows = (),
    note: str = "",
) -> Figure:
    """Draw data as points over the stack of simulated processes, and their ratio below.

    Parameters
    ----------
    data
        One axis; None for the stack alone, without a ratio.
    stack
        Normalised simulation by the label of its process, with the bins of the data and sums of
        squared weights. The smallest lies at the bottom; colours follow the order of the mapping,
        so that a process looks the same in all figures of a run.
    heading
        What stands above the axes.
    label, unit
        Of the variable.
    log_y
        Logarithmic vertical axis.
    overlays
        Signals by label: lines over the stack that are no part of it.
    variations
        By name, the sum of the stack under a systematic variation downwards and upwards, shapes
        (bins,); None for a side that is not known.
    hidden
        Ranges of the variable in which data are blinded: they have no ratio, and are shaded.
    note
        A short line above the legend's entries.

    Raises
    ------
    ValueError
        If the histograms have different bins, or the stack has no sums of squared weights.
    """
    edges = _edges(data, stack, overlays)
    total, variance = _summed(stack, len(edges) - 1)
    spread = band(total, variance, variations)
    figure = new_figure(10, 10)
    if data is not None and stack:
        grid = figure.add_gridspec(2, 1, height_ratios=(3.2, 1), hspace=0)
        axes = figure.add_subplot(grid[0])
        below = figure.add_subplot(grid[1], sharex=axes)
        axes.tick_params(which="both", labelbottom=False)
    else:
        axes = below = figure.add_subplot()
    largest = [0.0]
    entries: list[Entry] = []
    if data is not None:
        largest.append(points(axes, data, DATA))
        entries.append((axes.containers[-1], DATA))
    if stack:
        entries += _draw_stack(axes, stack, edges, avoided=LINE_COLORS[: len(overlays)])
        uncertainty = _draw_band(axes, total, spread, edges)
        entries.append((uncertainty, TOTAL if variations else STATISTICAL))
        largest.append(float(np.max(total + spread[1])))
    for index, (signal, histogram) in enumerate(overlays.items()):
        entries.append((_draw_line(axes, _counts(histogram), edges, index), signal))
        largest.append(float(np.max(_counts(histogram))))
    if data is not None and stack:
        _draw_ratio(below, data, total, spread, edges, hidden)
    if max(largest) == 0:
        text = "blinded" if len(hidden) else "no entries"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color="0.4")
    _scale_variable(below, edges)
    below.set_xlabel(axis_label(label, unit))
    axes.set_ylabel(per_bin("Candidates", edges, unit))
    heading.above(axes)
    figure.align_ylabels()
    # matplotlib's own limits would warn of an empty stack on a logarithmic axis
    axes.set_autoscaley_on(False)
    scale_counts(axes, max(largest), log=log_y, headroom=LEGEND_HEIGHT)
    # the axes have their place only then
    figure.draw_without_rendering()
    headroom = _write_legend(axes, entries, note)
    scale_counts(axes, max(largest), log=log_y, headroom=headroom)
    shade(figure, hidden)
    return figure


def _edges(
    data: hist.Hist | None, stack: Mapping[str, hist.Hist], overlays: Mapping[str, hist.Hist]
) -> Floats:
    named = [*([] if data is None else [(DATA, data)]), *stack.items(), *overlays.items()]
    found = [(name, np.asarray(each.axes[0].edges, dtype=np.float64)) for name, each in named]
    first, edges = found[0] if found else ("", np.array([0.0, 1.0]))
    for name, others in found:
        if not np.array_equal(others, edges):
            raise ValueError(f"{name} has other bins than {first}")
    return edges


def _summed(stack: Mapping[str, hist.Hist], bins: int) -> tuple[Floats, Floats]:
    total, variance = np.zeros(bins), np.zeros(bins)
    for process, histogram in stack.items():
        if histogram.variances() is None:
            raise ValueError(f"{process} has no sums of squared weights")
        total += _counts(histogram)
        variance += _variances(histogram)
    return total, variance


def _fills(number: int, avoided: Sequence[str]) -> list[str]:
    """Colours of the processes; a wider palette, and at last the same again, where many."""
    for palette in (PALETTE, WIDE_PALETTE):
        free = [color for color in palette if color not in avoided]
        if number <= len(free):
            break
    return [free[index % len(free)] for index in range(number)]


def _draw_stack(
    axes: Axes, stack: Mapping[str, hist.Hist], edges: Floats, avoided: Sequence[str]
) -> list[Entry]:
    """Draw the processes on each other.

    Returns
    -------
    What was drawn, with the labels, from top to bottom.
    """
    colors = dict(zip(stack, _fills(len(stack), avoided), strict=True))
    order = sorted(stack, key=lambda process: float(np.sum(_counts(stack[process]))))
    tops = np.cumsum([_counts(stack[process]) for process in order], axis=0)
    # what is negative is taken from the processes below, so that the top is the sum
    tops = np.minimum.accumulate(tops[::-1], axis=0)[::-1]
    floor = np.minimum(tops[0], 0)
    drawn: list[Entry] = []
    for process, top in zip(order, tops, strict=True):
        layer = axes.stairs(top, edges, baseline=floor, fill=True, color=colors[process], zorder=1)
        drawn.append((layer, process))
        floor = top
    return drawn[::-1]


def _draw_band(axes: Axes, middle: Floats, spread: tuple[Floats, Floats], edges: Floats) -> Artist:
    return axes.stairs(
        middle + spread[1],
        edges,
        baseline=middle - spread[0],
        fill=True,
        facecolor=("0.3", 0.25),
        edgecolor="0.25",
        hatch="////",
        zorder=1.5,
    )


def _draw_line(axes: Axes, counts: Floats, edges: Floats, index: int) -> Artist:
    around = np.convolve(counts != 0, np.ones(3), mode="full")[1:-1]
    return axes.stairs(
        # along the axis, the line's margin would hide a low stack
        np.where(around > 0, counts, np.nan),
        edges,
        color=LINE_COLORS[index % len(LINE_COLORS)],
        linestyle=LINE_STYLES[(index + index // len(LINE_COLORS)) % len(LINE_STYLES)],
        linewidth=2.5,
        zorder=1.8,
        # seen on every filling
        path_effects=[withStroke(linewidth=5, foreground="white")],
    )


def _draw_ratio(
    axes: Axes,
    data: hist.Hist,
    total: Floats,
    spread: tuple[Floats, Floats],
    edges: Floats,
    hidden: Windows,
) -> None:
    shown = ratio(data, total, spread)
    ones = np.where(np.isnan(shown.band_up), np.nan, 1.0)
    _draw_band(axes, ones, (shown.band_down, shown.band_up), edges)
    axes.axhline(1, color="0.2", linewidth=1.5)
    # an empty bin tells something where more is expected than it allows
    told = ~np.isnan(shown.values) & ((_counts(data) != 0) | ((shown.up > 0) & (shown.up < 1)))
    told &= ~overlapping(edges, hidden)
    centers = np.asarray(data.axes[0].centers)[told]
    values = shown.values[told]
    low, high = _ratio_range(values)
    inside = (values >= low) & (values <= high)
    bars = (shown.down[told], shown.up[told])
    axes.errorbar(centers, values, yerr=bars, fmt="none", ecolor="black", elinewidth=1.3)
    # a point at zero stands on the frame
    axes.plot(centers[inside], values[inside], "o", color="black", markersize=5, clip_on=False)
    at_edges = axes.get_xaxis_transform()
    for outside, height, arrow in ((values > high, 0.93, "^"), (values < low, 0.07, "v")):
        heights = np.full(np.count_nonzero(outside), height)
        axes.plot(centers[outside], heights, arrow, color="black", markersize=9, transform=at_edges)
    axes.set_ylim(low, high)
    step = 0.25 if high - low <= 1 else 0.5 if high - low <= 2 else 1.0
    ticks = step * np.arange(round(MOST[1] / step))
    # none at the edges, where the panel above has its own
    axes.set_yticks(ticks[(ticks > low) & (ticks < high)])
    axes.set_ylabel("Data / sim.", loc="center")


def _ratio_range(values: Floats) -> tuple[float, float]:
    low = float(np.min(values, initial=LEAST[0] + EDGE)) - EDGE
    high = float(np.max(values, initial=LEAST[1] - EDGE)) + EDGE
    return (
        max(float(np.floor(low / RATIO_STEP)) * RATIO_STEP, MOST[0]),
        min(float(np.ceil(high / RATIO_STEP)) * RATIO_STEP, MOST[1]),
    )


class _Minor(LogFormatter):
    """Labels between the powers of ten, where a short axis has few of those."""

    @override
    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _scale_variable(axes: Axes, edges: Floats) -> None:
    axes.set_xlim(edges[0], edges[-1])
    if is_logarithmic(edges):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(_Minor(minor_thresholds=LABELLED_DECADES))


def _write_legend(axes: Axes, entries: Sequence[Entry], note: str) -> float:
    """Write the legend as large as it has room.

    Returns
    -------
    The part of the axes that it takes at their top.
    """
    frame = axes.get_window_extent()
    for columns, size in LEGENDS:
        if columns == 1 and size == SMALL and len(entries) > MANY_ROWS:
            continue
        legend = axes.legend(
            [artist for artist, _ in entries],
            [brief(name) for _, name in entries],
            loc="upper right",
            ncols=columns,
            fontsize=size,
            title=note or None,
            title_fontsize=size,
            alignment="left",
        )
        # it lies inside the axes, which must not shrink for it
        legend.set_in_layout(False)
        box = legend.get_window_extent()
        height = float(frame.y1 - box.y0) / float(frame.height)
        if box.width <= LEGEND_WIDTH * frame.width and height <= LEGEND_HEIGHT:
            break
    return height + LEGEND_GAP
