"""Momenta of muons, with the scale and resolution of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import awkward as ak
from typing_extensions import override

from bphcoffea.analysis.calibrations.lepton_calibration import LeptonCalibration, ObjectCalibration
from bphcoffea.analysis.shifts import uniform_noise
from bphcoffea.arrays import Booleans
from bphcoffea.corrections import MuonMomentumPayload

#: Collection of generated particles, to which the index of a muon refers.
_GENERATED = "GenPart"


@dataclass(frozen=True)
class MuonMomentumOfDataset(ObjectCalibration):
    """Muon momenta of one dataset."""

    kind: ClassVar[str] = "muon_momentum"

    payload: MuonMomentumPayload

    @property
    @override
    def corrects(self) -> bool:
        return True

    @property
    @override
    def inputs(self) -> tuple[str, ...]:
        return ("charge", *(("nTrackerLayers", "genPartIdx") if self.is_mc else ()))

    @override
    def nominal(self, events: ak.Array) -> Mapping[str, ak.Array]:
        return {"pt": self.payload.corrected(self._muons(events), is_mc=self.is_mc)}

    @override
    def moved(self, events: ak.Array, source: str, *, up: bool) -> Mapping[str, ak.Array]:
        return {"pt": self.payload.varied(self._muons(events), source, up=up)}

    @override
    def outside(self, events: ak.Array) -> Booleans:
        return self.payload.outside(self._muons(events), is_mc=self.is_mc)

    def _muons(self, events: ak.Array) -> ak.Array:
        """Return the quantities of muons that their corrections depend on."""
        muons = events[self.collection]
        measured = {"pt": muons.pt_orig, "eta": muons.eta, "phi": muons.phi}
        fields = {**measured, "charge": muons.charge}
        if self.is_mc:
            fields |= {
                "layers": muons.nTrackerLayers,
                "uniform": uniform_noise(ak.zip(measured)),
                "pt_gen": _generated_pt(events, muons),
            }
        return ak.zip(fields)


@dataclass(frozen=True)
class MuonMomentum(LeptonCalibration):
    """Momenta of the muons of NanoAOD, by the section ``muon_momentum`` of the corrections.

    Momenta of data and simulation are corrected. Variations of simulation are ``muon_momentumUp``
    and ``Down`` (Rochester corrections), or ``muon_scale`` and ``muon_resolution``.

    See :class:`.LeptonCalibration` for its attributes.

    Examples
    --------
    >>> MuonMomentum("Muon").needs()
    ('muon_momentum.Muon',)
    """

    of_dataset = MuonMomentumOfDataset


def _generated_pt(events: ak.Array, muons: ak.Array) -> ak.Array:
    """Return the transverse momentum of the generated muon of each muon, GeV; 0 without one."""
    generated = events[_GENERATED]
    stored = (muons.genPartIdx >= 0) & (muons.genPartIdx < ak.num(generated))
    return ak.fill_none(generated[ak.mask(muons.genPartIdx, stored)].pt, 0)
