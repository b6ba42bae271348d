"""How many events and candidates each cut keeps."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bphcoffea.presentation.style import (
    BLUE,
    ORANGE,
    SMALL,
    TINY,
    Heading,
    cms_style,
    grouped,
    new_figure,
)

#: Characters of a requirement in one line; heights of a line and of the smallest row, inches.
LINE, LINE_HEIGHT, ROW_HEIGHT = 48, 0.27, 0.82
#: Part of the bars' axis that the longest bar may fill: the numbers stand behind it.
FILLED = 0.7
BAR = 0.3


def summed(cutflows: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Sum cutflows that have the same steps."""
    rows = []
    for same in zip(*cutflows, strict=True):
        counts = {key: sum(row[key] for row in same) for key in ("events", "candidates", "sumw")}
        rows.append({"step": same[0]["step"], **counts})
    return rows


@cms_style()
def draw_cutflow(
    rows: Sequence[Mapping[str, Any]],
    heading: Heading,
    *,
    requirements: Mapping[str, Sequence[str]],
    title: str = "",
) -> Figure:
    """Draw a cutflow as bars, with the numbers and the efficiency of each step.

    Parameters
    ----------
    rows
        Steps in order: ``step``, ``events``, ``candidates``.
    heading
        What stands above the axes.
    requirements
        What each step requires, in words.
    title
        Which datasets these are.
    """
    written = {row["step"]: _wrapped(requirements.get(row["step"], ())) for row in rows}
    heights = np.array(
        [max(ROW_HEIGHT, LINE_HEIGHT * (len(written[row["step"]]) + 1.8)) for row in rows]
    )
    tops = np.concatenate([[0.0], np.cumsum(heights)])
    middles = (tops[1:] + tops[:-1]) / 2
    figure = new_figure(17, tops[-1] + 1.8)
    names, axes = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.35))
    names.set_axis_off()
    _draw_bars(axes, rows, middles)
    for row, top, middle in zip(rows, tops[:-1], middles, strict=True):
        lines = written[row["step"]]
        block = LINE_HEIGHT * (len(lines) + 1.3)
        y = middle - block / 2
        names.text(0.01, y, row["step"], va="top", fontsize=SMALL, weight="bold", parse_math=False)
        names.text(
            0.01,
            y + 1.25 * LINE_HEIGHT,
            "\n".join(lines),
            va="top",
            fontsize=TINY,
            color="0.35",
            parse_math=False,
        )
        for panel in (names, axes):
            if top > 0:
                panel.axhline(top, color="0.88", linewidth=1, zorder=0)
    axes.set_ylim(tops[-1], 0)
    names.set_xlim(0, 1)
    axes.set_yticks([])
    axes.set_xlabel("Events, candidates")
    handles, kinds = axes.get_legend_handles_labels()
    # beside the axis: between the bars there is no place that is always free
    names.legend(handles, kinds, loc="upper left", bbox_to_anchor=(0, 0), ncols=2, fontsize=SMALL)
    heading.above(axes)
    if title:
        names.text(0.01, 1.01, title, transform=names.transAxes, va="bottom", fontsize=SMALL)
    return figure


def _draw_bars(axes: Axes, rows: Sequence[Mapping[str, Any]], middles: Any) -> None:
    largest = max([max(row["events"], row["candidates"]) for row in rows], default=1)
    axes.set_xscale("log")
    axes.set_xlim(0.5, 0.5 * (2 * max(largest, 5)) ** (1 / FILLED))
    series = (("events", BLUE, -BAR / 2), ("candidates", ORANGE, BAR / 2))
    for kind, color, offset in series:
        counts = [row[kind] for row in rows]
        axes.barh(middles + offset, counts, height=BAR, color=color, label=kind.capitalize())
        for index, count in enumerate(counts):
            before = counts[index - 1] if index else 0
            share = f"  ({_percent(count / before)})" if before else ""
            axes.text(
                max(count, 0.5) * 1.15,
                middles[index] + offset,
                grouped(count) + share,
                va="center",
                fontsize=TINY,
            )


def _percent(part: float) -> str:
    percent = 100 * part
    return "100%" if part == 1 else f"{percent:.3g}%" if percent < 99.95 else f"{percent:.4g}%"


def _wrapped(requirements: Sequence[str]) -> list[str]:
    return [line for text in requirements for line in textwrap.wrap(text, LINE)]
