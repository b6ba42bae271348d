"""Figures of a limit: fits of the sidebands, CLs against |V|², and excluded ranges."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bphcoffea.arrays import Floats
from bphcoffea.physics import gaps, within
from bphcoffea.presentation import (
    BANDS,
    BLUE,
    MEDIAN,
    RED,
    SMALL,
    TINY,
    Drawing,
    Heading,
    cms_style,
    draw_bands,
    garwood,
    legend_once,
    new_figure,
    overlapping,
)
from bphcoffea.results import RunFolder
from bphcoffea.rounding import rounded
from bphcoffea.searches.hnl.limit_record import MassLimit, MixingLimit
from bphcoffea.searches.hnl.mixing_limit import masses_of_data
from bphcoffea.statistics import Range, SidebandFit

#: Tested masses and excluded ranges of one area.
Contour: TypeAlias = list[tuple[float, Range]]
#: Points of the curve of a background.
POINTS: Final = 200


def figures_of_limit(
    run: RunFolder,
    limit: MixingLimit,
    *,
    unblind: bool = False,  # noqa: ARG001
) -> Iterator[Drawing]:
    """Yield the figures of a limit; data are drawn as the limit used them."""
    notes = ("Preliminary limit of partial runs",) if limit.partial else ()
    heading, data = Heading.of(run.datasets.values(), notes), masses_of_data(run)
    for hypothesis in limit.hypotheses:
        name = f"{hypothesis.mass:g}".replace(".", "p")
        yield f"limit_cls_m{name}", partial(draw_cls, hypothesis, heading)
        yield f"limit_sidebands_m{name}", partial(draw_sidebands, hypothesis, data, heading)
    yield "limit", partial(draw_exclusion, limit, heading)


@cms_style()
def draw_cls(hypothesis: MassLimit, heading: Heading) -> Figure:
    """Draw CLs of the predicted signal against |V|² at one mass.

    Parameters
    ----------
    hypothesis
        Scan at the mass.
    heading
        Text above the axes.
    """
    level, points = hypothesis.level, hypothesis.points
    figure = new_figure()
    axes = figure.add_subplot()
    mixings = np.array([point.mixing for point in points])
    expected = np.array([point.expected for point in points]).T
    draw_bands(axes, mixings, expected)
    observed = [point.observed for point in points if point.observed is not None]
    if len(observed) == len(points):
        axes.plot(mixings, observed, "o-", color="black", label="Observed", markersize=5)
    axes.axhline(1 - level, color=RED, linewidth=2, linestyle=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    # a scan extends far beyond the end of all curves; two decades have legible ticks
    near = mixings[np.max(expected, axis=0) > (1 - level) / 50]
    end = max([100 * mixings[0], *(3 * near[-1:])])
    axes.set_xlim(mixings[0], min(end, mixings[-1]))
    axes.set_ylim(1e-4, 30)
    axes.set_xlabel(r"$|V_\mu|^2$")
    axes.set_ylabel("CLs")
    title = f"$m_N$ = {hypothesis.mass:g} GeV"
    axes.legend(loc="upper right", fontsize=SMALL, title=title, title_fontsize=SMALL, ncols=2)
    heading.above(axes)
    return figure


@cms_style()
def draw_exclusion(limit: MixingLimit, heading: Heading) -> Figure:
    """Draw the excluded ranges of |V|² against the mass.

    Parameters
    ----------
    limit
        Excluded ranges at some masses.
    heading
        Text above the axes.
    """
    figure = new_figure()
    axes = figure.add_subplot()
    hypotheses = sorted(limit.hypotheses, key=lambda hypothesis: hypothesis.mass)
    masses = [hypothesis.mass for hypothesis in hypotheses]
    lows = [hypothesis.points[0].mixing for hypothesis in hypotheses]
    highs = [hypothesis.points[-1].mixing for hypothesis in hypotheses]
    half = 0.1 * min(np.diff(masses), default=0.2)
    _draw_bands(axes, hypotheses, half)
    expected = contours(masses, [hypothesis.expected[MEDIAN] for hypothesis in hypotheses])
    observed = contours(masses, [hypothesis.observed or () for hypothesis in hypotheses])
    filled = expected if limit.blinded else observed
    for contour in filled:
        x, low, high = _curves(contour, half)
        axes.fill_between(x, low, high, color=BLUE, alpha=0.2, linewidth=0, label="Excluded")
    for drawn, color, line, label in (
        (expected, "black", "--", "Median expected"),
        (observed, RED, "-", "Observed"),
    ):
        for contour in drawn:
            _outline(axes, contour, half, masses, color=color, linestyle=line, label=label)
    for hypothesis in hypotheses:
        if not (hypothesis.expected[0] or hypothesis.observed):
            place = (hypothesis.mass, hypothesis.points[0].mixing)
            axes.annotate("none", place, ha="center", fontsize=TINY)
    axes.set_yscale("log")
    axes.set_xlim(masses[0] - 3 * half, masses[-1] + 3 * half)
    bottom, top = min(lows) / 2, max(highs)
    # the legend needs the upper 30%
    axes.set_ylim(bottom, top * (top / bottom) ** (3 / 7))
    axes.set_xlabel(r"$m_N$ [GeV]")
    axes.set_ylabel(r"$|V_\mu|^2$")
    blinded = "expected, blinded" if limit.blinded else "observed"
    title = f"{limit.level:.0%} CL, {blinded}"
    legend_once(axes, loc="upper right", fontsize=SMALL, ncols=2, title=title, title_fontsize=SMALL)
    heading.above(axes)
    return figure


def contours(masses: Sequence[float], ranges: Sequence[Sequence[Range]]) -> list[Contour]:
    """Return the excluded areas: ranges that overlap at neighbouring masses belong together.

    Parameters
    ----------
    masses
        Tested masses, ascending.
    ranges
        Excluded ranges at each mass.

    Returns
    -------
    Masses and ranges of each area.
    """
    found: list[Contour] = []
    before: list[Contour] = []
    for mass, here in zip(masses, ranges, strict=True):
        now: list[Contour] = []
        for excluded in here:
            contour = next((c for c in before if _overlap(c[-1][1], excluded)), None)
            if contour is None:
                contour = []
                found.append(contour)
            else:
                before.remove(contour)
            contour.append((mass, excluded))
            now.append(contour)
        before = now
    return found


def _overlap(first: Range, second: Range) -> bool:
    return first.low <= second.high and second.low <= first.high


def _curves(contour: Contour, half: float) -> tuple[Floats, Floats, Floats]:
    """Return masses, lower and upper ends; a single mass has the width of a bar."""
    x = np.array([mass for mass, _ in contour])
    low, high = (np.array([getattr(r, end) for _, r in contour]) for end in ("low", "high"))
    if len(contour) > 1:
        return x, low, high
    return np.array([x[0] - half, x[0] + half]), np.repeat(low, 2), np.repeat(high, 2)


def _outline(
    axes: Axes, contour: Contour, half: float, masses: Sequence[float], *, label: str, **look: Any
) -> None:
    """Draw the outline of an area, with arrows where it goes on beyond the scan."""
    x, low, high = _curves(contour, half)
    for curve, side, arrow in ((low, "open_low", "v"), (high, "open_high", "^")):
        is_open = np.array([getattr(excluded, side) for _, excluded in contour])
        beyond = is_open if len(contour) > 1 else np.repeat(is_open, 2)
        axes.plot(x, np.where(beyond, np.nan, curve), label=label, linewidth=2, **look)
        tested = np.array([mass for mass, _ in contour])
        ends = np.array([getattr(excluded, side[5:]) for _, excluded in contour])
        color = look["color"]
        axes.plot(tested[~is_open], ends[~is_open], "o", color=color, markersize=6)
        if is_open.any():
            axes.plot(
                tested[is_open], ends[is_open], arrow, color=color, markersize=11,
                label="Open: the scan ends",
            )  # fmt: skip
    # beside it, a tested mass is not excluded
    for edge, (mass, _), end in ((0, contour[0], masses[0]), (-1, contour[-1], masses[-1])):
        if len(contour) == 1 or mass != end:
            axes.plot([x[edge]] * 2, [low[edge], high[edge]], linewidth=2, **look)


def _draw_bands(axes: Axes, hypotheses: Sequence[MassLimit], half: float) -> None:
    """Draw bands of one and two standard deviations around the ends of the expected ranges."""
    for outer, inner, color, label in BANDS:
        for side in (0, 1):
            pairs = {
                hypothesis.mass: sorted(
                    (wide[0].limits[side], narrow[0].limits[side])  # type: ignore[type-var]
                )
                for hypothesis in hypotheses
                if len(wide := hypothesis.expected[outer]) == 1
                and len(narrow := hypothesis.expected[inner]) == 1
                and None not in (wide[0].limits[side], narrow[0].limits[side])
            }
            for run in _neighbours([hypothesis.mass for hypothesis in hypotheses], pairs):
                x = run if len(run) > 1 else [run[0] - half, run[0] + half]
                ends = [pairs[mass] for mass in (run if len(run) > 1 else run * 2)]
                low, high = zip(*ends, strict=True)
                axes.fill_between(x, low, high, color=color, linewidth=0, label=label)


def _neighbours(masses: Sequence[float], chosen: Collection[float]) -> Iterator[list[float]]:
    """Yield the chosen masses, those in one list that have no other mass between them."""
    for is_chosen, run in itertools.groupby(masses, lambda mass: mass in chosen):
        if is_chosen:
            yield list(run)


@cms_style()
def draw_sidebands(hypothesis: MassLimit, data: Mapping[str, Floats], heading: Heading) -> Figure:
    """Draw the sidebands of each category with the chosen function; the window stays empty.

    Parameters
    ----------
    hypothesis
        Scan at one mass.
    data
        Masses of the candidates, GeV, by category; those in a blinded window are not drawn.
    heading
        Text above the first panel.
    """
    categories = hypothesis.categories
    rows = -(-len(categories) // 3)
    figure = new_figure(20, 7.5 * rows, layout="constrained")
    for number, (name, fit) in enumerate(categories.items()):
        axes = figure.add_subplot(rows, min(3, len(categories)), number + 1)
        _panel(axes, fit, data.get(name, np.array([])), blinded=fit.observed is None)
        text = [
            name,
            f"{fit.shape.family}, order {fit.shape.order}",
            " ± ".join(rounded(fit.prediction, fit.stat, fit.shape_uncertainty)) + " expected",
        ]
        text += [] if fit.observed is None else [f"{fit.observed} observed"]
        axes.text(0.04, 0.96, "\n".join(text), transform=axes.transAxes, va="top", fontsize=SMALL)
        if number == 0:
            heading.above(axes)
    return figure


def _panel(axes: Axes, fit: SidebandFit, masses: Floats, *, blinded: bool) -> None:
    """Draw the candidates of one category and the chosen function."""
    low, high = fit.shape.range
    width = fit.resolution
    edges = np.linspace(low, high, max(round((high - low) / width), 2) + 1)
    empty = gaps((low, high), fit.sidebands)
    shown = masses[~within(masses, empty)] if blinded else masses
    counts = np.histogram(shown, edges)[0].astype(np.float64)
    centers = (edges[1:] + edges[:-1]) / 2
    beside = ~overlapping(edges, [(a + 1e-9, b - 1e-9) for a, b in empty])
    drawn = beside if blinded else np.ones(len(centers), dtype=np.bool_)
    down, up = garwood(counts)
    axes.errorbar(
        centers[drawn], counts[drawn], yerr=(down[drawn], up[drawn]), fmt="o", color="black",
        markersize=4, elinewidth=1,
    )  # fmt: skip
    x = np.linspace(low, high, POINTS)
    axes.plot(x, fit.shape.per_gev(x) * (edges[1] - edges[0]), color=BLUE, linewidth=2.5)
    for window in empty:
        axes.axvspan(*window, color="0.9", linewidth=0)
    top = float(np.max((counts + up)[drawn], initial=1.0))
    axes.set_ylim(0, 1.7 * top)
    axes.set_xlim(low, high)
    axes.set_xlabel(r"$m(\mu\pi)$ [GeV]")
    axes.set_ylabel(f"Candidates / {1000 * (edges[1] - edges[0]):.3g} MeV")
