"""Counting experiments as datacards of Combine, the tool of the CMS Higgs group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bphcoffea.statistics.counting import Channel


def datacard(channels: Sequence[Channel], normalisation: Mapping[str, float]) -> str:
    """Return the text of a datacard.

    The statistical uncertainty of a background is a ``gmN`` with the equivalent number of events.

    Parameters
    ----------
    channels
        The categories. Channels without an observed count have the expectation without signal.
    normalisation
        Relative uncertainties of the signal by name, common to all channels.
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
    for source in dict.fromkeys(name for channel in channels for name in channel.signal_shifts):
        shifts = [channel.signal_shifts.get(source, 0.0) for channel in channels]
        values = [
            value for shift in shifts for value in (f"{1 + shift:.5g}" if shift else "-", "-")
        ]
        rows.append([source, "lnN", *values])
    for index, channel in enumerate(channels):
        events, weight = sidebands[channel.name]
        signal, background = 2 * index, 2 * index + 1

        def add(
            source: str, kind: str, column: int, value: float, name: str = channel.name
        ) -> None:
            rows.append(_row(f"{source}_{name}", kind, column, len(both), value))

        if channel.signal_stat > 0:
            add("signal_stat", "lnN", signal, 1 + channel.signal_stat)
        if weight:
            add("background", f"gmN {events}", background, weight)
        if channel.background_shape > 0 and channel.background > 0:
            add("shape", "lnN", background, 1 + channel.background_shape / channel.background)
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
    """Return the number of events equivalent to a background's uncertainty, and their weight."""
    if channel.background_stat <= 0:
        return 0, 0.0
    events = round((channel.background / channel.background_stat) ** 2)
    if events == 0:
        return 0, channel.background_stat
    return events, channel.background / events


def _row(name: str, kind: str, column: int, length: int, value: float) -> list[str]:
    """Return a row with a value in one column."""
    columns = ["-"] * length
    columns[column] = f"{value:.5g}" if math.isfinite(value) else "-"
    return [name, kind, *columns]
