"""Bands of one and two standard deviations around an expected limit."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes

from bphcoffea.arrays import Floats

#: Colours of the bands [CMS figure guidelines].
ONE_SIGMA, TWO_SIGMA = "#607641", "#F5BB54"
#: Position of the median among the expected values at -2, -1, 0, 1 and 2 standard deviations.
MEDIAN: Final = 2


def draw_bands(axes: Axes, x: Floats, expected: Floats) -> None:
    """Draw the median and both bands, with `x` of shape (n,) and `expected` of shape (5, n)."""
    shown = np.maximum(expected, 1e-12)
    axes.fill_between(x, shown[0], shown[4], color=TWO_SIGMA, linewidth=0, label=r"$\pm2\sigma$")
    axes.fill_between(x, shown[1], shown[3], color=ONE_SIGMA, linewidth=0, label=r"$\pm1\sigma$")
    axes.plot(x, shown[MEDIAN], "--", color="black", linewidth=2, label="Median expected")
