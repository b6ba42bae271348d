"""Minor ticks of an axis as one line of markers.

Matplotlib makes five artists of each tick. A figure of this style has sixty minor ticks without
labels, and arranging and drawing them takes longer than everything else in it.
"""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib import lines
from matplotlib.axis import Axis, XAxis
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.ticker import Locator, NullLocator
from typing_extensions import override

from bphcoffea.arrays import Floats

#: Markers of ticks, which the type stubs of matplotlib lack.
_LEFT, _RIGHT, _UP, _DOWN = range(4)
#: Markers that point into the axes, by side, and the transform of that side.
_SIDES = {
    "bottom": (_UP, "tick1"),
    "top": (_DOWN, "tick2"),
    "left": (_RIGHT, "tick1"),
    "right": (_LEFT, "tick2"),
}


def merge_minor_ticks(figure: Figure) -> None:
    """Replace all minor ticks without labels by :class:`MinorTicks`; may be called repeatedly."""
    axes = [each for each in figure.axes if each.axison and each.get_label() != "<colorbar>"]
    found = [(axis, axis.get_minor_locator()) for each in axes for axis in (each.xaxis, each.yaxis)]
    # axes that share an axis share its locator as well, so that all are found first
    for axis, locator in found:
        if isinstance(locator, NullLocator) or any(_labels(axis, locator)):
            continue
        is_x = isinstance(axis, XAxis)
        shown = axis.get_tick_params(which="minor")
        for side in ("bottom", "top") if is_x else ("left", "right"):
            if shown.get(side, False):
                axis.axes.add_artist(MinorTicks(axis, locator, side))
        axis.set_minor_locator(NullLocator())


def _labels(axis: Axis, locator: Locator) -> list[str]:
    return axis.get_minor_formatter().format_ticks(list(locator()))


class MinorTicks(lines.Line2D):
    """Minor ticks of one side of an axis, at the places that a locator gives when it is drawn."""

    def __init__(self, axis: Axis, locator: Locator, side: str) -> None:
        marker, which = _SIDES[side]
        kind = "xtick" if isinstance(axis, XAxis) else "ytick"
        super().__init__(
            [],
            [],
            linestyle="none",
            marker=marker,
            markersize=mpl.rcParams[f"{kind}.minor.size"],
            markeredgewidth=mpl.rcParams[f"{kind}.minor.width"],
            color=mpl.rcParams[f"{kind}.color"],
            zorder=axis.get_zorder(),
            clip_on=False,
            in_layout=False,
        )
        get_transform = getattr(axis.axes, f"get_{kind[0]}axis_transform")
        self.set_transform(get_transform(which))
        self._axis, self._locator, self._depth = axis, locator, float(which == "tick2")

    @override
    def draw(self, renderer: RendererBase) -> None:
        places = self._places()
        across = np.full(len(places), self._depth)
        is_x = isinstance(self._axis, XAxis)
        self.set_data(*((places, across) if is_x else (across, places)))
        super().draw(renderer)

    def _places(self) -> Floats:
        """Return the places inside the limits of the axis that have no major tick."""
        low, high = sorted(self._axis.get_view_interval())
        places = np.asarray(self._locator(), dtype=np.float64)
        places = places[(places >= low) & (places <= high)]
        major = np.asarray(self._axis.get_majorticklocs())
        # in pixels, because major and minor ticks round differently
        transform = self._axis.get_transform().transform
        width = abs(float(np.subtract(*transform(np.array([high, low])))))
        distances = np.abs(np.subtract.outer(transform(places), transform(major)))
        near = distances < 1e-5 * width
        free: Floats = places[~near.any(axis=1)]
        return free
