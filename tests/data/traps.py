"""Events of the 2mu+track flavour made by hand, each with one trap and what should become of it.

All start from one event with one candidate that passes every step, well away from every edge.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from math import acos, cosh, inf, nan, nextafter, pi, sinh, sqrt
from typing import Any

import numpy as np

from bphcoffea.physics.constants import DS_MASS, MUON_MASS, PHI_MASS

STEPS = (
    "hlt",
    "l1",
    "vertex",
    "candidate",
    "acceptance",
    "delta_r",
    "muon_id",
    "track_ip",
    "phi_window",
    "trigger_match",
)
PADDING = -99.0
HLT, NO_MASS = "HLT_DoubleMu3_Trk_Tau3mu_v12", "HLT_DoubleMu3_Trk_Tau3mu_NoL1Mass_v3"
OBJECTS = {"Mu01": "Muon{}", "Mu02": "Muon{}", "Tr": "Track_{}"}


@dataclass
class Trap:
    """An event.

    Attributes
    ----------
    trap
        What is special about it.
    fails
        For each candidate the step that it fails at, or none.
    branches
        Its entry of each branch.
    """

    trap: str
    fails: list[str | None]
    branches: dict[str, Any] = field(repr=False)

    @property
    def best(self) -> int | None:
        """The best candidate: the first of those of least χ² that pass every step."""
        chi2 = self.branches["TripletVtx2_Chi2"]
        passed = [i for i, step in enumerate(self.fails) if step is None]
        return min(passed, key=lambda i: chi2[i]) if passed else None

    def set(self, **values: Any) -> "Trap":
        """Change a number of the first candidate, muon or track, or all of a branch (a list)."""
        for name, value in values.items():
            if isinstance(value, list):
                self.branches[name] = value
            else:
                self.branches[name][0] = value
        return self

    def move(self, leg: str, **coordinates: float) -> "Trap":
        """Change pt, eta or phi of a leg of the first candidate, and of its muon or track."""
        index = 1 if leg == "Mu02" else 0
        for name, value in coordinates.items():
            self.branches[f"{leg}_{name.capitalize()}"][0] = value
            target = OBJECTS[leg].format(name if leg == "Tr" else name.capitalize())
            self.branches[target][index] = value
        return self

    def place(self, eta: float) -> "Trap":
        """Move all legs to about that pseudorapidity, Mu01 exactly there."""
        inward = -1 if eta > 0 else 1
        for leg, offset in (("Mu01", 0.0), ("Mu02", 0.05), ("Tr", 0.10)):
            self.move(leg, eta=eta + inward * offset)
        return self

    def double(self) -> "Trap":
        """Give the event its candidate a second time."""
        for name in candidate_branches(self.branches):
            self.branches[name] = self.branches[name] * 2
        self.fails = self.fails * 2
        return self


def candidate_branches(branches: dict[str, Any], *prefixes: str) -> list[str]:
    """Names of the candidate branches, or of those with one of the prefixes."""
    every = ("Mu0", "Tr_", "RefT", "Trip", "Refi", "Flight", "Mu1_", "Mu2_", "Mu3_")
    return [name for name in branches if name.startswith(prefixes or every)]


def good_event() -> dict[str, Any]:
    """Branches of the event that passes."""
    pt1, pt2, eta1, eta2, phi1 = 6.5, 5.2, 0.30, 0.35, 0.20
    energies = (
        sqrt((pt1 * cosh(eta1)) ** 2 + MUON_MASS**2),
        sqrt((pt2 * cosh(eta2)) ** 2 + MUON_MASS**2),
    )
    along = energies[0] * energies[1] - (PHI_MASS**2 / 2 - MUON_MASS**2)
    phi2 = phi1 + acos(along / (pt1 * pt2) - sinh(eta1) * sinh(eta2))
    legs = {"Mu01": (pt1, eta1, phi1), "Mu02": (pt2, eta2, phi2), "Tr": (3.1, 0.40, 0.30)}
    names = ("Pt", "Eta", "Phi")
    branches: dict[str, Any] = {"MuonCollectionSize": 3, "run": 302_100, "lumi": 57}
    branches |= {
        "Trigger_hltname": [NO_MASS, HLT, "HLT_Mu8_v11"],
        "Trigger_hltdecision": [0, 1, 0],
        "Trigger_l1name": ["L1_SingleMu22", "L1_DoubleMu0er1p5_SQ_OS_dR_Max1p4"],
        "Trigger_l1decision": [0, 1],
    }
    stray = (2.5, -1.0, 2.0)
    for i, name in enumerate(names):
        branches[f"Muon{name}"] = [legs["Mu01"][i], legs["Mu02"][i], stray[i]]
        branches[f"Track_{name.lower()}"] = [legs["Tr"][i], stray[i]]
        for number, (leg, coordinates) in enumerate(legs.items(), start=1):
            branches[f"{leg}_{name}"] = [coordinates[i]]
            branches[f"RefTrack{number}_{name}"] = [coordinates[i]]
    branches |= {f"Muon_{flag}": [1.0, 1.0, 0.0] for flag in ("isGlobal", "isPF", "isSoft")}
    branches |= {"MuonCharge": [1.0, -1.0, 1.0], "Muon_vz": [0.1, 0.1, 0.1]}
    branches |= {"Track_charge": [1.0, -1.0], "Track_dxy": [0.01, 0.02], "Track_dz": [0.02, 0.03]}
    branches |= {"Track_dxyError": [0.002, 0.003], "Track_dzError": [0.004, 0.005]}
    numbers = {
        "Triplet2_Mass": DS_MASS,
        "Triplet2_Pt": 14.6,
        "Triplet2_Eta": 0.34,
        "Triplet2_Phi": 0.27,
        "Triplet2_Charge": 1.0,
        "TripletVtx2_x": 0.11,
        "TripletVtx2_y": -0.02,
        "TripletVtx2_z": 0.12,
        "TripletVtx2_Chi2": 2.5,
        "TripletVtx2_NDOF": 3.0,
        "RefittedPV2_x": 0.083,
        "RefittedPV2_y": -0.036,
        "RefittedPV2_z": 0.1,
        "RefittedPV2_NTracks": 20.0,
        "FlightDistPVSV2": 0.04,
        "FlightDistPVSV2_Err": 0.005,
        "FlightDistPVSV2_Significance": 8.0,
        "FlightDistBS_SV": 0.035,
        "FlightDistBS_SV_Err": 0.005,
        "FlightDistBS_SV_Significance": 7.0,
        "Mu1_dRtriggerMatch_2017": 0.005,
        "Mu2_dRtriggerMatch_2017": 0.006,
        "Mu3_dRtriggerMatch_2017": 0.007,
    }
    return branches | {name: [value] for name, value in numbers.items()}


def traps() -> list[Trap]:
    """All events, numbered from 2³¹ on but for those whose number is the trap."""
    good = good_event()
    events: list[Trap] = []

    def add(trap: str, fails: str | None = None, **values: Any) -> Trap:
        events.append(Trap(trap, [fails], deepcopy(good)).set(**values))
        return events[-1]

    _event_numbers(add)
    _triggers(add)
    _edges(add)
    _acceptance(add)
    _distances(add)
    _matching(add)
    _padding_and_nan(add)
    _several_candidates(add)
    _empty(add)
    for number, event in enumerate(events):
        event.branches.setdefault("evt", 2**31 + number)
        event.branches["MuonCollectionSize"] = len(event.branches["MuonPt"])
    return events


def _event_numbers(add: Any) -> None:
    for number in (0, 2**31 - 1, 2**31, 2**32 - 1):
        add(f"event number {number}").branches["evt"] = number


def _triggers(add: Any) -> None:
    def hlt(trap: str, fails: str | None, names: list[str], decisions: list[int]) -> None:
        add(trap, fails, Trigger_hltname=names, Trigger_hltdecision=decisions)

    def l1(trap: str, fails: str | None, names: list[str], decisions: list[int]) -> None:
        add(trap, fails, Trigger_l1name=names, Trigger_l1decision=decisions)

    hlt("the path did not fire", "hlt", [HLT], [0])
    hlt("only a path with a longer name fired", "hlt", [HLT, NO_MASS], [0, 1])
    hlt("only a path with a longer name is there", "hlt", [NO_MASS], [1])
    hlt("two versions, the second fired", None, [HLT, HLT.replace("12", "13")], [0, 1])
    hlt("two versions, the first fired", None, [HLT, HLT.replace("12", "13")], [1, 0])
    hlt("no version after the v", None, ["HLT_DoubleMu3_Trk_Tau3mu_v"], [1])
    hlt("the name stands within another", "hlt", [f"Pre_{HLT}"], [1])
    hlt("upper and lower case differ", "hlt", [HLT.lower()], [1])
    hlt("a decision that is neither 0 nor 1", "hlt", [HLT], [2])
    hlt("a negative decision", "hlt", [HLT], [-1])
    hlt("no path at all", "hlt", [], [])
    l1("the seed did not fire", "l1", ["L1_DoubleMu_15_7", "L1_SingleMu22"], [0, 1])
    l1("a triple muon seed fired", None, ["L1_DoubleMu_15_7", "L1_TripleMu_5_3_3"], [0, 1])
    l1("a double electron seed fired", "l1", ["L1_DoubleEG_25_12"], [1])
    l1("the name stands within another", "l1", ["L1_Not_L1_DoubleMu_15_7"], [1])
    l1("no seed at all", "l1", [], [])


def _edges(add: Any) -> None:
    """Put values exactly on the edges of the cuts, and next to them."""
    for name, bound, inside, step in (
        ("Triplet2_Mass", 1.62, inf, "candidate"),
        ("Triplet2_Mass", 2.02, -inf, "candidate"),
        ("FlightDistBS_SV_Significance", 2.0, inf, "candidate"),
    ):
        add(f"{name} is {bound}", step, **{name: bound})
        add(f"{name} is next to {bound}", None, **{name: nextafter(bound, inside)})
    add("RefittedPV2_NTracks is 1", "candidate", RefittedPV2_NTracks=1.0)
    add("RefittedPV2_NTracks is 2", None, RefittedPV2_NTracks=2.0)
    add("chi2 is 0", None, TripletVtx2_Chi2=0.0)
    add("chi2 is -0", None, TripletVtx2_Chi2=-0.0)
    add("chi2 is a little negative", "vertex", TripletVtx2_Chi2=-1e-12)
    for leg in (1, 2):
        name = f"Mu{leg}_dRtriggerMatch_2017"
        add(f"{name} is 0", None, **{name: 0.0})
        add(f"{name} is 0.03", "trigger_match", **{name: 0.03})
        add(f"{name} is next to 0.03", None, **{name: nextafter(0.03, 0)})
        add(f"{name} is negative", "trigger_match", **{name: -1.0})
    add("the track has no trigger object", None, Mu3_dRtriggerMatch_2017=2.0)
    for value, fails in ((20.0, "track_ip"), (-20.0, "track_ip"), (19.99, None), (-19.99, None)):
        add(f"dz is {value}", fails, Track_dz=value)
    for value, fails in ((0.3, "track_ip"), (-0.3, "track_ip"), (nextafter(0.3, 0), None)):
        add(f"dxy is {value}", fails, Track_dxy=value)
    add("the dimuon is too light", "phi_window", RefTrack1_Pt=5.5)
    add("the dimuon is too heavy", "phi_window", RefTrack1_Pt=7.5)


def _acceptance(add: Any) -> None:
    inner = nextafter(1.2, 0)
    for eta, pt, fails in (
        (0.3, 3.5, "acceptance"),
        (0.3, nextafter(3.5, 4), None),
        (inner, 3.0, "acceptance"),
        (1.2, 3.0, None),
        (-1.2, 3.0, None),
        (1.2, 2.0, "acceptance"),
        (2.39, nextafter(2.0, 3), None),
        (2.4, 5.0, "acceptance"),
        (-2.4, 5.0, "acceptance"),
    ):
        add(f"Mu01 has eta {eta} and pT {pt}", fails).place(eta).move("Mu01", pt=pt)
    add("Mu02 has pT 3.5", "acceptance").move("Mu02", pt=3.5)
    add("Tr_Pt is 1.2", "acceptance").move("Tr", pt=1.2)
    add("Tr_Pt is next to 1.2").move("Tr", pt=nextafter(1.2, 2))


def _distances(add: Any) -> None:
    def apart(trap: str, fails: str | None, distance: float) -> None:
        event = add(trap, fails).move("Mu01", eta=0.0, phi=0.2).move("Tr", eta=distance, phi=0.2)
        event.move("Mu02", eta=0.4, phi=0.3)

    apart("delta R is 0", "delta_r", 0.0)
    apart("delta R is 1e-4", "delta_r", 1e-4)
    apart("delta R is 2e-4", None, 2e-4)
    apart("delta R is 0.8", "delta_r", 0.8)
    apart("delta R is next to 0.8", None, 0.79999)
    across = add("the legs lie on both sides of phi = pi")
    across.move("Mu01", phi=3.10).move("Mu02", phi=-3.08).move("Tr", phi=-3.12)
    ends = add("one leg at phi = pi, another at -pi")
    ends.move("Mu01", phi=pi).move("Mu02", phi=-pi).move("Tr", phi=3.0)
    back = add("the track goes the other way", "delta_r")
    back.move("Tr", phi=0.2 - pi)


def _matching(add: Any) -> None:
    for flag in ("isGlobal", "isPF"):
        for index, leg in enumerate(("Mu01", "Mu02")):
            event = add(f"{leg} fails {flag}", "muon_id")
            event.branches[f"Muon_{flag}"][index] = 0.0
    add("a stray muon passes no identification", None, Muon_isSoft=[0.0, 0.0, 0.0])

    def twins(trap: str, fails: str | None, flags: list[float]) -> None:
        event = add(trap, fails)
        for name in [n for n in event.branches if n.startswith("Muon") and n[-4:] != "Size"]:
            event.branches[name].insert(0, event.branches[name][0])
        event.set(Muon_isGlobal=[*flags, 1.0, 0.0])

    twins("two muons have the pT of Mu01, the second is identified", "muon_id", [0.0, 1.0])
    twins("two muons have the pT of Mu01, the first is identified", None, [1.0, 0.0])
    add("Mu01 and Mu02 have one pT").move("Mu02", pt=6.5)
    add("no muon has the pT of Mu01", "muon_id", Mu01_Pt=6.6)
    single = float(np.float32(6.1))
    add("the pT agree in single precision").move("Mu01", pt=6.1)
    add("the pT is a float in a double").move("Mu01", pt=single)
    add(
        "the pT is the next float",
        "muon_id",
        MuonPt=[float(np.nextafter(np.float32(6.5), 7)), 5.2, 2.5],
    )
    two = add("two candidates' pT differ as doubles, not as floats").move("Mu01", pt=6.1).double()
    two.branches["Mu01_Pt"][1] = nextafter(6.1, 7)
    add("Track_pt differs in the last bit of a double", "track_ip", Tr_Pt=nextafter(3.1, 4))
    near = add("two tracks have the pT, the first is far away", "track_ip")
    near.set(Track_pt=[3.1, 3.1], Track_dz=[30.0, 0.1])
    far = add("two tracks have the pT, the second is far away")
    far.set(Track_pt=[3.1, 3.1], Track_dz=[0.1, 30.0])
    add("another track is far away", None, Track_dxy=[0.01, 5.0], Track_dz=[0.02, -30.0])


def _padding_and_nan(add: Any) -> None:
    for prefix, fails in (
        ("Mu01_", "acceptance"),
        ("Mu02_", "acceptance"),
        ("Tr_", "acceptance"),
        ("RefTrack", "phi_window"),
        ("RefTrack1_Pt", "phi_window"),
        ("Triplet2_", "candidate"),
        ("TripletVtx2_", "vertex"),
        ("RefittedPV2_", "candidate"),
        ("FlightDistBS_SV", "candidate"),
        ("FlightDistPVSV2", None),
        ("Mu1_dR", "trigger_match"),
        ("Mu2_dR", "trigger_match"),
        ("Mu3_dR", None),
        ("Tr_Eta", "delta_r"),
    ):
        event = add(f"padding in {prefix}", fails)
        for name in candidate_branches(event.branches, prefix):
            event.branches[name] = [PADDING]
    event = add("padding in every branch", "vertex")
    for name in candidate_branches(event.branches):
        event.branches[name] = [PADDING]
    for name, fails in (
        ("TripletVtx2_Chi2", "vertex"),
        ("Triplet2_Mass", "candidate"),
        ("RefittedPV2_NTracks", "candidate"),
        ("FlightDistBS_SV_Significance", "candidate"),
        ("Mu01_Pt", "acceptance"),
        ("Mu02_Eta", "acceptance"),
        ("Tr_Pt", "acceptance"),
        ("Tr_Phi", "delta_r"),
        ("Track_dz", "track_ip"),
        ("Track_dxy", "track_ip"),
        ("RefTrack2_Pt", "phi_window"),
        ("Mu1_dRtriggerMatch_2017", "trigger_match"),
    ):
        add(f"NaN in {name}", fails, **{name: nan})
    add("infinite chi2", None, TripletVtx2_Chi2=inf)


def _several_candidates(add: Any) -> None:
    def pair(trap: str, chi2: list[float], fails: list[str | None], **values: Any) -> None:
        event = add(trap).double()
        event.set(TripletVtx2_Chi2=chi2, Triplet2_Mass=[1.90, 1.95], **values)
        event.fails = fails

    pair("two pass, the second is better", [3.0, 1.0], [None, None])
    pair("two pass, the first is better", [1.0, 3.0], [None, None])
    pair("two pass with one chi2", [2.0, 2.0], [None, None])
    pair("two pass with chi2 0 and -0", [0.0, -0.0], [None, None])
    pair("the better one is padding", [PADDING, 4.0], ["vertex", None])
    pair("the better one fails the last step", [0.5, 4.0], ["trigger_match", None],
         Mu1_dRtriggerMatch_2017=[0.5, 0.005])  # fmt: skip
    pair("one chi2, the first fails", [2.0, 2.0], ["candidate", None],
         RefittedPV2_NTracks=[0.0, 20.0])  # fmt: skip
    pair("each fails another step", [2.0, 3.0], ["candidate", "trigger_match"],
         RefittedPV2_NTracks=[0.0, 20.0], Mu2_dRtriggerMatch_2017=[0.005, 0.5])  # fmt: skip


def _empty(add: Any) -> None:
    def clear(trap: str, *names: str, fails: list[str | None]) -> None:
        event = add(trap)
        event.set(**{name: [] for name in names})
        event.fails = fails

    branches = good_event()
    candidates = candidate_branches(branches)
    muons = [n for n in branches if n.startswith("Muon") and not n.endswith("Size")]
    tracks = [n for n in branches if n.startswith("Track_")]
    triggers = [n for n in branches if n.startswith("Trigger_")]
    clear("no candidate", *candidates, fails=[])
    clear("no muon", *muons, fails=["muon_id"])
    clear("no track", *tracks, fails=["track_ip"])
    clear("no trigger", *triggers, fails=["hlt"])
    clear("nothing at all", *candidates, *muons, *tracks, *triggers, fails=[])
