"""What an analysis makes of a part of a dataset, and how such parts add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import hist
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bphcoffea.results.cutflow import Cutflow
from bphcoffea.results.entries import Entries

#: Columns by which the candidates' table is sorted, so that it does not depend on the chunks.
SORT_KEYS = ("run", "lumi", "event", "mass")

_MOST_PARTS = 32


class Columns:
    """Columns of numbers that grow by concatenation.

    Parameters
    ----------
    columns
        Arrays of one length, by name.
    """

    def __init__(self, columns: dict[str, npt.NDArray[Any]]) -> None:
        self._parts = [columns]

    def __add__(self, other: Columns) -> Columns:
        total = Columns.__new__(Columns)
        total._parts = self._parts + other._parts
        if len(total._parts) > _MOST_PARTS:
            total._parts = [total.arrays()]
        return total

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The columns, whole."""
        return {
            name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]
        }

    def table(self) -> pa.Table:
        """The columns as a table, sorted by run, luminosity section, event and mass."""
        arrays = self.arrays()
        keys = [arrays[name] for name in SORT_KEYS if name in arrays]
        order = np.lexsort(keys[::-1]) if keys else slice(None)
        return pa.table({name: array[order] for name, array in arrays.items()})


@dataclass(frozen=True)
class DatasetResult:
    """Result of some entries of a dataset. Results of different entries add up.

    Adding results that share entries raises :class:`~bphcoffea.results.entries.OverlapError`.

    Attributes
    ----------
    entries
        The entries it was made of.
    events
        Events read.
    generator_sumw
        Sum of the generator's weights of these events, before any cut and any correction.
    lumis
        The luminosity sections they belong to, before any cut: rows of run and luminosity section,
        sorted, each once. Shape (sections, 2); empty where the input has no such numbers.
    cutflow
        Counts after each cut.
    histograms
        Distributions by name, with axes category, variation and that of the variable.
    candidates
        Best candidates, a row an event; None for an analysis that keeps no table.
    clamped
        For each weight, how many numbers of the selected candidates lay outside the bins of its
        correction and were given the nearest bin's value.
    notes
        Remarks for the user, with the number of selected candidates that each applies to.
    """

    entries: Entries
    events: int
    generator_sumw: float
    lumis: npt.NDArray[np.int64]
    cutflow: Cutflow
    histograms: dict[str, hist.Hist] = field(default_factory=dict)
    candidates: Columns | None = None
    clamped: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    def __add__(self, other: DatasetResult) -> DatasetResult:
        candidates = self.candidates
        if candidates is not None and other.candidates is not None:
            candidates = candidates + other.candidates
        return DatasetResult(
            self.entries + other.entries,
            self.events + other.events,
            self.generator_sumw + other.generator_sumw,
            np.unique(np.concatenate([self.lumis, other.lumis]), axis=0),
            self.cutflow + other.cutflow,
            {name: self.histograms[name] + other.histograms[name] for name in self.histograms},
            candidates,
            dict(Counter(self.clamped) + Counter(other.clamped)),
            dict(Counter(self.notes) + Counter(other.notes)),
        )
