"""τ → 3μ agrees with the per-event loop, exactly, and does what each of its cuts says."""

import io
import math

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tau3mu_loop import (
    EVENT_STEPS,
    LEGS,
    STEPS,
    mass_resolution,
    opposite_sign_masses,
    run_loop,
)

from bphcoffea.datasets.fileset import Fileset
from bphcoffea.execution import blinded
from bphcoffea.inputs import ThreeMuSchema
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.processor import Processor
from bphcoffea.processing.selected import Selected
from bphcoffea.processing.tracing import branch_needs


def select(analysis, events):
    """The analysis's cutflow and its best candidates, as the loop gives them."""
    result = Processor(analysis).process(events)["test"]
    names = ["run", "lumi", "event", "mass", "category"]
    table = result.candidates.table().select(names).to_pydict()
    return result.cutflow.rows(), sorted(zip(*table.values(), strict=True))


def stored(file):
    with uproot.open(io.BytesIO(file) if isinstance(file, bytes) else file) as root:
        return root["Tree3Mu/ntuple"].arrays().to_list()


BRANCHES = [name for name, kind in ThreeMuSchema._known_lists().items() if kind is not str]
OF_CANDIDATES = [name for name in BRANCHES if not name.startswith(("Muon", "Track_"))]
GOOD = {
    "Triplet_Mass": 1.75,
    "TripletVtx_Chi2": 1.5,
    "FlightDistBS_SV_Significance": 8.0,
    "Mu1_Pt": 7.000000001,
    "Mu1_Eta": 0.5,
    "Mu1_Phi": 3.1,
    "Mu2_Pt": 4.1,
    "Mu2_Eta": 0.5,
    "Mu2_Phi": -2.95,
    "Mu3_Pt": 3.6,
    "Mu3_Eta": 0.5,
    "Mu3_Phi": 3.03,
} | {f"Mu{leg}_dRtriggerMatch{era}": 0.01 for leg in LEGS for era in ("", "_2017")}
PADDING = -99.0


#: Relative error of muons' momenta that makes each category.
ERROR_OF = {"A": 0.02, "B": 0.07, "C": 0.12}


def muon(pt, charge, error=0.05, **fields):
    known = {"MuonPt": pt, "MuonCharge": charge, "Muon_isGlobal": 1.0, "Muon_isPF": 1.0}
    errors = {"Muon_BestTrackPtErr": error, "Muon_BestTrackEtaErr": 1e-4}
    return known | errors | {"Muon_BestTrackPhiErr": 1e-4, "Muon_vz": 0.1} | fields


MUONS = (muon(4.1, 1.0), muon(7.0, 1.0), muon(3.6, -1.0))


def event_of(candidates=({},), muons=MUONS, number=1, **changes):
    """An event whose candidates are good but for what is said of them."""
    event = {"evt": number, "run": 320_500, "lumi": 7}
    for name in BRANCHES:
        if name in OF_CANDIDATES:
            event[name] = [candidate.get(name, GOOD.get(name, 0.0)) for candidate in candidates]
        else:
            event[name] = [m.get(name, 0.0) for m in muons] if name.startswith("Muon") else []
    return (
        event
        | {
            "Trigger_hltname": [
                "HLT_DoubleMu3_TkMu_DsTau3Mu_v4",
                "HLT_DoubleMu3_Trk_Tau3mu_v5",
            ],
            "Trigger_hltdecision": [1, 1],
            "Trigger_l1name": ["L1_DoubleMu4_SQ_OS_dR_Max1p2"],
            "Trigger_l1decision": [1],
        }
        | changes
    )


@pytest.mark.parametrize(("era", "selected"), [("2018D", 50), ("2024", 1)])
def test_agrees_with_the_loop_on_real_vectors(era, selected, data, tau3mu, open_events):
    file = data / "tree3mu_3mu.root"
    expected = run_loop(stored(file), era)
    assert select(tau3mu, open_events(file, ThreeMuSchema, era=era)) == expected
    assert expected[0][-1]["events"] == selected


