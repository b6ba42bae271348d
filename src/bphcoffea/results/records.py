"""Typed records of what a run's folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from bphcoffea.datasets import Metadata


def as_json(records: Mapping[str, BaseModel]) -> dict[str, object]:
    """Return the content of a JSON file with some records by name."""
    return {name: record.model_dump(mode="json") for name, record in records.items()}


#: Source of a luminosity in ``luminosity.json`` that the fileset gives.
FILESET: Final = "fileset"
#: Rate of a simulated dataset that is uncertain.
Rate: TypeAlias = Literal["luminosity", "cross_section"]


class Part(BaseModel):
    """Part of a dataset that a partial run has processed.

    Attributes
    ----------
    events
        Processed events.
    of
        Events of the whole dataset; None if unknown.
    """

    model_config = ConfigDict(frozen=True)

    events: int
    of: int | None


class DatasetRecord(Metadata):
    """Metadata of a dataset, with what a run has processed of it.

    Attributes
    ----------
    luminosity
        Luminosity of the processed data, fb⁻¹; None if it is unknown or shared with another
        dataset. Simulation keeps the luminosity of the fileset.
    part
        What a partial run has processed; None if the run is of whole datasets.
    """

    part: Part | None = None


class Datasets(dict[str, DatasetRecord]):
    """Datasets of a run by name."""

    @property
    def data(self) -> list[str]:
        """Names of the datasets of data."""
        return [name for name, record in self.items() if not record.is_mc]

    @property
    def simulated(self) -> list[str]:
        """Names of the simulated datasets."""
        return [name for name, record in self.items() if record.is_mc]

    @property
    def signal(self) -> list[str]:
        """Names of the simulated datasets of kind ``signal``."""
        return [name for name in self.simulated if self[name].kind == "signal"]

    @property
    def by_process(self) -> dict[str, list[str]]:
        """Names of the simulated datasets by process, or by their own name without one."""
        processes: dict[str, list[str]] = {}
        for name in self.simulated:
            processes.setdefault(self[name].process or name, []).append(name)
        return processes

    def __repr__(self) -> str:
        return f"Datasets(data={self.data}, simulated={self.simulated})"


class Uncertainties(BaseModel):
    """Relative uncertainties of the rate of a dataset."""

    model_config = ConfigDict(frozen=True)

    luminosity: float
    cross_section: float


class Normalisation(BaseModel):
    """Scale of a simulated dataset to the luminosity of the data.

    Attributes
    ----------
    cross_section
        In pb; None if unknown.
    filter_efficiency, skim_efficiency
        Fractions of the decays that pass the generator's filter, and that the files hold.
    luminosity
        Luminosity that the dataset stands for, fb⁻¹; None if unknown.
    generator_sumw
        Sum of the generator weights of the processed events, with the weights that are normalised.
    sums_of_variations
        The same sum under each variation of the generator's weights, to which the histograms of
        that variation are normalised.
    scale
        Factor of all weights; None if the dataset cannot be scaled, with the reason in `notes`.
    data
        Names of the data that the dataset simulates.
    uncertainties
        Relative uncertainties of the rate.
    notes
        Remarks for the user, one sentence each.
    """

    model_config = ConfigDict(frozen=True)

    cross_section: float | None
    filter_efficiency: float
    skim_efficiency: float
    luminosity: float | None
    generator_sumw: float
    scale: float | None
    data: tuple[str, ...]
    uncertainties: Uncertainties
    notes: tuple[str, ...]
    sums_of_variations: Mapping[str, float] = {}

    def uncertainty(self, rate: Rate) -> float:
        """Return the relative uncertainty of one rate."""
        return float(getattr(self.uncertainties, rate))
