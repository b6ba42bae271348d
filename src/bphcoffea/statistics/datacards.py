"""Counting experiments as datacards of Combine, the tool of the CMS Higgs group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bphcoffea.statistics.counting import Channel


def datacard(channels: Sequence[Channel], normalisation: Mapping[str, float]) -> str:
    """Write a datacard.

    Parameters
    ----------
    channels
        The categories. Where one has no observed count, what is expected without signal stands
        there.
    normalisation
        Relative uncertainties of the signal by name, common to all channels.

    Returns
    -------
    The text of the card. What sidebands leave unknown of a background is a ``gmN`` of as many
    events as its uncertainty stands for.
    """
    observed = [
        channel.background if channel.observed is None else float(channel.observed)
        for channel in channels
    ]
    both = [channel for channel in channels for _ in range(2)]
    rows: list[list[str]] = [
        ["bin", "", *(channel.name for channel in channels)],
        ["observation", "", *(f"{count:g}" for count in observed)],
        ["-"],
        ["bin", "", *(channel.name for channel in both)],
        ["process", "", *(["signal", "background"] * len(channels))],
        ["process", "", *(["0", "1"] * len(channels))],
    ]
    sidebands = {channel.name: _sidebands(channel) for channel in channels}
    rates = []
    for channel in channels:
        events, weight = sidebands[channel.name]
        background = events * weight if weight else channel.background
        rates += [f"{channel.signal:.6g}", f"{background:.6g}"]
    rows += [["rate", "", *rates], ["-"]]
    for name, relative in normalisation.items():
        rows.append([name, "lnN", *([f"{1 + relative:.5g}", "-"] * len(channels))])
    for source in dict.fromkeys(name for one in channels for name in one.signal_shifts):
        shifts = [channel.signal_shifts.get(source, 0.0) for channel in channels]
        values = [
            value for shift in shifts for value in (f"{1 + shift:.5g}" if shift else "-", "-")
        ]
        rows.append([source, "lnN", *values])
    for index, channel in enumerate(channels):
        events, weight = sidebands[channel.name]
        signal, background = 2 * index, 2 * index + 1

        def of(what: str, kind: str, position: int, value: float, name: str = channel.name) -> None:
            rows.append(_one(f"{what}_{name}", kind, position, len(both), value))

        if channel.signal_stat > 0:
            of("signal_stat", "lnN", signal, 1 + channel.signal_stat)
        if weight:
            of("background", f"gmN {events}", background, weight)
        if channel.background_shape > 0 and channel.background > 0:
            of("shape", "lnN", background, 1 + channel.background_shape / channel.background)
    head = [f"imax {len(channels)}", "jmax 1", "kmax *", "-" * 20]
    widths = [max(len(row[column]) for row in rows if len(row) > 1) for column in (0, 1)]
    lines = [
        "-" * 20
        if row == ["-"]
        else f"{row[0]:<{widths[0]}} {row[1]:<{widths[1]}} " + " ".join(f"{x:>14}" for x in row[2:])
        for row in rows
    ]
    return "\n".join([*head, *lines]) + "\n"


def _sidebands(channel: Channel) -> tuple[int, float]:
    """Events that the background's uncertainty stands for, and the weight of each."""
    if channel.background_stat <= 0:
        return 0, 0.0
    events = round((channel.background / channel.background_stat) ** 2)
    if events == 0:
        return 0, channel.background_stat
    return events, channel.background / events


def _one(name: str, kind: str, position: int, length: int, value: float) -> list[str]:
    """A row with a value in one column alone."""
    columns = ["-"] * length
    columns[position] = f"{value:.5g}" if math.isfinite(value) else "-"
    return [name, kind, *columns]
