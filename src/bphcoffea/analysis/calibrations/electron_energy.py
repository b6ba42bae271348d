"""Energies of electrons, with the scale and resolution of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.analysis.calibrations.lepton_calibration import LeptonCalibration, ObjectCalibration
from bphcoffea.analysis.shifts import noise
from bphcoffea.arrays import Booleans, Floats
from bphcoffea.corrections import ElectronEnergyPayload

#: Field of NanoAOD that a quantity of the corrections is read from, if it has another name. The
#: pseudorapidity of the supercluster is that of the electron plus the field.
_FIELDS: Final = {
    "supercluster_eta": "deltaEtaSC",
    "supercluster_abs_eta": "deltaEtaSC",
    "gain": "seedGain",
}
_RUN: Final = "run"


@dataclass(frozen=True)
class ElectronEnergyOfDataset(ObjectCalibration):
    """Electron energies of one dataset."""

    kind: ClassVar[str] = "electron_energy"

    payload: ElectronEnergyPayload

    @property
    @override
    def applies(self) -> bool:
        return self.is_mc or self.corrects

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

    @override
    def outside(self, events: ak.Array) -> Booleans:
        electrons = _Electrons(events, self.collection)
        return self.payload.outside(electrons.quantity, is_mc=self.is_mc)


@dataclass(frozen=True)
class ElectronEnergy(LeptonCalibration):
    """Energies of the electrons of NanoAOD, by the section ``electron_energy`` of the corrections.

    The scale of data is corrected, simulation is smeared. Variations of simulation are
    ``electron_scaleUp``, ``electron_resolutionUp`` and ``Down``. The estimated error of the energy
    is left as it is.

    See :class:`.LeptonCalibration` for its attributes.

    Examples
    --------
    >>> ElectronEnergy("Electron").needs()
    ('electron_energy.Electron',)
    """

    of_dataset = ElectronEnergyOfDataset


class _Electrons:
    """Quantities of electrons that their corrections depend on, flat."""

    def __init__(self, events: ak.Array, collection: str) -> None:
        self._events, self._electrons = events, events[collection]

    def quantity(self, name: str) -> ak.Array:
        """Return a quantity by the payload's name for it, shape (electrons,)."""
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
