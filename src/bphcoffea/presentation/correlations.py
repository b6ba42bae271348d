"""Figure of the correlation matrix of a fit."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from bphcoffea.presentation.labels import literal
from bphcoffea.presentation.style import SMALL, TINY, Heading, new_figure
from bphcoffea.statistics.inference import Fit

#: Parameters without a correlation above this are left out, and their largest number.
THRESHOLD, MOST = 0.2, 30
#: Number of parameters up to which the coefficients are written.
WRITTEN = 16


def correlation_figure(
    result: Fit, heading: Heading, threshold: float = THRESHOLD
) -> Figure | None:
    """Draw the correlations of parameters that have one above a threshold.

    Returns
    -------
    The figure; None if no correlation is above the threshold.
    """
    matrix = np.array(result.correlation)
    others = np.abs(matrix - np.diag(np.diag(matrix)))
    largest = np.max(others, axis=1, initial=0.0)
    chosen = np.flatnonzero(largest > threshold)
    if not len(chosen):
        return None
    if len(chosen) > MOST:
        chosen = np.sort(chosen[np.argsort(-largest[chosen])[:MOST]])
    names = [literal(result.parameters[index].name) for index in chosen]
    shown = matrix[np.ix_(chosen, chosen)]
    # inches of a cell, and of a character of a name
    cell, character = (0.62, 0.13) if len(chosen) <= WRITTEN else (0.4, 0.1)
    side = max(cell * len(chosen), 3.5) + character * max(map(len, names))
    figure = new_figure(side + 2.5, side + 1, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shown, vmin=-1, vmax=1, cmap="RdBu_r")
    size = TINY if len(chosen) <= WRITTEN else TINY - 3
    ticks = np.arange(len(chosen))
    axes.set_xticks(ticks, names, rotation=90, fontsize=size)
    axes.set_yticks(ticks, names, fontsize=size)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    if len(chosen) <= WRITTEN:
        for (row, column), value in np.ndenumerate(shown):
            if abs(value) >= 0.01:
                color = "white" if abs(value) > 0.6 else "black"
                text = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
                axes.text(
                    column, row, text, ha="center", va="center", color=color, fontsize=TINY - 5
                )
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("Correlation", fontsize=SMALL)
    bar.ax.tick_params(labelsize=TINY)
    heading.above(axes)
    return figure
