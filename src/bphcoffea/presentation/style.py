"""Style of all figures: CMS style, headings, points with errors, axes and files."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from runpy import run_path
from typing import Any, Final, Literal

import hist
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.offsetbox import TextArea
from matplotlib.patches import StepPatch
from matplotlib.ticker import LogFormatter, ScalarFormatter
from matplotlib.transforms import ScaledTranslation
from scipy.special import erf, gammaincinv
from typing_extensions import override

from bphcoffea.arrays import Floats
from bphcoffea.presentation.canvas import Canvas
from bphcoffea.presentation.colors import RED
from bphcoffea.presentation.minor_ticks import merge_minor_ticks
from bphcoffea.presentation.png import write_png
from bphcoffea.results import DatasetRecord, file_name

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
#: Margins around the axes in inches, and the height of a note above them.
LEFT, RIGHT, BOTTOM, TOP, NOTE = 1.5, 0.45, 1.05, 0.62, 0.28
#: Distance of the labels of the axes from these, in inches: of the vertical and the horizontal one.
LABEL_X, LABEL_Y = 1.06, 0.44
#: Lengths of a logarithmic axis, in decades, up to which some, or all, minor ticks are labelled.
LABELLED_DECADES = (1.5, 0.4)
#: Powers of ten up to which a linear axis is labelled with whole numbers.
PLAIN: Final = (-3, 4)
#: Styles of an experiment's name and of the status behind it, where they differ from those of CMS.
SLANTS: Final = {"ATLAS": ("italic", "normal")}
#: Name of the experiment and status of the figures that are drawn.
_experiment: ContextVar[tuple[str, str]] = ContextVar("experiment", default=("", ""))
#: Longest name of a file of a figure, without the suffix.
LONGEST_NAME: Final = 120
#: Folder of the figures of a run, and the owner of these files in ``written.json``.
FIGURES = "figures"


@contextlib.contextmanager
def cms_style() -> Iterator[None]:
    """Draw and save figures in the CMS style; restore the settings of matplotlib afterwards."""
    # the font of the style lacks some characters, such as the minus of fb⁻¹; DejaVu has them. Each
    # text looks all families up, so that those that are not installed would take time
    settings = _settings()
    families = [settings["font.sans-serif"][0], "DejaVu Sans"]
    with mpl.rc_context(rc={**settings, "font.family": families}), _fonts_found_once():
        yield


@contextlib.contextmanager
def _fonts_found_once() -> Iterator[None]:
    """Remember fonts by properties alone, without the settings that matplotlib compares each time.

    Within a style these are the same, and each text looks its fonts up a dozen times.
    """
    before = fontManager.findfont
    fontManager.findfont = _found_font  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        fontManager.findfont = before  # type: ignore[method-assign]


_found_font = functools.lru_cache(1000)(fontManager.findfont)


@functools.cache
def _settings() -> dict[str, Any]:
    """Return the settings of the CMS style, and register its fonts.

    mplhep itself would import pyplot, and register fonts among which each text is looked up.
    """
    styles = distribution("mplhep").locate_file("mplhep/styles/cms.py")
    fonts = distribution("mplhep_data").locate_file("mplhep_data/fonts/texgyreheros")
    for font in sorted(Path(str(fonts)).glob("texgyreheros-*.otf")):
        fontManager.addfont(font)
    settings: dict[str, Any] = run_path(str(styles))["CMS"]
    return settings


@contextlib.contextmanager
def experiment(name: str, status: str = "") -> Iterator[None]:
    """Write the name of an experiment above all figures, with a status such as Preliminary."""
    token = _experiment.set((name, status))
    try:
        yield
    finally:
        _experiment.reset(token)


def new_figure(
    width: float = 10, height: float = 9, *, layout: Literal["margins", "constrained"] = "margins"
) -> Figure:
    """Return a new figure that pyplot does not keep in memory.

    Parameters
    ----------
    width, height
        Size in inches.
    layout
        ``margins`` of a fixed size, so that the axes of all figures have the same place and nothing
        needs to be measured; ``constrained`` for axes with labels of any length.
    """
    figure = Figure(figsize=(width, height), layout=None if layout == "margins" else layout)
    Canvas(figure)
    if layout == "margins":
        figure.subplots_adjust(
            left=LEFT / width,
            right=1 - RIGHT / width,
            bottom=BOTTOM / height,
            top=1 - TOP / height,
        )
    return figure


def panels(figure: Figure, number: int) -> tuple[Axes, Axes]:
    """Add one panel, or a flat one below the main one, and return the top and the bottom one."""
    heights = {"height_ratios": (3.2, 1)[:number], "hspace": 0}
    axes = figure.subplots(number, sharex=True, squeeze=False, gridspec_kw=heights)
    return axes[0, 0], axes[-1, 0]


def place_labels(figure: Figure) -> None:
    """Fix the labels of all axes, which matplotlib would measure all ticks for."""
    for axes in figure.axes:
        left = ScaledTranslation(-LABEL_X, 0, figure.dpi_scale_trans)
        below = ScaledTranslation(0, -LABEL_Y, figure.dpi_scale_trans)
        middle = axes.yaxis.label.get_horizontalalignment() == "center"
        axes.yaxis.set_label_coords(0, 0.5 if middle else 1, transform=axes.transAxes + left)
        axes.xaxis.set_label_coords(1, 0, transform=axes.transAxes + below)


@dataclass(frozen=True)
class Heading:
    """Text above the axes: the samples, their luminosity and energy, and warnings.

    Attributes
    ----------
    left, right
        Left and right end of the line.
    notes
        Warnings on partial or blinded data, one per line above the heading.
    part
        Category or region that is shown; empty for all events.

    Examples
    --------
    >>> from bphcoffea.results.records import DatasetRecord
    >>> Heading.of([DatasetRecord(is_mc=False, era="2018D", luminosity=31.9)])
    Heading(left='Data', right='31.9 $fb^{-1}$ (13 TeV)', notes=(), part='')
    >>> zh = DatasetRecord(is_mc=True, era="FCC-ee", energy=0.24, luminosity=5000)
    >>> Heading.of([zh], scaled=True)
    Heading(left='Simulation', right='5 $ab^{-1}$ (240 GeV)', notes=(), part='')
    """

    left: str
    right: str = ""
    notes: tuple[str, ...] = ()
    part: str = ""

    @classmethod
    def of(
        cls,
        datasets: Iterable[DatasetRecord],
        notes: Iterable[str] = (),
        part: str = "",
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
            Category or region that is shown.
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
        energies = {record.collision_energy for record in chosen}
        energy = _energies([energy for energy in energies if energy])
        luminosities = [record.luminosity for record in data]
        if expected and len({record.luminosity for record in chosen}) == 1:
            luminosities = [chosen[0].luminosity]
        shown = tuple(note for note in (_partial(chosen), *notes) if note)
        if not luminosities or None in luminosities:
            return cls(left, energy, shown, part)
        total = sum(luminosity for luminosity in luminosities if luminosity is not None)
        amount = _luminosity(total)
        return cls(left, amount + (f" ({energy})" if energy else ""), shown, part)

    @property
    def legend_title(self) -> str:
        """What a legend says above its entries: the samples behind an experiment, and the part."""
        samples = self.left if _experiment.get()[0] and self.left not in (DATA, SIMULATION) else ""
        return ", ".join(filter(None, (samples, self.part)))

    def above(self, axes: Axes) -> None:
        """Write the heading above the axes."""
        figure = axes.get_figure(root=True)
        if figure is not None and figure.get_layout_engine() is None:
            height = figure.get_figheight()
            figure.subplots_adjust(top=1 - (TOP + NOTE * len(self.notes)) / height)
        size = SMALL if len(self.left) > LONG_HEADING else mpl.rcParams["font.size"]
        name, status = _experiment.get()
        if name:
            size = mpl.rcParams["font.size"]
            status = f"Simulation {status}".strip() if self.left == SIMULATION else status
            slant, slant_of_status = SLANTS.get(name, ("normal", "italic"))
            left = axes.text(0, 1.01, name, weight="bold", style=slant, fontsize=1.15 * size)
            axes.annotate(
                status, (1, 0), xycoords=left, xytext=(0.25 * size, 0), textcoords="offset points",
                va="bottom", style=slant_of_status, fontsize=0.9 * size,
            )  # fmt: skip
        else:
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

    def inside(self, axes: Axes) -> None:
        """Write the title of the legend into the upper left corner of axes without a legend."""
        axes.text(
            0.03, 0.965, self.legend_title, transform=axes.transAxes, va="top", fontsize=SMALL
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


def steps(
    axes: Axes,
    values: Floats,
    edges: Floats,
    *,
    baseline: Floats | float | None = 0,
    fill: bool = False,
    **look: Any,
) -> StepPatch:
    """Draw a histogram as steps, like `Axes.stairs`, but without finding limits of the axes.

    That takes longer than everything else about steps, and all figures have limits of their own.
    """
    color = look.pop("color", None)
    if color is not None:
        look |= {"facecolor": color, "linewidth": 0} if fill else {"edgecolor": color}
    look["baseline"] = baseline
    patch = StepPatch(values, edges, fill=fill, **look)
    axes.add_artist(patch)
    return patch


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


def legend_of_two_columns(axes: Axes, heading: Heading) -> None:
    """Write a legend with small entries below the title of a figure's part of the events."""
    axes.legend(
        loc="upper right", ncols=2, fontsize=TINY, title=heading.legend_title or None,
        title_fontsize=SMALL,
    )  # fmt: skip


