"""Ds → φ(μμ)π, event by event: slow, obvious, and written without the library.

The oracle of ``processors/ds_phipi.py``. Every line of the specification is one line here.
"""

import math

import numpy as np
from loops import delta_r, fired, run_steps

EVENT_STEPS = ("all", "hlt", "l1")
STEPS = (
    *EVENT_STEPS,
    "vertex",
    "candidate",
    "acceptance",
    "delta_r",
    "muon_id",
    "track_ip",
    "phi_window",
    "trigger_match",
)
MUON_MASS = 0.1056583755


def run_loop(events, era):
    """Select events that are dictionaries of branches.

    Returns
    -------
    The cutflow as rows, and (run, lumi, event, mass) of each best candidate, sorted.
    """
    rows, survivors = run_steps(
        events,
        EVENT_STEPS,
        STEPS,
        lambda event: len(event["Triplet2_Mass"]),
        event_passes,
        lambda step, event, i: passes(step, event, i, era),
    )
    selected = []
    for event, alive in survivors:
        best = min(alive, key=lambda i: event["TripletVtx2_Chi2"][i])  # first of equals
        selected.append((event["run"], event["lumi"], event["evt"], event["Triplet2_Mass"][best]))
    return rows, sorted(selected)


def event_passes(step, event):
    """Whether the event meets a step that looks at no candidate."""
    if step == "all":
        return True
    if step == "hlt":
        return fired(
            event["Trigger_hltname"], event["Trigger_hltdecision"], ["HLT_DoubleMu3_Trk_Tau3mu_v"]
        )
    if step == "l1":
        return fired(
            event["Trigger_l1name"], event["Trigger_l1decision"], ["L1_DoubleMu", "L1_TripleMu"]
        )
    raise AssertionError(step)


def passes(step, event, i, era):
    """Whether candidate i meets one step."""
    if step == "vertex":
        return event["TripletVtx2_Chi2"][i] >= 0
    if step == "candidate":
        return (
            1.62 < event["Triplet2_Mass"][i] < 2.02
            and event["RefittedPV2_NTracks"][i] >= 2
            and event["FlightDistBS_SV_Significance"][i] > 2
        )
    if step == "acceptance":
        return (
            muon_accepted(event, "Mu01", i)
            and muon_accepted(event, "Mu02", i)
            and event["Tr_Pt"][i] > 1.2
        )
    if step == "delta_r":
        pairs = [("Mu01", "Mu02"), ("Mu01", "Tr"), ("Mu02", "Tr")]
        return all(1e-4 < distance(event, a, b, i) < 0.8 for a, b in pairs)
    if step == "muon_id":
        return muon_identified(event, event["Mu01_Pt"][i]) and muon_identified(
            event, event["Mu02_Pt"][i]
        )
    if step == "track_ip":
        for k, pt in enumerate(event["Track_pt"]):
            if pt == event["Tr_Pt"][i]:
                return abs(event["Track_dz"][k]) < 20 and abs(event["Track_dxy"][k]) < 0.3
        return False
    if step == "phi_window":
        return 1.00 < dimuon_mass(event, i) < 1.04
    if step == "trigger_match":
        suffix = "_2017" if era.startswith("2017") else ""
        return all(0 <= event[f"Mu{leg}_dRtriggerMatch{suffix}"][i] < 0.03 for leg in (1, 2))
    raise AssertionError(step)


def muon_accepted(event, leg, i):
    pt, eta = event[f"{leg}_Pt"][i], abs(event[f"{leg}_Eta"][i])
    return (eta < 1.2 and pt > 3.5) or (1.2 <= eta < 2.4 and pt > 2.0)


def muon_identified(event, wanted):
    for k, pt in enumerate(event["MuonPt"]):
        if np.float32(pt) == np.float32(wanted):
            return event["Muon_isGlobal"][k] == 1 and event["Muon_isPF"][k] == 1
    return False


def distance(event, a, b, i):
    coordinates = [event[f"{leg}_{quantity}"][i] for leg in (a, b) for quantity in ("Eta", "Phi")]
    return delta_r(*coordinates)


def dimuon_mass(event, i):
    energy = px = py = pz = 0.0
    for leg in ("RefTrack1", "RefTrack2"):
        pt, eta, phi = (event[f"{leg}_{q}"][i] for q in ("Pt", "Eta", "Phi"))
        px += pt * math.cos(phi)
        py += pt * math.sin(phi)
        pz += pt * math.sinh(eta)
        energy += math.sqrt((pt * math.cosh(eta)) ** 2 + MUON_MASS**2)
    return math.sqrt(max(energy**2 - px**2 - py**2 - pz**2, 0.0))
