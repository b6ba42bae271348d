"""Figure of the impacts of nuisance parameters on the strength, with their pulls."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from bphcoffea.presentation.colors import BLUE, ORANGE
from bphcoffea.presentation.pulls import draw_pulls, name_rows
from bphcoffea.presentation.style import SMALL, TINY, Heading, new_figure
from bphcoffea.rounding import with_error
from bphcoffea.statistics.inference import Ranking

#: Number of parameters that are drawn.
MOST = 20


def impact_figure(ranking: Ranking, heading: Heading) -> Figure:
    """Draw the largest impacts before and after the fit, and the pulls beside them."""
    shown = ranking.impacts[:MOST]
    figure = new_figure(13, 3.2 + 0.42 * len(shown), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": (1, 1.25)})
    draw_pulls(left, [impact.parameter for impact in shown])
    left.axvline(0, color="0.4", linewidth=1)
    for place in (-1, 1):
        left.axvline(place, color="0.6", linewidth=1, linestyle="--")
    pulls = [
        abs(p.pull) + (p.constraint or 0.0)
        for p in (impact.parameter for impact in shown)
        if p.pull is not None
    ]
    reach = max([1.5, *pulls]) + 0.2
    left.set_xlim(-reach, reach)
    left.set_xlabel(r"$(\hat{\theta} - \theta_0)\, /\, \Delta\theta$", fontsize=SMALL)
    rows = np.arange(len(shown))[::-1]
    sides = (("up", BLUE, r"$\theta$ up"), ("down", ORANGE, r"$\theta$ down"))
    for side, color, label in sides:
        before = [getattr(impact, f"before_{side}") or 0.0 for impact in shown]
        after = [getattr(impact, side) for impact in shown]
        right.barh(rows, before, 0.8, facecolor="none", edgecolor=color, linewidth=1.5)
        right.barh(rows, after, 0.8, color=color, alpha=0.8, label=label)
    right.barh([0], [0], facecolor="none", edgecolor="0.3", linewidth=1.5, label="before the fit")
    right.axvline(0, color="0.4", linewidth=1)
    widest = max(
        [
            abs(x)
            for i in shown
            for x in (i.up, i.down, i.before_up, i.before_down)
            if x is not None
        ],
        default=1.0,
    )
    right.set_xlim(-1.15 * widest, 1.15 * widest)
    right.set_xlabel(rf"Shift of the strength $\Delta${ranking.poi}", fontsize=SMALL)
    right.locator_params(axis="x", nbins=5)
    for axes in (left, right):
        name_rows(axes, [impact.parameter.name for impact in shown])
    right.tick_params(axis="y", labelleft=False)
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=3, fontsize=TINY, frameon=False)
    heading.above(left)
    text = f"{ranking.poi} = {with_error(ranking.best, ranking.error)}"
    right.text(1, 1.01, text, ha="right", va="bottom", fontsize=SMALL, transform=right.transAxes)
    return figure
