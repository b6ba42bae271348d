"""Histograms that an analysis declares, and those of the N-1 distributions.

Every histogram has the axes ``category`` and ``variation`` before that of its variable; a run's
histograms have ``dataset`` before those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import hist

from bphcoffea.analysis.variables import Axis, Variable

#: Category of an analysis that has no categories.
ALL = "all"
#: Variation without any systematic shift.
NOMINAL = "nominal"


@dataclass(frozen=True)
class Histogram:
    """A distribution of the selected candidates.

    Attributes
    ----------
    name
        Its name in ``histograms.json`` and ``histograms.root``.
    variable
        What is filled.
    axis
        Binning.
    log_y
        Whether figures show it on a logarithmic scale.
    resonances
        Masses that figures of a spectrum point out: label in mathtext, mass in GeV.
    """

    name: str
    variable: Variable
    axis: Axis
    log_y: bool = False
    resonances: tuple[tuple[str, float], ...] = ()

    def empty(self, categories: tuple[str, ...] = (ALL,)) -> hist.Hist:
        """The histogram before it is filled, with weighted storage."""
        transform = hist.axis.transform.log if self.axis.log else None
        unit = f" [{self.variable.unit}]" if self.variable.unit else ""
        return hist.Hist(
            hist.axis.StrCategory(categories, name="category"),
            hist.axis.StrCategory([NOMINAL], name="variation"),
            hist.axis.Regular(
                self.axis.bins,
                self.axis.start,
                self.axis.stop,
                name=self.variable.name,
                label=f"{self.variable.label or self.variable.name}{unit}",
                transform=transform,
            ),
            storage=hist.storage.Weight(),
        )


def fill(histogram: hist.Hist, values: Any, weights: Any, category: Any = ALL) -> None:
    """Fill the nominal variation of a histogram.

    Parameters
    ----------
    histogram
        As :meth:`Histogram.empty` makes it.
    values, weights
        One value and one weight for each entry, shape (entries,).
    category
        The category of all entries, or one for each.
    """
    histogram.fill(category, NOMINAL, values, weight=weights)
