"""Ds → φπ agrees with the per-event loop, exactly, and does what each of its cuts says."""

import io
import json
import math

import numpy as np
import pytest
import uproot
from ds_phipi_loop import STEPS, run_loop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bphcoffea.inputs import TwoMuTrackSchema
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.processor import Processor
from bphcoffea.processing.selected import Selected
from bphcoffea.processing.tracing import branch_needs


def select(analysis, events):
    """The analysis's cutflow and its best candidates, as the loop gives them."""
    result = Processor(analysis).process(events)["test"]
    table = result.candidates.table().select(["run", "lumi", "event", "mass"]).to_pydict()
    return result.cutflow.rows(), sorted(zip(*table.values(), strict=True))


def first_failing(analysis, events):
    """Return the first cut that each candidate fails; None if it passes all."""
    candidates = Candidates(events, analysis.collection)
    selected = Selected(analysis.selection, candidates, best=analysis.best)
    masks = {cut.name: selected.mask(cut) for cut in analysis.selection}
    return [
        next((name for name, mask in masks.items() if not mask[i]), None)
        for i in range(len(candidates))
    ]


@pytest.mark.parametrize(
    ("name", "era", "some_pass"),
    [
        ("tree3mu_phipi_2017.root", "2017D", True),
        ("tree3mu_phipi_2018_mc.root", "2018D", True),
        # the file has the branches of both eras, and no candidate passes those of 2017
        ("tree3mu_phipi_2018_mc.root", "2017D", False),
        ("tree3mu_phipi_traps.root", "2017D", True),
    ],
)
def test_agrees_with_the_loop_on_real_vectors(name, era, some_pass, data, ds_phipi, open_events):
    with uproot.open(data / name) as file:
        expected = run_loop(file["Tree3Mu/ntuple"].arrays().to_list(), era)
    assert select(ds_phipi, open_events(data / name, TwoMuTrackSchema, era=era)) == expected
    assert (expected[0][-1]["events"] > 0) == some_pass


def test_every_trap_ends_where_it_was_made_to(data, ds_phipi, open_events):
    traps = json.loads((data / "expected.json").read_text())["tree3mu_phipi_traps.root"]
    events = open_events(data / "tree3mu_phipi_traps.root", TwoMuTrackSchema, era="2017D")
    failing = first_failing(ds_phipi, events)
    selected = Selected(
        ds_phipi.selection, Candidates(events, ds_phipi.collection), best=ds_phipi.best
    )
    best = selected.chosen.tolist()
    offset = 0
    for trap in traps["events"]:
        here = range(offset, offset + len(trap["fails"]))
        assert [failing[i] for i in here] == trap["fails"], trap["trap"]
        chosen = [i - offset for i in best if i in here]
        assert chosen == [i for i in [trap["best"]] if i is not None], trap["trap"]
        offset = here.stop
    assert offset == len(selected.candidates)


