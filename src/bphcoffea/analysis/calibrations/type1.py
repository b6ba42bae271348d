"""Type-1 correction of the missing momentum: what the energy corrections of jets add to it.

The formulas are those of coffea's ``CorrectedMETFactory`` with raw missing momentum, which follow
CMSJMECalculators. The correction of a jet is the difference of its energy with all corrections and
its energy with the correction for pile-up (the offset) alone.
"""

from __future__ import annotations

from typing import Final

import awkward as ak
import numpy as np

#: Jets of NanoAOD below the threshold of ``Jet``, for Type-1 corrections alone.
SOFT_JETS: Final = "CorrT1METJet"
#: Field of jets with what Type-1 corrections need of them.
TYPE1: Final = "type1"
#: Least transverse momentum without muons, GeV; largest fraction of electromagnetic energy.
_MIN_PT: Final = 15.0
_MAX_EM_FRACTION: Final = 0.9
#: Largest absolute pseudorapidity.
_MAX_ETA: Final = 5.2


def raw_of(met: str) -> str:
    """Return the field of the raw momentum of a missing momentum of NanoAOD."""
    return f"Raw{met}"


def with_type1(
    jets: ak.Array, raw_pt: ak.Array, correction: ak.Array, offset: ak.Array, smearing: ak.Array
) -> ak.Array:
    """Return jets with the field `TYPE1`.

    The energy of muons in the jets is not corrected.

    Parameters
    ----------
    jets
        Jets, with the fields of the energies of muons that NanoAOD has.
    raw_pt
        Uncorrected transverse momentum with muons, GeV.
    correction, offset, smearing
        Factor of all corrections, of that for pile-up, and of the smearing.
    """
    muons, zero = _field(jets, "muonSubtrFactor", raw_pt), ak.zeros_like(raw_pt)
    without, muon_pt = raw_pt * (1 - muons), raw_pt * muons
    if "EmEF" in jets.fields:
        electromagnetic = jets.EmEF
    elif "neEmEF" in jets.fields:
        electromagnetic = jets.chEmEF + jets.neEmEF
    else:
        electromagnetic = zero
    used = (
        (correction * without > _MIN_PT)
        & (abs(jets.eta) < _MAX_ETA)
        & (electromagnetic < _MAX_EM_FRACTION)
    )
    record = {
        "pt": correction * without + muon_pt,
        "offset_pt": offset * without + muon_pt,
        "phi": jets.phi + _field(jets, "muonSubtrDeltaPhi", raw_pt),
        "smearing": smearing,
        "used": used,
    }
    return ak.with_field(jets, ak.zip(record), TYPE1)


def type1_change(jets: ak.Array, factor: ak.Array) -> ak.Array:
    """Return the Type-1 correction by the jets of each event, GeV, records of ``x`` and ``y``.

    Parameters
    ----------
    jets
        Jets with the field `TYPE1`.
    factor
        Factor of smearing and variations to the corrected transverse momentum.
    """
    record = jets[TYPE1]
    change = ak.where(record.used, factor * record.pt - record.offset_pt, 0.0)
    x = ak.sum(change * np.cos(record.phi), axis=1)
    y = ak.sum(change * np.sin(record.phi), axis=1)
    return ak.zip({"x": x, "y": y})


def _field(jets: ak.Array, name: str, like: ak.Array) -> ak.Array:
    return jets[name] if name in jets.fields else ak.zeros_like(like)
