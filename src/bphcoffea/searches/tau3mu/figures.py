"""Figures of limits on B(τ → 3μ): the mass spectrum of each category, and all limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import hist
import numpy as np
from matplotlib.figure import Figure

from bphcoffea.arrays import Floats
from bphcoffea.presentation import (
    BANDS,
    BLUE,
    DATA,
    MEDIAN,
    RED,
    SMALL,
    TINY,
    Drawing,
    Heading,
    blinded_in,
    cms_style,
    legend_once,
    new_figure,
    overlapping,
    per_bin,
    points,
    scale_counts,
    shade,
)
from bphcoffea.results import RunFolder
from bphcoffea.searches.tau3mu.limit_record import BranchingLimit, GroupLimit
from bphcoffea.searches.tau3mu.spectra import category_windows, masses_of_data
from bphcoffea.statistics import MassChannel, year_of

MASS_LABEL: Final = "$m(3\\mu)$ [GeV]"
#: Points of each curve per bin.
FINE: Final = 10
#: Fraction of the axis above the points, for the legend.
HEADROOM: Final = 0.38


def figures_of_limit(
    run: RunFolder, limit: BranchingLimit, *, unblind: bool = False
) -> Iterator[Drawing]:
    """Yield the figures of a limit.

    Parameters
    ----------
    run
        Run of the limit.
    limit
        The limit.
    unblind
        Draw the data in the windows, and the observed limits.
    """
    datasets, windows = run.datasets, category_windows(run)
    notes = ("Preliminary limit of partial runs",) if limit.partial else ()
    data = {year: masses_of_data(run, year, windows, unblind=unblind) for year in limit.years}
    for channel in limit.channels:
        year, category = channel.year, channel.category
        of_year = [dataset for dataset in datasets.values() if year_of(dataset) == year]
        hidden = () if unblind else windows[category]
        draw = partial(
            draw_spectrum,
            channel.mass_channel(),
            data[year][category],
            Heading.of(of_year, (*notes, blinded_in(hidden, "GeV"))),
            title=f"Category {category}, {year}",
            branching=limit.branching,
            hidden=hidden,
        )
        yield f"limit_mass_{channel.name}", draw
    heading = Heading.of(datasets.values(), notes)
    for number, level in enumerate(limit.levels):
        yield (
            f"limit_cl{100 * level:g}".replace(".", "p"),
            partial(draw_limits, limit.limits, number, heading, observed=unblind),
        )


@cms_style()
def draw_spectrum(
    channel: MassChannel,
    masses: Floats,
    heading: Heading,
    *,
    title: str,
    branching: float,
    hidden: Sequence[tuple[float, float]] = (),
) -> Figure:
    """Draw the mass spectrum of a category with its background and the expected signal.

    Parameters
    ----------
    channel
        Signal and background of the category.
    masses
        Masses of the data, GeV, shape (n,).
    heading
        Text above the axes.
    title
        Title of the legend.
    branching
        B(τ → 3μ) of the drawn signal.
    hidden
        Windows whose data are not drawn, GeV; they are shaded.
    """
    edges = np.asarray(channel.edges, dtype=np.float64)
    width = float(edges[1] - edges[0])
    histogram = hist.Hist(hist.axis.Regular(len(edges) - 1, edges[0], edges[-1]))
    histogram.fill(masses)
    histogram.view()[overlapping(edges, hidden)] = 0
    figure = new_figure(10, 9)
    axes = figure.add_subplot()
    largest = points(axes, histogram, DATA)
    fine = np.linspace(edges[0], edges[-1], FINE * (len(edges) - 1) + 1)
    centers = (fine[1:] + fine[:-1]) / 2
    background = channel.background.per_gev(centers) * width
    signal = channel.signal * channel.shape.fractions(fine) / np.diff(fine) * width
    axes.plot(centers, background, color=BLUE, linewidth=2.5, label="Background fit")
    both = background + signal
    axes.plot(
        centers, both, color=RED, linewidth=2, linestyle="--", label="Background + signal", zorder=3
    )
    axes.fill_between(
        centers, signal, color=RED, alpha=0.35, linewidth=0,
        label=f"Signal, $B$ = {_power(branching)}",
    )  # fmt: skip
    top = max(largest, float(np.max(both, initial=0.0)))
    axes.set_xlim(edges[0], edges[-1])
    scale_counts(axes, top, log=False, headroom=HEADROOM)
    axes.set_xlabel(MASS_LABEL)
    axes.set_ylabel(per_bin("Candidates", edges, "GeV"))
    axes.legend(
        loc="upper right", fontsize=SMALL, title=title, title_fontsize=SMALL, alignment="left"
    )
    shade(figure, hidden)
    for low, high in hidden:
        axes.annotate(
            "Blinded", ((low + high) / 2, 1 - HEADROOM + 0.02), xycoords=("data", "axes fraction"),
            ha="center", fontsize=TINY, color="0.35",
        )  # fmt: skip
    heading.above(axes)
    return figure


@cms_style()
def draw_limits(
    limits: Sequence[GroupLimit], number: int, heading: Heading, *, observed: bool
) -> Figure:
    """Draw the limits of categories, years and all together at one confidence level.

    Parameters
    ----------
    limits
        Limits of groups of channels.
    number
        Position of the confidence level.
    heading
        Text above the axes.
    observed
        Draw the observed limits.
    """
    rows = len(limits)
    figure = new_figure(11, 3.6 + 0.55 * rows, layout="constrained")
    axes = figure.add_subplot()
    level = limits[0].limits[number].level
    for row, group in enumerate(limits):
        limit = group.limits[number]
        # infinite limits are not drawn
        expected = [1e8 * value for value in limit.expected]
        height = [row - 0.32, row + 0.32]
        if all(np.isfinite(expected)):
            for low, high, color, label in BANDS:
                ends = expected[low], expected[high]
                axes.fill_betweenx(height, *ends, color=color, linewidth=0, label=label)
            median = [expected[MEDIAN]] * 2
            axes.plot(
                median, height, color="black", linestyle="--", linewidth=2, label="Median expected"
            )
        if observed and limit.observed is not None and np.isfinite(limit.observed):
            at = 1e8 * limit.observed
            axes.plot(at, row, "o", color="black", markersize=9, label="Observed")
    axes.set_yticks(range(rows), [group.name.replace("_", " ") for group in limits])
    axes.tick_params(axis="y", which="minor", left=False, right=False)
    axes.set_xscale("log")
    # rows from the top down, with space for the legend above them
    axes.set_ylim(rows - 0.3, -2.2)
    axes.set_xlabel(r"Upper limit on $B(\tau \to 3\mu)$ [$10^{-8}$]")
    legend_once(
        axes, loc="upper center", fontsize=SMALL, ncols=4, title=f"{100 * level:.4g}% CL",
        title_fontsize=SMALL, columnspacing=1.0, handletextpad=0.5,
    )  # fmt: skip
    heading.above(axes)
    return figure


def _power(branching: float) -> str:
    """Return a branching fraction in mathtext."""
    mantissa, exponent = f"{branching:.2e}".split("e")
    factor = "" if float(mantissa) == 1 else f"{float(mantissa):g} \\times "
    return f"${factor}10^{{{int(exponent)}}}$"
