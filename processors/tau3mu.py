"""τ → 3μ: three muons from one displaced vertex.

Reads the three-muon flavour of the Tree3Mu ntuples, in every era. ``tau3mu_nano.py`` applies those
of these cuts that NanoAOD can answer.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import awkward as ak
import numpy as np
from _tau3mu_inputs import MUONS, classifier_inputs, of_triplet

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Blind,
    Candidates,
    Categories,
    Condition,
    Cut,
    Histogram,
    MomentumShift,
    MuonWeight,
    PileupWeight,
    Requirement,
    Selection,
    Variable,
    leg_abs_eta,
    leg_eta,
    leg_pt,
    separation,
)
from bphcoffea.inputs import ThreeMuSchema
from bphcoffea.physics import fired, first_match, invariant_mass, mass_resolution

PAIRS = tuple(combinations(MUONS, 2))

#: Categories are bins of σm/m, the relative mass resolution of a candidate, between these edges.
CATEGORIES: Final = ("A", "B", "C")
RESOLUTION_EDGES: Final = (0.007, 0.0105)
#: Centre and half widths of the mass windows in which data are hidden, GeV.
SIGNAL_MASS: Final = 1.777
SIGNAL_REGION: Final = {"A": 0.024, "B": 0.038, "C": 0.050}
#: Dimuon masses of a φ or an ω that are rejected, GeV.
PHI_VETO: Final = {"A": (0.99, 1.05), "B": (0.98, 1.06), "C": (0.965, 1.075)}
OMEGA_VETO: Final = (0.783 - 0.017, 0.783 + 0.017)

HLT: Final = "HLT_DoubleMu3_Trk_Tau3mu_v"
HLT_2018: Final = "HLT_DoubleMu3_TkMu_DsTau3Mu_v"
L1: Final = ("L1_DoubleMu", "L1_TripleMu")


def fired_path_of_era(events: ak.Array) -> ak.Array:
    """Return whether the trigger path of the era has fired, one boolean per event."""
    return fired(events.HLT, HLT_2018 if events.metadata["era"].startswith("2018") else HLT)


def matched_muons(events: ak.Array) -> ak.Array:
    """Return charge, vz (cm), identification and errors of the muon that each leg was made from.

    A leg without a muon is not identified, and its other values are NaN.
    """
    muons = events.Muon
    pt = ak.values_astype(muons.pt, np.float32)
    identified = (muons.isGlobal == 1) & (muons.isPF == 1)
    numbers = {"charge": muons.charge, "vz": muons.vz} | {
        f"{name.lower()}_error": muons[f"BestTrack{name}Err"] for name in ("Pt", "Eta", "Phi")
    }
    matched = {}
    for leg in MUONS:
        match = first_match(events.Triplet[leg].matching_pt, pt)
        fields = {name: match.pick(values, float("nan")) for name, values in numbers.items()}
        matched[leg] = ak.zip({"identified": match.pick(identified, missing=False), **fields})
    return ak.zip(matched, depth_limit=2)


def with_derived(events: ak.Array, muons: ak.Array, errors: Sequence[str]) -> ak.Array:
    """Add ``Matched``, the muons of each triplet, and ``Derived``, quantities computed from them.

    Parameters
    ----------
    events
        Events with the collection ``Triplet``.
    muons
        Muon of each leg, with its charge.
    errors
        Names of the errors that the muons have: ``pt_error``, ``eta_error``, ``phi_error``.
    """
    legs, charges = [events.Triplet[leg] for leg in MUONS], [muons[leg].charge for leg in MUONS]
    derived = {"abs_charge": abs(charges[0] + charges[1] + charges[2])}
    if errors:
        of_legs = [[muons[leg][name] for name in errors] for leg in MUONS]
        derived["resolution"] = mass_resolution(legs, of_legs)
    first, second, third = (
        ak.where(charges[a] * charges[b] < 0, invariant_mass(legs[a], legs[b]), np.nan)
        for a, b in combinations(range(len(legs)), 2)
    )
    derived["dimuon_low"] = np.fmin(np.fmin(first, second), third)
    derived["dimuon_high"] = np.fmax(np.fmax(first, second), third)
    return ak.with_field(ak.with_field(events, muons, "Matched"), ak.zip(derived), "Derived")


def category_of(relative: ak.Array) -> ak.Array:
    """Return the position of the category of a mass resolution; -1 for NaN."""
    position = sum(ak.values_astype(relative >= edge, np.int64) for edge in RESOLUTION_EDGES)
    return ak.where(relative >= 0, position, -1)


def acceptance(muon: str) -> Requirement:
    """Require the acceptance of the trigger, whose pT threshold is higher in the barrel."""
    pt, abs_eta = leg_pt("Triplet", muon), leg_abs_eta("Triplet", muon)
    return (abs_eta < 2.4) & (pt > 2.0) & ((pt > 3.5) | (abs_eta >= 1.2))


def delta_z(first: str, second: str) -> Variable:
    """Return the distance along the beam between the origins of two muons."""
    return Variable(
        f"delta_z_{first}_{second}",
        lambda e: abs(e.Matched[first].vz - e.Matched[second].vz),
        r"$|\Delta z|$",
        "cm",
        Axis(50, 0, 1),
    )


def trigger_match(muon: str) -> Requirement:
    """Require a trigger object near the muon; the branch depends on the era, -99 is no object."""

    def distance(events: ak.Array) -> ak.Array:
        in_2017 = events.metadata["era"].startswith("2017")
        return events.Triplet[muon]["trigger_dr_2017" if in_2017 else "trigger_dr"]

    variable = Variable(f"{muon}_trigger_dr", distance, axis=Axis(50, 0, 0.1))
    return variable.between(0, 0.03, closed="left")


def dimuon_mass(which: str) -> Variable:
    """Return the lower or higher mass of the pairs of opposite sign."""
    name = f"dimuon_{which}"
    label = rf"$m(\mu^+\mu^-)$, {which}er"
    return Variable(name, lambda e: e.Derived[name], label, "GeV", Axis(70, 0.2, 1.6))


mass = of_triplet("mass", lambda t: t.mass, r"$m(3\mu)$", "GeV", axis=Axis(60, 1.4, 2.2))
charge = Variable("abs_charge", lambda e: e.Derived.abs_charge, "|Charge|", "", Axis(4, -0.5, 3.5))
resolution = Variable(
    "mass_resolution", lambda e: e.Derived.resolution, r"$\sigma_m/m$", "", Axis(50, 0, 0.025)
)
category = Variable("category", lambda events: category_of(events.Derived.resolution))
dimuons = (dimuon_mass("low"), dimuon_mass("high"))
chi2 = of_triplet("vertex_chi2", lambda t: t.vertex.chi2, r"Vertex $\chi^2$", axis=Axis(50, 0, 25))
significance = of_triplet(
    "flight_significance",
    lambda t: t.flight_bs.significance,
    r"$L/\sigma_L$",
    axis=Axis(50, 0, 50),
)
interactions = Variable("interactions", lambda events: events.nPileUpInt)
momenta = tuple((leg_pt("Triplet", muon), leg_eta("Triplet", muon)) for muon in MUONS)

ACCEPTANCE = Cut("acceptance", *map(acceptance, MUONS))
MASS = Cut("mass", mass.between(1.62, 2.02), charge.equals(1))
DELTA_R = Cut("delta_r", *(separation("Triplet", *pair) < 0.8 for pair in PAIRS))
OMEGA = Cut("omega_veto", *(~dimuon.between(*OMEGA_VETO) for dimuon in dimuons))


def identified(leg: str) -> Condition:
    """Require that the muon of a leg is a global and a particle-flow muon."""
    return Condition(f"{leg} is global and PF", lambda e: e.Matched[leg].identified)


def muon_id(*branches: str) -> Cut:
    """Require that all three are global and particle-flow muons."""
    return Cut("muon_id", *map(identified, MUONS), branches=branches)


def near_in_z(*branches: str) -> Cut:
    """Require that the muons originate close to each other along the beam."""
    return Cut("delta_z", *(delta_z(*pair) < 0.5 for pair in PAIRS), branches=branches)


def phi_veto(category: Variable, *branches: str) -> Cut:
    """Reject dimuons of opposite sign near the φ mass, in a window that depends on the category."""
    windows = [(category.equals(n), PHI_VETO[name]) for n, name in enumerate(CATEGORIES)]
    vetoes = (
        ~(in_category & dimuon.between(*window))
        for in_category, window in windows
        for dimuon in dimuons
    )
    return Cut("phi_veto", category >= 0, *vetoes, branches=branches)


def window_of(category: str) -> tuple[tuple[float, float], ...]:
    """Return the signal region of a category, GeV."""
    half = SIGNAL_REGION[category]
    return ((SIGNAL_MASS - half, SIGNAL_MASS + half),)


class Tau3Mu(Analysis):
    """τ → 3μ."""

    schema = ThreeMuSchema
    candidates = Candidates("Triplet", best=chi2)
    selection = Selection(
        Cut("hlt", Condition(f"{HLT}*, in 2018 {HLT_2018}*", fired_path_of_era)),
        Cut("l1", Condition("L1_DoubleMu* or L1_TripleMu*", lambda e: fired(e.L1, *L1))),
        Cut("vertex", chi2 >= 0),
        Cut("displacement", significance >= 2),
        muon_id(),
        ACCEPTANCE,
        MASS,
        DELTA_R,
        near_in_z(),
        Cut("trigger_match", *map(trigger_match, MUONS)),
        phi_veto(category),
        OMEGA,
    )
    categories = Categories(CATEGORIES, category)
    histograms = (
        Histogram("mass", mass, Axis(40, 1.62, 2.02)),
        Histogram("mass_resolution", resolution, Axis(50, 0, 0.025)),
        Histogram("flight_significance", significance, Axis(50, 0, 50)),
        Histogram("vertex_chi2", chi2, Axis(50, 0, 25)),
    )
    columns = (mass, resolution, chi2, *classifier_inputs(significance))
    weights = (
        PileupWeight(interactions),
        MuonWeight("muon_reconstruction", momenta, after="acceptance"),
        MuonWeight("muon_id", momenta, after="acceptance"),
    )
    shifts = (
        MomentumShift(
            "muon",
            tuple(((("Triplet", muon),)) for muon in MUONS),
            {("Triplet", "mass"): tuple(("Triplet", muon) for muon in MUONS)},
        ),
    )
    overlay_signal = True
    blind = Blind("mass", windows={name: window_of(name) for name in CATEGORIES})
    search = "tau3mu"

    def prepare(self, events: ak.Array) -> ak.Array:
        """Add the matched muons and the quantities computed from them."""
        return with_derived(events, matched_muons(events), ("pt_error", "eta_error", "phi_error"))
