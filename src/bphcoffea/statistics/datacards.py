"""Datacards of Combine, the tool of the CMS Higgs group, for counts and for mass spectra.

Cards of mass spectra describe the model of `mass_workspace` with templates in a ROOT file. Yields
of backgrounds are `rateParam`, which Combine does not constrain. Slope and choice of the shape are
`shapeN`, which interpolates the logarithm of a template, so that an exponential remains one;
Combine allows one interpolation per process. `shapeU` would be uniform between the two templates
only, and not exponential. As in the workspace, the unit of a slope is so large that its constraint
does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import uproot

from bphcoffea.arrays import Floats
from bphcoffea.statistics.counting import Channel, SignalChannel, background_of
from bphcoffea.statistics.shape_workspace import MassChannel

SIGNAL, BACKGROUND, DATA = "signal", "background", "data_obs"
_RULE = "-" * 20


@dataclass(frozen=True)
class Column:
    """Column of a datacard: a process in a channel.

    Attributes
    ----------
    bin
        Name of the channel in the card.
    process
        Name of the process.
    number
        Number of the process: at most 0 for a signal, and positive for a background.
    rate
        Text of the expected events.
    """

    bin: str
    process: str
    number: int
    rate: str


class Card:
    """Table of a datacard, with a column per process and channel.

    Parameters
    ----------
    observed
        Text of the observed counts by the name of the channel.
    columns
        The columns.
    digits, width
        Significant digits of uncertainties, and width of a column.
    """

    def __init__(
        self, observed: Mapping[str, str], columns: Sequence[Column], digits: int, width: int
    ) -> None:
        self.bins, self.columns, self.digits, self.width = observed, columns, digits, width
        self.rows: list[list[str]] = [
            ["bin", "", *observed],
            ["observation", "", *observed.values()],
            [],
            ["bin", "", *(column.bin for column in columns)],
            ["process", "", *(column.process for column in columns)],
            ["process", "", *(str(column.number) for column in columns)],
            ["rate", "", *(column.rate for column in columns)],
            [],
        ]

    def add(
        self, source: str, kind: str, values: Mapping[int, float | tuple[float, float]]
    ) -> None:
        """Add a source of uncertainty with its values by column, or pairs of them: down, up."""
        cells = ["-"] * len(self.columns)
        for index, value in values.items():
            pair = value if isinstance(value, tuple) else (value,)
            cells[index] = "/".join(f"{number:.{self.digits}g}" for number in pair)
        self.rows.append([source, kind, *cells])

    def text(self, *head: str) -> str:
        """Return the text of the card, with further lines at its head."""
        widths = [max(len(row[column]) for row in self.rows if row) for column in (0, 1)]
        processes = len({column.process for column in self.columns})
        lines = [f"imax {len(self.bins)}", f"jmax {processes - 1}", "kmax *", _RULE, *head]
        for row in self.rows:
            names = f"{row[0]:<{widths[0]}} {row[1]:<{widths[1]}} " if row else _RULE
            lines.append(names + " ".join(f"{cell:>{self.width}}" for cell in row[2:]))
        return "\n".join(lines) + "\n"


def _card(
    channels: Sequence[SignalChannel],
    normalisation: Mapping[str, float],
    bins: Sequence[str],
    observed: Sequence[str],
    rates: Sequence[str],
    digits: int,
    width: int,
    sidebands: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> Card:
    """Return a card with signal and background in each channel, and the sources of the signal.

    `sidebands` are bins with the background alone: their observed and expected events.
    """
    columns = [
        Column(bin_, process, number, rates[2 * i + number])
        for i, bin_ in enumerate(bins)
        for number, process in enumerate((SIGNAL, BACKGROUND))
    ]
    columns += [Column(bin_, BACKGROUND, 1, rate) for bin_, (_, rate) in sidebands.items()]
    counts = dict(zip(bins, observed, strict=True))
    counts |= {bin_: seen for bin_, (seen, _) in sidebands.items()}
    card = Card(counts, columns, digits, width)
    for name, relative in normalisation.items():
        card.add(name, "lnN", {2 * i: 1 + relative for i in range(len(bins))})
    for source in dict.fromkeys(name for channel in channels for name in channel.signal_shifts):
        shifts = [channel.signal_shifts.get(source, 0.0) for channel in channels]
        card.add(source, "lnN", {2 * i: 1 + shift for i, shift in enumerate(shifts) if shift})
    return card


def write_datacard(
    channels: Sequence[Channel], normalisation: Mapping[str, float], path: Path, *, comment: str
) -> None:
    """Write a datacard of counts; for the parameters see :func:`datacard`."""
    path.write_text(datacard(channels, normalisation, comment), encoding="utf-8")


def datacard(
    channels: Sequence[Channel], normalisation: Mapping[str, float], comment: str = ""
) -> str:
    """Return the text of a datacard of counts.

    As in a workspace, a bin ``<name>_sidebands`` counts the events from which a background is
    predicted, and a ``rateParam`` multiplies the background in both. A ``gmN`` would state this for
    whole numbers of events alone.

    Parameters
    ----------
    channels
        The categories. Channels without an observed count have the expectation without signal.
    normalisation
        Relative uncertainties of the signal by name, common to all channels.
    comment
        Line at the head of the card.
    """
    observed, rates, sidebands, factors = [], [], {}, ""
    backgrounds = [background_of(channel) for channel in channels]
    for channel, known in zip(channels, backgrounds, strict=True):
        count = float(channel.background if channel.observed is None else channel.observed)
        observed.append(f"{count:.10g}")
        rates += [f"{channel.signal:.10g}", f"{known.events:.10g}"]
        if known.sidebands is not None:
            bin_ = f"{channel.name}_sidebands"
            sidebands[bin_] = f"{known.seen:.10g}", f"{known.sidebands:.10g}"
            limits = f"[0,{known.highest(count):.6g}]"
            for name in (channel.name, bin_):
                factors += f"{known.factor} rateParam {name} {BACKGROUND} 1 {limits}\n"
    names = [channel.name for channel in channels]
    card = _card(channels, normalisation, names, observed, rates, 8, 14, sidebands)
    for i, (channel, known) in enumerate(zip(channels, backgrounds, strict=True)):
        if channel.signal > 0 and channel.signal_stat > 0:
            card.add(f"signal_statistics_{channel.name}", "lnN", {2 * i: 1 + channel.signal_stat})
        for source, size in known.relative.items():
            card.add(source, "lnN", {2 * i + 1: 1 + size})
    return card.text(*([f"# {comment}", _RULE] if comment else [])) + factors


def write_shape_datacard(channels: Sequence[MassChannel], path: Path) -> None:
    """Write a datacard of mass spectra, and beside it the ROOT file of its templates.

    Parameters
    ----------
    channels
        The categories. Channels without observed counts have the expectation without signal.
    path
        File of the text; that of the templates has the extension ``.root``.
    """
    templates = path.with_suffix(".root")
    # in a card, names must not begin with a digit
    bins = [f"category_{c.name}" if c.name[0].isdigit() else c.name for c in channels]
    contents = [_histograms(channel) for channel in channels]
    with uproot.recreate(templates) as file:
        for bin_, channel, of_channel in zip(bins, channels, contents, strict=True):
            for name, values in of_channel.items():
                file[f"{bin_}/{name}"] = values, np.array(channel.edges)
    observed, rates = (
        [f"{np.sum(of_channel[name]):.10g}" for of_channel in contents for name in names]
        for names in ((DATA,), (SIGNAL, BACKGROUND))
    )
    card = card_of_spectra(channels, bins, observed, rates)
    for i, channel in enumerate(channels):
        for name in channel.signal_variations():
            card.add(name, "shape", {2 * i: 1.0})
        for name in channel.background_factors():
            card.add(name, "shapeN", {2 * i + 1: 1.0})
    pattern = "$CHANNEL/$PROCESS $CHANNEL/$PROCESS_$SYSTEMATIC"
    text = card.text(f"shapes * * {templates.name} {pattern}", _RULE)
    for bin_, channel in zip(bins, channels, strict=True):
        text += f"background_{channel.name} rateParam {bin_} {BACKGROUND} 1 [0,10]\n"
    path.write_text(text, encoding="utf-8")


def card_of_spectra(
    channels: Sequence[MassChannel],
    bins: Sequence[str],
    observed: Sequence[str],
    rates: Sequence[str],
) -> Card:
    """Return the card of mass spectra with the uncertainties of yields.

    Parameters
    ----------
    channels
        The categories.
    bins, observed
        Their names and observed events in the card.
    rates
        Expected events of signal and background of each.
    """
    card = _card(channels, {}, bins, observed, rates, digits=6, width=16)
    for i, channel in enumerate(channels):
        if channel.signal_stat > 0:
            name = f"signal_statistics_{channel.name}"
            card.add(name, "lnN", {2 * i: 1 + channel.signal_stat})
    return card


def _histograms(channel: MassChannel) -> dict[str, Floats]:
    """Return the templates of a channel by name: data, processes and their variations.

    All variations of the background have the same yield, which is a free parameter.
    """
    background = channel.expected_background()
    observed = background if channel.observed is None else np.array(channel.observed, dtype=float)
    contents = {DATA: observed, SIGNAL: channel.expected_signal(), BACKGROUND: background}
    for name, (up, down) in channel.signal_variations().items():
        contents[f"{SIGNAL}_{name}Up"], contents[f"{SIGNAL}_{name}Down"] = up, down
    for name, factors in channel.background_factors().items():
        for direction, shape in (("Up", background * factors), ("Down", background / factors)):
            scale = np.sum(background) / np.sum(shape)
            contents[f"{BACKGROUND}_{name}{direction}"] = shape * scale
    return contents
