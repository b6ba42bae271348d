"""Uncertainty of the missing momentum from energy that belongs to no jet or lepton."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.analysis.calibrations.calibration import Calibration, ResolvedCalibration
from bphcoffea.analysis.calibrations.missing_momentum import replaced_change, with_original
from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.shifts import Path
from bphcoffea.corrections import EraCorrections
from bphcoffea.errors import CorrectionsError

#: Missing momentum of which NanoAOD stores the differences of the components.
_WITH_DIFFERENCES: Final = "MET"
_DIFFERENCES: Final = ("MetUnclustEnUpDeltaX", "MetUnclustEnUpDeltaY")
#: Fields of the others: transverse momentum and angle, up and down.
_SHIFTED: Final = {
    True: ("ptUnclusteredUp", "phiUnclusteredUp"),
    False: ("ptUnclusteredDown", "phiUnclusteredDown"),
}
#: Name of the change of the missing momentum.
_CHANGE: Final = "unclustered"


@dataclass(frozen=True)
class UnclusteredEnergy(Calibration):
    """Variations of a missing momentum of NanoAOD with the unclustered energy.

    The section ``unclustered_energy`` of the corrections switches the variations ``unclusteredUp``
    and ``Down`` of simulation on. They are differences that NanoAOD stores, added to the missing
    momentum that other calibrations have corrected. Data are left as they are.

    Attributes
    ----------
    met
        Field of the events that holds the missing momentum: ``PuppiMET``, ``PFMET`` or ``MET``.

    Examples
    --------
    >>> UnclusteredEnergy("PuppiMET").needs()
    ('unclustered_energy.PuppiMET',)
    """

    met: str

    @override
    def needs(self) -> tuple[str, ...]:
        return (f"unclustered_energy.{self.met}",)

    @override
    def resolved(
        self, metadata: DatasetMetadata, corrections: EraCorrections | None
    ) -> UnclusteredEnergyOfDataset | None:
        declared = corrections.energies.unclustered_energy if corrections else {}
        if not metadata["is_mc"] or self.met not in declared:
            return None
        return UnclusteredEnergyOfDataset(self.met, declared[self.met])


@dataclass(frozen=True)
class UnclusteredEnergyOfDataset(ResolvedCalibration):
    """Unclustered energy of one simulated dataset.

    Attributes
    ----------
    met
        Field of the missing momentum.
    source
        Name of the uncertainty.
    """

    met: str
    source: str

    @property
    @override
    def paths(self) -> tuple[Path, ...]:
        return ((self.met, "pt"), (self.met, "phi"))

    @property
    @override
    def sections(self) -> tuple[str, ...]:
        return (f"unclustered_energy.{self.met}",)

    @property
    @override
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    @property
    def _fields(self) -> tuple[str, ...]:
        shifted = [field for fields in _SHIFTED.values() for field in fields]
        return _DIFFERENCES if self.met == _WITH_DIFFERENCES else tuple(shifted)

    @override
    def calibrate(self, events: ak.Array) -> ak.Array:
        """Return events whose missing momentum also has the fields ``pt_orig`` and ``phi_orig``."""
        for field in ("pt", "phi", *self._fields):
            if field not in events[self.met].fields:
                raise CorrectionsError(
                    f"[{self.sections[0]}]: '{self.met}' of the input has no field '{field}', "
                    "which the calibration reads"
                )
            # a run asks which branches are read, also if no variation is evaluated
            ak.materialize(events[self.met][field])
        return with_original(events, self.met)

    @override
    def varied(self, events: ak.Array, source: str, *, up: bool) -> Mapping[Path, ak.Array]:
        record = events[self.met]
        if self.met == _WITH_DIFFERENCES:
            x, y = (record[field] for field in _DIFFERENCES)
            x, y = (-x, -y) if up else (x, y)
        else:
            pt, phi = (record[field] for field in _SHIFTED[up])
            x = record.pt_orig * np.cos(record.phi_orig) - pt * np.cos(phi)
            y = record.pt_orig * np.sin(record.phi_orig) - pt * np.sin(phi)
        # the missing momentum balances the change, so that the signs are opposite
        return replaced_change(events, self.met, _CHANGE, ak.zip({"x": x, "y": y}))
