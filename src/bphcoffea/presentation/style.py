"""Style of all figures: CMS style, colours, headings, points with errors, axes and files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hist
import matplotlib as mpl
import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.special import erf, gammaincinv

from bphcoffea.arrays import Floats
from bphcoffea.presentation.minor_ticks import merge_minor_ticks
from bphcoffea.results import DatasetRecord, file_name

#: Six colours that can be told apart with any common colour vision [M. A. Petroff,
#: arXiv:2107.02270].
BLUE, ORANGE, RED = "#5790fc", "#f89c20", "#e42536"
PURPLE, GREY, VIOLET = "#964a8b", "#9c9ca1", "#7a21dd"
PALETTE = (BLUE, ORANGE, PURPLE, RED, VIOLET, GREY)
#: Ten colours from the same reference, for more than six processes.
WIDE_PALETTE = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
#: Font sizes in points, smaller than that of the style.
SMALL, TINY = 19, 15
#: Characters beyond which a heading is written smaller.
LONG_HEADING = 22
#: Characters beyond which a heading gives only the number of samples.
LONGEST_HEADING = 60
#: Names of samples without a label.
DATA, SIMULATION = "Data", "Simulation"
#: Coverage of an error bar: one standard deviation of a Gaussian.
COVERAGE = float(erf(2**-0.5))
#: Formats of figures by default.
FORMATS = ("png",)
#: Folder of the figures of a run, and the owner of these files in ``written.json``.
FIGURES = "figures"


@contextlib.contextmanager
def cms_style() -> Iterator[None]:
    """Draw and save figures in the CMS style; restore the settings of matplotlib afterwards."""
    # the font of the style lacks some characters, such as the minus of fb⁻¹; DejaVu has them
    families = ["sans-serif", "DejaVu Sans"]
    with mpl.rc_context(rc={**mplhep.style.CMS, "font.family": families}):
        yield


def new_figure(width: float = 10, height: float = 9) -> Figure:
    """Return a new figure, sizes in inches, that pyplot does not keep in memory."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panels(figure: Figure, number: int) -> tuple[Axes, Axes]:
    """Add one panel, or a flat one below the main one, and return the top and the bottom one."""
    heights = {"height_ratios": (3.2, 1)[:number], "hspace": 0}
    axes = figure.subplots(number, sharex=True, squeeze=False, gridspec_kw=heights)
    return axes[0, 0], axes[-1, 0]


@dataclass(frozen=True)
class Heading:
    """Text above the axes: the samples, their luminosity and energy, and warnings.

    Attributes
    ----------
    left, right
        Left and right end of the line.
    notes
        Warnings on partial or blinded data, one per line above the heading.

    Examples
    --------
    >>> from bphcoffea.results.records import DatasetRecord
    >>> Heading.of([DatasetRecord(is_mc=False, era="2018D", luminosity=31.9)])
    Heading(left='Data', right='31.9 $fb^{-1}$ (13 TeV)', notes=())
    >>> zh = DatasetRecord(is_mc=True, era="FCC-ee", energy=0.24, luminosity=5000)
    >>> Heading.of([zh], scaled=True)
    Heading(left='Simulation', right='5 $ab^{-1}$ (240 GeV)', notes=())
    """

    left: str
    right: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        datasets: Iterable[DatasetRecord],
        notes: Iterable[str] = (),
        part: str | None = None,
        *,
        scaled: bool = False,
    ) -> Heading:
        """Return the heading of some datasets; simulation counts only if there are no data.

        Parameters
        ----------
        datasets
            Records of the datasets, from :attr:`~bphcoffea.results.RunFolder.datasets`.
        notes
            Warnings besides that of a partial run; empty ones are left out.
        part
            Name of the category or region that is shown.
        scaled
            Whether simulation is scaled: without data, the luminosity is that of its metadata.
        """
        chosen = list(datasets)
        data = [record for record in chosen if not record.is_mc]
        chosen = data or chosen
        expected = scaled and not data
        # the legend names the scaled processes
        labels = dict.fromkeys(r.label for r in chosen if r.label and not expected)
        left = ", ".join(labels) or (DATA if data else SIMULATION)
        if len(left) > LONGEST_HEADING:
            left = f"{len(chosen)} samples"
        left = f"{left}, {part}" if part else left
        energies = {record.collision_energy for record in chosen}
        energy = _energies([energy for energy in energies if energy])
        luminosities = [record.luminosity for record in data]
        if expected and len({record.luminosity for record in chosen}) == 1:
            luminosities = [chosen[0].luminosity]
        shown = tuple(note for note in (_partial(chosen), *notes) if note)
        if not luminosities or None in luminosities:
            return cls(left, energy, shown)
        total = sum(luminosity for luminosity in luminosities if luminosity is not None)
        amount = _luminosity(total)
        return cls(left, amount + (f" ({energy})" if energy else ""), shown)

    def above(self, axes: Axes) -> None:
        """Write the heading above the axes."""
        size = SMALL if len(self.left) > LONG_HEADING else mpl.rcParams["font.size"]
        left = axes.text(0, 1.01, self.left, ha="left", weight="bold", fontsize=size)
        right = axes.text(1, 1.01, self.right, ha="right", fontsize=SMALL + 2)
        for text in (left, right):
            text.set(transform=axes.transAxes, va="bottom")
        line = 1.3  # line height in units of the font size
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


