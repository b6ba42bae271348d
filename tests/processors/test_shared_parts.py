"""The parts of a selection serve candidates that an analysis builds, such as muon triplets."""

import itertools
import math

import awkward as ak
import pytest
import uproot
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Candidates,
    Cut,
    Histogram,
    Selection,
    Variable,
    leg_pt,
    separation,
)
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.physics import invariant_mass
from bphcoffea.processing.processor import Processor

LEGS = ("mu1", "mu2", "mu3")
mass = Variable("mass", lambda e: invariant_mass(*(e.Triplet[leg] for leg in LEGS)), unit="GeV")
charge = Variable("charge", lambda e: abs(sum(e.Triplet[leg].charge for leg in LEGS)))
spread = Variable("spread", lambda e: abs(mass(e) - 20))


class MuonTriplets(Analysis):
    """All muon triplets of NanoAOD."""

    schema = ReducedNanoAODSchema
    candidates = Candidates("Triplet", best=spread)
    selection = Selection(
        Cut("charge", charge.equals(1)),
        Cut("pt", *(leg_pt("Triplet", leg) > 2 for leg in LEGS)),
        Cut("delta_r", *(separation("Triplet", *p) < 3 for p in itertools.combinations(LEGS, 2))),
    )
    histograms = (Histogram("mass", mass, Axis(50, 0, 100)),)
    columns = (mass,)

    def prepare(self, events):
        muons = events.Muon[["pt", "eta", "phi", "mass", "charge"]]
        return ak.with_field(events, ak.combinations(muons, 3, fields=LEGS), "Triplet")


MUONS = st.lists(
    st.fixed_dictionaries(
        {
            "pt": st.sampled_from([1.5, 2.5, 10.0, 30.0]),
            "eta": st.sampled_from([-2.0, 0.0, 0.5, 2.0]),
            "phi": st.sampled_from([-3.0, 0.0, 1.0, 3.0]),
            "charge": st.sampled_from([-1, 1]),
        }
    ),
    max_size=5,
)


def distance(a, b):
    d_phi = abs(a["phi"] - b["phi"])
    return math.hypot(a["eta"] - b["eta"], min(d_phi, 2 * math.pi - d_phi))


def triplet_mass(muons):
    energy = sum(math.hypot(m["pt"] * math.cosh(m["eta"]), 0.10566) for m in muons)
    momentum = [
        sum(m["pt"] * f(m) for m in muons)
        for f in (
            lambda m: math.cos(m["phi"]),
            lambda m: math.sin(m["phi"]),
            lambda m: math.sinh(m["eta"]),
        )
    ]
    return math.sqrt(energy**2 - sum(p**2 for p in momentum))


@settings(max_examples=25, deadline=None)
@given(events=st.lists(MUONS, min_size=1, max_size=8))
def test_triplets_built_from_muons(events, open_events, tmp_path_factory):
    path = tmp_path_factory.mktemp("nano") / "muons.root"
    filled = ak.Array([[dict(muon, mass=0.10566) for muon in event] for event in [*events, []]])
    assume(ak.fields(filled))  # without a muon there is nothing to write
    with uproot.recreate(path) as file:
        file.mktree("Events", {"Muon": filled.type.content}).extend({"Muon": filled})
    result = Processor(MuonTriplets()).process(open_events(path, ReducedNanoAODSchema, "Events"))[
        "test"
    ]
    n_passing, best = 0, []
    for event in events:
        passing = [
            triplet
            for triplet in itertools.combinations(event, 3)
            if abs(sum(m["charge"] for m in triplet)) == 1
            and all(m["pt"] > 2 for m in triplet)
            and all(distance(*pair) < 3 for pair in itertools.combinations(triplet, 2))
        ]
        n_passing += len(passing)
        if passing:
            best.append(min(abs(triplet_mass(t) - 20) for t in passing))
    assert result.cutflow.candidates[-1] == n_passing
    assert result.cutflow.events[-1] == len(best)
    got = abs(result.candidates.arrays()["mass"] - 20)
    assert got == pytest.approx(best, rel=1e-9, abs=1e-9)
