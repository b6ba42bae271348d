"""Same-sign WW with a hadronic τ as a loop over events, written without the library."""

import itertools
import math

WP_VS_JET, WP_VS_E, WP_VS_MU = 64, 4, 8
EDGES = {
    "m_jj": [500, 700, 1000, 1500, 2500],
    "lepton_pt": [0, 30, 45, 60, 80, 100, 150, 250],
    "tau_pt": [30, 45, 60, 100],
}
FLAVOURS = ("muon", "electron")
KINDS = ("signal", "fakes", "ttbar", "opposite_sign")


def steps(era, primary_dataset=None):
    """Return the names of the steps that exist for a dataset, after the first."""
    names = ["trigger_2016" if "2016" in era else "trigger"]
    if primary_dataset == "SingleMuon":
        names.append("muon_trigger")
    elif primary_dataset is not None:
        names.append("no_muon_trigger")
    names += ["vbs_pair", "one_loose_lepton", "lepton"]
    return [*names, *(["lepton_2017"] if "2017" in era else []), "tau", "m_jj"]


def distance(one, other):
    dphi = abs(one["phi"] - other["phi"])
    while dphi > 2 * math.pi:
        dphi -= 2 * math.pi
    return math.hypot(one["eta"] - other["eta"], min(dphi, 2 * math.pi - dphi))


def pair_mass(one, other):
    px = py = pz = energy = 0.0
    for p in (one, other):
        x, y = p["pt"] * math.cos(p["phi"]), p["pt"] * math.sin(p["phi"])
        z = p["pt"] * math.sinh(p["eta"])
        px, py, pz = px + x, py + y, pz + z
        energy += math.sqrt(x * x + y * y + z * z + p["mass"] ** 2)
    return math.sqrt(max(energy**2 - px**2 - py**2 - pz**2, 0))


def is_jet(jet):
    if jet["pt"] <= 30 or abs(jet["eta"]) >= 5 or jet["jetId"] < 2:
        return False
    return jet["pt"] > 50 or jet["puId"] >= 7


def vbs_pair(jets):
    """Return the mass of the VBS pair and its jets; 0 and no jets if no pair is wide enough."""
    best = (0.0, ())
    for one, other in itertools.combinations(jets, 2):
        if abs(one["eta"] - other["eta"]) >= 2.5:
            best = max(best, (pair_mass(one, other), (one, other)), key=lambda of: of[0])
    return best


def loose_leptons(event):
    muons = [
        m
        for m in event["Muon"]
        if m["pt"] > 10 and abs(m["eta"]) < 2.4 and m["looseId"] and m["pfRelIso04_all"] < 0.4
    ]
    electrons = [e for e in event["Electron"] if e["pt"] > 15 and e["mvaFall17V2Iso_WPL"]]
    return muons + electrons


def leptons(event, pair, electron_pt):
    """Return the muons, and the electrons above a momentum, that are no jet of the pair."""
    muons = [
        m
        for m in event["Muon"]
        if m["pt"] > 30 and abs(m["eta"]) < 2.4 and m["tightId"] and m["pfRelIso04_all"] < 0.15
    ]
    electrons = [e for e in event["Electron"] if e["pt"] > electron_pt and e["mvaFall17V2Iso_WP90"]]
    both = [[one for one in of if beyond(one, pair, 0.4)] for of in (muons, electrons)]
    return both[0], both[1]


def beyond(one, others, radius):
    return all(distance(one, other) > radius for other in others)


def is_tau(tau, leptons, pair):
    return (
        tau["pt"] >= 30
        and abs(tau["eta"]) <= 2.3
        and tau["idDeepTau2017v2p1VSjet"] >= WP_VS_JET
        and tau["idDeepTau2017v2p1VSe"] >= WP_VS_E
        and tau["idDeepTau2017v2p1VSmu"] >= WP_VS_MU
        and beyond(tau, leptons, 0.5)
        and beyond(tau, pair, 0.4)
    )


def select(event, era, primary_dataset=None):
    """Return how many steps an event passes, its regions and its quantities, if it passes all."""
    fired = event["HLT"]
    electron_path = "Ele27_WPTight_Gsf" if "2016" in era else "Ele35_WPTight_Gsf"
    jets = [jet for jet in event["Jet"] if is_jet(jet)]
    m_jj, pair = vbs_pair(jets)
    muons, electrons = leptons(event, pair, 35)
    above_35 = muons + electrons
    muons, electrons = leptons(event, pair, 38 if "2017" in era else 35)
    taus = [tau for tau in event["Tau"] if is_tau(tau, muons + electrons, pair)]
    any_trigger = fired["IsoMu27"] or fired[electron_path]
    passes = {
        "trigger": any_trigger,
        "trigger_2016": any_trigger,
        "muon_trigger": fired["IsoMu27"],
        "no_muon_trigger": not fired["IsoMu27"],
        "vbs_pair": bool(pair),
        "one_loose_lepton": len(loose_leptons(event)) == 1,
        "lepton": bool(above_35),
        "lepton_2017": bool(muons + electrons),
        "tau": len(taus) == 1,
        "m_jj": m_jj > 500,
    }
    names = steps(era, primary_dataset)
    passed = len(list(itertools.takewhile(passes.get, names)))
    if passed < len(names):
        return passed, [], None
    (lepton,) = muons + electrons
    same = lepton["charge"] == taus[0]["charge"]
    high_met = event["MET"]["pt"] > 50
    tagged = any(jet["btagDeepFlavB"] >= 0.3033 for jet in jets)
    members = {
        "signal": same and high_met and not tagged,
        "fakes": same and not high_met and not tagged,
        "ttbar": same and high_met and tagged,
        "opposite_sign": not same and high_met and not tagged,
    }
    flavour = "muon" if muons else "electron"
    regions = [name for kind in KINDS if members[kind] for name in (kind, f"{kind}_{flavour}")]
    quantities = {
        "m_jj": m_jj,
        "lepton_pt": lepton["pt"],
        "tau1_pt": taus[0]["pt"],
        "met": event["MET"]["pt"],
    }
    return passed, regions, quantities
