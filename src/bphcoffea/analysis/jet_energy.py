"""Energies of jets, corrected and smeared, and the missing momentum that follows from them.

The formulas are those of coffea's ``jetmet_tools``. The random numbers of the smearing differ from
those of its ``CorrectedJetsFactory``, which depend on the chunk: here a jet always has the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import awkward as ak
import numpy as np
from coffea.jetmet_tools.CorrectedMETFactory import corrected_polar_met
from typing_extensions import override

from bphcoffea.analysis.calibrations import Calibration, ResolvedCalibration
from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.names import shown
from bphcoffea.analysis.shifts import Amounts, Path, noise, replaced
from bphcoffea.analysis.weights import DOWN, UP
from bphcoffea.arrays import Floats
from bphcoffea.corrections import EraCorrections, JetEnergyPayload
from bphcoffea.errors import DeclarationError
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
#: Number of the resolution among the sources of a variation; those of the scale follow.
_RESOLUTION: Final = 0


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
    """

    collection: str
    met: str | None = None
    together_with: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.collection, *self.together_with):
            if name not in _GENERATED:
                raise DeclarationError(
                    f"JetEnergy: {shown(name)} is not a collection of jets of NanoAOD; "
                    f"there are: {', '.join(_GENERATED)}"
                )

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
        return JetEnergyOfDataset(payloads, metadata["is_mc"], self.collection, met or "")


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
    """

    payloads: Mapping[str, JetEnergyPayload]
    is_mc: bool
    balanced: str
    met: str

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
    def _sources(self) -> tuple[str, ...]:
        of_all = (source for payload in self.payloads.values() for source in payload.sources)
        return tuple(dict.fromkeys(of_all))

    @override
    def variations(
        self, metadata: DatasetMetadata, corrections: EraCorrections | None
    ) -> dict[str, Amounts]:
        if not self.is_mc:
            return {}
        names = [f"jes_{source}" for source in self._sources]
        numbers = dict(zip(names, range(_RESOLUTION + 1, len(names) + 1), strict=True))
        if any(payload.smears for payload in self.payloads.values()):
            numbers = {"jer": _RESOLUTION, **numbers}
        return {
            name + side: (float(number), sign)
            for name, number in numbers.items()
            for side, sign in ((UP, 1.0), (DOWN, -1.0))
        }

    @override
    def calibrate(self, events: ak.Array) -> ak.Array:
        """Return events with calibrated jets and missing momentum.

        The jets also have the fields ``pt_orig`` and ``mass_orig`` of the file, ``pt_jec`` and
        ``mass_jec`` before the smearing; the missing momentum has ``pt_orig`` and ``phi_orig``.
        """
        for name, payload in self.payloads.items():
            events = ak.with_field(events, self._calibrated(events, name, payload), name)
        if self.met:
            met = events[self.met]
            met = ak.with_field(met, met.pt, "pt_orig")
            events = ak.with_field(events, ak.with_field(met, met.phi, "phi_orig"), self.met)
            payload = self.payloads[self.balanced]
            if payload.recalibrates(is_mc=self.is_mc) or self._smears(payload):
                events = replaced(events, self._met(events, events[self.balanced].pt))
        return events

    @override
    def shifted(self, events: ak.Array, amounts: Sequence[Floats]) -> Mapping[Path, ak.Array]:
        sources, signs = amounts
        changes = np.flatnonzero((np.diff(sources) != 0) | (np.diff(signs) != 0)) + 1
        bounds = [0, *changes.tolist(), len(sources)]
        parts = [
            self._varied(events[start:stop], int(sources[start]), float(signs[start]))
            for start, stop in itertools.pairwise(bounds)
            if stop > start
        ]
        if not parts:
            return {(name, field): events[name][field] for name, field in self.paths}
        return {path: ak.concatenate([part[path] for part in parts]) for path in self.paths}

    def _varied(self, events: ak.Array, source: int, sign: float) -> Mapping[Path, ak.Array]:
        """Return the energies in one variation."""
        fields: dict[Path, ak.Array] = {}
        for name, payload in self.payloads.items():
            jets = events[name]
            pt, mass = jets.pt, jets.mass
            if source != _RESOLUTION and self._sources[source - 1] in payload.sources:
                inputs = _inputs(events, name, jets.pt)
                factors = payload.uncertainty(self._sources[source - 1], inputs)
                factor = ak.unflatten(factors[:, 0 if sign > 0 else 1], ak.num(jets))
                pt, mass = factor * jets.pt, factor * jets.mass
            elif source == _RESOLUTION and payload.smears:
                factor = self._smearing(events, name, payload, 1 if sign > 0 else 2)
                pt, mass = factor * jets.pt_jec, factor * jets.mass_jec
            fields |= {(name, "pt"): pt, (name, "mass"): mass}
        if self.met:
            fields |= self._met(events, fields[self.balanced, "pt"])
        return fields

    def _smears(self, payload: JetEnergyPayload) -> bool:
        return self.is_mc and payload.smears

    def _calibrated(self, events: ak.Array, name: str, payload: JetEnergyPayload) -> ak.Array:
        jets = events[name]
        fields = {"pt_orig": jets.pt, "mass_orig": jets.mass, "pt_jec": jets.pt}
        fields["mass_jec"] = jets.mass
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

    def _met(self, events: ak.Array, pt: ak.Array) -> Mapping[Path, ak.Array]:
        """Return the missing momentum if the jets have these transverse momenta."""
        met, jets = events[self.met], events[self.balanced]
        moved = corrected_polar_met(met.pt_orig, met.phi_orig, pt, jets.phi, jets.pt_orig)
        return {(self.met, field): moved[field] for field in ("pt", "phi")}


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
