"""Ds → φ(μμ)π: the normalisation channel of τ → 3μ.

Two muons and a track from one displaced vertex; the muons come from a φ. Reads the flavour of the
Tree3Mu ntuples that has two muons and a track, in every era.
"""

from typing import Any

import awkward as ak

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Condition,
    Cut,
    Histogram,
    Requirement,
    Selection,
    Variable,
)
from bphcoffea.inference import MassModel, Peak
from bphcoffea.physics.kinematics import delta_r, invariant_mass
from bphcoffea.physics.matching import first_match
from bphcoffea.physics.triggers import fired
from bphcoffea.schemas import TwoMuTrackSchema

MUONS = ("mu1", "mu2")
LEGS = (*MUONS, "track")


def of_leg(leg: str, field: str, unit: str, axis: Axis) -> Variable:
    """A quantity of a muon or of the track, before the vertex fit."""
    return Variable(
        f"{leg}_{field}", lambda events: events.Triplet[leg][field], unit=unit, axis=axis
    )


def separation(first: str, second: str) -> Variable:
    """ΔR between two legs."""
    return Variable(
        f"delta_r_{first}_{second}",
        lambda events: delta_r(events.Triplet[first], events.Triplet[second]),
        axis=Axis(50, 0, 1),
    )


def muon_acceptance(leg: str) -> Requirement:
    """The trigger's muon acceptance: a higher pT threshold in the barrel than in the endcaps."""
    pt = of_leg(leg, "pt", "GeV", Axis(50, 0, 25))
    eta = of_leg(leg, "eta", "", Axis(50, 0, 2.5)).magnitude()
    return ((eta < 1.2) & (pt > 3.5)) | (eta.between(1.2, 2.4, closed="left") & (pt > 2.0))


def global_and_pf(leg: str) -> Condition:
    """The muon that the leg was made from is a global and a particle-flow muon."""

    def identified(events: Any) -> ak.Array:
        muons = events.Muon
        match = first_match(events.Triplet[leg].pt, muons.pt)
        return match.pick((muons.isGlobal == 1) & (muons.isPF == 1), missing=False)

    return Condition(f"{leg} is global and PF", identified)


def of_matched_track(field: str, label: str, axis: Axis) -> Variable:
    """An absolute impact parameter of the track that the third leg was made from."""

    def impact_parameter(events: Any) -> ak.Array:
        match = first_match(events.Triplet.track.pt, events.Track.pt)
        return match.pick(abs(events.Track[field]), missing=float("nan"))

    return Variable(f"track_{field}", impact_parameter, label, "cm", axis)


def trigger_match(leg: str) -> Variable:
    """ΔR to the trigger object, in the branch of the era."""

    def distance(events: Any) -> ak.Array:
        in_2017 = events.metadata["era"].startswith("2017")
        return events.Triplet[leg]["trigger_dr_2017" if in_2017 else "trigger_dr"]

    return Variable(f"{leg}_trigger_dr", distance, axis=Axis(50, 0, 0.1))


mass = Variable("mass", lambda e: e.Triplet.mass, r"$m(\mu\mu\pi)$", "GeV", Axis(60, 1.4, 2.2))
chi2 = Variable(
    "vertex_chi2", lambda e: e.Triplet.vertex.chi2, r"Vertex $\chi^2$", axis=Axis(50, 0, 25)
)
pv_tracks = Variable(
    "pv_tracks", lambda e: e.Triplet.primary_vertex.n_tracks, axis=Axis(50, 0, 100)
)
significance = Variable(
    "flight_bs_significance", lambda e: e.Triplet.flight_bs.significance, axis=Axis(50, 0, 50)
)
phi_mass = Variable(
    "phi_mass",
    lambda e: invariant_mass(e.Triplet.mu1_refitted, e.Triplet.mu2_refitted),
    r"$m(\mu\mu)$",
    "GeV",
    Axis(60, 0.9, 1.14),
)


class DsPhiPi(Analysis):
    """Ds → φ(μμ)π."""

    schema = TwoMuTrackSchema
    selection = Selection(
        "Triplet",
        Cut(
            "hlt",
            Condition(
                "HLT_DoubleMu3_Trk_Tau3mu", lambda e: fired(e.HLT, "HLT_DoubleMu3_Trk_Tau3mu_v")
            ),
        ),
        Cut(
            "l1",
            Condition(
                "L1_DoubleMu* or L1_TripleMu*", lambda e: fired(e.L1, "L1_DoubleMu", "L1_TripleMu")
            ),
        ),
        Cut("vertex", chi2 >= 0),
        Cut("candidate", mass.between(1.62, 2.02), pv_tracks >= 2, significance > 2),
        Cut(
            "acceptance",
            *map(muon_acceptance, MUONS),
            of_leg("track", "pt", "GeV", Axis(50, 0, 25)) > 1.2,
        ),
        Cut(
            "delta_r",
            *(separation(*pair).between(1e-4, 0.8) for pair in (MUONS, LEGS[::2], LEGS[1:])),
        ),
        Cut("muon_id", *map(global_and_pf, MUONS)),
        Cut(
            "track_ip",
            of_matched_track("dz", "Track $|d_z|$", Axis(50, 0, 25)) < 20,
            of_matched_track("dxy", "Track $|d_{xy}|$", Axis(50, 0, 0.5)) < 0.3,
        ),
        Cut("phi_window", phi_mass.between(1.00, 1.04)),
        Cut(
            "trigger_match",
            *(trigger_match(muon).between(0, 0.03, closed="left") for muon in MUONS),
        ),
    )
    best = chi2
    histograms = (
        Histogram("mass", mass, Axis(62, 1.65, 2.01)),
        Histogram("phi_mass", phi_mass, Axis(40, 1.00, 1.04)),
        Histogram("flight_bs_significance", significance, Axis(50, 0, 50)),
    )
    columns = (mass, chi2, phi_mass, significance)
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
