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
from collections.abc import Iterable
from typing import Any, Final

import awkward as ak
import numpy as np
from coffea.nanoevents import BaseSchema, transforms
from coffea.nanoevents.methods import base, candidate
from coffea.nanoevents.schemas.base import zip_forms
from coffea.nanoevents.util import quote

from bphcoffea.errors import FilesetError
from bphcoffea.inputs.columns import Form, Stack, aligned, constant, is_list
from bphcoffea.inputs.computed import boolean, computed, divided, key_of_numbers
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
#: Form of a column with one number per event.
_OF_EVENT: Final[Form] = {"class": "NumpyArray"}
#: Type of the primary vertex of an event [xAOD::VxType].
_PRIMARY: Final = 1


class ReducedPHYSLITESchema(BaseSchema):  # type: ignore[misc]
    """Collections of PHYSLITE in GeV and cm; the module lists their fields.

    Coffea's ``PHYSLITESchema`` has the units of the file, MeV and mm, and cuts all fields of a
    collection by the list lengths of the first one. Here they are compared when a field is read,
    which raises a :class:`~bphcoffea.errors.FilesetError` if they differ, or if a link refers to an
    object that does not exist.
    """

    def __init__(self, base_form: Form, *args: object, **kwargs: object) -> None:
        super().__init__(base_form, *args, **kwargs)
        branches = dict(zip(self._form["fields"], self._form["contents"], strict=True))
        if _NUMBERS["event"] not in branches:
            raise FilesetError(
                f"the tree is not PHYSLITE: it lacks the branch {_NUMBERS['event']}; "
                "choose the schema of its format"
            )
        forms = {name: branches.get(branch) for name, branch in _NUMBERS.items()}
        if forms["mcEventWeights"] is not None:
            loaded = quote(f"{_NUMBERS['mcEventWeights']},!load")
            forms["genWeight"] = computed(_OF_EVENT, "nominal", loaded)
        forms["EventInfo"] = _event_info(branches)
        forms |= {name: _calibrated(branches, name) for name in _CALIBRATED}
        forms |= {name: _truth(branches, name) for name in _TRUTH}
        forms["PrimaryVertices"] = _collection(branches, _VERTICES, "z", "PrimaryVertices")
        forms |= {name: _term(branches, name, *source) for name, source in _TERMS.items()}
        present = {name: form for name, form in forms.items() if form is not None}
        self._form["fields"] = list(present)
        self._form["contents"] = list(present.values())

    @classmethod
    def behavior(cls) -> dict[Any, Any]:
        """Return the behaviours of vectors and charged candidates."""
        return {**base.behavior, **candidate.behavior}


def _calibrated(branches: dict[str, Form], name: str) -> Form | None:
    prefix = f"Analysis{name}AuxDyn."
    reference = f"{prefix}pt"
    if reference not in branches:
        return None
    further: dict[str, Form] = {}
    match name:
        case "Electrons":
            links = (reference, f"{prefix}trackParticleLinks", True)
            further = _impact_parameters(branches, "GSFTrackParticles", *links)
        case "Muons":
            links = (reference, f"{prefix}combinedTrackParticleLink", False)
            further = _impact_parameters(branches, "CombinedMuonTrackParticles", *links)
            further["mass"] = constant(MUON_MASS, branches[reference])
        case "Jets":
            link = f"{prefix}btaggingLink"
            further = {
                leaf: _linked(branches, f"{branch},!load", reference, link, False)
                for branch, leaf in _leaves(branches, _BTAGGING)
                if PURE.fullmatch(leaf) and _link_parts(branches, link, False)
            }
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
    form = zip_forms(fields, name, record)
    return form


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


def _impact_parameters(
    branches: dict[str, Form], tracks: str, reference: str, link: str, several: bool
) -> dict[str, Form]:
    """Return the forms of the impact parameters of the linked tracks, as far as the file has them.

    Parameters
    ----------
    branches
        Forms of the branches of the file.
    tracks
        Container of the tracks.
    reference
        Branch that sets the number of objects per event.
    link
        Branch of the links.
    several
        Whether an object has a list of links, of which the first counts.
    """
    prefix = f"{tracks}AuxDyn."
    transverse = [f"{prefix}{leaf}" for leaf in ("d0", "definingParametersCovMatrixDiag")]
    longitudinal = [f"{prefix}{leaf}" for leaf in ("z0", "vz", "theta")]
    longitudinal += [f"{_VERTICES}{leaf}" for leaf in ("z", "vertexType")]
    fields: dict[str, Form] = {}
    if not _link_parts(branches, link, several):
        return fields
    if set(transverse) <= set(branches):
        values = f"{_loaded(transverse)},!bphcoffea_significance"
        fields["d0_significance"] = _linked(branches, values, reference, link, several)
    if set(longitudinal) <= set(branches):
        values = f"{_loaded(longitudinal)},!bphcoffea_z0_sin_theta"
        form = _linked(branches, values, reference, link, several)
        fields["z0_sin_theta"] = divided(form, _MM_PER_CM)
    return fields


