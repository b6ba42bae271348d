"""Schema of PHYSLITE, the format of ATLAS for physics analysis.

Collections and fields of the events; energies in GeV, lengths in cm, angles in radians
---------------------------------------------------------------------------------------
``run``, ``luminosityBlock``, ``event``
    Run, luminosity block and event number.
``genWeight``, ``mcEventWeights``
    Nominal weight of the generator, which is the first one, and all of its weights (simulation).
``EventInfo``
    Numbers of the event, such as ``actualInteractionsPerCrossing``, ``mcChannelNumber`` and the
    flag ``DFCommonJets_eventClean_LooseBad``.
``Electrons``, ``Muons``, ``Photons``, ``TauJets``, ``Jets``, ``LargeRJets``
    The calibrated objects ``AnalysisElectrons``, …: ``pt``, ``eta``, ``phi``, ``mass``, ``charge``,
    and other fields of the file by their names, such as ``DFCommonElectronsLHLooseBL``. Electrons
    and muons have ``d0_significance``, the transverse impact parameter of their track divided by
    its uncertainty, and ``z0_sin_theta`` (cm), the longitudinal one to the primary vertex times
    sin θ; NaN without a track. Jets have the outputs of the b taggers (``GN2v00_pb``, …).
``TruthElectrons``, ``TruthMuons``, ``TruthTaus``, ``TruthPhotons``, ``TruthNeutrinos``, …
    Generated particles: ``pt``, ``eta``, ``phi``, ``mass``, ``pdgId``, ``status``, …
``PrimaryVertices``
    ``x``, ``y``, ``z`` and ``vertexType``, which is 1 for the primary vertex of the event.
``TrackSoftTerm``, ``TruthMET``
    Two-vectors with ``sumet``: the core of the track-based soft term, which is the missing momentum
    of tracks that belong to no object; and that of generated particles which do not interact.
    PHYSLITE contains no missing momentum of the whole event, because it depends on which objects an
    analysis selects.

Other collections are left out. So are fields that are lists, such as links, and floating-point
numbers with other units than those that :data:`ENERGY` and :data:`LENGTH` match, or with none
(:data:`PURE`), so that no field is in MeV or mm. Flags (``int8``) are booleans. Columns are read
when they are used.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, ClassVar, Final

from coffea.nanoevents import BaseSchema
from coffea.nanoevents.methods import base, candidate
from coffea.nanoevents.schemas.base import zip_forms

from bphcoffea.errors import FilesetError
from bphcoffea.inputs.columns import Form, aligned, constant, is_list
from bphcoffea.inputs.computed import boolean, computed, divided, key_of_numbers
from bphcoffea.inputs.xaod import Link, first_of_event, impact_parameters, named_term
from bphcoffea.physics import MUON_MASS

#: Names of floating-point numbers in MeV, in mm, and without a unit.
ENERGY: Final = re.compile(
    r"(pt|m)(_\w+)?|e_\w+|pt[A-Z]\w*|(pt|ptvar|et|topoet)cone\d+\w*|neflowisol\d+\w*|"
    r"JetConstitScaleMomentum_(pt|m)|(InnerDetector|MuonSpectrometer)Pt|EnergyLoss"
)
LENGTH: Final = re.compile(r"x|y|z|\w+_vertex_[xyz]")
PURE: Final = re.compile(
    r"charge|\w*([eE]ta|[pP]hi)(_\w+|[A-Z]\w*)?|f1|(EM|PS)Frac|JVFCorr|Width|Tau\d_wta|C2|D2|"
    r"\w*(Score|Significance|Likelihood|fJvt|ECIDSResult)\w*|(DL1|GN2)\w+|DFCommonJetDr|"
    r"(actual|average)InteractionsPerCrossing|PileupWeight_NOSYS|beamSpotWeight"
)
_MEV_PER_GEV: Final = 1000
_MM_PER_CM: Final = 10

_CALIBRATED: Final = ("Electrons", "Muons", "Photons", "TauJets", "Jets", "LargeRJets")
_TRUTH: Final = (
    *("TruthElectrons", "TruthMuons", "TruthTaus", "TruthPhotons", "TruthNeutrinos"),
    *("TruthBottom", "TruthTop", "TruthBoson"),
)
#: Components from which each field of a generated particle is computed.
_COMPONENTS: Final = {"pt": ("px", "py"), "eta": ("px", "py", "pz"), "phi": ("px", "py")}
_EVENT: Final = "EventInfoAuxDyn."
_NUMBERS: Final = {
    "run": f"{_EVENT}runNumber",
    "luminosityBlock": f"{_EVENT}lumiBlock",
    "event": f"{_EVENT}eventNumber",
    "mcEventWeights": f"{_EVENT}mcEventWeights",
}
_BTAGGING: Final = "BTagging_AntiKt4EMPFlowAuxDyn."
#: Container of missing momenta and the name of the term, by collection.
_TERMS: Final = {
    "TrackSoftTerm": ("MET_Core_AnalysisMETAuxDyn.", "PVSoftTrkCore"),
    "TruthMET": ("MET_TruthAuxDyn.", "NonInt"),
}
_VERTICES: Final = "PrimaryVerticesAuxDyn."
#: Containers of tracks, by the collection whose objects link to them.
_TRACKS: Final = {
    "Electrons": "GSFTrackParticlesAuxDyn.",
    "Muons": "CombinedMuonTrackParticlesAuxDyn.",
}
_PREFIXES: Final = (
    *(_EVENT, _BTAGGING, _VERTICES, *_TRACKS.values(), *(prefix for prefix, _ in _TERMS.values())),
    *(f"Analysis{name}AuxDyn." for name in _CALIBRATED),
    *(f"{name}AuxDyn." for name in _TRUTH),
)


class ReducedPHYSLITESchema(BaseSchema):  # type: ignore[misc]
    """Collections of PHYSLITE in GeV and cm; the module lists their fields.

    Coffea's ``PHYSLITESchema`` has the units of the file, MeV and mm, and cuts all fields of a
    collection by the list lengths of the first one. Here they are compared when a field is read,
    which raises a :class:`~bphcoffea.errors.FilesetError` if they differ, or if a link refers to an
    object that does not exist.
    """

    #: Branches that only simulation has, or only there with entries.
    generated: ClassVar[tuple[str, ...]] = ("EventInfoAuxDyn.mcEventWeights",)
    #: Pattern of the branches to look at. Files have about 1000 others; uproot cannot read 250 of
    #: those.
    filter_name: ClassVar[str] = (
        rf"/({'|'.join(map(re.escape, _PREFIXES))})(?!hardScatterVertexLink).*/"
    )

    def __init__(self, base_form: Form, *args: object, **kwargs: object) -> None:
        super().__init__(base_form, *args, **kwargs)
        branches = dict(zip(self._form["fields"], self._form["contents"], strict=True))
        if not self.reads(branches):
            raise FilesetError(
                f"the tree is not PHYSLITE: it lacks the branch {_NUMBERS['event']}; "
                "choose the schema of its format"
            )
        if _NUMBERS["mcEventWeights"] not in branches and _is_mc(base_form):
            raise FilesetError(
                f"simulation lacks the branch {_NUMBERS['mcEventWeights']}, without which each "
                "event would count 1; is the dataset simulation ('is_mc')?"
            )
        forms = {name: branches.get(branch) for name, branch in _NUMBERS.items()}
        if forms["mcEventWeights"] is not None:
            forms["genWeight"] = first_of_event(_NUMBERS["mcEventWeights"])
        forms["EventInfo"] = _event_info(branches)
        forms |= {name: _calibrated(branches, name) for name in _CALIBRATED}
        forms |= {name: _truth(branches, name) for name in _TRUTH}
        forms["PrimaryVertices"] = _collection(branches, _VERTICES, "z", "PrimaryVertices")
        forms |= {name: _term(branches, name, *source) for name, source in _TERMS.items()}
        present = {name: form for name, form in forms.items() if form is not None}
        self._form["fields"] = list(present)
        self._form["contents"] = list(present.values())

    @classmethod
    def reads(cls, branches: Collection[str]) -> bool:
        """Return whether a file with these branches is PHYSLITE."""
        return _NUMBERS["event"] in branches

    @classmethod
    def behavior(cls) -> dict[Any, Any]:
        """Return the behaviours of vectors and charged candidates."""
        return {**base.behavior, **candidate.behavior}


def _is_mc(form: Form) -> bool:
    """Return whether the metadata of the dataset say that it is simulation."""
    metadata = form.get("parameters", {}).get("metadata") or {}
    return bool(metadata.get("is_mc"))


def _calibrated(branches: dict[str, Form], name: str) -> Form | None:
    prefix = f"Analysis{name}AuxDyn."
    reference = f"{prefix}pt"
    if reference not in branches:
        return None
    further: dict[str, Form] = {}
    match name:
        case "Electrons":
            link = Link(f"{prefix}trackParticleLinks", reference, several=True)
            further = impact_parameters(branches, link, _TRACKS[name], _VERTICES)
        case "Muons":
            link = Link(f"{prefix}combinedTrackParticleLink", reference)
            further = impact_parameters(branches, link, _TRACKS[name], _VERTICES)
            further["mass"] = constant(MUON_MASS, branches[reference])
        case "Jets":
            link = Link(f"{prefix}btaggingLink", reference)
            scores = (pair for pair in _leaves(branches, _BTAGGING) if PURE.fullmatch(pair[1]))
            if link.exists(branches):
                further = {leaf: link.to(branches, f"{branch},!load") for branch, leaf in scores}
    if "z0_sin_theta" in further:
        further["z0_sin_theta"] = divided(further["z0_sin_theta"], _MM_PER_CM)
    return _collection(branches, prefix, "pt", name, further)


def _truth(branches: dict[str, Form], name: str) -> Form | None:
    prefix = f"{name}AuxDyn."
    reference = f"{prefix}px"
    if not {f"{prefix}{axis}" for axis in ("px", "py", "pz", "m")} <= set(branches):
        return None
    momentum: dict[str, Form] = {}
    for field, components in _COMPONENTS.items():
        names = [f"{prefix}{component}" for component in components]
        keys = [key_of_numbers(aligned(name, branches[name], reference)) for name in names]
        form = computed(branches[reference], field, *keys)
        momentum[field] = divided(form, _MEV_PER_GEV) if field == "pt" else form
    return _collection(branches, prefix, "px", name, momentum)


def _collection(
    branches: dict[str, Form],
    prefix: str,
    reference: str,
    name: str,
    further: dict[str, Form] | None = None,
) -> Form | None:
    """Return the form of the branches with a prefix; None without the one that sets the lengths."""
    first = f"{prefix}{reference}"
    if first not in branches:
        return None
    # the first field sets the lengths of the lists; the further ones have those of the reference
    fields = dict(further or {})
    for branch, leaf in sorted(_leaves(branches, prefix), key=lambda pair: pair[0] != first):
        form = branches[branch]
        if is_list(form) and not is_list(form["content"]):
            converted = _converted(leaf, aligned(branch, form, first))
            if converted is not None:
                fields["mass" if leaf == "m" else leaf] = converted
    record = None
    if "pt" in fields:
        record = "PtEtaPhiMCandidate" if "charge" in fields else "PtEtaPhiMLorentzVector"
    objects: Form = zip_forms(fields, name, record)
    return objects


def _event_info(branches: dict[str, Form]) -> Form:
    fields = {
        leaf: form
        for branch, leaf in _leaves(branches, _EVENT)
        if not is_list(branches[branch])
        and (form := _converted(leaf, branches[branch])) is not None
    }
    info: Form = zip_forms(fields, "EventInfo")
    return info


def _leaves(branches: dict[str, Form], prefix: str) -> list[tuple[str, str]]:
    """Return the branches with a prefix that have no parts, and their names without it."""
    found = [(name, name.removeprefix(prefix)) for name in branches if name.startswith(prefix)]
    return [(name, leaf) for name, leaf in found if re.fullmatch(r"\w+", leaf)]


def _converted(leaf: str, form: Form) -> Form | None:
    """Return the form of a column in GeV, cm or without unit; None if its unit is unknown."""
    primitive = (form["content"] if is_list(form) else form).get("primitive", "")
    if primitive == "int8":
        return boolean(form)
    if not primitive.startswith("float"):
        return form if primitive else None
    if ENERGY.fullmatch(leaf):
        return divided(form, _MEV_PER_GEV)
    if LENGTH.fullmatch(leaf):
        return divided(form, _MM_PER_CM)
    return form if PURE.fullmatch(leaf) else None


def _term(branches: dict[str, Form], name: str, prefix: str, term: str) -> Form | None:
    """Return the form of one term of a container of missing momenta."""
    names = f"{prefix}name"
    sources = {"x": f"{prefix}mpx", "y": f"{prefix}mpy", "sumet": f"{prefix}sumet"}
    if not {names, *sources.values()} <= set(branches):
        return None
    fields = {
        field: divided(named_term(branch, names, term), _MEV_PER_GEV)
        for field, branch in sources.items()
    }
    form: Form = zip_forms(fields, name, "TwoVector")
    return form