PADDING = -99.0
EDGES = {
    "Triplet2_Mass": [1.62, math.nextafter(1.62, 2), 1.8, 2.02, math.nextafter(2.02, 1)],
    "TripletVtx2_Chi2": [0.0, -0.0, 1.5, 1.5, 2.5, -1e-9, math.inf, math.nan],
    "RefittedPV2_NTracks": [1.0, 2.0],
    "FlightDistBS_SV_Significance": [2.0, math.nextafter(2.0, 3), math.nan],
    "Mu01_Pt": [2.0, 3.5, 3.6, 4.1, 5.000000001, 5.0, 5.1],
    "Mu02_Pt": [2.0, 3.5, 3.6, 4.1, 4.1000001, 5.0],
    "Mu01_Eta": [0.5, -0.5, 1.2, math.nextafter(1.2, 0), 2.4, -2.3],
    "Mu02_Eta": [0.5, 0.6, 1.2, -1.3],
    "Mu01_Phi": [3.1, -3.1, math.pi, -math.pi, 2.0],
    "Mu02_Phi": [-3.0, 3.1, 3.0, -2.2],
    "Tr_Pt": [1.2, 1.3, 2.1, 2.1000000000000005, 0.7],
    "Tr_Eta": [0.4, 0.5, 1.3],
    "Tr_Phi": [3.0, 3.1, -3.1],
    "RefTrack1_Pt": [5.0, 4.9, 60.0],
    "RefTrack2_Phi": [3.3, 3.301, -3.0],
    "Mu1_dRtriggerMatch_2017": [0.0, 0.03, math.nextafter(0.03, 0), -1e-12],
    "Mu2_dRtriggerMatch_2017": [0.0, 0.03, 0.029],
    "Mu1_dRtriggerMatch": [0.01, 0.03],
    "Mu2_dRtriggerMatch": [0.01, 0.0],
}
CANDIDATE_BRANCHES = [
    name
    for name in TwoMuTrackSchema._known_lists()
    if name.startswith(
        ("Triplet", "Refitted", "Flight", "Mu0", "Tr_", "RefTrack", "Mu1_", "Mu2_", "Mu3_")
    )
]
NAMES = {
    "Trigger_hlt": [
        "HLT_DoubleMu3_Trk_Tau3mu_v5",
        "HLT_DoubleMu3_Trk_Tau3mu_NoL1Mass_v3",
        "HLT_DoubleMu3_Trk_Tau3mu",
        "xHLT_DoubleMu3_Trk_Tau3mu_v5",
        "",
    ],
    "Trigger_l1": ["L1_DoubleMu4_SQ", "L1_TripleMu0", "L1_DoubleM", "L1_SingleMu22", "L1_DoubleMu"],
}


@pytest.mark.parametrize("era", ["2017B", "2018D"])
def test_every_edge_agrees_with_the_loop(era, ds_phipi, open_events, ntuple, one_candidate):
    matched = {f"Mu{leg}_dRtriggerMatch": [0.01] for leg in (1, 2)}
    changes = [{name: [value]} for name, of in EDGES.items() for value in (*of, PADDING)]
    file = ntuple(
        [one_candidate(evt=number, **matched | change) for number, change in enumerate(changes)]
    )
    with uproot.open(io.BytesIO(file)) as root:
        expected = run_loop(root["Tree3Mu/ntuple"].arrays().to_list(), era)
    assert select(ds_phipi, open_events(file, TwoMuTrackSchema, era=era)) == expected
    assert 5 < len(expected[1]) < len(changes)


@st.composite
def candidates(draw, base):
    """A candidate that passes, but for a few branches that lie on an edge or are padding."""
    if draw(st.integers(0, 9)) == 0:
        return dict.fromkeys(CANDIDATE_BRANCHES, PADDING)
    candidate = {name: base[name][0] for name in CANDIDATE_BRANCHES}
    for name in draw(st.lists(st.sampled_from(sorted(EDGES)), max_size=3)):
        candidate[name] = draw(st.sampled_from([*EDGES[name], PADDING]))
    return candidate


MUONS = st.tuples(st.sampled_from([4.1, 5.0, 3.6]), st.sampled_from([0, 1, 1]), st.booleans())
TRACKS = st.tuples(
    st.sampled_from([2.1, 1.3, 2.1000000000000005]),
    st.sampled_from([0.1, -20.0, math.nextafter(20, 0), math.nan]),
    st.sampled_from([0.1, -0.3, math.nextafter(0.3, 0)]),
)


