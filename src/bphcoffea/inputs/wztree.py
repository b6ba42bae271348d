"""Schema of the ``wztree`` of the CMS search for heavy neutral leptons, Ds → μN, N → μπ.

Collections and fields of the events; momenta and masses in GeV, angles in radians
----------------------------------------------------------------------------------
``run``, ``lumi``, ``event``
    Run, luminosity section and event number, as integers. ``lumi`` is a float in the file; reading
    it raises a :class:`~bphcoffea.errors.FilesetError` if it is NaN or has a fraction. ``event`` is
    an int32 in the file with the bits of an unsigned number.
``Hnl``
    Candidates for N, from the branches ``C_*``: four-momenta with ``mass``, ``pt``, ``px``, ``py``,
    ``pz`` as in the file, and

    - ``gen_l_prop``: the proper length of the generated decay, mm (simulation);
    - ``ds``: the four-momentum of N and the other muon, with the same five fields;
    - ``mu_hnl`` and ``mu_ds``, the muons of the decays of N and of the Ds, and ``pi``:
      four-momenta ``pt``, ``eta``, ``phi``, ``charge`` and the constant ``mass``, with all other
      branches of the particle: ``idx``, ``isSoft``, …, the transverse impact parameters
      ``BS_ip_xy`` and ``PV_ip_xy`` (cm) to the beam spot and to the primary vertex, their
      significances ``BS_ips_xy`` and ``PV_ips_xy``, and in simulation ``isHnlDaughter`` or
      ``isHnlBrother``;
    - ``vertex`` and ``ds_vertex``, the decay vertices of N and of the Ds: ``prob``, ``cos2D``,
      ``cos3D``, and for the distances (cm) in two and three dimensions to the beam spot and to the
      primary vertex, ``dist_2d_bs``, ``err_2d_bs``, ``sig_2d_bs`` (branch ``2DDist_BS``, …),
      ``dist_2d_pv``, …, ``sig_3d_pv``;
    - ``mu1mu2``: ``mass`` and ΔR (``dr``) of both muons.
``TriggerMuon``
    Muons that fired a single-muon trigger: three-momenta with ``idx``, the number of the muon in
    the event, as in ``mu_hnl.idx`` and ``mu_ds.idx``. Each path of `PARKING_PATHS` is a record with
    ``matched``, and ``dr``, ``pt``, ``eta`` of the trigger object.

All other branches keep their names. Columns are read when they are used.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, ClassVar, Final

import awkward as ak
import numpy as np
from coffea.nanoevents import BaseSchema
from coffea.nanoevents.methods import base

from bphcoffea.inputs import momenta
from bphcoffea.inputs.columns import Form, collection, typed_columns, unsigned, whole
from bphcoffea.physics import MUON_MASS, PION_MASS

#: Trigger paths of the parked data of 2018, on one displaced muon. Their names give the thresholds
#: of pT (GeV) and of the significance of the impact parameter.
PARKING_PATHS: Final = (
    "mu7_ip4",
    "mu8_ip3",
    "mu8p5_ip3p5",
    "mu8_ip5",
    "mu8_ip6",
    "mu9_ip4",
    "mu9_ip5",
    "mu9_ip6",
    "mu10p5_ip3p5",
    "mu12_ip6",
)

#: Process of the signal samples of the search.
SIGNAL_PROCESS: Final = "hnl"
#: Example of the name of a signal sample, with p for the decimal point.
SIGNAL_SAMPLE: Final = "DsToNMu_NToMuPi_mN1p5_ctau100p0mm"
#: Patterns of the generated parameters in the names of signal samples, and their units.
SIGNAL_PARAMETERS: Final = {
    "mass": (re.compile(r"(?<![A-Za-z0-9])mN(\d+(?:[p.]\d+)?)(?:GeV)?(?![A-Za-z0-9])"), "GeV"),
    "ctau": (re.compile(r"(?<![A-Za-z0-9])ctau(\d+(?:[p.]\d+)?)mm(?![A-Za-z0-9])"), "mm"),
}

#: Branches whose lists set the number of candidates and of trigger objects.
_CANDIDATE, _TRIGGER = "C_Hnl_mass", "HLT_mu_trig_idx"
#: Prefix of the branches of each part of a candidate, and the mass of particles, GeV. Of two
#: prefixes that match a branch, the first one takes it.
_PARTS: Final[dict[str, tuple[str, float | None]]] = {
    "mu_hnl": ("C_mu_Hnl_", MUON_MASS),
    "mu_ds": ("C_mu_Ds_", MUON_MASS),
    "pi": ("C_pi_", PION_MASS),
    "vertex": ("C_Hnl_vertex_", None),
    "ds_vertex": ("C_Ds_vertex_", None),
    "ds": ("C_Ds_", None),
    "mu1mu2": ("C_mu1mu2_", None),
}
_DISTANCE = re.compile(r"(?P<dimensions>[23])D(?P<quantity>Dist|Err|Sig)_(?P<origin>BS|PV)")
_PATH_BRANCH = re.compile(r"HLT_(?P<path>mu[0-9p]+_ip[0-9p]+)_(?P<leaf>\w+)")

_SCALARS: Final = {
    "run": np.int32,
    "event": np.int32,
    "lumi": np.float32,
    "nPV": np.int32,
    "nPU_trueInt": np.int32,
    "nCand": np.int32,
}
_MOMENTUM = ("mass", "pt", "px", "py", "pz")
_TRACK: Final = {
    **dict.fromkeys(("pt", "eta", "phi"), np.float32),
    "charge": np.int32,
    **{f"{origin}_{ip}_xy": np.float32 for origin in ("BS", "PV") for ip in ("ip", "ips")},
}
_MUON: Final = {
    **_TRACK,
    "idx": np.uint32,
    **dict.fromkeys(("isSoft", "isGlobal", "isLoose", "isMedium", "isTracker"), np.int16),
}


class WZTreeSchema(BaseSchema):  # type: ignore[misc]
    """Collections of a wztree; the module lists their fields and units.

    ``std::vector`` branches, counted arrays and RNTuples are supported. A collection exists if the
    file has the branch that sets its lengths, ``C_Hnl_mass`` or ``HLT_mu_trig_idx``; fields exist
    if the file has their branches.
    """

    #: Path of the tree in the file.
    tree: ClassVar[str] = "wztree"
    #: Branches that only simulation has, or only there with entries.
    generated: ClassVar[tuple[str, ...]] = ("C_Hnl_gen_l_prop",)

    def __init__(self, base_form: Form, *args: object, **kwargs: object) -> None:
        super().__init__(base_form, *args, **kwargs)
        branches = dict(zip(self._form["fields"], self._form["contents"], strict=True))
        collections = {"Hnl": _candidates(branches), "TriggerMuon": _triggers(branches)}
        fields = {name: form for name, form in collections.items() if form}
        if "lumi" in branches:
            fields["lumi"] = whole("lumi", branches["lumi"])
        if "event" in branches:
            fields["event"] = unsigned(branches["event"])
        fields |= {name: form for name, form in branches.items() if name not in fields}
        self._form["fields"] = list(fields)
        self._form["contents"] = list(fields.values())

    @classmethod
    def behavior(cls) -> dict[Any, Any]:
        """Return the behaviours of vectors and charged candidates."""
        return {**base.behavior, **momenta.behavior}

    @classmethod
    def reads(cls, branches: Collection[str]) -> bool:
        """Return whether a file with these branches is a wztree."""
        return "C_Hnl_mass" in branches

    @classmethod
    def template(cls) -> dict[str, ak.Array]:
        """Return every known branch by name, without events.

        The branches that an analysis reads of it are the ones that it needs.
        """
        return typed_columns(_SCALARS, cls._known_lists())

    @classmethod
    def _known_lists(cls) -> dict[str, type]:
        lists: dict[str, type] = {}
        for meson in ("Hnl", "Ds"):
            lists |= {f"C_{meson}_{quantity}": np.float32 for quantity in _MOMENTUM}
            vertex = ["prob", "cos2D", "cos3D"]
            vertex += [
                f"{dimensions}D{quantity}_{origin}"
                for dimensions in "23"
                for quantity in ("Dist", "Err", "Sig")
                for origin in ("BS", "PV")
            ]
            lists |= {f"C_{meson}_vertex_{quantity}": np.float32 for quantity in vertex}
        for leg, branches in (("mu_Hnl", _MUON), ("mu_Ds", _MUON), ("pi", _TRACK)):
            lists |= {f"C_{leg}_{quantity}": dtype for quantity, dtype in branches.items()}
        lists |= {"C_mu1mu2_mass": np.float32, "C_mu1mu2_dr": np.float32}
        flags = ("C_mu_Hnl_isHnlDaughter", "C_mu_Ds_isHnlBrother", "C_pi_isHnlDaughter")
        lists |= dict.fromkeys(flags, np.int16)
        lists |= {"C_Hnl_gen_l_prop": np.float32, "HLT_mu_trig_idx": np.uint32}
        lists |= {f"HLT_mu_trig_{quantity}": np.float32 for quantity in ("pt", "eta", "phi")}
        for path in PARKING_PATHS:
            lists[f"HLT_{path}_matched"] = np.int16
            lists |= {f"HLT_{path}_{quantity}": np.float32 for quantity in ("dr", "pt", "eta")}
        return lists


def _candidates(branches: dict[str, Form]) -> Form | None:
    if _CANDIDATE not in branches:
        return None
    parts = {}
    for part, (prefix, mass) in _PARTS.items():
        named = _beginning_with(branches, prefix)
        parts[part] = collection(branches, named, _CANDIDATE, name=f"Hnl.{part}", mass=mass)
    named = _beginning_with(branches, "C_Hnl_")
    return collection(branches, named, _CANDIDATE, name="Hnl", parts=parts)


def _triggers(branches: dict[str, Form]) -> Form | None:
    if _TRIGGER not in branches:
        return None
    of_paths: dict[str, dict[str, str]] = {}
    for branch in branches:
        if found := _PATH_BRANCH.fullmatch(branch):
            of_paths.setdefault(found["path"], {})[branch] = found["leaf"]
    parts = {
        path: collection(branches, named, _TRIGGER, name=f"TriggerMuon.{path}")
        for path, named in of_paths.items()
    }
    named = _beginning_with(branches, "HLT_mu_trig_")
    return collection(branches, named, _TRIGGER, name="TriggerMuon", parts=parts)


def _beginning_with(branches: dict[str, Form], prefix: str) -> dict[str, str]:
    """Return the branches with a prefix, and the names of their fields."""
    return {
        branch: _field(branch.removeprefix(prefix))
        for branch in branches
        if branch.startswith(prefix)
    }


def _field(leaf: str) -> str:
    """Return the name of a field: ``2DDist_BS`` becomes ``dist_2d_bs``."""
    if not (found := _DISTANCE.fullmatch(leaf)):
        return leaf
    return f"{found['quantity']}_{found['dimensions']}d_{found['origin']}".lower()
