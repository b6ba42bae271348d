"""How every figure looks: the CMS style, labels above the axes, points with their errors, files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hist
import matplotlib as mpl
import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import chi2, norm

from bphcoffea.arrays import Floats
from bphcoffea.results.folder import file_name
from bphcoffea.results.records import DatasetRecord

#: Distinguishable with every common colour vision [M. A. Petroff, arXiv:2107.02270].
BLUE, ORANGE, RED, PURPLE, GREY, VIOLET = (
    "#5790fc",
    "#f89c20",
    "#e42536",
    "#964a8b",
    "#9c9ca1",
    "#7a21dd",
)
PALETTE = (BLUE, ORANGE, PURPLE, RED, VIOLET, GREY)
#: The one of ten colours, from the same reference, for more than six.
WIDE_PALETTE = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
#: Font sizes, points, beside the style's own.
SMALL, TINY = 19, 15
#: Characters from which a heading is written smaller.
LONG_HEADING = 22
#: And from which it would leave no room for the figure: the number of samples stands there.
LONGEST_HEADING = 60
#: Where there is neither a label nor anything to count.
DATA, SIMULATION = "Data", "Simulation"
#: Probability content of an error bar: that of one standard deviation of a Gaussian.
COVERAGE = float(norm.cdf(1) - norm.cdf(-1))
FORMATS = ("png", "pdf")
#: Folder of the figures of a run, and their owner in ``written.json``.
FIGURES = "figures"


@contextlib.contextmanager
def cms_style() -> Iterator[None]:
    """Draw and save figures in the CMS style; afterwards matplotlib is as it was."""
    # the style's font lacks some signs of labels, as the minus of fb⁻¹; matplotlib brings one
    families = ["sans-serif", "DejaVu Sans"]
    with mpl.rc_context(rc={**mplhep.style.CMS, "font.family": families}):
        yield


def new_figure(width: float = 10, height: float = 9) -> Figure:
    """Make a figure that no window and no global state knows of; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@dataclass(frozen=True)
class Heading:
    """What stands above the axes: whose data they are, and how many at which energy.

    Attributes
    ----------
    left, right
        The two ends of the line.
    notes
        Warnings, a line each above that: what is partial, what is blinded.
    """

    left: str
    right: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, datasets: Iterable[DatasetRecord], notes: Iterable[str] = ()) -> Heading:
        """Make the heading from metadata; that of the data alone where there are any.

        Parameters
        ----------
        datasets
            Metadata, as :attr:`~bphcoffea.results.folder.RunFolder.datasets` gives them.
        notes
            Warnings beside that of a partial run; empty ones are left out.
        """
        chosen = list(datasets)
        data = [metadata for metadata in chosen if not metadata.is_mc]
        chosen = data or chosen
        labels = dict.fromkeys(metadata.label or "" for metadata in chosen)
        named = [label for label in labels if label]
        left = ", ".join(named) or (DATA if data else SIMULATION)
        if len(left) > LONGEST_HEADING:
            left = f"{len(chosen)} samples"
        energies = sorted({e for each in chosen if (e := each.collision_energy)})
        energy = f"{', '.join(f'{value:g}' for value in energies)} TeV" if energies else ""
        luminosities = [metadata.luminosity for metadata in data]
        written = tuple(note for note in (_partial(chosen), *notes) if note)
        if not data or None in luminosities:
            return cls(left, energy, written)
        total = sum(luminosity for luminosity in luminosities if luminosity is not None)
        right = f"{total:.3g} $fb^{{-1}}$" + (f" ({energy})" if energy else "")
        return cls(left, right, written)

    def above(self, axes: Axes) -> None:
        """Write it above the axes."""
        place: dict[str, Any] = {"transform": axes.transAxes, "va": "bottom"}
        size = SMALL if len(self.left) > LONG_HEADING else mpl.rcParams["font.size"]
        axes.text(0, 1.01, self.left, ha="left", weight="bold", fontsize=size, **place)
        axes.text(1, 1.01, self.right, ha="right", fontsize=SMALL + 2, **place)
        line = 1.3  # heights of a font
        for number, note in enumerate(self.notes):
            axes.annotate(
                note,
                (0, 1.01),
                xycoords="axes fraction",
                xytext=(0, line * (max(size, SMALL + 2) + TINY * (len(self.notes) - 1 - number))),
                textcoords="offset points",
                va="bottom",
                color=RED,
                fontsize=TINY,
                parse_math=False,
            )


def _partial(datasets: Iterable[DatasetRecord]) -> str:
    """Say which part of the events of datasets a partial run has; nothing of a whole run."""
    parts = [record.part for record in datasets if record.part is not None]
    if all(part.events == part.of for part in parts):
        return ""
    wholes = [part.of for part in parts if part.of is not None]
    if len(wholes) < len(parts):
        return "Partial run: an unknown part of the events"
    share = sum(part.events for part in parts) / sum(wholes)
    return f"Partial run: {100 * share:.3g}% of the events"


