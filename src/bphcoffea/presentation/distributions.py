"""Figures of distributions, with all cuts or with all cuts but one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import hist
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bphcoffea.presentation import style
from bphcoffea.presentation.hidden_data import RunHistogram, Windows, overlapping, shade
from bphcoffea.statistics import of_datasets

#: Fraction of the axis above the largest count for the first line of the legend, and for others.
LEGEND_ROOM, LINE_ROOM = 0.16, 0.05


def distribution_figure(shown: RunHistogram, category: str | None) -> Figure:
    """Draw data and each simulated process; the sum of all processes if simulation is scaled.

    Parameters
    ----------
    shown
        The histogram.
    category
        Category to draw; None for the sum of all.
    """
    datasets, record, histogram = shown.datasets, shown.record, shown.histogram
    processes = datasets.by_process
    if shown.scaled is not None:
        histogram, processes = shown.scaled, {"all processes": datasets.simulated}
    return draw_distribution(
        of_datasets(histogram, datasets.data, category) if datasets.data else None,
        {process: of_datasets(histogram, names, category) for process, names in processes.items()},
        style.Heading.of(datasets.values(), shown.notes, category, scaled=shown.scaled is not None),
        label=shown.label,
        unit=record.unit,
        log_y=record.log_y,
        counted=record.counted,
        hidden=shown.hidden,
        without=record.left_out,
        bounds=record.bounds,
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
    hidden: Windows = (),
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
    bounds
        Bounds of that requirement, drawn as vertical lines.
    hidden
        Ranges of the variable in which data are hidden. Areas are compared in the other bins, or
        in all bins for a process that lies mostly in the hidden ranges.
    """
    reference = data if data is not None else next(iter(simulation.values()))
    edges = np.asarray(reference.axes[0].edges, dtype=np.float64)
    figure = style.new_figure()
    axes = figure.add_subplot()
    visible = ~overlapping(edges, hidden)
    area = float(np.sum(data.values()[visible])) if data is not None else 0.0
    largest = 0.0
    for index, (process, histogram) in enumerate(simulation.items()):
        counts = style.counts_of(histogram)
        compared, whole = float(np.sum(counts[visible])), float(np.sum(counts))
        compared = whole if compared < whole / 2 else compared
        name = f"{style.brief(process)} (simulation)"
        if area > 0 and compared > 0:
            counts = counts * (area / compared)
            name = f"{style.brief(process)} (simulation, scaled to data)"
        largest = max(largest, float(np.max(counts, initial=0)))
        axes.stairs(
            counts,
            edges,
            color=style.PALETTE[index % len(style.PALETTE)],
            linewidth=2.5,
            label=name,
        )
    if data is not None:
        largest = max(largest, style.points(axes, data, style.DATA))
    if largest == 0:
        text = "blinded" if len(hidden) else "no entries"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color="0.4")
    rows = len(simulation) + (data is not None) + bool(without)
    headroom = LEGEND_ROOM + LINE_ROOM * (rows - 1)
    if without:
        _draw_bounds(axes, bounds, without, top=1 - headroom)
    axes.set_xlim(edges[0], edges[-1])
    if style.is_logarithmic(edges):
        axes.set_xscale("log")
    style.scale_counts(axes, largest, log=log_y, headroom=headroom)
    axes.set_xlabel(style.axis_label(label, unit))
    axes.set_ylabel(style.per_bin(counted, edges, unit))
    legend = axes.legend(loc="upper right", fontsize=style.SMALL if rows < 5 else style.TINY)
    # long names must not leave the axes without room
    legend.set_in_layout(False)
    heading.above(axes)
    shade(figure, hidden)
    return figure


def _draw_bounds(axes: Axes, bounds: Sequence[float], without: str, top: float) -> None:
    text = f"{without} (all but this applied)"
    for bound in bounds:
        axes.axvline(bound, ymax=top, color=style.RED, linestyle="--", linewidth=2.5, label=text)
        text = "_nolegend_"
    if not bounds:
        axes.plot([], [], " ", label=text)
