"""Events of the 3mu flavour of the ntuple, from the kinematics and the detector of the toy."""

from typing import Any

import awkward as ak
import numpy as np

from bphcoffea.physics.constants import MUON_MASS
from bphcoffea.toys.decay import Floats, four_momentum, mass, pt_eta_phi, two_body
from bphcoffea.toys.detector import (
    Measured,
    concatenate,
    measure,
    muon_branches,
    primary_vertices,
    stray,
    trigger_match_distance,
    vertex_branches,
)
from bphcoffea.toys.luminosity import event_numbers, luminosity_sections
from bphcoffea.toys.reconstruction import PADDING

TAU_MASS = 1.77693  # GeV [PDG]
HLT = (
    "HLT_DoubleMu3_Trk_Tau3mu_v12",
    "HLT_DoubleMu3_TkMu_DsTau3Mu_v4",
    "HLT_DoubleMu3_TkMu_DsTau3Mu_NoMass_v1",
)
L1 = ("L1_DoubleMu0er1p5_SQ_OS_dR_Max1p4", "L1_TripleMu_5_3_3", "L1_SingleMu22")


def three_muon_events(n: int, seed: int) -> dict[str, Any]:
    """Branches of n events of 2018: 0 to 2 candidates each, half of them τ → 3μ."""
    rng = np.random.default_rng(seed)
    counts = rng.choice(3, n, p=[0.1, 0.7, 0.2])
    event = np.repeat(np.arange(n), counts)
    total = np.where(rng.random(len(event)) < 0.5, TAU_MASS, rng.uniform(1.55, 2.1, len(event)))
    true = _three_muons(total, rng)
    legs = [measure(momentum, rng) for momentum in true]
    primary = primary_vertices(n, rng)

    candidates, charges = _candidates(legs, event, primary, rng)
    failed = rng.random(len(event)) < 0.06
    candidates = {name: np.where(failed, PADDING, values) for name, values in candidates.items()}

    strays = np.repeat(np.arange(n), rng.poisson(0.5, n))
    muons = concatenate(*legs, stray(len(strays), 1.0, 3.0, rng))
    muon_event = np.concatenate([event, event, event, strays])
    charge = np.concatenate([*charges, rng.choice(np.array([-1, 1]), len(strays))])
    identified = np.full(len(muons), 0.93)
    objects = muon_branches(muons, charge, primary[muon_event, 2], identified, rng)
    # the tracker resolves less well in the endcaps: all three categories of resolution occur
    objects["Muon_BestTrackPtErr"] *= 1 + 0.6 * np.abs(muons.eta)
    order = np.lexsort((rng.random(len(muon_event)), muon_event))

    sections = luminosity_sections(n, 1.0, (320_500, 325_175), 0, 1, rng)
    branches: dict[str, Any] = dict(event_numbers(n, sections, 0, 1, rng))
    branches["MuonCollectionSize"] = np.bincount(muon_event, minlength=n).astype(np.int32)
    for level, names in (("hlt", HLT), ("l1", L1)):
        branches[f"Trigger_{level}name"] = ak.Array([list(names)] * n)
        decisions = (rng.random((n, len(names))) < 0.7).astype(np.int32)
        branches[f"Trigger_{level}decision"] = ak.from_regular(decisions)
    muon_counts = np.bincount(muon_event, minlength=n)
    branches |= {k: ak.unflatten(v[order], muon_counts) for k, v in objects.items()}
    branches |= {k: ak.unflatten(v, counts) for k, v in candidates.items()}
    return branches


def _three_muons(total: Floats, rng: np.random.Generator) -> list[Floats]:
    n = len(total)
    pt, eta = 8 + rng.exponential(6, n), rng.uniform(-2.2, 2.2, n)
    parent = four_momentum(pt, eta, rng.uniform(-np.pi, np.pi, n), total)
    pair_mass = rng.uniform(2 * MUON_MASS, total - MUON_MASS)
    pair, third = two_body(parent, pair_mass, MUON_MASS, rng)
    return [*two_body(pair, MUON_MASS, MUON_MASS, rng), third]


def _candidates(
    legs: list[Measured], event: Any, primary: Floats, rng: np.random.Generator
) -> tuple[dict[str, Floats], list[Any]]:
    n = len(event)
    triplet = np.sum([leg.four_momentum(MUON_MASS) for leg in legs], axis=0)
    direction = Measured(*pt_eta_phi(triplet))
    sign = rng.choice(np.array([-1, 1]), n)
    # one in ten has three muons of the same charge
    charges = [sign, np.where(rng.random(n) < 0.9, -sign, sign), sign]
    branches: dict[str, Floats] = {}
    for number, leg in enumerate(legs, start=1):
        branches |= {
            f"Mu{number}_Pt": leg.pt,
            f"Mu{number}_Eta": leg.eta,
            f"Mu{number}_Phi": leg.phi,
        }
        branches[f"Mu{number}_dRtriggerMatch"] = trigger_match_distance(n, rng)
    branches |= {
        "Triplet_Mass": mass(triplet),
        "Triplet_Pt": direction.pt,
        "Triplet_Eta": direction.eta,
        "Triplet_Phi": direction.phi,
        "Triplet_Charge": np.sum(charges, axis=0).astype(np.float64),
    }
    flight = rng.exponential(0.01 * direction.pt)
    interactions = np.full(n, 32)
    vertex = vertex_branches(primary[event], direction, flight, np.full(n, True), interactions, rng)
    for two, three in (
        ("TripletVtx2", "TripletVtx"),
        ("RefittedPV2", "RefittedPV"),
        ("PVSV2", "PVSV"),
    ):
        vertex = {name.replace(two, three): values for name, values in vertex.items()}
    return branches | vertex, charges
