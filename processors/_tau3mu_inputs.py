"""Inputs of a classifier for τ → 3μ [PLB 853 (2024) 138633] that ntuples can provide."""

from typing import Any

import awkward as ak
import numpy as np

from bphcoffea.analysis import EventFunction, Variable
from bphcoffea.physics import first_match, pointing_angle, surroundings

MUONS = ("mu1", "mu2", "mu3")
#: Branches of the positions of both vertices, and of the momentum of a candidate.
POSITIONS = tuple(f"{vertex}_{x}" for vertex in ("TripletVtx", "RefittedPV") for x in "xyz")
MOMENTUM = ("Triplet_Pt", "Triplet_Eta", "Triplet_Phi")


def of_triplet(name: str, of: EventFunction, label: str, unit: str = "", **more: Any) -> Variable:
    """Return a variable of the whole candidate."""
    return Variable(name, lambda events: of(events.Triplet), label, unit, **more)


def of_matched(events: ak.Array, collection: str, values: EventFunction) -> list[ak.Array]:
    """Return values of the muons or tracks that the legs were made from, one array per leg."""
    objects = events[collection]
    pt = ak.values_astype(objects.pt, np.float32) if collection == "Muon" else objects.pt
    matches = [first_match(events.Triplet[leg].matching_pt, pt) for leg in MUONS]
    return [match.pick(values(objects), missing=float("nan")) for match in matches]


def extreme(
    name: str, choose: np.ufunc, source: str, of: EventFunction, label: str, unit: str, *needs: str
) -> Variable:
    """Return the largest or smallest value of the legs' muons or tracks as a variable."""

    def value(events: ak.Array) -> ak.Array:
        first, second, third = of_matched(events, source, of)
        return choose(choose(first, second), third)

    return Variable(name, value, label, unit, branches=needs)


def of_surroundings(name: str, label: str, unit: str = "") -> Variable:
    """Return a variable of the tracks around a candidate."""

    def value(events: ak.Array) -> ak.Array:
        triplet = events.Triplet
        legs = [triplet[leg] for leg in MUONS]
        pts = [leg.matching_pt for leg in legs]
        around = surroundings(legs, pts, triplet.primary_vertex, triplet.vertex, events.Track)
        return getattr(around, name)

    tracks = tuple(f"Track_{field}" for field in ("pt", "eta", "phi", "dxy", "dz"))
    return Variable(name, value, label, unit, branches=(*POSITIONS, *tracks))


def impact_parameter(track: ak.Array) -> ak.Array:
    """Return the magnitude of the transverse impact parameter, cm."""
    return abs(track.dxy)


def impact_significance(track: ak.Array) -> ak.Array:
    """Return the significance of the transverse impact parameter."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return abs(track.dxy) / track.dxyError


def classifier_inputs(flight_significance: Variable) -> tuple[Variable, ...]:
    """Return the inputs as columns, which exist only if the ntuple has their branches."""
    dxy = ("Track_pt", "Track_dxy")
    of_dxy = ("Track", impact_parameter, "$|d_{xy}|$", "cm", *dxy)
    error = (*dxy, "Track_dxyError")
    of_significance = ("Track", impact_significance, r"$|d_{xy}|/\sigma$", "", *error)
    of_flag = ("Muon", lambda muon: muon.isSoft, "Worst muon is soft", "", "Muon_isSoft")
    return (
        of_triplet("triplet_pt", lambda t: t.pt, r"$p_T(3\mu)$", "GeV", branches=MOMENTUM[:1]),
        of_triplet(
            "vertex_chi2_ndof",
            lambda t: t.vertex.chi2 / t.vertex.ndof,
            r"Vertex $\chi^2$/ndof",
            branches=("TripletVtx_NDOF",),
        ),
        of_triplet(
            "alpha_3d",
            lambda t: pointing_angle(t.primary_vertex, t.vertex, t),
            r"$\alpha_{3D}$",
            "rad",
            branches=(*POSITIONS, *MOMENTUM),
        ),
        of_triplet(
            "flight_distance",
            lambda t: t.flight_bs.distance,
            "$L$",
            "cm",
            branches=("FlightDistBS_SV",),
        ),
        flight_significance,
        extreme("ip_max", np.fmax, *of_dxy),
        extreme("ip_min", np.fmin, *of_dxy),
        extreme("ip_significance_max", np.fmax, *of_significance),
        extreme("ip_significance_min", np.fmin, *of_significance),
        of_surroundings("closest_track", "Closest track", "cm"),
        of_surroundings("isolation", "Isolation"),
        extreme("muon_quality", np.fmin, *of_flag),
    )
