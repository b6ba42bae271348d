"""Canvas whose figures share what matplotlib would find out again for each of them.

Parsing a formula takes longer than drawing it, and so does measuring a text.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from typing_extensions import override

#: Settings that texts depend on beside their properties.
_SETTINGS: Final = (
    *("mathtext.fontset", "mathtext.default", "mathtext.rm", "mathtext.it", "mathtext.bf"),
    *("font.sans-serif", "text.hinting", "text.kerning_factor"),
)
#: Sizes of figures whose renderers are kept, 4 MB each.
_SIZES: Final = 4


class Canvas(FigureCanvasAgg):  # type: ignore[misc]
    """Canvas that draws on the renderer of all figures of its size.

    Matplotlib keeps the measured texts and the parsed formulas of a renderer. The pixels of a
    figure stay until the next one is drawn.
    """

    @override
    def get_renderer(self) -> RendererAgg:
        width, height = self.get_width_height(physical=True)
        self.renderer = _renderer(width, height, self.figure.dpi, _settings())
        return self.renderer


def _settings() -> tuple[str, ...]:
    return tuple(str(mpl.rcParams[setting]) for setting in _SETTINGS)


@functools.lru_cache(_SIZES)
def _renderer(width: float, height: float, dpi: float, settings: tuple[str, ...]) -> RendererAgg:
    renderer = RendererAgg(width, height, dpi)
    renderer.mathtext_parser = _Parser(settings)
    return renderer


class _Parser:
    """Parser that remembers many formulas, where that of matplotlib remembers fifty."""

    def __init__(self, settings: tuple[str, ...]) -> None:
        self._settings = settings

    def parse(
        self,
        s: str,
        dpi: float = 72,
        prop: FontProperties | None = None,
        *,
        antialiased: bool | None = None,  # noqa: ARG002 - glyphs and their places are the same
    ) -> Any:
        # the properties may change later
        return _parsed(s, dpi, prop and prop.copy(), self._settings)


@functools.lru_cache(1000)
def _parsed(text: str, dpi: float, font: FontProperties | None, _: tuple[str, ...]) -> Any:
    # the cache of a parser does not know the settings, and a new one has none
    return MathTextParser("path").parse(text, dpi, font)
