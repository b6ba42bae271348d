"""Four-momentum with both Cartesian components and a measured pT, which coffea does not have."""

from __future__ import annotations

from typing import Any, Final

import awkward as ak
import numpy as np
from coffea.nanoevents.methods import candidate, vector

#: Behaviours of coffea's vectors and candidates, and of :class:`MeasuredMomentum`.
behavior: Final[dict[Any, Any]] = dict(candidate.behavior)
#: Name of the record.
MEASURED_MOMENTUM: Final = "MeasuredMomentum"


@ak.mixin_class(behavior)
class MeasuredMomentum(vector.LorentzVector):  # type: ignore[misc]
    """Four-momentum ``px``, ``py``, ``pz``, ``mass`` (GeV), with ``pt`` (GeV) as in the file.

    Coffea's vectors refuse the redundant ``pt`` and would compute it.
    """

    @property
    def pt(self) -> ak.Array:
        """Transverse momentum in the file, GeV."""
        return self["pt"]

    def __awkward_validation__(self) -> None:
        """Accept ``pt`` beside ``px`` and ``py``."""


# sums with other vectors and projections to fewer dimensions are coffea's; they are copied after
# the decorator, which would not replace them
_COFFEAS: Final = "LorentzVector"
for _key, _value in ak._util.copy_behaviors(_COFFEAS, MEASURED_MOMENTUM, behavior).items():
    behavior.setdefault(_key, _value)
for _charged in ("Candidate", "PtEtaPhiMCandidate"):
    for _pair in ((MEASURED_MOMENTUM, _charged), (_charged, MEASURED_MOMENTUM)):
        behavior[(np.add, *_pair)] = behavior[np.add, MEASURED_MOMENTUM, MEASURED_MOMENTUM]
for _one, _other in ((MEASURED_MOMENTUM, _COFFEAS), (("*", MEASURED_MOMENTUM), ("*", _COFFEAS))):
    for _kind in ("ProjectionClass2D", "ProjectionClass3D", "ProjectionClass4D", "MomentumClass"):
        setattr(behavior[_one], _kind, getattr(behavior[_other], _kind))
