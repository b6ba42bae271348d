"""Bounds of a requirement in the figure of its variable, and the side that is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from bphcoffea.presentation.colors import RED

#: Ranges of a variable; None for an open end.
Ranges: TypeAlias = Sequence[tuple[float | None, float | None]]
#: Length of an arrow as a fraction of the axes.
ARROW: Final = 0.06


def draw_bounds(
    axes: Axes, below: Axes, bounds: Sequence[float], kept: Ranges | None, *, top: float
) -> Artist | None:
    """Draw bounds as lines, an arrow towards what is kept, and shade what is rejected.

    Parameters
    ----------
    axes, below
        Main panel with its final range, and the flat one below; the same if there is none.
    bounds
        Finite bounds.
    kept
        Ranges that meet the requirement; None if they are unknown.
    top
        Upper end of the lines, as a fraction of the main panel.

    Returns
    -------
    A line for the legend; None without bounds.
    """
    low, high = axes.get_xlim()
    line: Artist | None = None
    for bound in bounds:
        line = axes.axvline(bound, ymax=top, color=RED, linestyle="--", linewidth=2.5)
        if below is not axes:
            below.axvline(bound, color=RED, linestyle="--", linewidth=1.5)
    if kept is None:
        return line
    for first, last in _complement(kept, low, high):
        for panel, upper in {axes: top, below: top if below is axes else 1.0}.items():
            panel.axvspan(first, last, ymax=upper, color="0.5", alpha=0.22, linewidth=0, zorder=1.9)
    in_axes = axes.transData + axes.transAxes.inverted()
    for start, stop in kept:
        for end, side in ((start, 1), (stop, -1)):
            if end is None or not low <= end <= high:
                continue
            at = float(in_axes.transform((end, 1))[0])
            head = (at, top - ARROW) if start == stop else (at + side * ARROW, top)
            arrow = {"arrowstyle": "-|>", "color": RED, "linewidth": 2.5, "mutation_scale": 20}
            axes.annotate(
                "", head, (at, top), "axes fraction", "axes fraction",
                arrowprops={**arrow, "shrinkA": 0, "shrinkB": 0},
            )  # fmt: skip
    axes.set_xlim(low, high)
    return line


def _complement(kept: Ranges, low: float, high: float) -> Iterator[tuple[float, float]]:
    """Yield the parts of a range that are not kept."""
    at = low
    for start, stop in kept:
        if start is not None and start > at:
            yield at, min(start, high)
        at = max(at, high if stop is None else stop)
    if at < high:
        yield at, high
