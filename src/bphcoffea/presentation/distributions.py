"""Figures of distributions, with all cuts or with all cuts but one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import hist
import numpy as np
from matplotlib.figure import Figure

from bphcoffea.presentation import style
from bphcoffea.presentation.bounds import Ranges, draw_bounds
from bphcoffea.presentation.colors import RED, palette
from bphcoffea.presentation.hidden_data import RunHistogram, Windows, overlapping, shade
from bphcoffea.statistics import of_datasets

#: Fraction of the axis above the largest count for the first line of the legend, and for others.
LEGEND_ROOM, LINE_ROOM = 0.16, 0.05


def distribution_figure(shown: RunHistogram, category: str | None) -> Figure:
    """Draw data and the shape of each simulated process.

    Parameters
    ----------
    shown
        The histogram.
    category
        Category to draw; None for the sum of all.
    """
    datasets, record, histogram = shown.datasets, shown.record, shown.histogram
    processes = shown.processes
    return draw_distribution(
        of_datasets(histogram, datasets.data, category) if datasets.data else None,
        {name: of_datasets(histogram, p.datasets, category) for name, p in processes.items()},
        shown.heading(category),
        label=shown.label,
        unit=record.unit,
        log_y=record.log_y,
        counted=record.counted,
        hidden=shown.hidden,
        without=record.left_out,
        bounds=record.bounds,
        kept=record.kept,
        colors={name: process.color for name, process in processes.items()},
    )


@style.cms_style()
def draw_distribution(
    data: hist.Hist | None,
    simulation: Mapping[str, hist.Hist],
    heading: style.Heading,
    *,
    label: str,
    unit: str = "",
    log_y: bool = False,
    counted: str = "Candidates",
    without: str = "",
    bounds: Sequence[float] = (),
    kept: Ranges | None = None,
    hidden: Windows = (),
    colors: Mapping[str, str] = {},
) -> Figure:
    """Draw data as points and simulated processes as lines.

    Parameters
    ----------
    data
        Histogram of the variable; None if there are no data.
    simulation
        Histograms by process. If there are data each is scaled to their area, as the legend says.
    heading
        Heading above the axes.
    label, unit
        Label and unit of the variable.
    log_y
        Use a logarithmic vertical axis.
    counted
        What the histogram counts.
    without
        Requirement on the variable that was left out, in words, for an N-1 figure.
    bounds, kept
        Bounds of that requirement, and the ranges that meet it; see :func:`.draw_bounds`.
    hidden
        Ranges of the variable in which data are hidden. Areas are compared in the other bins, or
        in all bins for a process that lies mostly in the hidden ranges.
    colors
        Colours by process; by default they follow the order.
    """
    reference = data if data is not None else next(iter(simulation.values()))
    edges = np.asarray(reference.axes[0].edges, dtype=np.float64)
    figure = style.new_figure()
    axes = figure.add_subplot()
    visible = ~overlapping(edges, hidden)
    area = float(np.sum(data.values()[visible])) if data is not None else 0.0
    largest = 0.0
    colors = colors or dict(zip(simulation, palette(len(simulation)), strict=True))
    for process, histogram in simulation.items():
        counts = style.counts_of(histogram)
        compared, whole = float(np.sum(counts[visible])), float(np.sum(counts))
        compared = whole if compared < whole / 2 else compared
        name = f"{style.brief(process)} (simulation)"
        if area > 0 and compared > 0:
            counts = counts * (area / compared)
            name = f"{style.brief(process)} (simulation, scaled to data)"
        largest = max(largest, float(np.max(counts, initial=0)))
        style.steps(
            axes,
            counts,
            edges,
            color=colors[process],
            linewidth=2.5,
            label=name,
        )
    if data is not None:
        largest = max(largest, style.points(axes, data, style.DATA))
    if largest == 0:
        text = "blinded" if len(hidden) else "no entries"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color="0.4")
    rows = len(simulation) + (data is not None) + bool(without) + bool(heading.legend_title)
    headroom = LEGEND_ROOM + LINE_ROOM * (rows - 1)
    style.scale_variable(axes, edges)
    style.scale_counts(axes, largest, log=log_y, headroom=headroom)
    axes.set_xlabel(style.axis_label(label, unit))
    axes.set_ylabel(style.per_bin(counted, edges, unit))
    if without:
        look = "--" if bounds else "none"
        text = f"Without {without}"
        axes.plot([], [], color=RED, linestyle=look, linewidth=2.5, label=text)
        draw_bounds(axes, axes, bounds, kept, top=1 - headroom)
    size = style.SMALL if rows < 5 else style.TINY
    title = heading.legend_title or None
    legend = axes.legend(loc="upper right", fontsize=size, title=title, title_fontsize=size)
    # long names must not leave the axes without room
    legend.set_in_layout(False)
    heading.above(axes)
    shade(figure, hidden)
    return figure
