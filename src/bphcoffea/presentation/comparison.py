"""Figures of data over a stack of simulated processes, with the ratio of the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import hist
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from bphcoffea.arrays import Floats
from bphcoffea.presentation import style
from bphcoffea.presentation.bounds import Ranges, draw_bounds
from bphcoffea.presentation.colors import RED, palette
from bphcoffea.presentation.hidden_data import Windows, shade
from bphcoffea.presentation.ratio import draw_band, draw_ratio

#: Total of the stack under a variation downwards and upwards; None for an unknown side.
Sides = tuple[Floats | None, Floats | None]
#: An artist with its name in the legend.
Entry = tuple[Artist | Container, str]

STATISTICAL, TOTAL = "Stat.", r"Stat. $\oplus$ syst."
#: Dashes of the lines over the stack.
LINE_STYLES = ("-", "--", "-.")
#: Columns and font sizes of the legend, best first.
LEGENDS = ((1, style.SMALL), (2, style.SMALL), (1, style.TINY), (2, style.TINY), (1, 11))
#: Entries beyond which a legend of one column in the largest font is too long.
MANY_ROWS = 4
#: Fractions of the axes that a legend may take, and that stay free below it.
LEGEND_WIDTH, LEGEND_HEIGHT, LEGEND_GAP = 0.97, 0.5, 0.02


def band(
    nominal: Floats, statistical_variance: Floats, variations: Mapping[str, Sides]
) -> tuple[Floats, Floats]:
    """Return the uncertainty of the simulation in each bin, from its statistics and all variations.

    Variations are taken as independent. If both sides of a variation shift a bin in the same
    direction, only the larger shift counts. A variation with a single side is taken as symmetric.

    Parameters
    ----------
    nominal, statistical_variance
        Contents and sums of squared weights, shape (bins,).
    variations
        Contents under each variation downwards and upwards, by name, shape (bins,); None for an
        unknown side.

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


@style.cms_style()
def draw_comparison(
    data: hist.Hist | None,
    stack: Mapping[str, hist.Hist],
    heading: style.Heading,
    *,
    label: str,
    unit: str = "",
    log_y: bool = False,
    counted: str = "Candidates",
    overlays: Mapping[str, hist.Hist] = {},
    variations: Mapping[str, Sides] = {},
    hidden: Windows = (),
    colors: Mapping[str, str] = {},
    without: str = "",
    bounds: Sequence[float] = (),
    kept: Ranges | None = None,
) -> Figure:
    """Draw data as points over a stack of simulated processes, and the ratio below.

    Parameters
    ----------
    data
        Histogram of the variable; None to draw the stack alone, without a ratio.
    stack
        Normalised simulation by label of the process, with the bins of the data and sums of
        squared weights. The smallest process lies at the bottom.
    heading
        Heading above the axes.
    label, unit
        Label and unit of the variable.
    log_y
        Use a logarithmic vertical axis.
    counted
        What the histogram counts.
    overlays
        Signals by label, drawn as lines over the stack and not added to it.
    variations
        Sum of the stack under each systematic variation downwards and upwards, by name, shape
        (bins,); None for an unknown side.
    hidden
        Ranges of the variable in which data are hidden; they have no ratio, and are shaded.
    colors
        Colours by label; by default they follow the order of the processes.
    without
        Requirement on the variable that was left out, in words, for an N-1 figure.
    bounds, kept
        Its bounds, and the ranges that meet it; see :func:`.draw_bounds`.

    Raises
    ------
    ValueError
        If the histograms have different bins, or the stack has no sums of squared weights.
    """
    edges = _edges(data, stack, overlays)
    total, variance = _summed(stack, len(edges) - 1)
    spread = band(total, variance, variations)
    figure = style.new_figure(10, 10)
    axes, below = style.panels(figure, 2 if data is not None and stack else 1)
    largest = [0.0]
    entries: list[Entry] = []
    if not colors:
        names = (*stack, *overlays)
        colors = dict(zip(names, palette(len(names)), strict=True))
    if data is not None:
        largest.append(style.points(axes, data, style.DATA))
        entries.append((axes.containers[-1], style.DATA))
    if stack:
        entries += _draw_stack(axes, stack, edges, colors)
        uncertainty = draw_band(axes, total, spread, edges)
        entries.append((uncertainty, TOTAL if variations else STATISTICAL))
        largest.append(float(np.max(total + spread[1])))
    for index, (signal, histogram) in enumerate(overlays.items()):
        line = _draw_line(axes, style.counts_of(histogram), edges, index, colors[signal])
        entries.append((line, signal))
        largest.append(float(np.max(style.counts_of(histogram))))
    if data is not None and stack:
        draw_ratio(below, data, total, spread, edges, hidden)
    if max(largest) == 0:
        text = "blinded" if len(hidden) else "no entries"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color="0.4")
    style.scale_variable(below, edges)
    below.set_xlabel(style.axis_label(label, unit))
    axes.set_ylabel(style.per_bin(counted, edges, unit))
    heading.above(axes)
    # matplotlib's own limits would warn about an empty stack on a logarithmic axis
    axes.set_autoscaley_on(False)
    style.scale_counts(axes, max(largest), log=log_y, headroom=LEGEND_HEIGHT)
    if without:
        line = axes.plot([], [], color=RED, linestyle="--" if bounds else "none", linewidth=2.5)[0]
        entries.append((line, f"Without {without}"))
    headroom = _write_legend(axes, entries, heading.legend_title)
    style.scale_counts(axes, max(largest), log=log_y, headroom=headroom)
    draw_bounds(axes, below, bounds, kept, top=1 - headroom)
    shade(figure, hidden)
    return figure


