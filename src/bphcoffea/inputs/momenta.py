"""A four-momentum in the form in which an ntuple has it, where none of coffea's vectors fits."""

from __future__ import annotations

from typing import Any, Final

import awkward as ak
import numpy as np
from coffea.nanoevents.methods import candidate, vector

#: Behaviours of coffea's vectors and candidates, and of :class:`MeasuredMomentum`.
behavior: Final[dict[Any, Any]] = dict(candidate.behavior)
#: What a record is called that is one.
MEASURED_MOMENTUM: Final = "MeasuredMomentum"


@ak.mixin_class(behavior)
class MeasuredMomentum(vector.LorentzVector):  # type: ignore[misc]
    """Fields ``px``, ``py``, ``pz``, ``mass`` (GeV), and ``pt``, which stays what the file says.

    Coffea's vectors refuse a second form of the transverse momentum, and would compute it.
    """

    @property
    def pt(self) -> Any:
        """Transverse momentum of the branch, GeV."""
        return self["pt"]

    def __awkward_validation__(self) -> None:
        """Nothing is doubled by mistake."""


# sums with other vectors, and what it is in fewer dimensions, are those of coffea: they are copied
# after the decorator, which would not replace them
_COFFEAS: Final = "LorentzVector"
for _key, _value in ak._util.copy_behaviors(_COFFEAS, MEASURED_MOMENTUM, behavior).items():
    behavior.setdefault(_key, _value)
for _charged in ("Candidate", "PtEtaPhiMCandidate"):
    for _pair in ((MEASURED_MOMENTUM, _charged), (_charged, MEASURED_MOMENTUM)):
        behavior[(np.add, *_pair)] = behavior[np.add, MEASURED_MOMENTUM, MEASURED_MOMENTUM]
for _one, _other in ((MEASURED_MOMENTUM, _COFFEAS), (("*", MEASURED_MOMENTUM), ("*", _COFFEAS))):
    for _kind in ("ProjectionClass2D", "ProjectionClass3D", "ProjectionClass4D", "MomentumClass"):
        setattr(behavior[_one], _kind, getattr(behavior[_other], _kind))
