"""Simulated τ → 3μ: efficiency, masses and variations in each category."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import hist
import numpy as np
import numpy.typing as npt

from bphcoffea.analysis.histograms import NOMINAL
from bphcoffea.analysis.weights import DOWN, UP
from bphcoffea.arrays import Floats
from bphcoffea.errors import InputError
from bphcoffea.results.folder import RunFolder
from bphcoffea.results.normalisation import generated
from bphcoffea.statistics.data_sample import of_year, year_of

#: Where a τ comes from: D mesons, or b hadrons.
Origin = Literal["d", "b"]
#: Processes of the simulation.
PROCESSES: Final[dict[Origin, str]] = {"d": "tau3mu_d", "b": "tau3mu_b"}
#: Histogram and column of the mass, and further columns of the candidates' table.
MASS, CATEGORY, WEIGHT = "mass", "category", "weight"
#: Where masses are fitted, GeV.
RANGE: Final = (1.62, 2.00)
#: Relative changes by variations that are too small to matter are left out.
NEGLIGIBLE: Final = 1e-4


@dataclass(frozen=True)
class SimulatedSignal:
    """Selected candidates of τ → 3μ of one origin, simulated for one year.

    Attributes
    ----------
    datasets
        Their names.
    decays
        τ → 3μ that were generated, before filter and skim, in units of their weights.
    masses, weights, categories
        Of the candidates in `RANGE`; masses in GeV, shapes (n,).
    shifts
        Relative change of the efficiency by each variation of the run, by category and source.
    notes
        What to know of the simulation, a sentence each.
    """

    datasets: tuple[str, ...]
    decays: float
    masses: Floats
    weights: Floats
    categories: npt.NDArray[Any]
    shifts: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...] = ()

    def efficiency(self, category: str) -> tuple[float, float]:
        """Part of the decays that is selected in a category, and its statistical error."""
        weights = self.weights[self.categories == category]
        return float(np.sum(weights)) / self.decays, math.sqrt(np.sum(weights**2)) / self.decays

    @classmethod
    def of_run(cls, run: RunFolder, origin: Origin, year: str) -> SimulatedSignal | None:
        """Read the simulation of a year, or of the nearest one with a note; None without any.

        Raises
        ------
        InputError
            If nothing of it was read.
        """
        metadata, process = run.fileset_metadata, PROCESSES[origin]
        known = [n for n, about in metadata.items() if about.is_mc]
        names = of_year(metadata, [n for n in known if metadata[n].process == process], year)
        if not names:
            return None
        cutflow = run.cutflow
        decays = sum(generated(metadata[n], float(cutflow[n][0]["sumw"])) for n in names)
        if decays <= 0:
            raise InputError(f"{run.path}: the sum of weights of {', '.join(names)} is {decays:g}")
        notes = []
        if others := sorted({year_of(metadata[n]) for n in names} - {year}):
            notes.append(f"{process} in {year} is simulation of {', '.join(others)}")
        if unfiltered := [n for n in names if metadata[n].filter_efficiency is None]:
            notes.append(f"{', '.join(unfiltered)}: no filter_efficiency, which is taken to be 1")
        masses, weights, categories = candidates_of(run, names)
        shifts = _shifts(run.histograms()[MASS], names)
        return cls(tuple(names), decays, masses, weights, categories, shifts, tuple(notes))


def candidates_of(run: RunFolder, datasets: list[str]) -> tuple[Floats, Floats, npt.NDArray[Any]]:
    """Masses (GeV) in `RANGE`, weights and categories of the candidates of datasets."""
    masses, weights, categories = [np.empty(0)], [np.empty(0)], [np.empty(0, dtype=object)]
    for name in datasets:
        # without any event, a dataset has no table
        if run.has_candidates(name):
            table = run.candidates(name)
            masses.append(table[MASS].to_numpy().astype(np.float64))
            weights.append(table[WEIGHT].to_numpy().astype(np.float64))
            categories.append(np.array(table[CATEGORY].to_pylist(), dtype=object))
    mass = np.concatenate(masses)
    inside = (mass >= RANGE[0]) & (mass < RANGE[1])
    return mass[inside], np.concatenate(weights)[inside], np.concatenate(categories)[inside]


def _shifts(histogram: hist.Hist, datasets: list[str]) -> dict[str, dict[str, float]]:
    """Mean of the relative changes by a variation up and, with the opposite sign, down.

    Some variations have one side alone, as smearing.
    """
    edges = histogram.axes[-1].edges
    bins = (edges[:-1] > RANGE[0] - 1e-6) & (edges[1:] < RANGE[1] + 1e-6)
    sides = {UP: 1, DOWN: -1}
    sources: dict[str, list[tuple[str, int]]] = {}
    for variation in histogram.axes["variation"]:
        for side, sign in sides.items():
            if variation.endswith(side):
                sources.setdefault(variation.removesuffix(side), []).append((variation, sign))
    filled = [name for name in datasets if name in histogram.axes["dataset"]]

    def total(category: str, variation: str) -> float:
        spectra = (histogram[name, category, variation, :].values() for name in filled)
        return float(sum(np.sum(values[bins]) for values in spectra))

    shifts: dict[str, dict[str, float]] = {}
    for category in histogram.axes["category"]:
        nominal = total(category, NOMINAL)
        if nominal <= 0:
            continue
        for source, variations in sources.items():
            changes = [sign * (total(category, name) / nominal - 1) for name, sign in variations]
            relative = sum(changes) / len(changes)
            if abs(relative) > NEGLIGIBLE:
                shifts.setdefault(category, {})[source] = relative
    return shifts