def _edges(
    data: hist.Hist | None, stack: Mapping[str, hist.Hist], overlays: Mapping[str, hist.Hist]
) -> Floats:
    histograms = [
        *([] if data is None else [(style.DATA, data)]),
        *stack.items(),
        *overlays.items(),
    ]
    if not histograms:
        return np.array([0.0, 1.0])
    first, reference = histograms[0]
    edges = np.asarray(reference.axes[0].edges, dtype=np.float64)
    for name, histogram in histograms:
        if not np.array_equal(histogram.axes[0].edges, edges):
            raise ValueError(f"{name} has other bins than {first}")
    return edges


def _summed(stack: Mapping[str, hist.Hist], bins: int) -> tuple[Floats, Floats]:
    total, variance = np.zeros(bins), np.zeros(bins)
    for process, histogram in stack.items():
        if histogram.variances() is None:
            raise ValueError(f"{process} has no sums of squared weights")
        total += style.counts_of(histogram)
        variance += np.asarray(histogram.variances())
    return total, variance


def _draw_stack(
    axes: Axes, stack: Mapping[str, hist.Hist], edges: Floats, colors: Mapping[str, str]
) -> list[Entry]:
    """Draw the processes on top of each other, and return the entries of the legend, top first."""
    order = sorted(stack, key=lambda process: float(np.sum(style.counts_of(stack[process]))))
    tops = np.cumsum([style.counts_of(stack[process]) for process in order], axis=0)
    # negative contents are subtracted from the processes below, so that the top is the sum
    tops = np.minimum.accumulate(tops[::-1], axis=0)[::-1]
    floor = np.minimum(tops[0], 0)
    drawn: list[Entry] = []
    for process, top in zip(order, tops, strict=True):
        layer = style.steps(
            axes, top, edges, baseline=floor, fill=True, color=colors[process], zorder=1
        )
        drawn.append((layer, process))
        floor = top
    return drawn[::-1]


def _draw_line(axes: Axes, counts: Floats, edges: Floats, index: int, color: str) -> Artist:
    around = np.convolve(counts != 0, np.ones(3), mode="full")[1:-1]
    return style.steps(
        axes,
        # a line along the axis would hide a low stack with its margin
        np.where(around > 0, counts, np.nan),
        edges,
        color=color,
        linestyle=LINE_STYLES[index % len(LINE_STYLES)],
        linewidth=2.5,
        zorder=1.8,
        # a white margin makes the line visible on every colour
        path_effects=[withStroke(linewidth=5, foreground="white")],
    )


def _write_legend(axes: Axes, entries: Sequence[Entry], title: str) -> float:
    """Write the largest legend that fits, and return the fraction of the axes that it takes."""
    frame = axes.get_window_extent()
    for columns, size in LEGENDS:
        if columns == 1 and size == style.SMALL and len(entries) > MANY_ROWS:
            continue
        legend = axes.legend(
            [artist for artist, _ in entries],
            [style.brief(name) for _, name in entries],
            loc="upper right",
            ncols=columns,
            fontsize=size,
            alignment="left",
            title=title or None,
            title_fontsize=style.SMALL,
        )
        # the legend lies inside the axes, which must not shrink for it
        legend.set_in_layout(False)
        box = legend.get_window_extent()
        height = float(frame.y1 - box.y0) / float(frame.height)
        if box.width <= LEGEND_WIDTH * frame.width and height <= LEGEND_HEIGHT:
            break
    return height + LEGEND_GAP
