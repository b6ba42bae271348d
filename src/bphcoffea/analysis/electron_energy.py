"""Energies of electrons, with the scale and resolution of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.analysis.calibrations import Calibration
from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.object_calibration import ObjectCalibration
from bphcoffea.analysis.shifts import noise
from bphcoffea.arrays import Floats
from bphcoffea.corrections import ElectronEnergyPayload, EraCorrections

#: Field of NanoAOD that a quantity of the corrections is read from, if it has another name. The
#: pseudorapidity of the supercluster is that of the electron plus the field.
_FIELDS: Final = {
    "supercluster_eta": "deltaEtaSC",
    "supercluster_abs_eta": "deltaEtaSC",
    "gain": "seedGain",
}
_RUN: Final = "run"


@dataclass(frozen=True)
class ElectronEnergy(Calibration):
    """Energies of the electrons of NanoAOD, by the section ``electron_energy`` of the corrections.

    The scale of data is corrected, simulation is smeared. Variations of simulation are
    ``electron_scaleUp``, ``electron_resolutionUp`` and ``Down``. The estimated error of the energy
    is left as it is.

    Attributes
    ----------
    collection
        Collection of the electrons.
    met
        Field of the events that holds the missing momentum, which balances the changes; None to
        leave it as it is.

    Examples
    --------
    >>> ElectronEnergy("Electron").needs()
    ('electron_energy.Electron',)
    """

    collection: str
    met: str | None = None

    @override
    def needs(self) -> tuple[str, ...]:
        return (f"{ElectronEnergyOfDataset.kind}.{self.collection}",)

    @override
    def resolved(
        self, metadata: DatasetMetadata, corrections: EraCorrections | None
    ) -> ElectronEnergyOfDataset | None:
        declared = corrections.energies.electron_energy if corrections else {}
        if self.collection not in declared:
            return None
        payload = declared[self.collection]
        if not metadata["is_mc"] and not payload.corrects(is_mc=False):
            return None
        return ElectronEnergyOfDataset(self.collection, self.met or "", metadata["is_mc"], payload)


@dataclass(frozen=True)
class ElectronEnergyOfDataset(ObjectCalibration):
    """Electron energies of one dataset.

    Attributes
    ----------
    payload
        The corrections.
    """

    kind: ClassVar[str] = "electron_energy"

    payload: ElectronEnergyPayload

    @property
    @override
    def sources(self) -> tuple[str, ...]:
        return self.payload.sources

    @property
    @override
    def corrects(self) -> bool:
        return self.payload.corrects(is_mc=self.is_mc)

    @property
    @override
    def inputs(self) -> tuple[str, ...]:
        needed = self.payload.quantities(is_mc=self.is_mc)
        return tuple(dict.fromkeys(_FIELDS.get(name, name) for name in needed if name != _RUN))

    @override
    def nominal(self, events: ak.Array) -> Mapping[str, ak.Array]:
        electrons = _Electrons(events, self.collection)
        numbers = electrons.noise() if self.is_mc else None
        return {"pt": electrons.listed(self.payload.corrected(electrons.quantity, numbers))}

    @override
    def moved(self, events: ak.Array, source: str, *, up: bool) -> Mapping[str, ak.Array]:
        electrons = _Electrons(events, self.collection)
        pt = self.payload.varied(electrons.quantity, electrons.noise(), source, up=up)
        return {"pt": electrons.listed(pt)}


class _Electrons:
    """Quantities of electrons that their corrections depend on, flat."""

    def __init__(self, events: ak.Array, collection: str) -> None:
        self._events, self._electrons = events, events[collection]

    def quantity(self, name: str) -> ak.Array:
        """Return a quantity in the words of the payload, shape (electrons,)."""
        electrons = self._electrons
        if name == _RUN:
            return ak.flatten(ak.broadcast_arrays(self._events.run, electrons.eta)[0])
        if name == "pt":
            return ak.flatten(electrons.pt_orig)
        values = ak.flatten(electrons[_FIELDS.get(name, name)])
        if name.startswith("supercluster"):
            values = ak.flatten(electrons.eta) + values
        return abs(values) if name == "supercluster_abs_eta" else values

    def noise(self) -> Floats:
        electrons = self._electrons
        measured = {"pt": electrons.pt_orig, "eta": electrons.eta, "phi": electrons.phi}
        return np.asarray(ak.flatten(noise(ak.zip(measured))), dtype=np.float64)

    def listed(self, values: Floats) -> ak.Array:
        return ak.unflatten(values, ak.num(self._electrons))
