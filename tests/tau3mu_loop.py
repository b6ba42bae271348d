"""τ → 3μ, event by event: slow, obvious, and written without the library.

The oracle of ``processors/tau3mu.py``. Every line of the specification is one line here.
"""

import math

import numpy as np
from loops import delta_r, fired, run_steps

EVENT_STEPS = ("all", "hlt", "l1")
STEPS = (
    *EVENT_STEPS,
    "vertex",
    "displacement",
    "muon_id",
    "acceptance",
    "mass",
    "delta_r",
    "delta_z",
    "trigger_match",
    "phi_veto",
    "omega_veto",
)
MUON_MASS = 0.1056583755
LEGS = (1, 2, 3)
PAIRS = ((1, 2), (1, 3), (2, 3))
HLT, HLT_2018 = "HLT_DoubleMu3_Trk_Tau3mu_v", "HLT_DoubleMu3_TkMu_DsTau3Mu_v"
PHI_WINDOW = {"A": (0.99, 1.05), "B": (0.98, 1.06), "C": (0.965, 1.075)}
OMEGA_WINDOW = (0.783 - 0.017, 0.783 + 0.017)


def run_loop(events, era):
    """Select events that are dictionaries of branches.

    Returns
    -------
    The cutflow as rows, and (run, lumi, event, mass, category) of each best candidate, sorted.
    """
    rows, survivors = run_steps(
        events,
        EVENT_STEPS,
        STEPS,
        lambda event: len(event["Triplet_Mass"]),
        lambda step, event: event_passes(step, event, era),
        lambda step, event, i: passes(step, event, i, era),
    )
    selected = []
    for event, alive in survivors:
        best = min(alive, key=lambda i: event["TripletVtx_Chi2"][i])  # first of equals
        number = (event["run"], event["lumi"], event["evt"])
        selected.append((*number, event["Triplet_Mass"][best], category(event, best)))
    return rows, sorted(selected)


def event_passes(step, event, era):
    """Whether the event meets a step that looks at no candidate."""
    if step == "all":
        return True
    if step == "hlt":
        prefix = HLT_2018 if era.startswith("2018") else HLT
        return fired(event["Trigger_hltname"], event["Trigger_hltdecision"], [prefix])
    if step == "l1":
        return fired(
            event["Trigger_l1name"], event["Trigger_l1decision"], ["L1_DoubleMu", "L1_TripleMu"]
        )
    raise AssertionError(step)


def passes(step, event, i, era):
    """Whether candidate i meets one step."""
    if step == "vertex":
        return event["TripletVtx_Chi2"][i] >= 0
    if step == "displacement":
        return event["FlightDistBS_SV_Significance"][i] >= 2
    if step == "muon_id":
        return all(identified(event, i, leg) for leg in LEGS)
    if step == "acceptance":
        return all(accepted(event, i, leg) for leg in LEGS)
    if step == "mass":
        charges = [event["MuonCharge"][matched_muon(event, i, leg)] for leg in LEGS]
        return 1.62 < event["Triplet_Mass"][i] < 2.02 and abs(sum(charges)) == 1
    if step == "delta_r":
        return all(distance(event, i, a, b) < 0.8 for a, b in PAIRS)
    if step == "delta_z":
        z = {leg: event["Muon_vz"][matched_muon(event, i, leg)] for leg in LEGS}
        return all(abs(z[a] - z[b]) < 0.5 for a, b in PAIRS)
    if step == "trigger_match":
        suffix = "_2017" if era.startswith("2017") else ""
        return all(0 <= event[f"Mu{leg}_dRtriggerMatch{suffix}"][i] < 0.03 for leg in LEGS)
    if step == "phi_veto":
        if category(event, i) is None:
            return False
        low, high = PHI_WINDOW[category(event, i)]
        return all(not low < m < high for m in opposite_sign_masses(event, i))
    if step == "omega_veto":
        low, high = OMEGA_WINDOW
        return all(not low < m < high for m in opposite_sign_masses(event, i))
    raise AssertionError(step)


def matched_muon(event, i, leg):
    """The first muon with the pT of the leg, or None."""
    wanted = np.float32(event[f"Mu{leg}_Pt"][i])
    for k, pt in enumerate(event["MuonPt"]):
        if np.float32(pt) == wanted:
            return k
    return None


def identified(event, i, leg):
    muon = matched_muon(event, i, leg)
    if muon is None:
        return False
    return event["Muon_isGlobal"][muon] == 1 and event["Muon_isPF"][muon] == 1


def accepted(event, i, leg):
    pt, eta = event[f"Mu{leg}_Pt"][i], abs(event[f"Mu{leg}_Eta"][i])
    return eta < 2.4 and pt > 2.0 and (pt > 3.5 or eta >= 1.2)


def coordinates(event, i, leg):
    """PT, η and φ of a leg."""
    return [event[f"Mu{leg}_{quantity}"][i] for quantity in ("Pt", "Eta", "Phi")]


def distance(event, i, a, b):
    return delta_r(*coordinates(event, i, a)[1:], *coordinates(event, i, b)[1:])


def invariant_mass(particles):
    """Mass of muons that are lists of pT, η and φ."""
    energy = px = py = pz = 0.0
    for pt, eta, phi in particles:
        px += pt * math.cos(phi)
        py += pt * math.sin(phi)
        pz += pt * math.sinh(eta)
        energy += math.sqrt((pt * math.cosh(eta)) ** 2 + MUON_MASS**2)
    return math.sqrt(max(energy**2 - px**2 - py**2 - pz**2, 0.0))


def opposite_sign_masses(event, i):
    charge = {leg: event["MuonCharge"][matched_muon(event, i, leg)] for leg in LEGS}
    return [
        invariant_mass([coordinates(event, i, a), coordinates(event, i, b)])
        for a, b in PAIRS
        if charge[a] * charge[b] < 0
    ]


def mass_resolution(event, i):
    """Relative: each of nine parameters up and down by its error, squares of half differences."""
    legs = [coordinates(event, i, leg) for leg in LEGS]
    variance = 0.0
    for number, leg in enumerate(LEGS):
        muon = matched_muon(event, i, leg)
        for parameter, quantity in enumerate(("Pt", "Eta", "Phi")):
            error = event[f"Muon_BestTrack{quantity}Err"][muon]
            masses = []
            for sign in (1, -1):
                moved = [list(particle) for particle in legs]
                moved[number][parameter] += sign * error
                masses.append(invariant_mass(moved))
            variance += ((masses[0] - masses[1]) / 2) ** 2
    return math.sqrt(variance) / invariant_mass(legs)


def category(event, i):
    resolution = mass_resolution(event, i)
    if math.isnan(resolution):
        return None
    return "A" if resolution < 0.007 else "B" if resolution < 0.0105 else "C"
