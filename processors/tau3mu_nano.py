"""τ → 3μ on NanoAOD: all triplets of muons with a total charge of ±1.

The selection is that of ``tau3mu.py``, without the steps that NanoAOD can't answer. Reads any
version, and CMS's reduced open-data files; steps that their muons can't answer are absent as well.
"""

from typing import ClassVar

import awkward as ak
from _tau3mu_inputs import MUONS
from tau3mu import (
    ACCEPTANCE,
    CATEGORIES,
    DELTA_R,
    MASS,
    OMEGA,
    category_of,
    mass,
    muon_id,
    near_in_z,
    phi_veto,
    window_of,
    with_derived,
)

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Blind,
    Candidates,
    Categories,
    Cut,
    DatasetPathFired,
    Histogram,
    Selection,
    Variable,
)
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.physics import invariant_mass

#: Category of candidates without a mass resolution; it hides data in the widest window.
UNKNOWN = "unknown"
NO_FIT = "NanoAOD holds no fit of three muons to a vertex"


def category_in_nano(events: ak.Array) -> ak.Array:
    """Return the position of a candidate's category, from the errors of pT alone."""
    if "resolution" in events.Derived.fields:
        return category_of(events.Derived.resolution)
    return ak.full_like(events.Derived.abs_charge, len(CATEGORIES), dtype=int)


category = Variable("category", category_in_nano)


class Tau3MuNano(Analysis):
    """τ → 3μ, NanoAOD."""

    schema = ReducedNanoAODSchema
    candidates = Candidates("Triplet")
    selection = Selection(
        Cut("hlt", DatasetPathFired(), when=lambda metadata: metadata["hlt"]),
        muon_id("Muon_isGlobal", "Muon_isPFcand"),
        ACCEPTANCE,
        MASS,
        DELTA_R,
        near_in_z("Muon_dz"),
        phi_veto(category, "Muon_ptErr"),
        OMEGA,
    )
    categories = Categories((*CATEGORIES, UNKNOWN), category)
    histograms = (Histogram("mass", mass, Axis(40, 1.62, 2.02)),)
    blind = Blind(
        "mass",
        windows={name: window_of(name) for name in CATEGORIES} | {UNKNOWN: window_of("C")},
    )
    absent: ClassVar = {
        "l1": "a path that fired had its seeds",
        "vertex": NO_FIT,
        "displacement": NO_FIT,
        "trigger_match": "NanoAOD holds no distance to the trigger's muons",
    }

    def prepare(self, events: ak.Array) -> ak.Array:
        """Add the triplets of muons with a total charge of ±1."""
        muons = events.Muon[["pt", "eta", "phi", "mass", "charge"]]
        if {"isGlobal", "isPFcand"} <= set(events.Muon.fields):
            identified = events.Muon.isGlobal & events.Muon.isPFcand
            muons = ak.with_field(muons, identified, "identified")
        for field, branch in (("vz", "dz"), ("pt_error", "ptErr")):
            if branch in events.Muon.fields:
                muons = ak.with_field(muons, events.Muon[branch], field)
        triplets = ak.combinations(muons, len(MUONS), fields=MUONS)
        charge = sum(triplets[leg].charge for leg in MUONS)
        triplets = triplets[abs(charge) == 1]
        legs = [triplets[leg] for leg in MUONS]
        triplets = ak.with_field(triplets, invariant_mass(*legs), "mass")
        events = ak.with_field(events, triplets, "Triplet")
        errors = ("pt_error",) if "pt_error" in muons.fields else ()
        return with_derived(events, triplets[list(MUONS)], errors)