def _loaded(names: Iterable[str]) -> str:
    return ",".join(f"{name},!load" for name in names)


def _link_parts(branches: dict[str, Form], link: str, several: bool) -> list[tuple[str, str]]:
    """Return branch and further steps for index and key of a link; empty if the file lacks it."""
    parts = ("m_persIndex", "m_persKey")
    if several:
        found = [(link, f",{part},!bphcoffea_first") for part in parts]
    else:
        found = [(f"{link}/{link}.{part}", "") for part in parts]
    return found if all(branch in branches for branch, _ in found) else []


def _linked(
    branches: dict[str, Form], values: str, reference: str, link: str, several: bool
) -> Form:
    """Return the form of the values of the objects that a branch links to."""
    parts = [
        f"{reference},!load,{branch},!load,{reference},{branch},!bphcoffea_aligned{step}"
        for branch, step in _link_parts(branches, link, several)
    ]
    return computed(branches[reference], "linked", quote(",".join([values, *parts, link])))


def _term(branches: dict[str, Form], name: str, prefix: str, term: str) -> Form | None:
    names = f"{prefix}name"
    sources = {"x": f"{prefix}mpx", "y": f"{prefix}mpy", "sumet": f"{prefix}sumet"}
    if not {names, *sources.values()} <= set(branches):
        return None
    fields = {
        field: divided(
            computed(_OF_EVENT, "term", quote(f"{_loaded((branch, names))},{branch},{term}")),
            _MEV_PER_GEV,
        )
        for field, branch in sources.items()
    }
    form: Form = zip_forms(fields, name, "TwoVector")
    return form


def _pop_first(stack: Stack) -> None:
    part, links = stack.pop(), stack.pop()
    stack.append(ak.fill_none(ak.firsts(links[part], axis=2), 0))


def _pop_linked(stack: Stack) -> None:
    name, keys, positions, values = (stack.pop() for _ in range(4))
    counts = ak.to_numpy(ak.num(values, axis=1))
    event = np.repeat(np.arange(len(counts)), ak.to_numpy(ak.num(positions, axis=1)))
    position = ak.to_numpy(ak.flatten(positions)).astype(np.int64)
    is_linked = ak.to_numpy(ak.flatten(keys)) != 0
    outside = event[is_linked & (position >= counts[event])]
    if len(outside):
        raise FilesetError(
            f"branch {name} links to an object that does not exist, in {len(np.unique(outside))} "
            f"events, first at position {outside[0]} of the chunk"
        )
    starts = np.cumsum(counts) - counts
    flat = ak.to_numpy(ak.flatten(values)).astype(np.float64)
    linked = np.full(len(event), np.nan)
    linked[is_linked] = flat[(starts[event] + position)[is_linked]]
    stack.append(linked)


def _pop_nominal(stack: Stack) -> None:
    weights = stack.pop()
    lacking = np.flatnonzero(ak.to_numpy(ak.num(weights)) == 0)
    if len(lacking):
        raise FilesetError(
            f"branch {_NUMBERS['mcEventWeights']} is empty in {len(lacking)} events, first at "
            f"position {lacking[0]} of the chunk"
        )
    stack.append(ak.to_numpy(weights[:, 0]).astype(np.float64))


def _pop_term(stack: Stack) -> None:
    term, branch, names, values = (stack.pop() for _ in range(4))
    chosen = values[names == term]
    wrong = np.flatnonzero(ak.to_numpy(ak.num(chosen)) != 1)
    if len(wrong):
        raise FilesetError(
            f"branch {branch} must have one term '{term}' per event, but has "
            f"{ak.num(chosen)[wrong[0]]} in the event at position {wrong[0]} of the chunk"
        )
    stack.append(ak.to_numpy(ak.flatten(chosen)))


def _pop_significance(stack: Stack) -> None:
    variances, d0 = stack.pop(), stack.pop()
    # the first of five parameters of a track is d0
    stack.append(d0 / np.sqrt(ak.firsts(variances, axis=2)))


def _pop_z0_sin_theta(stack: Stack) -> None:
    kinds, z, theta, vz, z0 = (stack.pop() for _ in range(5))
    primary = ak.fill_none(ak.firsts(z[kinds == _PRIMARY]), np.nan)
    stack.append((z0 + vz - primary) * np.sin(theta))


transforms.bphcoffea_first = _pop_first
transforms.bphcoffea_linked = _pop_linked
transforms.bphcoffea_nominal = _pop_nominal
transforms.bphcoffea_term = _pop_term
transforms.bphcoffea_significance = _pop_significance
transforms.bphcoffea_z0_sin_theta = _pop_z0_sin_theta
