"""A mass spectrum over several decades, with its resonances labelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hist
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from bphcoffea.analysis.description import ResonanceRecord
from bphcoffea.arrays import Floats
from bphcoffea.presentation.style import (
    BLUE,
    DATA,
    SIMULATION,
    SMALL,
    Heading,
    axis_label,
    cms_style,
    grouped,
    is_logarithmic,
    new_figure,
    per_bin,
    scale_counts,
)

#: A resonance is looked for this near its mass, as a part of it.
NEAR = 0.04
#: Space around a label, and the step by which it is raised until it is free, as parts of the axes.
GAP, STEP = 0.012, 0.01
#: How a label may be aligned with its peak, best first, and how far it is shifted then.
SIDES = {"center": 0.0, "left": GAP / 2, "right": -GAP / 2}


@cms_style()
def draw_spectrum(
    histogram: hist.Hist,
    heading: Heading,
    *,
    label: str,
    unit: str = "GeV",
    resonances: Sequence[ResonanceRecord] = (),
    simulated: bool = False,
) -> Figure:
    """Draw a spectrum on logarithmic axes.

    Parameters
    ----------
    histogram
        One axis, the mass.
    heading
        What stands above the axes.
    label, unit
        Of the mass.
    resonances
        Resonances: ``label`` and ``mass`` of each.
    simulated
        Whether it is simulation, for the legend.
    """
    edges = np.asarray(histogram.axes[0].edges, dtype=np.float64)
    counts = np.asarray(histogram.values(), dtype=np.float64)
    figure = new_figure(12, 9)
    axes = figure.add_subplot()
    axes.stairs(counts, edges, fill=True, color=BLUE, alpha=0.35)
    name = SIMULATION if simulated else DATA
    axes.stairs(
        counts, edges, color=BLUE, linewidth=1.8, label=f"{name}, {grouped(counts.sum())} pairs"
    )
    axes.set_xlim(edges[0], edges[-1])
    if is_logarithmic(edges):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    scale_counts(axes, float(counts.max(initial=0)), log=True, headroom=0.2)
    axes.set_xlabel(axis_label(label, unit))
    axes.set_ylabel(per_bin("Candidates", edges, unit))
    axes.legend(loc="upper right", fontsize=SMALL)
    heading.above(axes)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    inside = sorted(
        (resonance for resonance in resonances if edges[0] < resonance.mass < edges[-1]),
        key=lambda resonance: resonance.mass,
    )
    _write_labels(axes, inside, edges, counts)
    return figure


def _write_labels(
    axes: Axes, resonances: Sequence[ResonanceRecord], edges: Floats, counts: Floats
) -> None:
    """Write each label above its peak, raised until it is clear of the spectrum and the others."""
    taken = [_legend_box(axes)]
    skyline = _skyline(axes, edges, counts)
    for resonance in resonances:
        mass = resonance.mass
        near = np.abs((edges[1:] + edges[:-1]) / 2 / mass - 1) < NEAR
        peak = float(counts[near].max(initial=0)) or 1.0
        x, top = _in_axes(axes, mass, max(peak, axes.get_ylim()[0]))
        text = axes.text(
            x, top + 2 * GAP, resonance.label, transform=axes.transAxes, fontsize=SMALL
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


def _box(axes: Axes, artist: Any) -> Bbox:
    extent: Bbox = artist.get_window_extent()
    return extent.transformed(axes.transAxes.inverted())


def _legend_box(axes: Axes) -> Bbox:
    return _box(axes, axes.get_legend())


def _skyline(axes: Axes, edges: Floats, counts: Floats) -> list[Bbox]:
    bottom = axes.get_ylim()[0]
    return [
        Bbox([_in_axes(axes, low, bottom), _in_axes(axes, high, max(count, bottom))])
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def _hits(box: Bbox, taken: Sequence[Bbox], skyline: Sequence[Bbox]) -> bool:
    wide = Bbox([[box.x0 - GAP / 2, box.y0 - GAP / 2], [box.x1 + GAP / 2, box.y1 + GAP / 2]])
    return any(wide.overlaps(other) for other in (*taken, *skyline))
