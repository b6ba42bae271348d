"""Expected events by channel and sample, with their uncertainties, before and after a fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bphcoffea.arrays import Floats, Integers
from bphcoffea.rounding import with_error
from bphcoffea.statistics.inference.likelihood_fit import Fit
from bphcoffea.statistics.inference.workspace_model import WorkspaceModel
from bphcoffea.statistics.records import Record

#: Name of the sum of all samples, and of the observed events.
TOTAL, OBSERVED = "total", "data"


@dataclass(frozen=True)
class ChannelYields(Record):
    """Events of one channel.

    Attributes
    ----------
    channel
        Name of the channel.
    samples
        Names of the samples.
    events, errors
        Expected events of each sample, and their uncertainties.
    total, total_error
        Sum of the samples, and its uncertainty with all correlations.
    bins, bin_totals, bin_errors
        Expected events of each sample in each bin, shape (samples, bins); their sums, and the
        uncertainties of these.
    data
        Observed events in each bin; None if blinded.
    """

    channel: str
    samples: tuple[str, ...]
    events: tuple[float, ...]
    errors: tuple[float, ...]
    total: float
    total_error: float
    bins: tuple[tuple[float, ...], ...]
    bin_totals: tuple[float, ...]
    bin_errors: tuple[float, ...]
    data: tuple[float, ...] | None


@dataclass(frozen=True)
class Yields(Record):
    """Events of all channels.

    Attributes
    ----------
    stage
        ``pre-fit`` or ``post-fit``.
    channels
        The channels, in alphabetical order.
    """

    stage: str
    channels: tuple[ChannelYields, ...]

    def __getitem__(self, channel: str) -> ChannelYields:
        for entry in self.channels:
            if entry.channel == channel:
                return entry
        raise KeyError(channel)

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table as text: a heading, a row per sample, the total, and the data."""
        names = [name for entry in self.channels for name in entry.samples]
        samples = list(dict.fromkeys(names))
        rows = [(self.stage, *(entry.channel for entry in self.channels))]
        rows += [(name, *(_of_sample(entry, name) for entry in self.channels)) for name in samples]
        totals = (with_error(entry.total, entry.total_error) for entry in self.channels)
        rows.append((TOTAL, *totals))
        if any(entry.data is not None for entry in self.channels):
            rows.append((OBSERVED, *(_observed(entry) for entry in self.channels)))
        return rows

    def as_latex(self) -> str:
        r"""Return the table as a LaTeX ``tabular``."""
        heading, *rows = self.rows()
        lines = [rf"\begin{{tabular}}{{l{'r' * (len(heading) - 1)}}}", r"\hline"]
        lines += [_latex(heading), r"\hline"]
        for row in rows:
            if row[0] == TOTAL:
                lines.append(r"\hline")
            lines.append(_latex(row))
        return "\n".join([*lines, r"\hline", r"\end{tabular}", ""])


def yields(model: WorkspaceModel, result: Fit | None = None) -> Yields:
    """Return the expected events before a fit, or after it.

    Uncertainties are propagated linearly with the covariance of the parameters. Before a fit, that
    is diagonal, and parameters without constraint have no uncertainty.

    Parameters
    ----------
    model
        The model.
    result
        Fit of the model; None for the expectation before a fit.
    """
    parameters = model.pdf.config.parameters
    if result is None:
        at = model.initial
        free = [p.fixed or p.constraint == "free" for p in parameters]
        widths = np.where(free, 0.0, [p.width for p in parameters])
        covariance = np.diag(widths**2)
    else:
        scales = model.scales
        at = result.values() / scales
        covariance = result.covariance() / np.outer(scales, scales)
    cells = model.pdf.cells
    channel_of_bin = np.repeat(np.arange(len(cells.channels)), list(cells.channels.values()))
    rows_number, channels, bins_number = len(cells.rows), len(cells.channels), model.pdf.bins

    def summed(group: Integers, groups: int) -> tuple[Floats, Floats]:
        sums, slopes = model.pdf.sums(at, group, groups)
        variances = np.sum((slopes @ covariance) * slopes, axis=1)
        return sums, np.sqrt(np.maximum(variances, 0.0))

    events, errors = summed(cells.row, rows_number)
    totals, total_errors = summed(channel_of_bin[cells.bin], channels)
    in_bins, bin_errors = summed(cells.bin, bins_number)
    table = np.zeros((rows_number, bins_number))
    table[cells.row, cells.bin] = model.pdf.rates(at)
    first, entries = 0, []
    for place, (channel, size) in enumerate(cells.channels.items()):
        rows = [i for i, (name, _) in enumerate(cells.rows) if name == channel]
        bins = slice(first, first + size)
        first += size
        entries.append(
            ChannelYields(
                channel,
                tuple(cells.rows[i][1] for i in rows),
                tuple(events[rows].tolist()),
                tuple(errors[rows].tolist()),
                float(totals[place]),
                float(total_errors[place]),
                tuple(tuple(row) for row in table[rows, bins].tolist()),
                tuple(in_bins[bins].tolist()),
                tuple(bin_errors[bins].tolist()),
                None if model.blinded else tuple(model.data[bins].tolist()),
            )
        )
    return Yields("pre-fit" if result is None else "post-fit", tuple(entries))


def _of_sample(entry: ChannelYields, name: str) -> str:
    if name not in entry.samples:
        return "–"
    place = entry.samples.index(name)
    return with_error(entry.events[place], entry.errors[place])


def _observed(entry: ChannelYields) -> str:
    return "–" if entry.data is None else f"{sum(entry.data):g}"


def _latex(row: Sequence[str]) -> str:
    escaped = (text.replace("_", r"\_").replace("±", r"$\pm$").replace("–", "--") for text in row)
    return " & ".join(escaped) + r" \\"
