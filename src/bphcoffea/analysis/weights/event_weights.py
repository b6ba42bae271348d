"""Weights of events that need no file of corrections: prefiring, and the pT of top quarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.variables import Values, Variable
from bphcoffea.analysis.weights.weight import Weight, WeightContext, doubles
from bphcoffea.corrections import WHOLE, EraCorrections, Factor
from bphcoffea.physics import top_pt_weight

#: Key of the metadata of datasets in which the spectrum of the top quark is corrected.
TOP_PT: Final = "top_pt"
_TOP: Final = 6
#: Bit of NanoAOD's ``statusFlags`` of the last copy of a particle, after radiation.
_LAST_COPY: Final = 13


@dataclass(frozen=True)
class PrefiringWeight(Weight):
    """Probability that the first trigger level did not lose the event to the bunch crossing before.

    The branches ``L1PreFiringWeight_Nom``, ``Up`` and ``Dn`` of NanoAOD, which the simulation of
    years without prefiring lacks.
    """

    name: str = "prefiring"
    field = "L1PreFiringWeight_Nom"

    @override
    def evaluate(self, values: Values, context: WeightContext) -> Factor:
        nominal = doubles(values(_PREFIRING["Nom"]))
        if not context.shifted:
            return Factor(nominal)
        up, down = (doubles(values(_PREFIRING[side])) for side in ("Up", "Dn"))
        return Factor(nominal, {WHOLE: (up, down)})


def _prefiring(side: str) -> Variable:
    return Variable(f"prefiring_{side}", lambda events: events.L1PreFiringWeight[side])


_PREFIRING: Final = {side: _prefiring(side) for side in ("Nom", "Up", "Dn")}


@dataclass(frozen=True)
class TopPtWeight(Weight):
    """Correction of the pT spectrum of top quarks in tt̄: √(w(t) w(t̄)), w from `top_pt_weight`.

    Applies to datasets with ``"top_pt": true`` in their metadata. Events without a generated top
    quark and antiquark have the weight 1, and are counted. The variation down is no correction, the
    variation up the correction applied twice.

    The weight is the ratio of two normalised spectra, but its mean in a sample is not exactly 1.

    Attributes
    ----------
    name
        Name of the weight.
    normalised
        Whether the weight and its variations are normalised to their own Σw over all events, so
        that they change the spectrum and not the cross section.
    """

    name: str = "top_pt"
    normalised: bool = True

    @override
    def applies(self, metadata: DatasetMetadata, corrections: EraCorrections | None) -> bool:
        return bool(metadata["is_mc"]) and bool(metadata.get(TOP_PT))

    @override
    def evaluate(self, values: Values, context: WeightContext) -> Factor:
        top, antitop = (doubles(values(variable)) for variable in _TOP_PT)
        weights = np.sqrt(top_pt_weight(top) * top_pt_weight(antitop))
        lacking = np.isnan(weights)
        weights[lacking] = 1
        notes = {}
        if np.any(lacking):
            notes["no top quark and antiquark; the weight is 1"] = int(np.count_nonzero(lacking))
        shifts = {WHOLE: (np.square(weights), np.ones(len(weights)))} if context.shifted else {}
        return Factor(weights, shifts, notes=notes)


def _pt_of(code: int) -> Variable:
    """Return the pT of the last copy of a generated particle, GeV; NaN if an event has none."""

    def values(events: ak.Array) -> ak.Array:
        particles = events.GenPart
        last = (particles.statusFlags >> _LAST_COPY) & 1 == 1
        chosen = particles.pt[(particles.pdgId == code) & last]
        return ak.fill_none(ak.firsts(chosen), np.nan)

    return Variable(f"generated_pt_{code}", values)


_TOP_PT: Final = (_pt_of(_TOP), _pt_of(-_TOP))
