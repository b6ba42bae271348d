"""Mathtext that all figures of a process share.

Parsing a formula takes longer than drawing it, and matplotlib forgets all of them with each figure.
"""

from __future__ import annotations

import copy
import functools
from typing import Any, Final

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties

#: Settings that the result depends on beside the properties of the text.
_SETTINGS: Final = (
    *("mathtext.fontset", "mathtext.default", "mathtext.rm", "mathtext.it", "mathtext.bf"),
    "text.hinting",
)


def share_mathtext(canvas: FigureCanvasAgg) -> None:
    """Let a canvas use formulas that were parsed for other figures of the same style."""
    renderer = canvas.get_renderer()
    if not _parsers:
        _parsers.append(_Parser(renderer.mathtext_parser))
    renderer.mathtext_parser = _parsers[0]


class _Parser:
    """Parser that remembers many formulas."""

    def __init__(self, parser: Any) -> None:
        @functools.lru_cache(1000)
        def parse(text: str, dpi: float, font: object, smooth: bool | None, _: object) -> Any:
            # the cache of the parser itself does not know the settings, and a copy has none
            return copy.copy(parser).parse(text, dpi, font, antialiased=smooth)

        self._parse = parse

    def parse(
        self,
        s: str,
        dpi: float = 72,
        prop: FontProperties | None = None,
        *,
        antialiased: bool | None = None,
    ) -> Any:
        fonts = tuple(mpl.rcParams[setting] for setting in _SETTINGS)
        # the properties may change later
        return self._parse(s, dpi, prop and prop.copy(), antialiased, fonts)


#: The parser of this process, once there is one.
_parsers: list[_Parser] = []
