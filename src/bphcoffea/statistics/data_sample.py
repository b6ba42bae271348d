"""The data that a result was made of: their datasets, eras, energies and luminosity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bphcoffea.datasets import Metadata
from bphcoffea.errors import FitError
from bphcoffea.results.folder import RunFolder


class NotFittedByYearError(FitError):
    """The yield of one year is needed, but data of several years were fitted together."""


class UnknownLuminosityError(FitError):
    """The luminosity of the search, or of the data that were fitted, is not known."""


@dataclass(frozen=True)
class DataSample:
    """Some data of a run.

    Attributes
    ----------
    run
        The run's folder.
    datasets, eras
        Their names.
    energies
        Collision energies, TeV, also those of the simulation that describes the data.
    luminosity
        Of what was processed, fb⁻¹; sections that several datasets hold count once. None if it is
        not known.
    complete, partial
        Of the run: whether all that was asked for was processed, and whether less than the whole
        datasets was asked for.
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
            The folder of a finished run.
        datasets
            Names of data.
        simulation
            Names of the simulation from which their efficiencies come.
        """
        names, metadata = tuple(datasets), run.fileset_metadata
        return cls(
            run=str(run.path),
            datasets=names,
            eras=_distinct(metadata[name].era for name in names),
            energies=energies_of(metadata, (*names, *simulation)),
            luminosity=run.luminosity_of(names),
            complete=run.complete,
            partial=run.partial,
        )

    def as_json(self) -> dict[str, Any]:
        """Content for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """The datasets, for messages."""
        return ", ".join(self.datasets)


def energies_of(metadata: Mapping[str, Metadata], datasets: Iterable[str]) -> tuple[float, ...]:
    """Return the different collision energies of datasets, TeV, in order; unknown ones left out."""
    found = (metadata[name].collision_energy for name in datasets)
    return tuple(sorted({energy for energy in found if energy is not None}))


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def year_of(metadata: Metadata) -> str:
    """Return the year of a dataset: the first four characters of its era."""
    return metadata.era[:4]


def of_year(metadata: Mapping[str, Metadata], datasets: Iterable[str], year: str) -> list[str]:
    """Return the datasets of a year; if there are none, those of the nearest one.

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
