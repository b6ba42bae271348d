"""Simulated τ → 3μ: efficiency, masses and variations in each category."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import hist
import numpy as np

from bphcoffea.analysis import NOMINAL
from bphcoffea.arrays import Floats
from bphcoffea.errors import RunError
from bphcoffea.results import RunFolder
from bphcoffea.statistics import (
    NEGLIGIBLE,
    WEIGHT,
    Categories,
    of_year,
    read_candidates,
    relative_changes,
    simulated_decays,
    year_of,
)

#: Origin of a τ: D mesons, or b hadrons.
Origin = Literal["d", "b"]
#: Process of the simulation of each origin.
PROCESSES: Final[dict[Origin, str]] = {"d": "tau3mu_d", "b": "tau3mu_b"}
#: Histogram and column of the mass.
MASS: Final = "mass"
#: Range of mass fits, GeV.
RANGE: Final = (1.62, 2.00)


@dataclass(frozen=True)
class SimulatedSignal:
    """Selected candidates of τ → 3μ of one origin, simulated for one year.

    Attributes
    ----------
    datasets
        Names of the datasets.
    decays
        Generated τ → 3μ decays before filter and skim, in units of their weights.
    masses, weights, categories
        Mass in GeV, weight and category of each candidate in `RANGE`; shapes (n,).
    shifts
        Relative change of the efficiency by each variation of the run, by category and source.
    notes
        Remarks on the simulation for the user, one sentence each.
    """

    datasets: tuple[str, ...]
    decays: float
    masses: Floats
    weights: Floats
    categories: Categories
    shifts: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...] = ()

    def efficiency(self, category: str) -> tuple[float, float]:
        """Return the selected fraction of the decays in a category, and its statistical error."""
        weights = self.weights[self.categories == category]
        return float(np.sum(weights)) / self.decays, math.sqrt(np.sum(weights**2)) / self.decays

    @classmethod
    def of_run(cls, run: RunFolder, origin: Origin, year: str) -> SimulatedSignal | None:
        """Read the simulation of a year or, with a note, of the nearest one; None without any.

        Raises
        ------
        RunError
            If the run processed nothing of it.
        """
        metadata, process = run.datasets, PROCESSES[origin]
        names = of_year(
            metadata, [n for n in metadata.simulated if metadata[n].process == process], year
        )
        if not names:
            return None
        decays = simulated_decays(run, names)
        if decays <= 0:
            raise RunError(f"{run.path}: the sum of weights of {', '.join(names)} is {decays:g}")
        notes = []
        if other_years := sorted({year_of(metadata[n]) for n in names} - {year}):
            notes.append(f"{process} in {year} is simulation of {', '.join(other_years)}")
        if unfiltered := [n for n in names if metadata[n].filter_efficiency is None]:
            notes.append(f"{', '.join(unfiltered)}: no filter_efficiency, which is taken to be 1")
        masses, weights, categories = candidates_of(run, names)
        shifts = _shifts(run.histograms()[MASS], names)
        return cls(tuple(names), decays, masses, weights, categories, shifts, tuple(notes))


def candidates_of(run: RunFolder, datasets: list[str]) -> tuple[Floats, Floats, Categories]:
    """Return masses (GeV) in `RANGE`, weights and categories of the candidates of datasets."""
    categories, (masses, weights) = read_candidates(run, datasets, MASS, WEIGHT)
    inside = (masses >= RANGE[0]) & (masses < RANGE[1])
    return masses[inside], weights[inside], categories[inside]


def _shifts(histogram: hist.Hist, datasets: list[str]) -> dict[str, dict[str, float]]:
    """Return the mean change of the yield in `RANGE` by variations up and, negated, down.

    Some variations have only one side, such as smearing.
    """
    edges = histogram.axes[-1].edges
    bins = (edges[:-1] > RANGE[0] - 1e-6) & (edges[1:] < RANGE[1] + 1e-6)
    filled = [name for name in datasets if name in histogram.axes["dataset"]]

    def total(category: str, variation: str) -> float:
        spectra = (histogram[name, category, variation, :].values() for name in filled)
        return float(sum(np.sum(values[bins]) for values in spectra))

    shifts: dict[str, dict[str, float]] = {}
    for category in histogram.axes["category"]:
        if total(category, NOMINAL) <= 0:
            continue
        by_source = relative_changes(histogram, functools.partial(total, category))
        for source, changes in by_source.items():
            mean = sum(changes) / len(changes)
            if abs(mean) > NEGLIGIBLE:
                shifts.setdefault(category, {})[source] = mean
    return shifts
