"""Histogram of a run, with the texts and the hidden ranges of its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import hist

from bphcoffea.analysis import HistogramRecord
from bphcoffea.presentation.hidden_data import Windows, blinded_in, hide
from bphcoffea.results import Datasets


@dataclass(frozen=True)
class RunHistogram:
    """Histogram of a run, as its figures show it.

    Attributes
    ----------
    name
        Name of the histogram in the run.
    histogram
        Entries, with the axes dataset, category, variation and that of the variable.
    scaled
        The same with simulation scaled to the data; None to compare shapes only.
    record
        Label, unit and scale of the variable, resonances, and the bounds of an N-1 histogram.
    datasets
        Datasets of the run.
    notes
        Notes for the heading; empty ones are not shown.
    hidden
        Ranges of the variable in which data are hidden.
    """

    name: str
    histogram: hist.Hist
    scaled: hist.Hist | None
    record: HistogramRecord
    datasets: Datasets
    notes: Sequence[str] = ()
    hidden: Windows = ()

    @property
    def label(self) -> str:
        """Label of the variable."""
        return self.record.label or self.record.variable

    def hiding(self, windows: Windows | None, category: str | None = None) -> RunHistogram:
        """Return a copy without the data in some windows.

        Parameters
        ----------
        windows
            Windows to hide; None to hide all data.
        category
            Category in which data are hidden; None for all categories.
        """
        data = self.datasets.data
        histogram, hidden = hide(self.histogram, windows, data, category)
        scaled = None if self.scaled is None else hide(self.scaled, windows, data, category)[0]
        notes = (blinded_in(hidden, self.record.unit),)
        return replace(self, histogram=histogram, scaled=scaled, hidden=hidden, notes=notes)
