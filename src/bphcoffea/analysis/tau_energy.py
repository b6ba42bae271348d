"""Energies of hadronic taus, with the scale of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.analysis.calibrations import Calibration
from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.object_calibration import ObjectCalibration
from bphcoffea.arrays import Floats, Integers
from bphcoffea.corrections import EraCorrections, TauEnergyPayload


@dataclass(frozen=True)
class TauEnergy(Calibration):
    """Energies of simulated taus of NanoAOD, by the section ``tau_energy`` of the corrections.

    Transverse momentum and mass are scaled. Variations are ``tau_scaleUp`` and ``Down``, or, if the
    section splits them, ``tau_scale_dm0Up`` and so on. Data are left as they are.

    Attributes
    ----------
    collection
        Collection of the taus.
    met
        Field of the events that holds the missing momentum, which balances the changes; None to
        leave it as it is.

    Examples
    --------
    >>> TauEnergy("Tau").needs()
    ('tau_energy.Tau',)
    """

    collection: str
    met: str | None = None

    @override
    def needs(self) -> tuple[str, ...]:
        return (f"{TauEnergyOfDataset.kind}.{self.collection}",)

    @override
    def resolved(
        self, metadata: DatasetMetadata, corrections: EraCorrections | None
    ) -> TauEnergyOfDataset | None:
        declared = corrections.energies.tau_energy if corrections else {}
        if not metadata["is_mc"] or self.collection not in declared:
            return None
        payload = declared[self.collection]
        return TauEnergyOfDataset(self.collection, self.met or "", True, payload)


@dataclass(frozen=True)
class TauEnergyOfDataset(ObjectCalibration):
    """Tau energies of one simulated dataset.

    Attributes
    ----------
    payload
        The corrections.
    """

    fields: ClassVar[tuple[str, ...]] = ("pt", "mass")
    kind: ClassVar[str] = "tau_energy"

    payload: TauEnergyPayload

    @property
    @override
    def sources(self) -> tuple[str, ...]:
        return self.payload.sources

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
            **{name: ak.to_numpy(ak.flatten(v)).astype(np.float64) for name, v in real.items()},
            **{name: ak.to_numpy(ak.flatten(v)).astype(np.int64) for name, v in whole.items()},
        }