def garwood(counts: Floats, variances: Floats | None = None) -> tuple[Floats, Floats]:
    """Central Poisson interval of each bin [F. Garwood, Biometrika 28 (1936) 437].

    Parameters
    ----------
    counts, variances
        Contents and, for weighted bins, sums of squared weights: such a bin is taken for a Poisson
        count that is scaled by its mean weight. Shape (bins,).

    Returns
    -------
    Distances from the content down and up to the ends of the interval, each of shape (bins,). A
    weighted bin without entries, whose weight nobody knows, has none.
    """
    scale = np.ones_like(counts)
    if variances is not None and not np.array_equal(counts, variances):
        filled = (counts > 0) & (variances > 0)
        scale = np.divide(variances, counts, out=np.zeros_like(counts), where=filled)
    entries = np.divide(counts, scale, out=np.zeros_like(counts), where=scale > 0)
    outside = (1 - COVERAGE) / 2
    low = np.where(entries > 0, chi2.ppf(outside, 2 * np.maximum(entries, 1e-9)) / 2, 0.0)
    high = chi2.ppf(1 - outside, 2 * (entries + 1)) / 2
    return (entries - low) * scale, (high - entries) * scale


def points(axes: Axes, histogram: hist.Hist, label: str) -> float:
    """Draw a histogram as points with Poisson errors; empty bins have none.

    Returns
    -------
    Where the highest error bar ends.
    """
    counts = np.asarray(histogram.values(), dtype=np.float64)
    variances = histogram.variances()
    down, up = garwood(counts, None if variances is None else np.asarray(variances))
    filled = counts != 0
    axes.errorbar(
        histogram.axes[0].centers[filled],
        counts[filled],
        yerr=(down[filled], up[filled]),
        fmt="o",
        color="black",
        markersize=5,
        elinewidth=1.3,
        label=label,
    )
    return float(np.max((counts + up)[filled], initial=0))


def axis_label(label: str, unit: str) -> str:
    """Name of an axis with its unit."""
    return f"{label} [{unit}]" if unit else label


def brief(text: str) -> str:
    """Return a text without its middle if it would leave no room for the figure."""
    if len(text) <= LONGEST_HEADING or "$" in text.replace(r"\$", ""):
        return text
    kept = LONGEST_HEADING // 2 - 1
    return f"{text[:kept]}…{text[-kept:]}"


def per_bin(what: str, edges: Floats, unit: str) -> str:
    """Name of the vertical axis: ``Candidates / 5.8 MeV``."""
    if is_logarithmic(edges):
        return f"{what} / bin"
    width = float(edges[-1] - edges[0]) / (len(edges) - 1)
    if unit == "GeV" and width < 0.1:
        width, unit = 1000 * width, "MeV"
    rounded = f"{round(width, 1):g}" if width >= 1 else f"{width:.2g}"
    return f"{what} / {rounded} {unit}".rstrip()


def grouped(number: float) -> str:
    """Write a count with a thin space between thousands."""
    return f"{number:,.0f}".replace(",", "\N{THIN SPACE}")


def is_logarithmic(edges: Floats) -> bool:
    """Whether the bins have equal widths in the logarithm."""
    if edges[0] <= 0 or len(edges) < 3:
        return False
    return bool(np.allclose(np.diff(np.log(edges)), np.log(edges[1] / edges[0]), rtol=1e-6))


def scale_counts(axes: Axes, largest: float, *, log: bool, headroom: float) -> None:
    """Scale the vertical axis so that a legend has room above the largest count.

    Parameters
    ----------
    headroom
        Part of the axis that stays free at the top.
    """
    if not log:
        axes.set_ylim(0, (largest or 1.0) / (1 - headroom))
        axes.ticklabel_format(style="plain", axis="y")
        return
    bottom = 0.5
    while 0 < largest <= 4 * bottom:
        bottom /= 10
    axes.set_ylim(bottom, bottom * (max(largest, 10 * bottom) / bottom) ** (1 / (1 - headroom)))
    # after the limits: an axis that shows nothing positive can't become logarithmic
    axes.set_yscale("log")


def name_of_its_own(name: str, taken: set[str]) -> str:
    """Return a name that no earlier figure has, on a disk that ignores case either; note it."""
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free.casefold())
    return free


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and PDF, under a name that the file system can hold.

    Returns
    -------
    The paths written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # in the locale C it takes ASCII alone
        name = file_name(name)
    paths = [folder / f"{name}.{suffix}" for suffix in FORMATS]
    for path in paths:
        # no date: the same run gives the same files
        metadata = {"CreationDate": None} if path.suffix == ".pdf" else None
        figure.savefig(path, dpi=100, metadata=metadata)
        # which is kept: to find it takes longer than to draw
        figure.set_layout_engine("none")
    return paths
