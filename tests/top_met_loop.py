"""The selection of top and missing momentum as a loop over events, written without the library."""

import itertools
import math

TRIGGERS = ("PFMET120_PFMHT120_IDTight", "PFMETNoMu120_PFMHTNoMu120_IDTight")
FILTERS = (
    "goodVertices",
    "globalSuperTightHalo2016Filter",
    "EcalDeadCellTriggerPrimitiveFilter",
    "BadPFMuonFilter",
    "BadPFMuonDzFilter",
    "hfNoisyHitsFilter",
    "eeBadScFilter",
    "ecalBadCalibFilter",
)
STEPS = ("trigger", "filters", "jets", "met")


def dphi(one, other):
    difference = abs(one - other)
    while difference > 2 * math.pi:
        difference -= 2 * math.pi
    return min(difference, 2 * math.pi - difference)


def distance(one, other):
    return math.hypot(one["eta"] - other["eta"], dphi(one["phi"], other["phi"]))


def is_jet(jet):
    return (
        jet["pt"] > 30
        and abs(jet["eta"]) < 2.4
        and jet["neHEF"] < 0.99
        and jet["neEmEF"] < 0.9
        and jet["chMultiplicity"] + jet["neMultiplicity"] > 1
        and jet["chHEF"] > 0.01
        and jet["chMultiplicity"] > 0
        and jet["muEF"] < 0.8
        and jet["chEmEF"] < 0.8
    )


def system(*particles):
    """Return transverse momentum, azimuth and mass of some particles together."""
    px = py = pz = energy = 0.0
    for p in particles:
        x, y = p["pt"] * math.cos(p["phi"]), p["pt"] * math.sin(p["phi"])
        z = p["pt"] * math.sinh(p["eta"])
        px, py, pz = px + x, py + y, pz + z
        energy += math.sqrt(x * x + y * y + z * z + p["mass"] ** 2)
    mass = math.sqrt(max(energy**2 - px**2 - py**2 - pz**2, 0))
    return {"pt": math.hypot(px, py), "phi": math.atan2(py, px), "mass": mass}


def transverse_mass(particle, met):
    angle = dphi(particle["phi"], met["phi"])
    return math.sqrt(2 * particle["pt"] * met["pt"] * (1 - math.cos(angle)))


def top_of(fat_jets, jets):
    """Return the kind of the top candidate and the candidate; None without one."""
    merged = [system(j) for j in fat_jets if j["particleNetWithMass_TvsQCD"] > 0.9]
    mixed = []
    for fat in fat_jets:
        if fat["particleNetWithMass_WvsQCD"] > 0.9:
            mixed += [system(fat, jet) for jet in jets if distance(fat, jet) > 0.8]
    resolved = [system(*three) for three in itertools.combinations(jets, 3)]
    for kind, found in (("merged", merged), ("mixed", mixed), ("resolved", resolved)):
        if found:
            return kind, min(found, key=lambda top: abs(top["mass"] - 172.57))
    return None, None


def select(event):
    """Return the number of steps that an event passes, its regions, and mt (None without a top)."""
    met = event["PuppiMET"]
    jets = sorted(filter(is_jet, event["Jet"]), key=lambda jet: -jet["pt"])
    fat_jets = [j for j in event["FatJet"] if j["pt"] > 150 and abs(j["eta"]) < 2.4]
    passes = (
        any(event["HLT"][name] for name in TRIGGERS if name in event["HLT"]),
        all(event["Flag"][name] for name in FILTERS),
        len(jets) > 2 or len(fat_jets) >= 1,
        met["pt"] > 250,
    )
    steps = len(list(itertools.takewhile(bool, passes)))
    if steps < len(STEPS):
        return steps, [], None
    forward = [j for j in event["Jet"] if j["pt"] > 30 and abs(j["eta"]) > 2.4]
    bjets = [j for j in jets if j["btagPNetB"] > 0.047]
    electrons = [
        e for e in event["Electron"] if e["pt"] > 30 and abs(e["eta"]) < 2.5 and e["mvaIso_WP80"]
    ]
    muons = [m for m in event["Muon"] if m["pt"] > 30 and abs(m["eta"]) < 2.4 and m["looseId"]]
    tight = [m for m in muons if m["pt"] > 50 and m["tightId"]]
    leptons = electrons + muons
    nearest = min((dphi(jet["phi"], met["phi"]) for jet in jets), default=math.inf)
    kind, top = top_of(fat_jets, jets)
    regions = []
    if nearest > 0.6 and not leptons and bjets:
        regions.append("signal")
        if kind is not None:
            regions.append(f"signal_{kind}_{'forward' if forward else 'central'}")
    if nearest < 0.6 and not leptons:
        regions.append("multijet")
    if len(tight) == 1 and bjets:
        regions.append("top")
    one = len(leptons) == 1 and len(jets) >= 3 and not bjets
    if one and transverse_mass(leptons[0], met) <= 140:
        regions.append("w_jets")
    if nearest > 2.5 and not leptons and not bjets:
        regions.append("z_jets")
    return steps, regions, None if top is None else transverse_mass(top, met)
