"""Energies of jets, corrected and smeared, and the missing momentum that follows from them.

The formulas are those of coffea's ``jetmet_tools``. The random numbers of the smearing differ from
those of its ``CorrectedJetsFactory``, which depend on the chunk: here a jet always has the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.analysis.calibrations.calibration import Calibration, ResolvedCalibration
from bphcoffea.analysis.calibrations.missing_momentum import (
    balanced,
    change_of,
    replaced_change,
    with_original,
    with_raw,
)
from bphcoffea.analysis.calibrations.type1 import (
    SOFT_JETS,
    TYPE1,
    raw_of,
    type1_change,
    with_type1,
)
from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.names import shown
from bphcoffea.analysis.shifts import Path, noise
from bphcoffea.corrections import EraCorrections, JetEnergyPayload
from bphcoffea.errors import CorrectionsError, DeclarationError, alternatives
from bphcoffea.physics import delta_r


@dataclass(frozen=True)
class _Generated:
    """Generated jets of NanoAOD that belong to a collection, and the radius of its jets."""

    collection: str
    index: str
    radius: float


_GENERATED: Final = {
    "Jet": _Generated("GenJet", "genJetIdx", 0.4),
    "FatJet": _Generated("GenJetAK8", "genJetAK8Idx", 0.8),
}
#: Fields of jets that are inputs of corrections.
_FIELDS: Final = {"JetEta": "eta", "JetPhi": "phi", "JetA": "area"}
#: Energy density of NanoAOD: a field of ``Rho``, or of the events in older versions.
_RHO: Final = "fixedGridRhoFastjetAll"
#: Name of the resolution among the uncertainties of a payload.
_RESOLUTION: Final = "jer"


@dataclass(frozen=True)
class JetEnergy(Calibration):
    """Energies of the jets of NanoAOD, by the section ``jet_energy`` of the corrections.

    Energies of data and simulation are corrected, those of simulation are smeared. Variations of
    simulation are ``jes_<source>Up`` and ``Down`` for each source of uncertainty, and ``jerUp`` and
    ``jerDown``. The missing momentum balances the changes of all jets.

    Attributes
    ----------
    collection
        ``Jet`` or ``FatJet``.
    met
        Field of the events that holds the missing momentum; None if there is none to correct.
    together_with
        Other collections, whose variations of the same names are the same variations. They do not
        change the missing momentum, which has their energy from the jets of `collection`.
    type1
        Whether the missing momentum is corrected from its raw momentum (``RawPuppiMET`` of
        ``PuppiMET``) by the jets of ``Jet`` and ``CorrT1METJet``, instead of from that of the file
        by all changes of ``Jet``.
    """

    collection: str
    met: str | None = None
    together_with: tuple[str, ...] = ()
    type1: bool = False

    def __post_init__(self) -> None:
        for name in (self.collection, *self.together_with):
            if name not in _GENERATED:
                raise DeclarationError(
                    f"JetEnergy: {shown(name)} is not a collection of jets of NanoAOD"
                    f"{alternatives(str(name), _GENERATED)}"
                )
        if self.type1 and (self.met is None or self.collection != "Jet"):
            raise DeclarationError(
                "JetEnergy: type1 corrects the missing momentum by the jets of 'Jet'; declare "
                'JetEnergy("Jet", met="PuppiMET", type1=True) or the like'
            )

    @override
    def needs(self) -> tuple[str, ...]:
        return tuple(f"jet_energy.{name}" for name in (self.collection, *self.together_with))

    @override
    def resolved(
        self, metadata: DatasetMetadata, corrections: EraCorrections | None
    ) -> JetEnergyOfDataset | None:
        declared = corrections.jet_energy if corrections else {}
        collections = (self.collection, *self.together_with)
        payloads = {name: declared[name] for name in collections if name in declared}
        if not payloads:
            return None
        met = self.met if self.collection in payloads else None
        is_mc, type1 = metadata["is_mc"], self.type1 and met is not None
        if type1 and not payloads[self.collection].recalibrates(is_mc=is_mc):
            raise CorrectionsError(
                f"[jet_energy.{self.collection}]: Type-1 missing momentum needs the corrections of "
                f"jets, '{'simulation' if is_mc else 'data'}'"
            )
        return JetEnergyOfDataset(payloads, is_mc, self.collection, met or "", type1)


@dataclass(frozen=True)
class JetEnergyOfDataset(ResolvedCalibration):
    """Jet energies of one dataset.

    Attributes
    ----------
    payloads
        Corrections of each collection.
    is_mc
        Whether the dataset is simulated.
    balanced
        Collection whose changes the missing momentum balances.
    met
        Field of the missing momentum; empty if it is not corrected.
    type1
        See :class:`JetEnergy`.
    """

    payloads: Mapping[str, JetEnergyPayload]
    is_mc: bool
    balanced: str
    met: str
    type1: bool = False

    @property
    @override
    def paths(self) -> tuple[Path, ...]:
        of_jets = [(name, field) for name in self.payloads for field in ("pt", "mass")]
        of_met = [(self.met, field) for field in ("pt", "phi")] if self.met else []
        return (*of_jets, *of_met)

    @property
    @override
    def sections(self) -> tuple[str, ...]:
        return tuple(f"jet_energy.{name}" for name in self.payloads)

    @property
    @override
    def sources(self) -> tuple[str, ...]:
        payloads = self.payloads.values()
        names = [name for payload in payloads for name in payload.uncertainties]
        # the resolution first, even if only other jets have it
        return tuple(sorted(dict.fromkeys(names), key=lambda name: not name.startswith("jer")))

    @override
    def calibrate(self, events: ak.Array) -> ak.Array:
        """Return events with calibrated jets and missing momentum.

        The jets also have the fields ``pt_orig`` and ``mass_orig`` of the file, ``pt_jec`` and
        ``mass_jec`` before the smearing, and the factor ``smearing``; the missing momentum has
        ``pt_orig`` and ``phi_orig``.
        """
        for name, payload in self.payloads.items():
            events = ak.with_field(events, self._calibrated(events, name, payload), name)
        if not self.met:
            return events
        payload = self.payloads[self.balanced]
        if self.type1:
            events = self._with_type1(events, payload)
            return balanced(events, self.met, self.balanced, self._type1_change(events))
        events = with_original(events, self.met)
        if payload.recalibrates(is_mc=self.is_mc) or self._smears(payload):
            jets = events[self.balanced]
            events = balanced(events, self.met, self.balanced, change_of(jets, jets.pt))
        return events

    @override
    def clamped(self, events: ak.Array) -> Mapping[str, int]:
        found = {}
        for name, payload in self.payloads.items():
            jets = events[name]
            recalibrated = payload.recalibrates(is_mc=self.is_mc)
            raw_pt = (1 - jets.rawFactor) * jets.pt_orig if recalibrated else jets.pt
            inputs = (_inputs(events, name, pt) for pt in (raw_pt, jets.pt_jec))
            outside = payload.outside(*inputs, is_mc=self.is_mc)
            found[f"jet_energy.{name}"] = int(np.count_nonzero(outside))
        return found

    @override
    def varied(self, events: ak.Array, source: str, *, up: bool) -> Mapping[Path, ak.Array]:
        fields: dict[Path, ak.Array] = {}
        for name, payload in self.payloads.items():
            jets = events[name]
            pt, mass = jets.pt, jets.mass
            uncertainty = payload.uncertainties.get(source)
            if uncertainty == _RESOLUTION:
                factor = self._smearing(events, name, payload, 1 if up else 2)
                pt, mass = factor * jets.pt_jec, factor * jets.mass_jec
            elif uncertainty is not None:
                factor = _uncertainty(events, name, payload, uncertainty, jets.pt, up=up)
                pt, mass = factor * jets.pt, factor * jets.mass
            fields |= {(name, "pt"): pt, (name, "mass"): mass}
        if self.met:
            if self.type1:
                change = self._type1_change(events, source, up=up)
            else:
                change = change_of(events[self.balanced], fields[self.balanced, "pt"])
            fields |= replaced_change(events, self.met, self.balanced, change)
        return fields

    def _with_type1(self, events: ak.Array, payload: JetEnergyPayload) -> ak.Array:
        """Return events whose jets have what Type-1 corrections need of them."""
        raw = raw_of(self.met)
        if raw not in events.fields:
            raise CorrectionsError(
                f"[jet_energy.{self.balanced}]: the input has no '{raw}', from which Type-1 "
                f"corrections of '{self.met}' start; declare JetEnergy without type1"
            )
        events = with_raw(events, self.met, raw)
        for name in (self.balanced, SOFT_JETS):
            if name not in events.fields:
                continue
            jets = events[name]
            soft = name == SOFT_JETS
            raw_pt = jets.rawPt if soft else (1 - jets.rawFactor) * jets.pt_orig
            inputs = _inputs(events, name, raw_pt)
            correction, offset = (
                ak.unflatten(evaluate(inputs, is_mc=self.is_mc), ak.num(jets))
                for evaluate in (payload.correction, payload.offset)
            )
            # soft jets are not smeared: CMS gives no resolution below 10 GeV
            smearing = ak.ones_like(raw_pt) if soft else jets.smearing
            jets = with_type1(jets, raw_pt, correction, offset, smearing)
            events = ak.with_field(events, jets, name)
        return events

    def _type1_change(self, events: ak.Array, source: str = "", *, up: bool = True) -> ak.Array:
        """Return the Type-1 correction, nominal or in a variation."""
        payload = self.payloads[self.balanced]
        uncertainty = payload.uncertainties.get(source)
        changes = []
        for name in (self.balanced, SOFT_JETS):
            if name not in events.fields:
                continue
            jets = events[name]
            factor = jets[TYPE1].smearing
            if uncertainty == _RESOLUTION and name == self.balanced:
                factor = self._smearing(events, name, payload, 1 if up else 2)
            elif uncertainty not in (None, _RESOLUTION):
                pt = jets[TYPE1].pt
                factor = factor + _uncertainty(events, name, payload, uncertainty, pt, up=up) - 1
            changes.append(type1_change(jets, factor))
        return ak.zip({axis: sum(change[axis] for change in changes) for axis in ("x", "y")})

    def _smears(self, payload: JetEnergyPayload) -> bool:
        return self.is_mc and payload.smears

    def _calibrated(self, events: ak.Array, name: str, payload: JetEnergyPayload) -> ak.Array:
        jets = events[name]
        fields = {"pt_orig": jets.pt, "mass_orig": jets.mass, "pt_jec": jets.pt}
        fields["mass_jec"] = jets.mass
        fields["smearing"] = ak.ones_like(jets.pt)
        if payload.recalibrates(is_mc=self.is_mc):
            uncorrected = 1 - jets.rawFactor
            pt_raw, mass_raw = uncorrected * jets.pt, uncorrected * jets.mass
            flat = payload.correction(_inputs(events, name, pt_raw), is_mc=self.is_mc)
            factor = ak.unflatten(flat, ak.num(jets))
            fields |= {"pt_jec": factor * pt_raw, "mass_jec": factor * mass_raw}
        for field, values in fields.items():
            jets = ak.with_field(jets, values, field)
        pt, mass = jets.pt_jec, jets.mass_jec
        if self._smears(payload):
            with_jec = ak.with_field(events, jets, name)
            factor = self._smearing(with_jec, name, payload, 0)
            pt, mass = factor * pt, factor * mass
            jets = ak.with_field(jets, factor, "smearing")
        return ak.with_field(ak.with_field(jets, pt, "pt"), mass, "mass")

    def _smearing(
        self, events: ak.Array, name: str, payload: JetEnergyPayload, variation: int
    ) -> ak.Array:
        """Return the factor that smears each jet, a list per event."""
        jets = events[name]
        original = ak.zip({"pt": jets.pt_orig, "eta": jets.eta, "phi": jets.phi})
        flat = payload.smearing(
            _inputs(events, name, jets.pt_jec),
            ak.flatten(generated_pt(events, name)),
            ak.flatten(noise(original)),
            variation,
        )
        return ak.unflatten(flat, ak.num(jets))


def generated_pt(events: ak.Array, name: str) -> ak.Array:
    """Return the transverse momentum of the generated jet of each jet, GeV; 0 without one.

    A generated jet lies within half the radius of the jet [CMS, SmearedJetProducerT].
    """
    jets, generated = events[name], _GENERATED[name]
    index = jets[generated.index]
    # generated jets below a threshold have an index, but are not stored
    stored = (index >= 0) & (index < ak.num(events[generated.collection]))
    matched = events[generated.collection][ak.mask(index, stored)]
    near = ak.fill_none(delta_r(jets, matched) < generated.radius / 2, False)
    return ak.where(near, ak.fill_none(matched.pt, 0), 0)


def _uncertainty(
    events: ak.Array,
    name: str,
    payload: JetEnergyPayload,
    uncertainty: str,
    pt: ak.Array,
    *,
    up: bool,
) -> ak.Array:
    """Return the factor up or down of a source of uncertainty, a list per event."""
    factors = payload.uncertainty(uncertainty, _inputs(events, name, pt))
    return ak.unflatten(factors[:, 0 if up else 1], ak.num(pt))


def _inputs(events: ak.Array, name: str, pt: ak.Array) -> Callable[[str], ak.Array]:
    """Return a function from the name of an input to its values, shape (jets,)."""
    jets = events[name]

    def values(of: str) -> ak.Array:
        if of == "JetPt":
            return ak.flatten(pt)
        if of in _FIELDS:
            return ak.flatten(jets[_FIELDS[of]])
        density = events.Rho if "Rho" in events.fields else events
        of_events = events.run if of == "run" else density[_RHO]
        return ak.flatten(ak.broadcast_arrays(of_events, jets.eta)[0])

    return values
