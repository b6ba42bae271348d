"""Figures of mass spectra over several decades, with labelled resonances."""

from __future__ import annotations

from collections.abc import Sequence

import hist
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from bphcoffea.analysis import ResonanceRecord
from bphcoffea.arrays import Floats
from bphcoffea.presentation import style
from bphcoffea.presentation.colors import BLUE
from bphcoffea.presentation.hidden_data import RunHistogram, shade
from bphcoffea.statistics import of_datasets

#: Largest relative distance of a peak from the mass of its resonance.
NEAR = 0.04
#: Space around a label, and the step by which it is raised until it is free, in axes fractions.
GAP, STEP = 0.012, 0.01
#: Alignments of a label with its peak, best first, each with the shift of the label.
SIDES = {"center": 0.0, "left": GAP / 2, "right": -GAP / 2}


def spectrum_figure(shown: RunHistogram, category: str | None) -> Figure:
    """Draw the spectrum of the data, or of the simulation if there are no data.

    Parameters
    ----------
    shown
        The histogram.
    category
        Category to draw; None for the sum of all.
    """
    datasets = shown.datasets
    names = datasets.data or list(datasets)
    figure = draw_spectrum(
        of_datasets(shown.histogram, names, category),
        shown.heading(category, names),
        label=shown.label,
        unit=shown.record.unit,
        counted=shown.record.counted,
        resonances=shown.record.resonances,
        simulated=not datasets.data,
    )
    shade(figure, shown.hidden)
    return figure


@style.cms_style()
def draw_spectrum(
    histogram: hist.Hist,
    heading: style.Heading,
    *,
    label: str,
    unit: str = "GeV",
    counted: str = "Candidates",
    resonances: Sequence[ResonanceRecord] = (),
    simulated: bool = False,
) -> Figure:
    """Draw a spectrum on logarithmic axes.

    Parameters
    ----------
    histogram
        Histogram of the mass.
    heading
        Heading above the axes.
    label, unit
        Label and unit of the mass.
    counted
        What the histogram counts.
    resonances
        Resonances to label.
    simulated
        Name the spectrum simulation in the legend, instead of data.
    """
    edges = np.asarray(histogram.axes[0].edges, dtype=np.float64)
    counts = style.counts_of(histogram)
    figure = style.new_figure(12, 9)
    axes = figure.add_subplot()
    style.steps(axes, counts, edges, fill=True, color=BLUE, alpha=0.35)
    name = style.SIMULATION if simulated else style.DATA
    style.steps(
        axes,
        counts,
        edges,
        color=BLUE,
        linewidth=1.8,
        label=f"{name}, {style.grouped(counts.sum())} {counted.lower()}",
    )
    style.scale_variable(axes, edges)
    style.scale_counts(axes, float(counts.max(initial=0)), log=True, headroom=0.2)
    axes.set_xlabel(style.axis_label(label, unit))
    axes.set_ylabel(style.per_bin(counted, edges, unit))
    title = heading.legend_title or None
    axes.legend(loc="upper right", fontsize=style.SMALL, title=title, title_fontsize=style.SMALL)
    heading.above(axes)
    style.arrange(figure)
    inside = sorted(
        (resonance for resonance in resonances if edges[0] < resonance.mass < edges[-1]),
        key=lambda resonance: resonance.mass,
    )
    _write_labels(axes, inside, edges, counts)
    return figure


def _write_labels(
    axes: Axes, resonances: Sequence[ResonanceRecord], edges: Floats, counts: Floats
) -> None:
    """Write each label above its peak, clear of the spectrum and of the other labels."""
    legend = axes.get_legend()
    taken = [_box(axes, legend)] if legend else []
    skyline = _skyline(axes, edges, counts)
    for resonance in resonances:
        mass = resonance.mass
        near = np.abs((edges[1:] + edges[:-1]) / 2 / mass - 1) < NEAR
        peak = float(counts[near].max(initial=0)) or 1.0
        x, top = _in_axes(axes, mass, max(peak, axes.get_ylim()[0]))
        text = axes.text(
            x, top + 2 * GAP, resonance.label, transform=axes.transAxes, fontsize=style.SMALL
        )
        heights = {}
        for side, shift in SIDES.items():
            text.set(ha=side, x=x + shift, y=top + 2 * GAP)
            while text.get_position()[1] < 1 and _hits(_box(axes, text), taken, skyline):
                text.set_y(text.get_position()[1] + STEP)
            heights[side] = text.get_position()[1]
        side = min(heights, key=lambda tried: heights[tried])
        text.set(ha=side, x=x + SIDES[side], y=heights[side])
        box = _box(axes, text)
        taken.append(box)
        if box.y0 - top > 3 * GAP:
            axes.plot(
                [x, x], [top + GAP, box.y0], color="0.4", linewidth=1.2, transform=axes.transAxes
            )
            taken.append(Bbox([[x, top], [x, box.y0]]))


def _in_axes(axes: Axes, x: float, y: float) -> tuple[float, float]:
    at = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))
    return float(at[0]), float(at[1])


def _box(axes: Axes, artist: Artist) -> Bbox:
    extent: Bbox = artist.get_window_extent()
    return extent.transformed(axes.transAxes.inverted())


def _skyline(axes: Axes, edges: Floats, counts: Floats) -> list[Bbox]:
    bottom = axes.get_ylim()[0]
    return [
        Bbox([_in_axes(axes, low, bottom), _in_axes(axes, high, max(count, bottom))])
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def _hits(box: Bbox, taken: Sequence[Bbox], skyline: Sequence[Bbox]) -> bool:
    wide = Bbox([[box.x0 - GAP / 2, box.y0 - GAP / 2], [box.x1 + GAP / 2, box.y1 + GAP / 2]])
    return any(wide.overlaps(other) for other in (*taken, *skyline))
