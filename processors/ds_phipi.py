"""Ds → φ(μμ)π: the normalisation channel of τ → 3μ.

Two muons and a track from one displaced vertex; the muons come from a φ. Reads the flavour of the
Tree3Mu ntuples with two muons and a track, in every era.
"""

import awkward as ak
import numpy as np

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Candidates,
    Condition,
    Cut,
    EventFunction,
    Histogram,
    MassModel,
    MomentumShift,
    MuonWeight,
    Peak,
    PileupWeight,
    Requirement,
    Selection,
    Variable,
    leg_abs_eta,
    leg_eta,
    leg_pt,
    separation,
)
from bphcoffea.inputs import TwoMuTrackSchema
from bphcoffea.physics import fired, first_match, invariant_mass

MUONS = ("mu1", "mu2")
PAIRS = (MUONS, ("mu1", "track"), ("mu2", "track"))


def muon_acceptance(leg: str) -> Requirement:
    """Require the acceptance of the trigger, whose pT threshold is higher in the barrel."""
    pt, abs_eta = leg_pt("Triplet", leg), leg_abs_eta("Triplet", leg)
    barrel = (abs_eta < 1.2) & (pt > 3.5)
    endcaps = abs_eta.between(1.2, 2.4, closed="left") & (pt > 2.0)
    return barrel | endcaps


def global_and_pf(leg: str) -> Condition:
    """Require that the muon of a leg is a global and a particle-flow muon."""

    def identified(events: ak.Array) -> ak.Array:
        muon_pt = ak.values_astype(events.Muon.pt, np.float32)
        match = first_match(events.Triplet[leg].matching_pt, muon_pt)
        return match.pick((events.Muon.isGlobal == 1) & (events.Muon.isPF == 1), missing=False)

    return Condition(f"{leg} is global and PF", identified)


def impact_parameter(field: str, label: str, axis: Axis) -> Variable:
    """Return the magnitude of an impact parameter of the third leg's track."""

    def magnitude(events: ak.Array) -> ak.Array:
        match = first_match(events.Triplet.track.matching_pt, events.Track.pt)
        return match.pick(abs(events.Track[field]), missing=float("nan"))

    return Variable(f"track_abs_{field}", magnitude, label, "cm", axis)


def trigger_match(leg: str) -> Requirement:
    """Require a trigger object near the leg; the branch depends on the era, -99 is no object."""

    def distance(events: ak.Array) -> ak.Array:
        in_2017 = events.metadata["era"].startswith("2017")
        return events.Triplet[leg]["trigger_dr_2017" if in_2017 else "trigger_dr"]

    variable = Variable(f"{leg}_trigger_dr", distance, axis=Axis(50, 0, 0.1))
    return variable.between(0, 0.03, closed="left")


def measured_and_refitted(leg: str) -> tuple[tuple[str, ...], ...]:
    """Return the records of a leg before and after the vertex fit."""
    return ("Triplet", leg), ("Triplet", f"{leg}_refitted")


#: Records from which the mass of the candidate is computed.
MASS = {("Triplet", "mass"): tuple(("Triplet", f"{leg}_refitted") for leg in (*MUONS, "track"))}


def of_triplet(name: str, function: EventFunction, label: str, unit: str, axis: Axis) -> Variable:
    """Return a variable of the whole candidate."""
    return Variable(name, lambda events: function(events.Triplet), label, unit, axis)


mass = of_triplet("mass", lambda t: t.mass, r"$m(\mu\mu\pi)$", "GeV", Axis(60, 1.4, 2.2))
chi2 = of_triplet("vertex_chi2", lambda t: t.vertex.chi2, r"Vertex $\chi^2$", "", Axis(50, 0, 25))
pv_tracks = of_triplet(
    "pv_tracks", lambda t: t.primary_vertex.n_tracks, "Tracks of the PV", "", Axis(50, 0, 100)
)
significance = of_triplet(
    "flight_bs_significance",
    lambda t: t.flight_bs.significance,
    r"$L/\sigma_L$",
    "",
    Axis(50, 0, 50),
)
phi_mass = of_triplet(
    "phi_mass",
    lambda t: invariant_mass(t.mu1_refitted, t.mu2_refitted),
    r"$m(\mu\mu)$",
    "GeV",
    Axis(60, 0.9, 1.14),
)
interactions = Variable("interactions", lambda events: events.nPileUpInt)
momenta = tuple((leg_pt("Triplet", muon), leg_eta("Triplet", muon)) for muon in MUONS)

HLT = "HLT_DoubleMu3_Trk_Tau3mu_v"
L1 = ("L1_DoubleMu", "L1_TripleMu")


class DsPhiPi(Analysis):
    """Ds → φ(μμ)π."""

    schema = TwoMuTrackSchema
    candidates = Candidates("Triplet", best=chi2)
    selection = Selection(
        Cut("hlt", Condition(f"{HLT}*", lambda e: fired(e.HLT, HLT))),
        Cut("l1", Condition("L1_DoubleMu* or L1_TripleMu*", lambda e: fired(e.L1, *L1))),
        Cut("vertex", chi2 >= 0),
        Cut("candidate", mass.between(1.62, 2.02), pv_tracks >= 2, significance > 2),
        Cut("acceptance", *map(muon_acceptance, MUONS), leg_pt("Triplet", "track") > 1.2),
        Cut("delta_r", *(separation("Triplet", *pair).between(1e-4, 0.8) for pair in PAIRS)),
        Cut("muon_id", *map(global_and_pf, MUONS)),
        Cut(
            "track_ip",
            impact_parameter("dz", "$|d_z|$", Axis(50, 0, 25)) < 20,
            impact_parameter("dxy", "$|d_{xy}|$", Axis(50, 0, 0.5)) < 0.3,
        ),
        Cut("phi_window", phi_mass.between(1.00, 1.04)),
        Cut("trigger_match", *map(trigger_match, MUONS)),
    )
    histograms = (
        Histogram("mass", mass, Axis(62, 1.65, 2.01)),
        Histogram("phi_mass", phi_mass, Axis(40, 1.00, 1.04)),
        Histogram("flight_bs_significance", significance, Axis(50, 0, 50)),
    )
    columns = (mass, chi2, phi_mass, significance)
    weights = (
        PileupWeight(interactions),
        MuonWeight("muon_reconstruction", momenta, after="acceptance"),
        MuonWeight("muon_id", momenta, after="muon_id"),
    )
    shifts = (
        MomentumShift("muon", tuple(map(measured_and_refitted, MUONS)), MASS),
        MomentumShift("track", (measured_and_refitted("track"),), MASS),
    )
    mass_fit = MassModel(
        histogram="mass",
        peaks=(
            Peak(
                name="ds", label=r"$D_s \to \phi\pi$", mass=1.968, width=0.010, process="ds_phipi"
            ),
            Peak(
                name="dplus",
                label=r"$D^+ \to \phi\pi$",
                mass=1.870,
                width=0.010,
                process="dplus_phipi",
            ),
        ),
    )
