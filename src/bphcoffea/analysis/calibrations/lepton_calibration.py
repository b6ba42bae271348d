"""Calibration of the momenta of one collection of objects, and of the missing momentum."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.analysis.calibrations.calibration import Calibration, ResolvedCalibration
from bphcoffea.analysis.calibrations.missing_momentum import (
    balanced,
    change_of,
    replaced_change,
    with_original,
)
from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.shifts import Path
from bphcoffea.arrays import Booleans
from bphcoffea.corrections import EraCorrections
from bphcoffea.errors import CorrectionsError


class EnergyPayload(Protocol):
    """Corrections of a collection."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the uncertainties."""


@dataclass(frozen=True)
class ObjectCalibration(ResolvedCalibration):
    """Base class of the calibrations of leptons of one dataset.

    Attributes
    ----------
    collection
        Collection of the objects.
    met
        Field of the missing momentum that balances their changes; empty if there is none.
    is_mc
        Whether the dataset is simulated.
    payload
        The corrections.
    """

    #: Fields of the objects that are replaced.
    fields: ClassVar[tuple[str, ...]] = ("pt",)
    #: Kind of the section of the corrections, which has a part per collection.
    kind: ClassVar[str]

    collection: str
    met: str
    is_mc: bool
    payload: EnergyPayload

    @property
    @override
    def sections(self) -> tuple[str, ...]:
        return (f"{self.kind}.{self.collection}",)

    @property
    @override
    def sources(self) -> tuple[str, ...]:
        return self.payload.sources

    @property
    def applies(self) -> bool:
        """Whether the dataset has the calibration."""
        return True

    @property
    @override
    def paths(self) -> tuple[Path, ...]:
        of_met = [(self.met, field) for field in ("pt", "phi")] if self.met else []
        return (*((self.collection, field) for field in self.fields), *of_met)

    @property
    @abstractmethod
    def corrects(self) -> bool:
        """Whether nominal values differ from those of the file."""

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Fields of the objects that are read in addition to `fields`, ``eta`` and ``phi``."""

    @abstractmethod
    def nominal(self, events: ak.Array) -> Mapping[str, ak.Array]:
        """Return the nominal values of `fields`.

        Parameters
        ----------
        events
            Events whose objects have the values of the file, as ``pt_orig`` and so on.
        """

    @abstractmethod
    def moved(self, events: ak.Array, source: str, *, up: bool) -> Mapping[str, ak.Array]:
        """Return the values of `fields` in a variation; see :meth:`nominal` and :meth:`varied`."""

    @abstractmethod
    def outside(self, events: ak.Array) -> Booleans:
        """Return which objects are outside the bins of the corrections, shape (objects,)."""

    @override
    def clamped(self, events: ak.Array) -> Mapping[str, int]:
        if not self.corrects:
            return {}
        return {self.sections[0]: int(np.count_nonzero(self.outside(events)))}

    @override
    def calibrate(self, events: ak.Array) -> ak.Array:
        """Return events with calibrated objects and missing momentum.

        The objects also have the fields ``pt_orig`` and so on, with the values of the file.
        """
        objects = events[self.collection]
        for field in (*self.fields, "eta", "phi", *self.inputs):
            if field not in objects.fields:
                raise CorrectionsError(
                    f"[{self.sections[0]}]: '{self.collection}' of the input has no field "
                    f"'{field}', which the calibration reads"
                )
            # a run asks which branches are read, also if no variation is evaluated
            ak.materialize(objects[field])
        for field in self.fields:
            objects = ak.with_field(objects, objects[field], f"{field}_orig")
        events = ak.with_field(events, objects, self.collection)
        if self.met:
            events = with_original(events, self.met)
        if not self.corrects:
            return events
        for field, values in self.nominal(events).items():
            objects = ak.with_field(objects, values, field)
        events = ak.with_field(events, objects, self.collection)
        if self.met:
            events = balanced(events, self.met, self.collection, change_of(objects, objects.pt))
        return events

    @override
    def varied(self, events: ak.Array, source: str, *, up: bool) -> Mapping[Path, ak.Array]:
        values = self.moved(events, source, up=up)
        fields: dict[Path, ak.Array] = {(self.collection, f): values[f] for f in self.fields}
        if self.met:
            change = change_of(events[self.collection], values["pt"])
            fields |= replaced_change(events, self.met, self.collection, change)
        return fields


@dataclass(frozen=True)
class LeptonCalibration(Calibration):
    """Base class of the calibrations of a collection of leptons.

    Attributes
    ----------
    collection
        Collection of the leptons.
    met
        Field of the events that holds the missing momentum, which balances the changes; None to
        leave it as it is.
    """

    #: Calibration of one dataset.
    of_dataset: ClassVar[type[ObjectCalibration]]

    collection: str
    met: str | None = None

    @override
    def needs(self) -> tuple[str, ...]:
        return (f"{self.of_dataset.kind}.{self.collection}",)

    @override
    def resolved(
        self, metadata: DatasetMetadata, corrections: EraCorrections | None
    ) -> ObjectCalibration | None:
        declared = getattr(corrections.energies, self.of_dataset.kind) if corrections else {}
        if self.collection not in declared:
            return None
        payload = declared[self.collection]
        found = self.of_dataset(self.collection, self.met or "", metadata["is_mc"], payload)
        return found if found.applies else None
