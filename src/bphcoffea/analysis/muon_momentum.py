"""Momenta of muons, with the scale and resolution of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import awkward as ak
from typing_extensions import override

from bphcoffea.analysis.calibrations import Calibration
from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.object_calibration import ObjectCalibration
from bphcoffea.analysis.shifts import uniform_noise
from bphcoffea.corrections import EraCorrections, MuonMomentumPayload

#: Collection of generated particles, to which the index of a muon refers.
_GENERATED = "GenPart"


@dataclass(frozen=True)
class MuonMomentum(Calibration):
    """Momenta of the muons of NanoAOD, by the section ``muon_momentum`` of the corrections.

    Momenta of data and simulation are corrected. Variations of simulation are ``muon_momentumUp``
    and ``Down`` (Rochester corrections), or ``muon_scale`` and ``muon_resolution``.

    Attributes
    ----------
    collection
        Collection of the muons.
    met
        Field of the events that holds the missing momentum, which balances the changes; None to
        leave it as it is.

    Examples
    --------
    >>> MuonMomentum("Muon").needs()
    ('muon_momentum.Muon',)
    """

    collection: str
    met: str | None = None

    @override
    def needs(self) -> tuple[str, ...]:
        return (f"{MuonMomentumOfDataset.kind}.{self.collection}",)

    @override
    def resolved(
        self, metadata: DatasetMetadata, corrections: EraCorrections | None
    ) -> MuonMomentumOfDataset | None:
        declared = corrections.energies.muon_momentum if corrections else {}
        if self.collection not in declared:
            return None
        payload = declared[self.collection]
        return MuonMomentumOfDataset(self.collection, self.met or "", metadata["is_mc"], payload)


@dataclass(frozen=True)
class MuonMomentumOfDataset(ObjectCalibration):
    """Muon momenta of one dataset.

    Attributes
    ----------
    payload
        The corrections.
    """

    kind: ClassVar[str] = "muon_momentum"

    payload: MuonMomentumPayload

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
        return ("charge", *(("nTrackerLayers", "genPartIdx") if self.is_mc else ()))

    @override
    def nominal(self, events: ak.Array) -> Mapping[str, ak.Array]:
        return {"pt": self.payload.corrected(self._muons(events), is_mc=self.is_mc)}

    @override
    def moved(self, events: ak.Array, source: str, *, up: bool) -> Mapping[str, ak.Array]:
        return {"pt": self.payload.varied(self._muons(events), source, up=up)}

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


def _generated_pt(events: ak.Array, muons: ak.Array) -> ak.Array:
    """Return the transverse momentum of the generated muon of each muon, GeV; 0 without one."""
    generated = events[_GENERATED]
    stored = (muons.genPartIdx >= 0) & (muons.genPartIdx < ak.num(generated))
    return ak.fill_none(generated[ak.mask(muons.genPartIdx, stored)].pt, 0)
