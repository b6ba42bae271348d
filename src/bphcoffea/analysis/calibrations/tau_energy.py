"""Energies of hadronic taus, with the scale of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.analysis.calibrations.lepton_calibration import LeptonCalibration, ObjectCalibration
from bphcoffea.arrays import Booleans, Floats, Integers
from bphcoffea.corrections import TauEnergyPayload
from bphcoffea.physics import doubles, flattened


@dataclass(frozen=True)
class TauEnergyOfDataset(ObjectCalibration):
    """Tau energies of one simulated dataset."""

    fields: ClassVar[tuple[str, ...]] = ("pt", "mass")
    kind: ClassVar[str] = "tau_energy"

    payload: TauEnergyPayload

    @property
    @override
    def applies(self) -> bool:
        return self.is_mc

    @property
    @override
    def corrects(self) -> bool:
        return True

    @property
    @override
    def inputs(self) -> tuple[str, ...]:
        return ("decayMode", "genPartFlav")

    @override
    def nominal(self, events: ak.Array) -> Mapping[str, ak.Array]:
        return self._scaled(events, self.payload.factor(self._numbers(events)))

    @override
    def moved(self, events: ak.Array, source: str, *, up: bool) -> Mapping[str, ak.Array]:
        return self._scaled(events, self.payload.varied(self._numbers(events), source, up=up))

    @override
    def outside(self, events: ak.Array) -> Booleans:
        return self.payload.outside(self._numbers(events))

    def _scaled(self, events: ak.Array, factors: Floats) -> Mapping[str, ak.Array]:
        taus = events[self.collection]
        factor = ak.unflatten(factors, ak.num(taus))
        return {"pt": factor * taus.pt_orig, "mass": factor * taus.mass_orig}

    def _numbers(self, events: ak.Array) -> dict[str, Floats | Integers]:
        """Return the inputs of the payload, shape (taus,)."""
        taus = events[self.collection]
        real = {"pt": taus.pt_orig, "eta": taus.eta}
        whole = {"dm": taus.decayMode, "genmatch": taus.genPartFlav}
        return {
            **{name: doubles(v) for name, v in real.items()},
            **{name: flattened(v).astype(np.int64) for name, v in whole.items()},
        }


@dataclass(frozen=True)
class TauEnergy(LeptonCalibration):
    """Energies of simulated taus of NanoAOD, by the section ``tau_energy`` of the corrections.

    Transverse momentum and mass are scaled. Variations are ``tau_scaleUp`` and ``Down``, or, if the
    section splits them, ``tau_scale_dm0Up`` and so on. Data are left as they are.

    See :class:`.LeptonCalibration` for its attributes.

    Examples
    --------
    >>> TauEnergy("Tau").needs()
    ('tau_energy.Tau',)
    """

    of_dataset = TauEnergyOfDataset