def _energies(energies: Iterable[float]) -> str:
    """Return collision energies, given in TeV, as text: in GeV if all are below 1 TeV."""
    ordered = sorted(energies)
    unit, factor = ("GeV", 1000) if ordered and ordered[-1] < 1 else ("TeV", 1)
    texts = ", ".join(f"{factor * energy:g}" for energy in ordered)
    return f"{texts} {unit}" if texts else ""


def _partial(datasets: Iterable[DatasetRecord]) -> str:
    """Return a note on the fraction of the events in a partial run; empty for a whole run."""
    parts = [record.part for record in datasets if record.part is not None]
    if all(part.events == part.of for part in parts):
        return ""
    wholes = [part.of for part in parts if part.of is not None]
    if len(wholes) < len(parts):
        return "Partial run: an unknown part of the events"
    share = sum(part.events for part in parts) / sum(wholes)
    return f"Partial run: {100 * share:.3g}% of the events"


def garwood(counts: Floats, variances: Floats | None = None) -> tuple[Floats, Floats]:
    """Return the central Poisson interval of each bin [F. Garwood, Biometrika 28 (1936) 437].

    Parameters
    ----------
    counts, variances
        Contents and, for weighted bins, sums of squared weights, shape (bins,). A weighted bin is
        taken as a Poisson count scaled by its mean weight.

    Returns
    -------
    Distances from the content down and up to the ends of the interval, each of shape (bins,); 0
    for weighted bins without entries, whose weight is unknown.
    """
    scale = np.ones_like(counts)
    if variances is not None and not np.array_equal(counts, variances):
        filled = (counts > 0) & (variances > 0)
        scale = np.divide(variances, counts, out=np.zeros_like(counts), where=filled)
    entries = np.divide(counts, scale, out=np.zeros_like(counts), where=scale > 0)
    outside = (1 - COVERAGE) / 2
    low = np.where(entries > 0, gammaincinv(np.maximum(entries, 1e-9), outside), 0.0)
    high = gammaincinv(entries + 1, 1 - outside)
    return (entries - low) * scale, (high - entries) * scale


def counts_of(histogram: hist.Hist) -> Floats:
    """Return the contents of the bins, shape (bins,)."""
    return np.asarray(histogram.values(), dtype=np.float64)


def errors_of(histogram: hist.Hist) -> tuple[Floats, Floats]:
    """Return the errors of the bins downwards and upwards; see :func:`garwood`."""
    variances = histogram.variances()
    return garwood(counts_of(histogram), None if variances is None else np.asarray(variances))


