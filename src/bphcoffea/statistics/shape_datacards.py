"""Mass spectra as datacards of Combine, with templates in a ROOT file.

The card describes the model of `mass_workspace`. Yields of backgrounds are `rateParam`, which
Combine does not constrain. Slope and choice of the shape are `shapeN`, which interpolates the
logarithm of a template, so that an exponential remains one; Combine allows one interpolation per
process. `shapeU` would be uniform between the two templates only, and not exponential. As in the
workspace, the unit of a slope is so large that its constraint does not matter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import uproot

from bphcoffea.arrays import Floats
from bphcoffea.statistics.shape_workspace import MassChannel

SIGNAL, BACKGROUND, DATA = "signal", "background", "data_obs"


def write_shape_datacard(
    channels: Sequence[MassChannel],
    normalisation: Mapping[str, float],
    card: Path,
    templates: Path,
) -> None:
    """Write a datacard and the ROOT file of its templates.

    Parameters
    ----------
    channels
        The categories. Channels without observed counts have the expectation without signal.
    normalisation
        Relative uncertainties of the signal by name, common to all channels.
    card, templates
        Files of the text and the histograms; the card has the relative path of the latter.
    """
    with uproot.recreate(templates) as file:
        for channel in channels:
            for name, contents in histograms(channel).items():
                file[f"{bin_name(channel)}/{name}"] = contents, np.array(channel.edges)
    relative = os.path.relpath(templates, card.parent)
    card.write_text(shape_datacard(channels, normalisation, relative), encoding="utf-8")


def bin_name(channel: MassChannel) -> str:
    """Return the name of a channel in a card, where it must not begin with a digit."""
    return f"category_{channel.name}" if channel.name[0].isdigit() else channel.name


def histograms(channel: MassChannel) -> dict[str, Floats]:
    """Return the templates of a channel by name: data, processes and their variations.

    All variations of the background have the same yield, which is a free parameter.
    """
    background = channel.expected_background()
    observed = background if channel.observed is None else np.array(channel.observed, dtype=float)
    contents = {
        DATA: observed,
        SIGNAL: channel.expected_signal(),
        BACKGROUND: background,
    }
    for name, (up, down) in channel.signal_variations().items():
        contents[f"{SIGNAL}_{name}Up"], contents[f"{SIGNAL}_{name}Down"] = up, down
    for name, factors in channel.background_factors().items():
        for direction, shape in (("Up", background * factors), ("Down", background / factors)):
            scale = np.sum(background) / np.sum(shape)
            contents[f"{BACKGROUND}_{name}{direction}"] = shape * scale
    return contents


def shape_datacard(
    channels: Sequence[MassChannel], normalisation: Mapping[str, float], templates: str
) -> str:
    """Return the text of the datacard.

    Parameters
    ----------
    channels, normalisation
        See :func:`write_shape_datacard`.
    templates
        Path of the file of the histograms, relative to the card.
    """
    both = [channel for channel in channels for _ in range(2)]
    contents = [histograms(channel) for channel in channels]
    rates = [
        f"{np.sum(templates_of[process]):.10g}"
        for templates_of in contents
        for process in (SIGNAL, BACKGROUND)
    ]
    rows = [
        ["bin", "", *(bin_name(channel) for channel in channels)],
        ["observation", "", *(f"{np.sum(templates_of[DATA]):.10g}" for templates_of in contents)],
        [],
        ["bin", "", *(bin_name(channel) for channel in both)],
        ["process", "", *([SIGNAL, BACKGROUND] * len(channels))],
        ["process", "", *(["0", "1"] * len(channels))],
        ["rate", "", *rates],
        [],
    ]

    def row(name: str, kind: str, values: Mapping[int, float]) -> None:
        """Add a source with its values by column; there are two columns per channel."""
        columns = [f"{values[i]:.6g}" if i in values else "-" for i in range(len(both))]
        rows.append([name, kind, *columns])

    for name, relative in normalisation.items():
        row(name, "lnN", {2 * i: 1 + relative for i in range(len(channels))})
    for source in dict.fromkeys(name for channel in channels for name in channel.signal_shifts):
        shifts = [channel.signal_shifts.get(source, 0.0) for channel in channels]
        row(source, "lnN", {2 * i: 1 + shift for i, shift in enumerate(shifts) if shift})
    for i, channel in enumerate(channels):
        if channel.signal_stat > 0:
            row(f"signal_statistics_{channel.name}", "lnN", {2 * i: 1 + channel.signal_stat})
        for name in channel.signal_variations():
            row(name, "shape", {2 * i: 1.0})
        for name in channel.background_factors():
            row(name, "shapeN", {2 * i + 1: 1.0})
    widths = [max(len(cells[column]) for cells in rows if cells) for column in (0, 1)]
    lines = [
        f"imax {len(channels)}",
        "jmax 1",
        "kmax *",
        "-" * 20,
        f"shapes * * {templates} $CHANNEL/$PROCESS $CHANNEL/$PROCESS_$SYSTEMATIC",
        "-" * 20,
    ]
    for cells in rows:
        names = f"{cells[0]:<{widths[0]}} {cells[1]:<{widths[1]}} " if cells else "-" * 20
        lines.append(names + " ".join(f"{value:>16}" for value in cells[2:]))
    lines += [
        f"background_{channel.name} rateParam {bin_name(channel)} {BACKGROUND} 1 [0,10]"
        for channel in channels
    ]
    return "\n".join(lines) + "\n"