EDGES = {
    "Triplet_Mass": [1.62, math.nextafter(1.62, 2), 2.02, math.nextafter(2.02, 1), math.nan],
    "TripletVtx_Chi2": [0.0, -0.0, 1.5, 2.5, -1e-9, math.inf, math.nan],
    "FlightDistBS_SV_Significance": [2.0, math.nextafter(2.0, 1), math.nan],
    "Mu1_Pt": [2.0, 3.5, 4.1, 7.0, 7.1],
    "Mu2_Pt": [2.0, 3.6, 4.1, 4.1000001, 3.5],
    "Mu3_Pt": [3.5, 3.6, math.nextafter(3.6, 4), 2.0],
    "Mu1_Eta": [0.5, 1.2, math.nextafter(1.2, 0), 2.4, -2.3],
    "Mu2_Eta": [0.5, 0.45, 0.1, -1.3],
    "Mu3_Eta": [0.6, 1.2, 0.55, 0.3],
    "Mu1_Phi": [3.1, -3.1, math.pi, 2.9],
    "Mu2_Phi": [-3.0, 3.1, 2.9, -2.9],
    "Mu3_Phi": [3.0, 3.1, 2.95, 3.2, -3.1],
} | {
    f"Mu{leg}_dRtriggerMatch{era}": [0.0, 0.03, math.nextafter(0.03, 0), -1e-12]
    for leg in LEGS
    for era in ("", "_2017")
}


@pytest.mark.parametrize("era", ["2017B", "2018D"])
def test_every_edge_agrees_with_the_loop(era, tau3mu, open_events, ntuple):
    changes = [{name: value} for name, of in EDGES.items() for value in (*of, PADDING)]
    file = ntuple([event_of([change], number=number) for number, change in enumerate(changes)])
    got = select(tau3mu, open_events(file, ThreeMuSchema, era=era))
    assert repr(got) == repr(run_loop(stored(file), era))
    assert 5 < len(got[1]) < len(changes)


@st.composite
def candidates(draw):
    """A candidate that passes, but for a few branches that lie on an edge or are padding."""
    if draw(st.integers(0, 9)) == 0:
        return dict.fromkeys(OF_CANDIDATES, PADDING)
    changed = draw(st.lists(st.sampled_from(sorted(EDGES)), max_size=3))
    return {name: draw(st.sampled_from([*EDGES[name], PADDING])) for name in changed}


muons = st.builds(
    muon,
    st.sampled_from([4.1, 7.0, 3.6, 3.5]),
    st.sampled_from([1.0, -1.0]),
    st.sampled_from([0.02, 0.07, 0.12, 0.0, math.nan]),
    Muon_isGlobal=st.sampled_from([1.0, 1.0, 0.0]),
    Muon_isPF=st.sampled_from([1.0, 1.0, 0.0]),
    Muon_vz=st.sampled_from([0.1, 0.6, 0.59, -0.4]),
)


@st.composite
def events(draw):
    own = st.permutations([muon(m["MuonPt"], m["MuonCharge"], draw(ERRORS)) for m in MUONS])
    found = draw(st.lists(muons, max_size=2)) + (draw(own) if draw(st.integers(0, 4)) else [])
    names = draw(st.sampled_from([["HLT_DoubleMu3_TkMu_DsTau3Mu_v4"], [], NAMES, NAMES, NAMES]))
    return event_of(
        draw(st.lists(candidates(), max_size=4)),
        found,
        draw(st.integers(0, 2**32 - 1)),
        Trigger_hltname=names,
        Trigger_hltdecision=[1] * len(names),
        Trigger_l1decision=[draw(st.sampled_from([1, 1, 1, 0]))],
    )


ERRORS = st.sampled_from(list(ERROR_OF.values()))
NAMES = ["HLT_DoubleMu3_TkMu_DsTau3Mu_v4", "HLT_DoubleMu3_Trk_Tau3mu_v5"]


