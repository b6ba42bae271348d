"""Schema of the ``Tree3Mu/ntuple`` of the CMS τ → 3μ search, in both its flavours.

Collections and fields of the events; energies, momenta and masses in GeV, angles in radians
---------------------------------------------------------------------------------------------
``run``, ``lumi``, ``event`` (branch ``evt``)
    Run, luminosity section and event number.
``Triplet``
    Candidates: four-momenta ``mass``, ``pt``, ``eta``, ``phi`` with ``charge``, and

    - ``vertex``: ``x``, ``y``, ``z`` (cm), ``chi2``, ``ndof``;
    - ``primary_vertex``, refitted without the tracks of the triplet: ``x``, ``y``, ``z`` (cm),
      ``n_tracks``;
    - ``flight_pv`` and ``flight_bs``, the flight distance from the primary vertex (3D) and from the
      beam spot (transverse): ``distance``, ``error`` (cm), ``significance``;
    - ``mu1``, ``mu2`` and ``track`` (two muons and a track) or ``mu3`` (three muons): four-momenta
      before the vertex fit, with ``trigger_dr`` and ``trigger_dr_2017``, the distance ΔR to the
      trigger object, and ``matching_pt``, the pT by which the ntuple refers to the muon or track,
      which systematic shifts of ``pt`` do not change;
    - ``mu1_refitted``, …: four-momenta after the vertex fit.
``Muon``, ``Track``
    Four-momenta with charge; the branch ``Muon_isPF`` is ``Muon.isPF``.
``HLT``, ``L1``
    Trigger paths of the event: ``name``, ``decision``.
``Gen``
    Generated particles, in simulation: three-momenta with ``pdgId``, ``motherPdgId``.

All other branches keep their names. The branches of failed candidates hold -99: a cut has to reject
them. Columns are read when they are used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal

import awkward as ak
import numpy as np
from coffea.nanoevents import BaseSchema
from coffea.nanoevents.methods import base, candidate, vector

from bphcoffea.errors import FilesetError
from bphcoffea.inputs.columns import Form, collection, typed_columns
from bphcoffea.physics import MUON_MASS, PION_MASS

Flavour = Literal["2mu+track", "3mu"]

#: Fields by the name of the quantity in the ntuple.
_FIELD = {
    "Pt": "pt",
    "Eta": "eta",
    "Phi": "phi",
    "Mass": "mass",
    "Charge": "charge",
    "Chi2": "chi2",
    "NDOF": "ndof",
    "NTracks": "n_tracks",
    "PdgId": "pdgId",
    "MotherPdgId": "motherPdgId",
    "dRtriggerMatch": "trigger_dr",
    "dRtriggerMatch_2017": "trigger_dr_2017",
    "Err": "error",
    "Significance": "significance",
}

#: Suffix of the candidate branches, and prefixes of the legs, of each flavour.
_LEGS: dict[Flavour, tuple[str, tuple[str, str, str]]] = {
    "2mu+track": ("2", ("Mu01", "Mu02", "Tr")),
    "3mu": ("", ("Mu1", "Mu2", "Mu3")),
}

_SCALARS = {"evt": np.uint32, "run": np.uint32, "lumi": np.uint32, "nPileUpInt": np.uint32}
_TRIGGERS = {"HLT": "Trigger_hlt", "L1": "Trigger_l1"}
_KINEMATICS = ("Pt", "Eta", "Phi")
_MUON_BRANCHES = (
    *("vx", "vy", "vz", "isGlobal", "isPF", "isSoft"),
    *(f"BestTrack{quantity}Err" for quantity in _KINEMATICS),
)
_TRACK_BRANCHES = ("pt", "eta", "phi", "charge", "dxy", "dz", "dxyError", "dzError")


class Tree3MuSchema(BaseSchema):  # type: ignore[misc]
    """Collections of a Tree3Mu ntuple; the module lists their fields and units.

    ``std::vector`` branches, counted arrays and RNTuples are supported. The flavour follows from
    the branches of the file; for files with both, use :class:`TwoMuTrackSchema` or
    :class:`ThreeMuSchema`.

    Raises
    ------
    FilesetError
        If the file has candidates of both flavours or of none, and the schema does not choose one.
    """

    flavour: ClassVar[Flavour | None] = None
    #: Branches that only simulation has, or only there with entries.
    generated: ClassVar[tuple[str, ...]] = ("GenParticle_Pt",)

    def __init__(self, base_form: Form, *args: object, **kwargs: object) -> None:
        super().__init__(base_form, *args, **kwargs)
        self._branches = dict(zip(self._form["fields"], self._form["contents"], strict=True))
        flavour = self.flavour or self._flavour_of_file()
        muon = {f"Muon{quantity}": _FIELD[quantity] for quantity in (*_KINEMATICS, "Charge")}
        muon["MuonEnergy"] = "MuonEnergy"
        collections: dict[str, Form | None] = {
            "Triplet": self._triplet(flavour),
            "Muon": self._collection(None, muon, prefix="Muon", mass=MUON_MASS),
            "Track": self._collection(None, {"Track_pt": "pt"}, prefix="Track", mass=PION_MASS),
            "Gen": self._collection(None, {"GenParticle_Pt": "pt"}, prefix="GenParticle"),
        }
        for name, prefix in _TRIGGERS.items():
            lists = {f"{prefix}{field}": field for field in ("name", "decision")}
            collections[name] = self._collection(None, lists)
        fields = {name: form for name, form in collections.items() if form}
        if "evt" in self._branches:
            fields["event"] = self._branches.pop("evt")
        fields |= {name: form for name, form in self._branches.items() if name not in fields}
        self._form["fields"] = list(fields)
        self._form["contents"] = list(fields.values())

    @classmethod
    def behavior(cls) -> dict[Any, Any]:
        """Return the behaviours of vectors and charged candidates."""
        return {**base.behavior, **vector.behavior, **candidate.behavior}

    @classmethod
    def reads(cls, branches: Collection[str]) -> bool:
        """Return whether a file with these branches has candidates of the flavour."""
        flavours = (cls.flavour,) if cls.flavour else tuple(_LEGS)
        return any(f"Triplet{_LEGS[flavour][0]}_Mass" in branches for flavour in flavours)

    @classmethod
    def template(cls) -> dict[str, ak.Array]:
        """Return every known branch by name, without events.

        The branches that an analysis reads of it are the ones that it needs.
        """
        return typed_columns(_SCALARS, cls._known_lists())

    @classmethod
    def _known_lists(cls) -> dict[str, type]:
        lists: dict[str, type] = {}
        for prefix in _TRIGGERS.values():
            lists |= {f"{prefix}name": str, f"{prefix}decision": np.int32}
        lists |= {f"Muon{quantity}": np.float32 for quantity in _KINEMATICS}
        doubles = ["MuonCharge", "MuonEnergy"]
        doubles += [f"Muon_{name}" for name in _MUON_BRANCHES]
        doubles += [f"Track_{name}" for name in _TRACK_BRANCHES]
        for flavour in (cls.flavour,) if cls.flavour else ("2mu+track",):
            suffix, legs = _LEGS[flavour]
            doubles += [f"Triplet{suffix}_{q}" for q in ("Mass", *_KINEMATICS, "Charge")]
            doubles += [f"TripletVtx{suffix}_{q}" for q in ("x", "y", "z", "Chi2", "NDOF")]
            doubles += [f"RefittedPV{suffix}_{q}" for q in ("x", "y", "z", "NTracks")]
            for flight in (f"FlightDistPVSV{suffix}", "FlightDistBS_SV"):
                doubles += [f"{flight}{quantity}" for quantity in ("", "_Err", "_Significance")]
            for number, prefix in enumerate(legs, start=1):
                doubles += [f"{prefix}_{quantity}" for quantity in _KINEMATICS]
                doubles += [f"RefTrack{number}_{quantity}" for quantity in _KINEMATICS]
                doubles += [f"Mu{number}_dRtriggerMatch", f"Mu{number}_dRtriggerMatch_2017"]
        return lists | dict.fromkeys(doubles, np.float64)

    def _flavour_of_file(self) -> Flavour:
        found = [
            flavour
            for flavour, (suffix, _) in _LEGS.items()
            if f"Triplet{suffix}_Mass" in self._branches
        ]
        if len(found) != 1:
            raise FilesetError(
                f"the ntuple holds {'both flavours' if found else 'no flavour'} of candidates "
                "(branches Triplet2_Mass: two muons and a track, Triplet_Mass: three muons); "
                "read it with TwoMuTrackSchema or ThreeMuSchema"
            )
        return found[0]

    def _triplet(self, flavour: Flavour) -> Form | None:
        suffix, legs = _LEGS[flavour]
        reference = f"Triplet{suffix}_Mass"
        if reference not in self._branches:
            return None
        parts: dict[str, Form | None] = {
            "vertex": self._collection(reference, prefix=f"TripletVtx{suffix}"),
            "primary_vertex": self._collection(reference, prefix=f"RefittedPV{suffix}"),
        }
        for name, prefix in (
            ("flight_pv", f"FlightDistPVSV{suffix}"),
            ("flight_bs", "FlightDistBS_SV"),
        ):
            parts[name] = self._collection(reference, {prefix: "distance"}, prefix=prefix)
        for number, prefix in enumerate(legs, start=1):
            name, mass = ("track", PION_MASS) if prefix == "Tr" else (f"mu{number}", MUON_MASS)
            trigger = {
                f"Mu{number}_{branch}": _FIELD[branch]
                for branch in ("dRtriggerMatch", "dRtriggerMatch_2017")
            }
            parts[name] = self._collection(reference, trigger, prefix=prefix, mass=mass, key="pt")
            parts[f"{name}_refitted"] = self._collection(
                reference, prefix=f"RefTrack{number}", mass=mass
            )
        return self._collection(reference, prefix=f"Triplet{suffix}", parts=parts)

    def _collection(
        self,
        reference: str | None,
        branches: Mapping[str, str] | None = None,
        *,
        prefix: str | None = None,
        mass: float | None = None,
        parts: Mapping[str, Form | None] | None = None,
        key: str | None = None,
    ) -> Form | None:
        """Return a collection of the named branches and of all branches with a prefix.

        See :func:`~bphcoffea.inputs.columns.collection` for the other parameters.
        """
        named = dict(branches or {})
        if prefix is not None:
            for branch in self._branches:
                if branch.startswith(f"{prefix}_"):
                    leaf = branch.removeprefix(f"{prefix}_")
                    named.setdefault(branch, _FIELD.get(leaf, leaf))
        return collection(
            self._branches, named, reference, name=prefix, mass=mass, parts=parts, key=key
        )


class TwoMuTrackSchema(Tree3MuSchema):
    """Candidates of two muons and a track, also from files with candidates of three muons."""

    flavour = "2mu+track"


class ThreeMuSchema(Tree3MuSchema):
    """Candidates of three muons, also from files with candidates of two muons and a track."""

    flavour = "3mu"
