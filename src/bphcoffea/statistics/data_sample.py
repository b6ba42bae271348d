"""Data that a result is based on, their candidates, and the changes of a yield by variations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import hist
import numpy as np
import numpy.typing as npt

from bphcoffea.analysis import DOWN, NOMINAL, UP
from bphcoffea.arrays import Floats
from bphcoffea.datasets import Metadata
from bphcoffea.errors import FitError, RunError
from bphcoffea.results import RunFolder, generated
from bphcoffea.statistics.records import Record

#: Columns of the table of candidates.
CATEGORY, WEIGHT = "category", "weight"
#: Relative changes by variations below this are left out.
NEGLIGIBLE: Final = 1e-4

#: Category of each candidate.
Categories: TypeAlias = npt.NDArray[np.object_]


class NotFittedByYearError(FitError):
    """The yield of one year is needed, but data of several years were fitted together."""


class UnknownLuminosityError(RunError):
    """The luminosity of the search or of the fitted data is unknown."""


@dataclass(frozen=True)
class DataSample(Record):
    """Data of a run.

    Attributes
    ----------
    run
        Folder of the run.
    datasets, eras
        Names of the datasets and of their eras.
    energies
        Known collision energies of the data and of their simulation, TeV.
    luminosity
        Luminosity of the processed data, fb⁻¹; sections that several datasets hold count once. None
        if it is unknown.
    complete, partial
        Whether the run processed all requested chunks, and whether these are less than the whole
        datasets.
    """

    run: str
    datasets: tuple[str, ...]
    eras: tuple[str, ...]
    energies: tuple[float, ...]
    luminosity: float | None
    complete: bool
    partial: bool

    @classmethod
    def of_run(
        cls, run: RunFolder, datasets: Iterable[str], simulation: Iterable[str] = ()
    ) -> DataSample:
        """Describe data of a run.

        Parameters
        ----------
        run
            The run.
        datasets
            Names of the datasets of data.
        simulation
            Names of the simulated datasets from which efficiencies are taken.
        """
        names, metadata = tuple(datasets), run.fileset_metadata
        energies = (metadata[name].collision_energy for name in (*names, *simulation))
        return cls(
            run=str(run.path),
            datasets=names,
            eras=tuple(sorted({metadata[name].era for name in names})),
            energies=tuple(sorted({energy for energy in energies if energy is not None})),
            luminosity=run.luminosity_of(names),
            complete=run.complete,
            partial=run.partial,
        )

    def __str__(self) -> str:
        """Return the names of the datasets, for messages."""
        return ", ".join(self.datasets)


def data_of(run: RunFolder) -> list[str]:
    """Return the names of the datasets of data.

    Raises
    ------
    RunError
        If the run has none.
    """
    names = run.datasets.data
    if not names:
        raise RunError(f"{run.path}: no data, from whose sidebands the background is predicted")
    return names


def simulated_decays(run: RunFolder, datasets: Iterable[str]) -> float:
    """Return the simulated decays of datasets before filter and skim, in units of their weights."""
    metadata, cutflow = run.fileset_metadata, run.cutflow
    return sum(generated(metadata[name], float(cutflow[name][0]["sumw"])) for name in datasets)


def year_of(metadata: Metadata) -> str:
    """Return the year of a dataset: the first four characters of its era."""
    return metadata.era[:4]


def of_year(metadata: Mapping[str, Metadata], datasets: Iterable[str], year: str) -> list[str]:
    """Return the datasets of a year; if there are none, those of the nearest year.

    >>> eras = {"a": "2016G", "b": "2018D", "c": "2018"}
    >>> metadata = {name: Metadata(is_mc=False, era=era) for name, era in eras.items()}
    >>> of_year(metadata, metadata, "2018"), of_year(metadata, metadata, "2012")
    (['b', 'c'], ['a'])
    """
    years = {name: year_of(metadata[name]) for name in datasets}

    def distance(other: str) -> float:
        if other == year:
            return 0.0
        return abs(int(other) - int(year)) if other.isdigit() and year.isdigit() else math.inf

    least = min(map(distance, years.values()), default=0.0)
    return [name for name, other in years.items() if distance(other) == least]


def read_candidates(
    run: RunFolder, datasets: Iterable[str], *columns: str
) -> tuple[Categories, list[Floats]]:
    """Return the category and some columns of the candidates of datasets, shapes (n,).

    A dataset without a table, because nothing of it was read, has no candidates.
    """
    tables = [run.candidates(name) for name in datasets if run.has_candidates(name)]
    categories = [np.array(table[CATEGORY].to_pylist(), dtype=object) for table in tables]
    return np.concatenate([np.empty(0, dtype=object), *categories]), [
        np.concatenate([np.empty(0), *(table[column].to_numpy() for table in tables)])
        for column in columns
    ]


def relative_changes(histogram: hist.Hist, total: Callable[[str], float]) -> dict[str, list[float]]:
    """Return the relative changes of a yield by the variations of each source.

    Parameters
    ----------
    histogram
        Histogram with the axes of a run.
    total
        Function that returns the yield of a variation; it is positive for the nominal one.

    Returns
    -------
    Changes by source, with the opposite sign for variations down; smearing, for example, only has a
    variation up.
    """
    nominal = total(NOMINAL)
    changes: dict[str, list[float]] = {}
    for variation in histogram.axes["variation"]:
        for side, sign in ((UP, 1), (DOWN, -1)):
            if variation.endswith(side):
                change = sign * (total(variation) / nominal - 1)
                changes.setdefault(variation.removesuffix(side), []).append(change)
    return changes