@st.composite
def events(draw, base):
    event = {name: base[name] for name in ("run", "lumi")}
    event["evt"] = draw(st.sampled_from([0, 1, 2**31, 2**32 - 1]))
    found = draw(st.lists(candidates(base), max_size=4))
    event |= {name: [c[name] for c in found] for name in CANDIDATE_BRANCHES}
    # most events hold the good candidate's muons and track, somewhere among others
    muons = draw(st.lists(MUONS, max_size=2)) + draw(
        st.sampled_from([[], *[[(4.1, 1, 1), (5.0, 1, 1)]] * 3])
    )
    tracks = draw(st.lists(TRACKS, max_size=2)) + draw(
        st.sampled_from([[], *[[(2.1, 0.1, 0.1)]] * 3])
    )
    own = {
        "MuonPt": [m[0] for m in muons],
        "Muon_isGlobal": [float(m[1]) for m in muons],
        "Muon_isPF": [float(m[2]) for m in muons],
        "Track_pt": [t[0] for t in tracks],
        "Track_dz": [t[1] for t in tracks],
        "Track_dxy": [t[2] for t in tracks],
    }
    for branch in base:
        if branch.startswith(("Muon", "Track_")):
            objects = muons if branch.startswith("Muon") else tracks
            event[branch] = own.get(branch, [0.5] * len(objects))
    for prefix, names in NAMES.items():
        paths = draw(st.lists(st.tuples(st.sampled_from(names), st.integers(0, 1)), max_size=2))
        if draw(st.integers(0, 3)):  # most events are triggered, or no candidate would be tested
            paths.append((names[0], 1))
        event[f"{prefix}name"] = [name for name, _ in paths]
        event[f"{prefix}decision"] = [decision for _, decision in paths]
    return event


