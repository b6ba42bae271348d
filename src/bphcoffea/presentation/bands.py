"""Bands of one and two standard deviations around an expected limit."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes

from bphcoffea.arrays import Floats

#: Indices of the ends of each band, its colour [CMS figure guidelines] and label.
BANDS: Final = ((0, 4, "#F5BB54", r"$\pm2\sigma$"), (1, 3, "#607641", r"$\pm1\sigma$"))
#: Index of the median among the expected values at -2, -1, 0, 1 and 2 standard deviations.
MEDIAN: Final = 2


def draw_bands(axes: Axes, x: Floats, expected: Floats) -> None:
    """Draw the median and both bands; `x` has the shape (n,), `expected` (5, n)."""
    shown = np.maximum(expected, 1e-12)
    for low, high, color, label in BANDS:
        axes.fill_between(x, shown[low], shown[high], color=color, linewidth=0, label=label)
    axes.plot(x, shown[MEDIAN], "--", color="black", linewidth=2, label="Median expected")


def legend_once(axes: Axes, **options: Any) -> None:
    """Add a legend that shows each label once; the options are those of `Axes.legend`."""
    handles, labels = axes.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    axes.legend(list(by_label.values()), list(by_label), **options)
