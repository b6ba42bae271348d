"""Figures of cutflows: the events and candidates that each cut keeps."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bphcoffea.arrays import Floats
from bphcoffea.presentation import style
from bphcoffea.presentation.colors import BLUE, ORANGE
from bphcoffea.presentation.drawing import Drawing
from bphcoffea.presentation.hidden_data import left_out
from bphcoffea.presentation.labels import literal
from bphcoffea.presentation.style import figure_name
from bphcoffea.results import Datasets, RunFolder

#: Characters per line of a requirement; heights of a line, a bar and the smallest row, inches.
LINE, LINE_HEIGHT, BAR, ROW_HEIGHT = 48, 0.27, 0.3, 0.82
#: Fraction of the axis that the longest bar may fill; the numbers stand behind the bars.
FILLED = 0.7


def cutflow_figures(run: RunFolder, datasets: Datasets) -> Iterator[Drawing]:
    """Yield the cutflow of the data and of each simulated process.

    Parameters
    ----------
    run
        The run.
    datasets
        Datasets to draw.
    """
    analysis, cutflows = run.analysis, run.cutflow
    requirements = {cut.name: cut.requirements for cut in analysis.cuts}
    groups = {style.DATA.lower(): datasets.data, **datasets.by_process}
    for group, names in groups.items():
        # some cuts exist for some datasets only; cutflows with different steps have no sum
        by_steps: dict[tuple[str, ...], list[str]] = {}
        for name in names:
            if name in cutflows:
                steps = tuple(row["step"] for row in cutflows[name])
                by_steps.setdefault(steps, []).append(name)
        for number, alike in enumerate(by_steps.values(), start=1):
            samples = f"{style.brief(group)}: {len(alike)} datasets"
            if len(alike) == 1:
                samples = style.brief(literal(alike[0]))
            notes = () if datasets[alike[0]].is_mc else (left_out(run),)
            yield (
                figure_name("cutflow", group) + (f"_{number}" if number > 1 else ""),
                partial(
                    draw_cutflow,
                    summed([cutflows[name] for name in alike]),
                    style.Heading.of([datasets[name] for name in alike], notes),
                    requirements=requirements,
                    title=f"{analysis.title or analysis.name} – {samples}",
                ),
            )


def summed(cutflows: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return the sum of cutflows that have the same steps."""
    rows = []
    for same_step in zip(*cutflows, strict=True):
        counts = {key: sum(row[key] for row in same_step) for key in ("events", "candidates")}
        rows.append({"step": same_step[0]["step"], **counts})
    return rows


@style.cms_style()
def draw_cutflow(
    rows: Sequence[Mapping[str, Any]],
    heading: style.Heading,
    *,
    requirements: Mapping[str, Sequence[str]],
    title: str = "",
) -> Figure:
    """Draw a cutflow as bars, with the numbers and the efficiency of each step.

    Parameters
    ----------
    rows
        Steps in order, each with ``step``, ``events`` and ``candidates``.
    heading
        Heading above the axes.
    requirements
        Requirements of each step, in words.
    title
        Title above the names of the steps.
    """
    written = {row["step"]: _wrapped(requirements.get(row["step"], ())) for row in rows}
    heights = np.array(
        [max(ROW_HEIGHT, LINE_HEIGHT * (len(written[row["step"]]) + 1.8)) for row in rows]
    )
    tops = np.concatenate([[0.0], np.cumsum(heights)])
    middles = (tops[1:] + tops[:-1]) / 2
    height = float(tops[-1]) + 1.8
    figure = style.new_figure(17, height)
    figure.subplots_adjust(left=0.01, right=0.985, wspace=0.02)
    names, axes = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.35))
    names.set_axis_off()
    _draw_bars(axes, rows, middles)
    for row, top, middle in zip(rows, tops[:-1], middles, strict=True):
        lines = written[row["step"]]
        block = LINE_HEIGHT * (len(lines) + 1.3)
        y = middle - block / 2
        names.text(
            0.01, y, row["step"], va="top", fontsize=style.SMALL, weight="bold", parse_math=False
        )
        names.text(
            0.01,
            y + 1.25 * LINE_HEIGHT,
            "\n".join(lines),
            va="top",
            fontsize=style.TINY,
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
    # beside the axis, since no place between the bars is always free
    names.legend(
        handles, kinds, loc="upper left", bbox_to_anchor=(0, 0), ncols=2, fontsize=style.SMALL
    )
    heading.above(axes)
    if title:
        names.text(0.01, 1.01, title, transform=names.transAxes, va="bottom", fontsize=style.SMALL)
    return figure


def _draw_bars(axes: Axes, rows: Sequence[Mapping[str, Any]], middles: Floats) -> None:
    largest = max([max(row["events"], row["candidates"]) for row in rows], default=1)
    axes.set_xscale("log")
    axes.set_xlim(0.5, 0.5 * (2 * max(largest, 5)) ** (1 / FILLED))
    for kind, color, offset in (
        ("events", BLUE, -BAR / 2),
        ("candidates", ORANGE, BAR / 2),
    ):
        counts = [row[kind] for row in rows]
        axes.barh(middles + offset, counts, height=BAR, color=color, label=kind.capitalize())
        for index, count in enumerate(counts):
            before = counts[index - 1] if index else 0
            share = f"  ({_percent(count / before)})" if before else ""
            axes.text(
                max(count, 0.5) * 1.15,
                middles[index] + offset,
                style.grouped(count) + share,
                va="center",
                fontsize=style.TINY,
            )


def _percent(part: float) -> str:
    percent = 100 * part
    return "100%" if part == 1 else f"{percent:.3g}%" if percent < 99.95 else f"{percent:.4g}%"


def _wrapped(requirements: Sequence[str]) -> list[str]:
    return [line for text in requirements for line in textwrap.wrap(text, LINE)]
