"""Figures of a run as SVG that can stand in a page beside others."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

from bphcoffea.analysis import AnalysisRecord
from bphcoffea.presentation import FigureOptions, LabelledRun, arrange, cms_style, figures_of_run
from bphcoffea.results import RunFolder

#: Section of the report in which a figure stands.
Place: TypeAlias = Literal["limit", "fit", "cutflow", "distributions", "n-1"]

#: Parts of matplotlib's SVG that a page does not need: header, metadata, comments, sizes, and names
#: of groups.
_NEEDLESS: Final = re.compile(
    r"^.*?(?=<svg)|<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->"
    r"| xmlns(?::xlink)?=\"[^\"]*\"|(?<=<g) id=\"[^\"]*\"",
    re.DOTALL,
)
#: Shapes that figures use repeatedly, such as the letters of a font and the marks of an axis.
_SHAPE: Final = re.compile(r'<path id="([^"]*)"([^>]*)/>\s*')
_NO_SHAPES: Final = re.compile(r"<defs>\s*</defs>\s*")
_USED: Final = re.compile(r'(?<=href="#)[^"]*')
_STYLE: Final = re.compile(r' style="([^"]*)"')
_SIZE: Final = re.compile(r'<svg width="[^"]*" height="[^"]*"')
_ID: Final = re.compile(r'(?<=\bid=")|(?<=href="#)|(?<=url\(#)')
#: Numbers with more digits than a screen can show; those below 1 may be scales.
_LONG_NUMBER: Final = re.compile(r"(?<![\d.])([1-9]\d*\.\d)\d+")
_COLOR: Final = re.compile(r"#[0-9a-f]{6}\b")
#: Luminance [W3C, WCAG 2.2] below which a colour is mixed with white on a dark page.
_DARK: Final = 0.2


@dataclass(frozen=True)
class PageFigure:
    """Figure of a report.

    Attributes
    ----------
    anchor
        Identifier of the figure in the page.
    name
        Name, as that of the file which ``plot`` writes.
    place
        Section in which it stands.
    caption
        What it shows, in words.
    svg
        The figure; its identifiers are unique in the page.
    """

    anchor: str
    name: str
    place: Place
    caption: str
    svg: Markup

    def copy(self, of_run: str = "") -> PageFigure:
        """Return a copy that may stand in the same page, with the name of its run if given."""
        prefix = "copy-" if not of_run else "side-"
        caption = f"{of_run}: {self.caption}" if of_run else self.caption
        svg = Markup(_ID.sub(prefix, self.svg))  # noqa: S704 - changes identifiers only
        return replace(self, anchor=prefix + self.anchor, caption=caption, svg=svg)


def figures_for_page(
    run: RunFolder,
    prefix: str,
    *,
    unblind: bool,
    progress: Callable[[int, int], None],
) -> Iterator[PageFigure]:
    """Yield the figures of a run, without the data that it hides.

    Parameters
    ----------
    run
        Folder of a finished run.
    prefix
        Beginning of all identifiers.
    unblind
        Also draw the data that the analysis declares blind.
    progress
        Called with the number of drawn figures, and of histograms.
    """
    analysis = run.analysis
    is_fitted = run.place("fit.json").is_file()
    with cms_style():
        figures = figures_of_run(LabelledRun(run), FigureOptions(unblind=unblind))
        for number, (name, figure) in enumerate(figures):
            place, caption = _content(name, analysis, is_fitted=is_fitted)
            anchor = f"{prefix}figure-{number}"
            yield PageFigure(anchor, name, place, caption, inline_svg(figure, f"{anchor}-"))
            # a histogram may have several figures
            progress(number + 1, max(number + 1, len(analysis.histograms)))


def inline_svg(figure: Figure, prefix: str) -> Markup:
    """Return a figure as the SVG element of a page.

    Texts are paths, so that the figure looks the same everywhere. Black, grey and white become
    colours of the page, which may be dark.

    Parameters
    ----------
    figure
        The figure.
    prefix
        Beginning of its identifiers.
    """
    file = io.StringIO()
    arrange(figure)
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": prefix}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = _SIZE.sub("<svg", _NEEDLESS.sub("", file.getvalue()))
    text = _ID.sub(prefix, text.replace("xlink:href", "href"))
    text = _COLOR.sub(_color, _LONG_NUMBER.sub(r"\1", text))
    # matplotlib escapes all texts, and the comments with them are removed
    return Markup(re.sub(r"\n\s*", "\n", text))  # noqa: S704


def with_shared_parts(page: str) -> str:
    """Return a page whose figures share shapes, such as letters, and styles of lines.

    >>> figure = '<svg><defs><path id="{0}" d="M 0 0"/></defs><use href="#{0}"/></svg>'
    >>> page = f"<body>{figure.format('a')}{figure.format('b')}</body>"
    >>> with_shared_parts(page).count('<path id="s0" d="M 0 0"/>')
    1
    """
    names: dict[str, str] = {}
    shapes: dict[str, str] = {}

    def collect(match: re.Match[str]) -> str:
        names[match[1]] = shapes.setdefault(match[2], f"s{len(shapes)}")
        return ""

    styles: dict[str, str] = {}

    def classified(match: re.Match[str]) -> str:
        return f' class="{styles.setdefault(match[1], f"f{len(styles)}")}"'

    page = _STYLE.sub(classified, page)
    page = _NO_SHAPES.sub("", _SHAPE.sub(collect, page))
    page = _USED.sub(lambda match: names.get(match[0], match[0]), page)
    shared = "\n".join(f'<path id="{name}"{shape}/>' for shape, name in shapes.items())
    # not hidden: what a hidden element defines is not drawn by all browsers
    svg = f'<svg class="shapes" aria-hidden="true"><defs>\n{shared}\n</defs></svg>'
    rules = "\n".join(f".{name} {{ {style} }}" for style, name in styles.items())
    page = page.replace("</head>", f"<style>\n{rules}\n</style>\n</head>", 1)
    return page.replace("<body>", f"<body>\n{svg}", 1)


def _color(match: re.Match[str]) -> str:
    """Return a colour for any page: greys are mixtures of its colours, dark hues become lighter."""
    color = match[0]
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    if len(set(channels)) == 1:
        percent = round(100 * channels[0])
        if percent in (0, 100):
            return "var(--paper)" if percent else "currentColor"
        return f"color-mix(in srgb, var(--paper) {percent}%, var(--ink))"
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    if luminance >= _DARK:
        return color
    return f"light-dark({color}, color-mix(in srgb, {color} 65%, white))"


def _content(name: str, analysis: AnalysisRecord, *, is_fitted: bool) -> tuple[Place, str]:
    """Return the section of a figure, and what it shows."""
    if name.startswith("cutflow_"):
        group = name.removeprefix("cutflow_")
        return "cutflow", f"Cutflow of {group}: events and candidates that pass each cut"
    histogram = max(
        (h for h in analysis.histograms if name == h or name.startswith(f"{h}_")),
        key=len,
        default=None,
    )
    if histogram is None:
        return "limit", f"{name.replace('_', ' ').capitalize()}; the numbers are in the tables"
    record = analysis.histograms[histogram]
    variable = " against ".join((record.variable, *record.others))
    rest = name.removeprefix(histogram).strip("_").replace("_", " ")
    part = f" ({rest})" if rest and rest not in ("stack", "spectrum") else ""
    if record.n_minus_1 is not None:
        others = "all cuts but those on it"
        return "n-1", f"Distribution of {variable}{part} after {others}; lines mark the cut"
    fitted = is_fitted and analysis.fit is not None and histogram == analysis.fit.histogram
    if fitted and rest not in ("stack", "spectrum"):
        return "fit", f"Spectrum of {variable}{part}, with the fitted components and the pulls"
    kind = "stacked simulation and data" if rest == "stack" else "all selected events"
    return "distributions", f"Distribution of {variable}{part}: {kind}"
