"""Figures of mass spectra with their fit, its components, pulls and yields."""

from __future__ import annotations

from collections.abc import Iterator

import hist
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bphcoffea.arrays import Floats
from bphcoffea.presentation import style
from bphcoffea.presentation.hidden_data import RunHistogram, shade
from bphcoffea.results import file_name
from bphcoffea.rounding import with_error
from bphcoffea.statistics import BACKGROUND, FitRecord, MassFit, of_datasets

PEAK_COLORS = (style.ORANGE, style.PURPLE, *style.PALETTE[4:])
#: Largest pull that is drawn, in standard deviations.
MAX_PULL = 5.0
#: Fraction of the axis above the points, with the result of a fit and with the legend alone.
FIT_ROOM, LEGEND_ROOM = 0.38, 0.15


def mass_figures(shown: RunHistogram, fit: FitRecord | None) -> Iterator[tuple[str, Figure]]:
    """Yield the mass spectrum with its fit, and one of each separately fitted part.

    Parameters
    ----------
    shown
        Histogram of the mass.
    fit
        Fit of the run; None if there is none.
    """
    datasets = shown.datasets
    fits: dict[str, FitRecord | None] = {shown.name: fit}
    if fit is not None:
        fits |= {f"{shown.name}_{file_name(group)}": part for group, part in fit.by.items()}
    for name, part in fits.items():
        names = part.datasets if part else datasets.data or list(datasets)
        records = [datasets[dataset] for dataset in names]
        simulated = all(record.is_mc for record in records)
        hidden = () if simulated else shown.hidden
        notes = () if simulated else shown.notes
        if part and part.category is not None:
            notes = (*notes, part.category)
        figure = draw_mass(
            of_datasets(shown.histogram, names, part.category if part else None),
            style.Heading.of(records, notes),
            label=shown.label,
            unit=shown.record.unit or "GeV",
            # a fit would reveal the content of the hidden bins
            fit=part.fit if part and not hidden else None,
            points_label=style.SIMULATION if simulated else style.DATA,
        )
        shade(figure, hidden)
        yield name, figure


@style.cms_style()
def draw_mass(
    histogram: hist.Hist,
    heading: style.Heading,
    *,
    label: str,
    unit: str = "GeV",
    fit: MassFit | None = None,
    points_label: str = style.DATA,
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
    """
    edges = np.asarray(histogram.axes[0].edges, dtype=np.float64)
    figure = style.new_figure(10, 10)
    axes, below = style.panels(figure, 2 if fit is not None and fit.parameters else 1)
    largest = style.points(axes, histogram, points_label)
    if fit is not None and fit.parameters:
        _draw_components(axes, fit)
        _draw_pulls(below, histogram, fit)
    on_the_right = _where_largest(histogram) > 0.5
    if fit is not None:
        _write_result(axes, fit, on_the_right=on_the_right)
    axes.set_xlim(edges[0], edges[-1])
    style.scale_counts(
        axes, largest, log=False, headroom=FIT_ROOM if fit is not None else LEGEND_ROOM
    )
    axes.set_ylabel(style.per_bin("Candidates", edges, unit))
    below.set_xlabel(style.axis_label(label, unit))
    axes.legend(loc="upper left" if on_the_right else "upper right", fontsize=style.SMALL)
    heading.above(axes)
    figure.align_ylabels()
    return figure


def _where_largest(histogram: hist.Hist) -> float:
    """Return the position of the largest bin, as a fraction of the range."""
    return float(np.argmax(histogram.values()) / len(histogram.values()))


def _draw_components(axes: Axes, fit: MassFit) -> None:
    x, curves = fit.curve()
    background = curves[BACKGROUND]
    axes.plot(x, sum(curves.values()), color=style.RED, linewidth=2.5, label="Fit")
    for peak, color in zip(fit.model.peaks, PEAK_COLORS, strict=False):
        axes.fill_between(
            x,
            background,
            background + curves[peak.name],
            color=color,
            alpha=0.45,
            linewidth=0,
            label=peak.label,
        )
    axes.plot(x, background, color=style.BLUE, linestyle="--", linewidth=2.5, label="Background")


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
    axes.axhline(0, color=style.RED, linewidth=1.5)
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
            color=style.RED,
            fontsize=style.TINY,
        )
    box.set_gid("yields")
