"""Figures of the profile likelihood of the strength, and of CLs over the strength."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from bphcoffea.presentation.bands import draw_bands, legend_once
from bphcoffea.presentation.colors import BLUE, RED
from bphcoffea.presentation.style import SMALL, Heading, new_figure
from bphcoffea.statistics.inference import ProfileScan, UpperLimit

#: Rises of -2 ln L at one and two standard deviations.
LEVELS = ((1.0, "68%"), (3.84, "95%"))


def profile_figure(scan: ProfileScan, heading: Heading) -> Figure:
    """Draw the rise of -2 ln L with the strength."""
    figure = new_figure(10, 8)
    axes = figure.subplots()
    strengths, rises = np.array(scan.strengths), np.array(scan.rises)
    axes.plot(strengths, rises, color=BLUE, linewidth=2.5)
    highest = float(np.max(rises, initial=4.5))
    for level, label in LEVELS:
        axes.axhline(level, color="0.5", linestyle="--", linewidth=1.2)
        axes.text(
            0.96,
            level + 0.012 * highest,
            label,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="bottom",
            fontsize=SMALL,
            color="0.35",
        )
    low, high = scan.intervals[0]
    axes.axvspan(low, high, color=BLUE, alpha=0.12, linewidth=0)
    axes.axvline(scan.best, color="0.3", linestyle=":", linewidth=1.5)
    axes.set_xlim(strengths[0], strengths[-1])
    axes.set_ylim(0, 1.05 * highest)
    axes.set_xlabel(f"Strength {scan.poi}")
    axes.set_ylabel(r"$-2\,\Delta\,\ln\,L$")
    up, down = high - scan.best, scan.best - low
    text = f"{scan.poi} = {scan.best:.3g}  +{up:.2g}  \N{MINUS SIGN}{down:.2g}"
    axes.text(1, 1.01, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=SMALL)
    heading.above(axes)
    return figure


def cls_figure(result: UpperLimit, heading: Heading) -> Figure:
    """Draw the observed CLs and the expected ones with their bands, and the level of the limit."""
    figure = new_figure(10, 8)
    axes = figure.subplots()
    strengths = np.array([test.strength for test in result.tests])
    expected = np.array([test.expected for test in result.tests]).T
    draw_bands(axes, strengths, expected)
    seen = [test.observed for test in result.tests if test.observed is not None]
    if len(seen) == len(strengths):
        axes.plot(strengths, seen, "o-", color="black", linewidth=2, markersize=5, label="Observed")
    level = 1 - result.limit.level
    axes.axhline(level, color=RED, linewidth=2)
    axes.text(
        0.012,
        level * 0.93,
        f"{100 * result.limit.level:.0f}% CL",
        transform=axes.get_yaxis_transform(),
        va="top",
        color=RED,
        fontsize=SMALL,
        bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 2},
    )
    axes.set_yscale("log")
    axes.set_ylim(2e-3, 3)
    axes.set_xlim(strengths[0], strengths[-1])
    axes.set_xlabel(f"Strength {result.poi}")
    axes.set_ylabel(r"$CL_s$")
    legend_once(axes, loc="upper right", fontsize=SMALL, ncols=2)
    heading.above(axes)
    return figure
