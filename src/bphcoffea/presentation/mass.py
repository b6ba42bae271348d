"""Figures of mass spectra with their fit, its components, pulls and yields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import hist
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bphcoffea.analysis import MassModel
from bphcoffea.arrays import Floats
from bphcoffea.presentation import style
from bphcoffea.presentation.colors import RED, palette
from bphcoffea.presentation.drawing import Drawing
from bphcoffea.presentation.hidden_data import RunHistogram, Windows, shade
from bphcoffea.presentation.style import figure_name
from bphcoffea.rounding import with_error
from bphcoffea.statistics import BACKGROUND, FitRecord, MassFit, of_datasets

#: Largest pull that is drawn, in standard deviations.
MAX_PULL = 5.0
#: Fraction of the axis above the points, with the result of a fit and with the legend alone.
FIT_ROOM, LEGEND_ROOM = 0.38, 0.15


def mass_figures(shown: RunHistogram, fit: FitRecord | None) -> Iterator[Drawing]:
    """Yield the mass spectrum with its fit, and one of each separately fitted part.

    Parameters
    ----------
    shown
        Histogram of the mass.
    fit
        Fit of the run; None if there is none.
    """
    datasets = shown.datasets
    fits: dict[str, FitRecord | None] = {"": fit}
    if fit is not None:
        fits |= fit.by
    for group, part in fits.items():
        names = part.datasets if part else datasets.data or list(datasets)
        records = [datasets[dataset] for dataset in names]
        simulated = all(record.is_mc for record in records)
        hidden = () if simulated else shown.hidden
        heading = style.Heading.of(records, () if simulated else shown.notes, group)
        draw = partial(
            draw_mass,
            of_datasets(shown.histogram, names, part.category if part else None),
            heading,
            label=shown.label,
            unit=shown.record.unit or "GeV",
            # a fit would reveal the content of the hidden bins
            fit=part.fit if part and not hidden else None,
            points_label=style.SIMULATION if simulated else style.DATA,
            counted=shown.record.counted,
            hidden=hidden,
            colors=_colors(shown, part.fit.model if part else None),
        )
        yield figure_name(shown.name, *filter(None, [group])), draw


def _colors(shown: RunHistogram, model: MassModel | None) -> dict[str, str]:
    """Return the colours of the peaks by name: those of their processes."""
    datasets = shown.datasets
    return {
        peak.name: process.color
        for peak in (model.peaks if model else ())
        for process in shown.processes.values()
        if peak.process and any(datasets[n].process == peak.process for n in process.datasets)
    }


@style.cms_style()
def draw_mass(
    histogram: hist.Hist,
    heading: style.Heading,
    *,
    label: str,
    unit: str = "GeV",
    fit: MassFit | None = None,
    points_label: str = style.DATA,
    counted: str = "Candidates",
    hidden: Windows = (),
    colors: Mapping[str, str] = {},
) -> Figure:
    """Draw a mass spectrum with its fit.

    Parameters
    ----------
    histogram
        Histogram of the mass.
    heading
        Heading above the axes.
    label, unit
        Label and unit of the mass.
    fit
        Fit of this histogram; None, or a fit without parameters, to draw the points alone.
    points_label
        Name of the points in the legend.
    counted
        What the histogram counts.
    hidden
        Ranges in which data are hidden.
    colors
        Colours of peaks by name; others follow their order.
    """
    edges = np.asarray(histogram.axes[0].edges, dtype=np.float64)
    figure = style.new_figure(10, 10)
    axes, below = style.panels(figure, 2 if fit is not None and fit.parameters else 1)
    largest = style.points(axes, histogram, points_label)
    if fit is not None and fit.parameters:
        _draw_components(axes, fit, colors)
        _draw_pulls(below, histogram, fit)
    on_the_right = _where_largest(histogram) > 0.5
    if fit is not None:
        _write_result(axes, fit, on_the_right=on_the_right)
    axes.set_xlim(edges[0], edges[-1])
    style.scale_counts(
        axes, largest, log=False, headroom=FIT_ROOM if fit is not None else LEGEND_ROOM
    )
    axes.set_ylabel(style.per_bin(counted, edges, unit))
    below.set_xlabel(style.axis_label(label, unit))
    axes.legend(
        loc="upper left" if on_the_right else "upper right", fontsize=style.SMALL,
        title=heading.legend_title or None, title_fontsize=style.SMALL, alignment="left",
    )  # fmt: skip
    heading.above(axes)
    shade(figure, hidden)
    return figure


def _where_largest(histogram: hist.Hist) -> float:
    """Return the position of the largest bin, as a fraction of the range."""
    return float(np.argmax(histogram.values()) / len(histogram.values()))


def _draw_components(axes: Axes, fit: MassFit, colors: Mapping[str, str]) -> None:
    x, curves = fit.curve()
    background = curves[BACKGROUND]
    axes.plot(x, sum(curves.values()), color=RED, linewidth=2.5, label="Fit")
    free = [color for color in palette(12) if color not in colors.values()]
    for number, peak in enumerate(fit.model.peaks):
        axes.fill_between(
            x,
            background,
            background + curves[peak.name],
            color=colors.get(peak.name, free[number % len(free)]),
            alpha=0.6,
            linewidth=0,
            label=peak.label,
        )
    axes.plot(x, background, color="0.35", linestyle="--", linewidth=2.5, label="Background")


def pulls(histogram: hist.Hist, fit: MassFit) -> tuple[Floats, Floats]:
    """Return the difference of each bin from the fit, in standard deviations expected from it.

    Returns
    -------
    Centres of the bins in the range of the fit, and pulls; each of shape (bins,).
    """
    edges, expected = np.asarray(fit.edges), np.sum(list(fit.expected().values()), axis=0)
    first = int(np.argmin(np.abs(histogram.axes[0].edges - edges[0])))
    bins = slice(first, first + len(expected))
    counts = style.counts_of(histogram)[bins]
    variances = histogram.variances()
    variances = counts if variances is None else np.asarray(variances)[bins]
    # weighted bins fluctuate more than counts, by their mean weight
    weight = np.sum(variances) / np.sum(counts)
    deviation = np.sqrt(np.maximum(expected, 1e-9) * weight)
    return (edges[1:] + edges[:-1]) / 2, (counts - expected) / deviation


def _draw_pulls(axes: Axes, histogram: hist.Hist, fit: MassFit) -> None:
    centers, deviations = pulls(histogram, fit)
    shown = np.clip(deviations, -MAX_PULL, MAX_PULL)
    axes.axhspan(-1, 1, color="0.9", linewidth=0)
    axes.axhline(0, color=RED, linewidth=1.5)
    axes.errorbar(
        centers, shown, yerr=np.ones_like(shown), fmt="o", color="black", markersize=4, elinewidth=1
    )
    axes.set_ylim(-MAX_PULL - 0.5, MAX_PULL + 0.5)
    axes.set_yticks([-4, -2, 0, 2, 4])
    axes.set_ylabel("Pull", loc="center")


def yields(fit: MassFit) -> list[str]:
    """Return one line per component, with its yield and error."""
    lines = []
    components = {peak.name: peak.label for peak in fit.model.peaks} | {BACKGROUND: "bkg."}
    for name, label in components.items():
        parameter = fit.parameters[f"n_{name}"]
        value, error = parameter.value, parameter.error
        number = f"{value:.0f} (fixed)" if error is None else with_error(value, error, r"$\pm$")
        lines.append(f"N({label}) = {number}")
    return lines


def _write_result(axes: Axes, fit: MassFit, *, on_the_right: bool) -> None:
    lines = yields(fit) if fit.parameters else []
    if fit.chi2 is not None and fit.ndof is not None:
        lines.append(f"$\\chi^2$/ndof = {fit.chi2:.1f}/{fit.ndof}")
    if fit.p_value is not None:
        lines.append(f"p-value = {fit.p_value:.2g}")
    x, side = (0.97, "right") if on_the_right else (0.03, "left")
    box = axes.text(
        x,
        0.965,
        "\n".join(lines),
        transform=axes.transAxes,
        ha=side,
        va="top",
        fontsize=style.SMALL,
        linespacing=1.35,
    )
    if fit.problems:
        first, *more = fit.problems
        remark = f"NOT VALID: {first}" + (f" (and {len(more)} more)" if more else "")
        axes.annotate(
            remark,
            (0.5, 1 - FIT_ROOM + 0.015),
            xycoords="axes fraction",
            ha="center",
            color=RED,
            fontsize=style.TINY,
        )
    box.set_gid("yields")