# few files, of many events each: a file takes longer than its events
@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    era=st.sampled_from(["2017B", "2018D", "2022"]),
    made=st.lists(events(), min_size=1, max_size=40),
)
def test_agrees_with_the_loop_on_every_trap(era, made, tau3mu, open_events, ntuple):
    for number, event in enumerate(made):
        event["evt"] = (event["evt"] + number) % 2**32
    file = ntuple(made)
    got = select(tau3mu, open_events(file, ThreeMuSchema, era=era))
    expected = run_loop(stored(file), era)
    assert repr(got) == repr(expected)


#: Step that rejects the good candidate after changes of it and of its event.
REJECTED = (
    ("hlt", {}, {"Trigger_hltname": ["HLT_DoubleMu3_Trk_Tau3mu_v5"] * 2}),
    ("hlt", {}, {"Trigger_hltdecision": [0, 1]}),
    ("l1", {}, {"Trigger_l1name": ["L1_SingleMu22"]}),
    ("vertex", {"TripletVtx_Chi2": -99.0}, {}),
    ("displacement", {"FlightDistBS_SV_Significance": 1.99}, {}),
    ("muon_id", {}, {"Muon_isPF": [1.0, 1.0, 0.0]}),
    ("muon_id", {}, {"MuonPt": [4.1, 7.1, 3.6]}),
    ("acceptance", {}, {"Mu3_Pt": [3.45], "MuonPt": [4.1, 7.0, 3.45]}),
    ("mass", {"Triplet_Mass": 2.02}, {}),
    ("mass", {}, {"MuonCharge": [1.0, 1.0, 1.0]}),
    ("delta_r", {"Mu2_Phi": -2.3}, {}),
    ("delta_z", {}, {"Muon_vz": [0.1, 0.1, -0.4]}),
    ("trigger_match", {"Mu3_dRtriggerMatch": -99.0}, {}),
    ("phi_veto", {"Mu3_Phi": 3.1, "Mu3_Eta": 0.6}, {}),
    ("omega_veto", {"Mu3_Phi": 2.95}, {}),
)


def test_each_cut_rejects(tau3mu, open_events, ntuple):
    made = [
        event_of([candidate], number=number, **changes)
        for number, (_, candidate, changes) in enumerate(REJECTED)
    ]
    file = ntuple([*made, event_of(number=len(made))])
    events = open_events(file, ThreeMuSchema, era="2018D")
    candidates = Candidates(tau3mu.prepare(events), tau3mu.collection)
    selected = Selected(tau3mu.selection, candidates, best=tau3mu.best)
    masks = {cut.name: selected.mask(cut) for cut in tau3mu.selection}
    failing = [
        next((name for name, mask in masks.items() if not mask[number]), None)
        for number in range(len(candidates))
    ]
    assert failing == [*(step for step, *_ in REJECTED), None]
    rows, best = select(tau3mu, events)
    left = {row["step"]: row["events"] for row in rows}
    positions = [STEPS.index(step) for step, *_ in REJECTED]
    assert [left[step] for step in STEPS] == [
        1 + sum(position > number for position in positions) for number in range(len(STEPS))
    ]
    assert [row[2] for row in best] == [len(made)]
    assert {*STEPS} == {"all", *(step for step, *_ in REJECTED)}


def test_each_category_has_a_veto_of_its_own(tau3mu, open_events, ntuple):
    angles = {"C": (3.1076, 0.970), "BC": (3.1032, 0.985), "ABC": (3.0988, 1.000)}
    made, kept = [], set()
    for rejected, (phi, mass) in angles.items():
        for category, error in ERROR_OF.items():
            event = event_of(
                [{"Mu3_Phi": phi, "Mu3_Eta": 0.6}],
                [muon(m["MuonPt"], m["MuonCharge"], error) for m in MUONS],
                len(made),
            )
            assert max(opposite_sign_masses(event, 0)) == pytest.approx(mass, abs=0.004)
            kept |= set() if category in rejected else {(len(made), category)}
            made.append(event)
    _, selected = select(tau3mu, open_events(ntuple(made), ThreeMuSchema, era="2018D"))
    assert {(row[2], row[4]) for row in selected} == kept