@settings(
    max_examples=6,  # of many events each, since a file takes longer than its events
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(era=st.sampled_from(["2017B", "2018D", "2022"]), drawn=st.data())
def test_agrees_with_the_loop_on_every_trap(
    era, drawn, ds_phipi, open_events, ntuple, one_candidate
):
    made = drawn.draw(st.lists(events(one_candidate()), min_size=10, max_size=40))
    for number, event in enumerate(made):
        event["evt"] = (event["evt"] + number) % 2**32
    file = ntuple(made)
    with uproot.open(io.BytesIO(file)) as root:
        stored = root["Tree3Mu/ntuple"].arrays().to_list()
    got = select(ds_phipi, open_events(file, TwoMuTrackSchema, era=era))
    assert got == run_loop(stored, era)


#: Step that rejects the good candidate after a change, which each cut has at least once.
REJECTED = (
    ("hlt", {"Trigger_hltname": ["HLT_DoubleMu3_Trk_Tau3mu_NoL1Mass_v3"]}),
    ("hlt", {"Trigger_hltdecision": [0]}),
    ("l1", {"Trigger_l1name": ["L1_SingleMu22"]}),
    ("vertex", {"TripletVtx2_Chi2": [-99.0]}),
    ("candidate", {"Triplet2_Mass": [1.62]}),
    ("candidate", {"RefittedPV2_NTracks": [1.0]}),
    ("candidate", {"FlightDistBS_SV_Significance": [2.0]}),
    ("acceptance", {"Mu02_Pt": [3.5]}),
    ("acceptance", {"Tr_Pt": [1.2]}),
    ("delta_r", {"Tr_Phi": [2.0]}),
    ("muon_id", {"Muon_isPF": [1.0, 0.0]}),
    ("muon_id", {"MuonPt": [4.1, 5.1]}),
    ("track_ip", {"Track_dxy": [0.1, -0.3]}),
    ("phi_window", {"RefTrack2_Phi": [3.31]}),
    ("trigger_match", {"Mu2_dRtriggerMatch_2017": [-99.0]}),
)


def test_each_cut_rejects(ds_phipi, open_events, ntuple, one_candidate):
    made = [one_candidate(evt=n, **changes) for n, (_, changes) in enumerate(REJECTED)]
    file = ntuple([*made, one_candidate(evt=len(made))])
    events = open_events(file, TwoMuTrackSchema)
    assert first_failing(ds_phipi, events) == [*(step for step, _ in REJECTED), None]
    rows, selected = select(ds_phipi, events)
    left = {row["step"]: row["events"] for row in rows}
    positions = [STEPS.index(step) for step, _ in REJECTED]
    assert [left[step] for step in STEPS] == [
        1 + sum(position > number for position in positions) for number in range(len(STEPS))
    ]
    assert [event for _, _, event, _ in selected] == [len(made)]
    assert {*STEPS} == {"all", *(step for step, _ in REJECTED)}


def test_wraps_around_in_phi(ds_phipi, open_events, ntuple, one_candidate):
    # the muons of the good candidate stand at φ = 3.1 and -3.0: 0.18 apart, not 6.1
    assert select(ds_phipi, open_events(ntuple([one_candidate()]), TwoMuTrackSchema))[1]


def test_event_number_uses_all_32_bits(ds_phipi, open_events, ntuple, one_candidate):
    file = ntuple([one_candidate(evt=2**32 - 1)])
    assert select(ds_phipi, open_events(file, TwoMuTrackSchema))[1] == [
        (299368, 7, 2**32 - 1, 1.968)
    ]


def test_reads_only_the_branches_it_needs(data, ds_phipi, open_events):
    log = []
    metadata = {"is_mc": False, "era": "2017D", "hlt": ()}
    events = open_events(data / "tree3mu_phipi_2017.root", TwoMuTrackSchema, log=log, **metadata)
    Processor(ds_phipi).process(events)
    read = {column.branch for column in log}
    assert read == set(branch_needs(ds_phipi, {"data": metadata})["data"].required)
    assert {"Mu1_dRtriggerMatch_2017", "Track_dxy", "TripletVtx2_Chi2"} <= read
    assert not read & {"MuonEta", "Tr_dRtriggerMatch", "Triplet2_Pt", "Mu1_dRtriggerMatch"}


def test_n_minus_1_leaves_out_its_own_cut_only(ds_phipi, open_events, ntuple, one_candidate):
    events = [
        one_candidate(),
        one_candidate(TripletVtx2_Chi2=[-5.0]),
        one_candidate(TripletVtx2_Chi2=[-5.0], Tr_Pt=[1.2]),
        one_candidate(Triplet2_Mass=[1.5]),
    ]
    result = Processor(ds_phipi).process(open_events(ntuple(events), TwoMuTrackSchema))["test"]
    chi2 = result.histograms["nminus1_vertex_chi2"]["all", "nominal", :]
    assert chi2.values(flow=True).sum() == 2  # the good one and the one that fails this cut alone
    assert chi2.values(flow=True)[0] == 1
    mass = result.histograms["nminus1_mass"]["all", "nominal", :]
    assert mass[1.5j].value == 1
    assert mass[1.968j].value == 1


def test_sums_are_taken_before_any_cut(data, ds_phipi, open_events):
    events = open_events(data / "tree3mu_phipi_2017.root", TwoMuTrackSchema)
    result = Processor(ds_phipi).process(events)["test"]
    with uproot.open(data / "tree3mu_phipi_2017.root") as file:
        arrays = file["Tree3Mu/ntuple"].arrays(["run", "lumi"], library="np")
    assert result.events == result.generator_sumw == len(arrays["run"])
    pairs = set(zip(arrays["run"].tolist(), arrays["lumi"].tolist(), strict=True))
    assert set(map(tuple, result.lumis.pairs().tolist())) == pairs


def test_histogram_holds_the_mass_of_the_best(data, ds_phipi, open_events):
    events = open_events(data / "tree3mu_phipi_2017.root", TwoMuTrackSchema)
    result = Processor(ds_phipi).process(events)["test"]
    masses = result.candidates.arrays()["mass"]
    expected, _ = np.histogram(masses, bins=np.linspace(1.65, 2.01, 63))
    filled = result.histograms["mass"]["all", "nominal", :].values()
    np.testing.assert_array_equal(filled, expected)
