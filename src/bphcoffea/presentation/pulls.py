"""Figure of the pulls and constraints of nuisance parameters."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bphcoffea.presentation.labels import literal
from bphcoffea.presentation.style import SMALL, TINY, Heading, new_figure
from bphcoffea.statistics.inference import Fit, ParameterResult

#: Largest number of parameters in a figure.
MOST = 60
#: Colours of the ranges of one and two standard deviations.
WITHIN_ONE, WITHIN_TWO = "#cfe8cf", "#fdf0c4"


def pull_figure(result: Fit, heading: Heading, *, bins: bool = False) -> Figure | None:
    """Draw pulls and constraints, at most `MOST`: those of largest pull.

    Parameters
    ----------
    result
        The fit.
    heading
        Text above the axes.
    bins
        Draw factors of bins, instead of all other parameters.

    Returns
    -------
    The figure; None if there are no such parameters.
    """
    shown = [p for p in result.parameters if p.pull is not None and p.name.endswith("]") == bins]
    if not shown:
        return None
    if len(shown) > MOST:
        largest = sorted(shown, key=lambda p: -abs(p.pull or 0.0))[:MOST]
        shown = [p for p in shown if p in largest]
    figure = new_figure(10, 2.2 + 0.36 * len(shown), layout="constrained")
    axes = figure.subplots()
    for width, color in ((2, WITHIN_TWO), (1, WITHIN_ONE)):
        axes.axvspan(-width, width, color=color, linewidth=0, zorder=0)
    axes.axvline(0, color="0.4", linewidth=1)
    draw_pulls(axes, shown)
    reach = max(2.4, *(abs(p.pull or 0.0) + (p.constraint or 0.0) + 0.2 for p in shown))
    axes.set_xlim(-reach, reach)
    axes.set_xlabel(r"$(\hat{\theta} - \theta_0)\, /\, \Delta\theta$", fontsize=SMALL)
    heading.above(axes)
    return figure


def draw_pulls(axes: Axes, shown: list[ParameterResult], color: str = "black") -> None:
    """Draw pulls as points and constraints as error bars, a row per parameter, from the top."""
    rows = np.arange(len(shown))[::-1]
    axes.errorbar(
        [np.nan if p.pull is None else p.pull for p in shown],
        rows,
        xerr=[p.constraint or 0.0 for p in shown],
        fmt="o",
        color=color,
        markersize=5,
        elinewidth=1.6,
    )
    name_rows(axes, [p.name for p in shown])


def name_rows(axes: Axes, names: list[str]) -> None:
    """Write a name beside each row, from the top."""
    size = TINY if len(names) <= 30 else TINY - 3
    axes.set_yticks(np.arange(len(names))[::-1], [literal(name) for name in names], fontsize=size)
    axes.tick_params(axis="y", which="both", length=0)
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.minorticks_off()