def test_shifted_muons_keep_their_own_tracks(data, tau3mu, open_events):
    (isolation,) = (column for column in tau3mu.columns if column.name == "isolation")
    events = tau3mu.prepare(open_events(data / "tree3mu_3mu.root", ThreeMuSchema))
    before = isolation(events)
    for leg in ("mu1", "mu2", "mu3"):
        moved = events.Triplet[leg].pt * 1.001
        events = ak.with_field(events, moved, ["Triplet", leg, "pt"])
    after = isolation(events)
    assert ak.to_numpy(ak.flatten(after)) == pytest.approx(
        ak.to_numpy(ak.flatten(before)), rel=2e-3
    )
    assert ak.sum(before > 0) > 10


def test_event_cuts_count_events_without_candidates(tau3mu, open_events, ntuple):
    file = ntuple([event_of(), event_of([]), event_of([], Trigger_l1decision=[0])])
    rows, _ = select(tau3mu, open_events(file, ThreeMuSchema, era="2018D"))
    assert [row["events"] for row in rows[: len(EVENT_STEPS)]] == [3, 3, 2]
    assert [row["candidates"] for row in rows[: len(EVENT_STEPS)]] == [1, 1, 1]
    assert {row["events"] for row in rows[len(EVENT_STEPS) :]} == {1}


def test_the_mass_resolution_makes_the_category(tau3mu, open_events, ntuple):
    made = [
        event_of(muons=[muon(m["MuonPt"], m["MuonCharge"], error) for m in MUONS], number=number)
        for number, error in enumerate(ERROR_OF.values())
    ]
    file = ntuple(made)
    result = Processor(tau3mu).process(open_events(file, ThreeMuSchema, era="2018D"))["test"]
    columns = result.candidates.arrays()
    # both add up squares in double precision, in another order
    expected = [mass_resolution(event, 0) for event in made]
    assert columns["mass_resolution"] == pytest.approx(expected, rel=1e-9)
    assert columns["category"].tolist() == list(ERROR_OF)


def test_files_need_only_what_is_cut_on(tau3mu):
    metadata = {"is_mc": True, "era": "2018D", "hlt": ()}
    needs = branch_needs(tau3mu, {"test": metadata})["test"]
    assert {"Muon_BestTrackPtErr", "Muon_vz", "MuonCharge"} <= set(needs.required)
    optional = {"Track_dxyError", "Triplet_Pt", "RefittedPV_z", "FlightDistBS_SV", "Muon_isSoft"}
    assert optional <= set(needs.in_all_or_none)
    assert not optional & set(needs.required)


def test_data_of_each_category_are_hidden_in_its_own_window(tau3mu, open_events, ntuple):
    masses = [1.72, 1.73, 1.74, 1.76, 1.777, 1.79, 1.81, 1.82, 1.83]
    made = [
        event_of(
            [{"Triplet_Mass": mass}],
            [muon(m["MuonPt"], m["MuonCharge"], error) for m in MUONS],
            number,
        )
        for number, (error, mass) in enumerate(
            (error, mass) for error in ERROR_OF.values() for mass in masses
        )
    ]
    fileset = Fileset.model_validate(
        {"test": {"files": {"a.root": "t"}, "metadata": {"is_mc": False, "era": "2018D"}}}
    )
    file = ntuple(made)
    blind = blinded(tau3mu, fileset)
    assert blind.describe().blind.by_category["A"] == (pytest.approx((1.753, 1.801)),)
    seen = {}
    for name, analysis in (("blind", blind), ("open", blinded(tau3mu, fileset, unblind=True))):
        result = Processor(analysis).process(open_events(file, ThreeMuSchema, era="2018D"))["test"]
        columns = result.candidates.arrays()
        filled = result.histograms["mass"][sum, "nominal", sum].value
        assert filled == len(columns["mass"])
        for category in "ABC":
            seen[name, category] = columns["mass"][columns["category"] == category].tolist()
    for category, half in (("A", 0.024), ("B", 0.038), ("C", 0.050)):
        assert seen["open", category] == masses
        assert seen["blind", category] == [m for m in masses if abs(m - 1.777) > half]
    assert np.count_nonzero(result.histograms["nminus1_mass"].values()) > 0