def grouped(number: float) -> str:
    """Return a count as text, with thin spaces between thousands."""
    return f"{number:,.0f}".replace(",", "\N{THIN SPACE}")


def is_logarithmic(edges: Floats) -> bool:
    """Return whether the bins have equal widths in the logarithm."""
    if edges[0] <= 0 or len(edges) < 3:
        return False
    return bool(np.allclose(np.diff(np.log(edges)), np.log(edges[1] / edges[0]), rtol=1e-6))


class _Minor(LogFormatter):
    """Labels between the powers of ten, for short axes."""

    @override
    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


class _Counts(ScalarFormatter):
    """Labels without formulas; only the power of ten that they lack is one."""

    def __init__(self) -> None:
        super().__init__(useMathText=True)
        self.set_powerlimits(PLAIN)

    @override
    def __call__(self, x: float, pos: int | None = None) -> str:
        return super().__call__(x, pos).removeprefix(r"$\mathdefault{").removesuffix("}$")


def scale_variable(axes: Axes, edges: Floats) -> None:
    """Scale the horizontal axis to the bins, logarithmic if they are."""
    axes.set_xlim(edges[0], edges[-1])
    if is_logarithmic(edges):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(_Minor(minor_thresholds=LABELLED_DECADES))


def scale_counts(axes: Axes, largest: float, *, log: bool, headroom: float) -> None:
    """Scale the vertical axis; the fraction `headroom` stays free above the largest count."""
    if not log:
        axes.set_ylim(0, (largest or 1.0) / (1 - headroom))
        axes.yaxis.set_major_formatter(_Counts())
        # beside the heading
        axes.yaxis.get_offset_text().set(x=-0.01, ha="right", fontsize=SMALL)
        return
    bottom = 0.5
    while 0 < largest <= 4 * bottom:
        bottom /= 10
    axes.set_ylim(bottom, bottom * (max(largest, 10 * bottom) / bottom) ** (1 / (1 - headroom)))
    # after the limits, since the scale of an axis without positive values cannot be logarithmic
    axes.set_yscale("log")


def figure_name(*parts: str) -> str:
    """Return a name of a file from names of any characters; long names end in a hash.

    >>> figure_name("cutflow", "Z/γ* → ττ")
    'cutflow_Z_γ_ττ'
    """
    name = "_".join(re.sub(r"[^\w+=.,-]+", "_", part).strip("_") or "_" for part in parts)
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name


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
    for path in paths:
        # savefig would draw each figure once more to arrange it
        if path.suffix == ".png":
            figure.canvas.draw()
            pixels = np.asarray(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]
            write_png(path, pixels, figure.dpi)
        else:
            # without the date, the same run gives the same files
            figure.savefig(path, metadata={"CreationDate": None})
    return paths


def arrange(figure: Figure) -> None:
    """Give the axes of a figure their positions."""
    merge_minor_ticks(figure)
    for legend in filter(None, (axes.get_legend() for axes in figure.axes)):
        for area in legend.findobj(TextArea):
            # which a legend asks for many times
            vars(area)["get_bbox"] = functools.cache(area.get_bbox)
    engine = figure.get_layout_engine()
    if engine is None:
        place_labels(figure)
    else:
        engine.execute(figure)
        figure.set_layout_engine("none")
