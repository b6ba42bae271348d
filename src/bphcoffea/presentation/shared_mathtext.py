"""Mathtext that all figures of a process share.

Parsing a formula takes longer than drawing it, and matplotlib forgets all of them with each figure.
"""

from __future__ import annotations

import functools
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties


def share_mathtext(canvas: FigureCanvasAgg) -> None:
    """Let a canvas use formulas that were parsed for other figures of the same style."""
    renderer = canvas.get_renderer()
    if not _parsers:
        _parsers.append(_Parser(renderer.mathtext_parser))
    renderer.mathtext_parser = _parsers[0]


class _Parser:
    """Parser that remembers many formulas."""

    def __init__(self, parser: Any) -> None:
        self._parse = functools.lru_cache(1000)(parser.parse)

    def parse(
        self,
        s: str,
        dpi: float = 72,
        prop: FontProperties | None = None,
        *,
        antialiased: bool | None = None,
    ) -> Any:
        # the properties may change later
        return self._parse(s, dpi, prop and prop.copy(), antialiased=antialiased)


#: The parser of this process, once there is one.
_parsers: list[_Parser] = []