def points(axes: Axes, histogram: hist.Hist, label: str) -> float:
    """Draw a histogram as points with Poisson errors, without empty bins.

    Returns
    -------
    Upper end of the highest error bar.
    """
    counts, (down, up) = counts_of(histogram), errors_of(histogram)
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
    """Return the label of an axis with its unit."""
    return f"{label} [{unit}]" if unit else label


def brief(text: str) -> str:
    """Return a text, shortened in the middle if it is too long for a figure."""
    if len(text) <= LONGEST_HEADING or "$" in text.replace(r"\$", ""):
        return text
    kept = LONGEST_HEADING // 2 - 1
    return f"{text[:kept]}…{text[-kept:]}"


def _luminosity(amount: float) -> str:
    """Return a luminosity in fb⁻¹ as text, in the unit that needs the fewest digits."""
    for smallest, unit, factor in ((1000, "ab", 1e-3), (0.1, "fb", 1.0)):
        if amount >= smallest:
            return f"{amount * factor:.3g} ${unit}^{{-1}}$"
    return f"{amount * 1000:.3g} $pb^{{-1}}$"


def per_bin(quantity: str, edges: Floats, unit: str) -> str:
    """Return the label of the vertical axis, such as ``Candidates / 5.8 MeV``.

    Bins of unit width without unit, such as those of a number of jets, need no words.
    """
    widths = np.diff(edges)
    if not np.allclose(widths, widths[0], rtol=1e-6):
        return f"{quantity} / bin"
    if not unit and np.isclose(widths[0], 1):
        return quantity
    width = float(edges[-1] - edges[0]) / (len(edges) - 1)
    if unit == "GeV" and width < 0.1:
        width, unit = 1000 * width, "MeV"
    rounded = f"{round(width, 1):g}" if width >= 1 else f"{width:.2g}"
    return f"{quantity} / {rounded} {unit}".rstrip()


def grouped(number: float) -> str:
    """Return a count as text, with thin spaces between thousands."""
    return f"{number:,.0f}".replace(",", "\N{THIN SPACE}")


def is_logarithmic(edges: Floats) -> bool:
    """Return whether the bins have equal widths in the logarithm."""
    if edges[0] <= 0 or len(edges) < 3:
        return False
    return bool(np.allclose(np.diff(np.log(edges)), np.log(edges[1] / edges[0]), rtol=1e-6))


def scale_counts(axes: Axes, largest: float, *, log: bool, headroom: float) -> None:
    """Scale the vertical axis; the fraction `headroom` stays free above the largest count."""
    if not log:
        axes.set_ylim(0, (largest or 1.0) / (1 - headroom))
        axes.ticklabel_format(style="plain", axis="y")
        return
    bottom = 0.5
    while 0 < largest <= 4 * bottom:
        bottom /= 10
    axes.set_ylim(bottom, bottom * (max(largest, 10 * bottom) / bottom) ** (1 / (1 - headroom)))
    # after the limits, since the scale of an axis without positive values cannot be logarithmic
    axes.set_yscale("log")


def name_of_its_own(name: str, taken: set[str]) -> str:
    """Return a name that is not in `taken`, even if case is ignored, and add it there."""
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free.casefold())
    return free


def save(figure: Figure, folder: Path, name: str, formats: Iterable[str] = FORMATS) -> list[Path]:
    """Write a figure as PNG, or in all `formats`, and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # the locale C allows ASCII only
        name = file_name(name)
    paths = [folder / f"{name}.{suffix}" for suffix in formats]
    arrange(figure)
    # matplotlib would arrange each file anew, and draw it once more to do so
    figure.set_layout_engine("none")
    for path in paths:
        if path.suffix == ".png":
            # PNG is small even if it is compressed fast
            figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})
        else:
            # without the date, the same run gives the same files
            figure.savefig(path, metadata={"CreationDate": None})
    return paths


def arrange(figure: Figure) -> None:
    """Give the axes of a figure their positions."""
    merge_minor_ticks(figure)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
