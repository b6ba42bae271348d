"""The toy's truth, and the small samples made from the toy, against a loop over their files."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

from bphcoffea.physics.constants import MUON_MASS
from bphcoffea.toys import TOYS
from bphcoffea.toys.ds_phipi import DsPhiPiToy

SAMPLES = Path(__file__).parents[1] / "data"
EXPECTED = json.loads((SAMPLES / "expected.json").read_text(encoding="utf-8"))
N_STEPS = 10


def read(path: Path) -> list[dict[str, Any]]:
    with uproot.open(path) as file:
        return file[DsPhiPiToy.tree].arrays().tolist()


def loop_cutflow(events: list[dict[str, Any]], suffix: str) -> list[list[int]]:
    """Return events and candidates after each step, candidate by candidate."""
    counts = np.zeros((N_STEPS + 1, 2), dtype=int)
    for event in events:
        passed = [steps_passed(event, i, suffix) for i in range(len(event["Tr_Pt"]))]
        triggers = triggers_passed(event)
        for step in range(N_STEPS + 1):
            survivors = sum(n >= step for n in passed)
            # steps of the event alone count it with or without candidates
            counts[step] += (triggers >= step if step <= 2 else survivors > 0, survivors)
    return counts.tolist()


def fired(event: dict[str, Any], level: str, *begins: str) -> bool:
    pairs = zip(event[f"Trigger_{level}name"], event[f"Trigger_{level}decision"], strict=True)
    return any(name.startswith(begins) and decision == 1 for name, decision in pairs)


def triggers_passed(event: dict[str, Any]) -> int:
    """Return the number of consecutive trigger steps that an event passes."""
    if not fired(event, "hlt", "HLT_DoubleMu3_Trk_Tau3mu_v"):
        return 0
    return 2 if fired(event, "l1", "L1_DoubleMu", "L1_TripleMu") else 1


def steps_passed(event: dict[str, Any], i: int, suffix: str) -> int:
    """Return the number of consecutive steps that candidate i of an event passes."""

    def value(name: str) -> float:
        return event[name][i]

    def muon_accepted(leg: str) -> bool:
        pt, eta = value(f"{leg}_Pt"), abs(value(f"{leg}_Eta"))
        return (eta < 1.2 and pt > 3.5) or (1.2 <= eta < 2.4 and pt > 2.0)

    def close(first: str, second: str) -> bool:
        d_phi = math.remainder(value(f"{first}_Phi") - value(f"{second}_Phi"), 2 * math.pi)
        return 1e-4 < math.hypot(value(f"{first}_Eta") - value(f"{second}_Eta"), d_phi) < 0.8

    def identified(leg: str) -> bool:
        pt = float(np.float32(value(f"{leg}_Pt")))
        if pt not in event["MuonPt"]:
            return False
        muon = event["MuonPt"].index(pt)
        return event["Muon_isGlobal"][muon] == 1 and event["Muon_isPF"][muon] == 1

    def track_near() -> bool:
        if value("Tr_Pt") not in event["Track_pt"]:
            return False
        track = event["Track_pt"].index(value("Tr_Pt"))
        return abs(event["Track_dz"][track]) < 20 and abs(event["Track_dxy"][track]) < 0.3

    def is_phi() -> bool:
        if min(value("RefTrack1_Pt"), value("RefTrack2_Pt")) < 0:
            return False
        (pt1, eta1, phi1), (pt2, eta2, phi2) = (
            [value(f"RefTrack{leg}_{x}") for x in ("Pt", "Eta", "Phi")] for leg in (1, 2)
        )
        energies = [math.hypot(p * math.cosh(e), MUON_MASS) for p, e in ((pt1, eta1), (pt2, eta2))]
        along = pt1 * pt2 * (math.cos(phi1 - phi2) + math.sinh(eta1) * math.sinh(eta2))
        return 1.00 < math.sqrt(2 * (MUON_MASS**2 + energies[0] * energies[1] - along)) < 1.04

    steps: list[Callable[[], bool]] = [
        lambda: triggers_passed(event) >= 1,
        lambda: triggers_passed(event) >= 2,
        lambda: value("TripletVtx2_Chi2") >= 0,
        lambda: (
            1.62 < value("Triplet2_Mass") < 2.02
            and value("RefittedPV2_NTracks") >= 2
            and value("FlightDistBS_SV_Significance") > 2
        ),
        lambda: muon_accepted("Mu01") and muon_accepted("Mu02") and value("Tr_Pt") > 1.2,
        lambda: close("Mu01", "Mu02") and close("Mu01", "Tr") and close("Mu02", "Tr"),
        lambda: identified("Mu01") and identified("Mu02"),
        track_near,
        is_phi,
        lambda: all(0 <= value(f"Mu{leg}_dRtriggerMatch{suffix}") < 0.03 for leg in (1, 2)),
    ]
    for number, step in enumerate(steps):
        if not step():
            return number
    return len(steps)


def in_rows(cutflow: list[dict[str, Any]]) -> list[list[int]]:
    return [[step["events"], step["candidates"]] for step in cutflow]


def test_the_truth_is_what_a_loop_over_the_files_finds(tmp_path):
    # muons and tracks are looked up by their pT here, which the truth does not need to do
    fileset = json.loads(TOYS["ds_phipi"](tmp_path, 4_000, seed=6).read_text(encoding="utf-8"))
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    for dataset, entry in fileset.items():
        events = [event for name in entry["files"] for event in read(tmp_path / name)]
        suffix = "" if entry["metadata"]["era"] == "2018D" else "_2017"
        assert loop_cutflow(events, suffix) == in_rows(truth[dataset]["cutflow"])


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("tree3mu_phipi_2017.root", "_2017"), ("tree3mu_phipi_2018_mc.root", "")],
)
def test_the_small_samples_hold_what_is_expected(name, suffix):
    cutflow = in_rows(EXPECTED[name]["cutflow"])
    assert loop_cutflow(read(SAMPLES / name), suffix) == cutflow
    assert cutflow[-1][0] > 5


def test_the_mc_sample_has_the_other_era_wrong():
    events = read(SAMPLES / "tree3mu_phipi_2018_mc.root")
    right = loop_cutflow(events, "")
    wrong = loop_cutflow(events, "_2017")
    assert right[:-1] == wrong[:-1]
    assert wrong[-1][0] < right[-1][0] / 3


def test_the_traps_catch_at_the_step_they_should():
    expected = EXPECTED["tree3mu_phipi_traps.root"]
    steps = [*expected["steps"], None]
    events = read(SAMPLES / "tree3mu_phipi_traps.root")
    assert len(events) == len(expected["events"]) > 100
    for event, trap in zip(events, expected["events"], strict=True):
        assert event["evt"] == trap["evt"]
        failed = [steps[steps_passed(event, i, "_2017")] for i in range(len(event["Tr_Pt"]))]
        assert failed == trap["fails"], trap["trap"]
        chi2 = event["TripletVtx2_Chi2"]
        survivors = [i for i, step in enumerate(failed) if step is None]
        assert trap["best"] == min(survivors, key=chi2.__getitem__, default=None), trap["trap"]


def test_every_step_has_a_trap():
    expected = EXPECTED["tree3mu_phipi_traps.root"]
    caught = {step for event in expected["events"] for step in event["fails"]}
    assert caught == {*expected["steps"], None}


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("tree3mu_*.root")), ids=lambda path: path.stem)
def test_the_small_samples_have_true_vectors(path):
    assert path.stat().st_size < 300_000
    with uproot.open(path) as file:
        types = file[DsPhiPiToy.tree].typenames()
    assert types["evt"] == "uint32_t"
    assert types["MuonCollectionSize"] == "int32_t"
    assert types["MuonPt"] == "std::vector<float>"
    assert types["Trigger_hltname"] == "std::vector<std::string>"
    assert types["Trigger_hltdecision"] == "std::vector<int32_t>"
    assert types["Muon_isGlobal"] == "std::vector<double>"


def test_the_3mu_sample_has_its_own_branches():
    events = read(SAMPLES / "tree3mu_3mu.root")
    assert {"Mu3_Pt", "Triplet_Mass", "TripletVtx_Chi2", "FlightDistBS_SV"} <= set(events[0])
    assert {"Mu3_dRtriggerMatch", "Muon_vz", "Muon_BestTrackPtErr"} <= set(events[0])
    assert {len(event["Triplet_Mass"]) for event in events} >= {0, 1, 2}
    for event in events:
        for leg in (1, 2, 3):
            for pt in event[f"Mu{leg}_Pt"]:
                assert pt == -99 or float(np.float32(pt)) in event["MuonPt"]
