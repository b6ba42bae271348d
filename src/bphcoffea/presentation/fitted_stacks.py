"""Figures of the data of a channel and the stack of its samples, before and after a fit."""

from __future__ import annotations

from collections.abc import Sequence

import hist
import numpy as np
from matplotlib.figure import Figure

from bphcoffea.arrays import Floats
from bphcoffea.presentation.colors import WIDE_PALETTE, palette
from bphcoffea.presentation.labels import literal
from bphcoffea.presentation.ratio import draw_band, draw_ratio
from bphcoffea.presentation.style import (
    SMALL,
    TINY,
    Heading,
    new_figure,
    panels,
    points,
    scale_counts,
)
from bphcoffea.statistics import TemplateAxis
from bphcoffea.statistics.inference import ChannelYields

#: Samples beyond this number are drawn as one.
MOST = len(WIDE_PALETTE)
#: Ratio of the contents of bins beyond which the axis is logarithmic.
LOGARITHMIC = 500.0


def channel_figure(
    entry: ChannelYields, heading: Heading, axis: TemplateAxis | None = None
) -> Figure:
    """Draw the samples of a channel as a stack with its uncertainty, data, and their ratio.

    Data are left out if they are blinded.

    Parameters
    ----------
    entry
        The channel.
    heading
        Text above the figure.
    axis
        Variable and edges of the bins; without it, the horizontal axis shows the numbers of the
        bins, since a workspace has no edges.
    """
    size = len(entry.bin_totals)
    if axis is not None and len(axis.edges) != size + 1:
        axis = None
    edges: Floats = np.linspace(0.5, size + 0.5, size + 1) if axis is None else np.array(axis.edges)
    total: Floats = np.array(entry.bin_totals)
    errors: Floats = np.array(entry.bin_errors)
    figure = new_figure(10, 10 if entry.data is not None else 8)
    top, bottom = panels(figure, 1 if entry.data is None else 2)
    base = np.zeros(size)
    samples = _merged(entry)
    colors = palette(len(samples))
    for (name, contents), color in zip(samples, colors, strict=False):
        upper = base + contents
        top.stairs(upper, edges, baseline=base, fill=True, color=color, label=literal(name))
        base = upper
    draw_band(top, total, (errors, errors), edges).set_label("Uncertainty")
    highest = float(np.max(total + errors, initial=0.0))
    if entry.data is not None:
        histogram = hist.Hist(hist.axis.Variable(edges), storage=hist.storage.Double())
        histogram.values()[:] = entry.data
        highest = max(highest, points(top, histogram, "Data"))
        draw_ratio(bottom, histogram, total, (errors, errors), edges, ())
        bottom.set_ylabel("Data / fit", loc="center")
    filled = total[total > 0]
    log = len(filled) > 1 and float(np.max(filled) / np.min(filled)) > LOGARITHMIC
    scale_counts(top, highest, log=log, headroom=0.3)
    top.set_ylabel("Events / bin")
    top.legend(loc="upper right", ncols=2 if len(samples) > 2 else 1, fontsize=TINY, reverse=True)
    bottom.set_xlim(edges[0], edges[-1])
    if axis is None:
        bottom.set_xlabel("Bin", fontsize=SMALL + 4)
        bottom.set_xticks(np.arange(1, size + 1, max(1, round(size / 10))))
        bottom.xaxis.minorticks_off()
    else:
        bottom.set_xlabel(literal(axis.label), fontsize=SMALL + 4)
    heading.above(top)
    return figure


def _merged(entry: ChannelYields) -> Sequence[tuple[str, Floats]]:
    """Return the samples with their contents, smallest first; the smallest of too many as one."""
    by_name: dict[str, Floats] = {}
    for name, contents in zip(entry.samples, entry.bins, strict=True):
        # samples that stand for bins, such as background_0 and background_1, are one process
        stem, _, number = name.rpartition("_")
        key = stem if number.isdigit() and stem else name
        by_name[key] = by_name.get(key, np.zeros(len(contents))) + np.array(contents)
    ordered = sorted(by_name.items(), key=lambda item: float(np.sum(item[1])))
    extra = len(ordered) - MOST + 1
    if extra > 1:
        rest = np.sum([contents for _, contents in ordered[:extra]], axis=0)
        ordered = [(f"{extra} others", rest), *ordered[extra:]]
    return ordered
