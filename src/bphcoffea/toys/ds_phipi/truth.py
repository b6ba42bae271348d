"""Expected result of an analysis of Ds → φ(μμ)π, from the toy's own arrays.

This is the selection of the analysis a second time, on purpose: written for flat numpy arrays and
from what the toy knows (which muon, which track, which trigger), it shares no code with the
analyses that are tested against it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from typing_extensions import override

from bphcoffea.physics.constants import MUON_MASS
from bphcoffea.toys.decay import Booleans, Floats
from bphcoffea.toys.ds_phipi.generation import Species
from bphcoffea.toys.tree3mu import Events, TripletTruth

#: Range of the mass histogram and of the fit, GeV.
FIT_RANGE: Final = (1.65, 2.01)


@dataclass(frozen=True)
class DsPhiPiTruth(TripletTruth):
    """Expected result of an analysis of Ds → φ(μμ)π on some events."""

    names: ClassVar = {
        Species.DS: "ds_phipi",
        Species.DPLUS: "dplus_phipi",
        Species.PHI_TRACK: "phi_track",
        Species.DIMUON_TRACK: "dimuon_track",
    }
    other = "other_track"

    @override
    def as_json(self) -> dict[str, object]:
        in_range = _inside(self.mass, *FIT_RANGE)
        return super().as_json() | {"selected_in_fit_range": self.composition(in_range)}


def find(events: Events) -> DsPhiPiTruth:
    """Select the best candidates and count."""
    return DsPhiPiTruth.of_selected(events, _steps(events), flavour="2")


def _steps(events: Events) -> Iterator[tuple[str, Booleans]]:
    c = events.candidates
    yield "vertex", c["TripletVtx2_Chi2"] >= 0
    yield (
        "candidate",
        _inside(c["Triplet2_Mass"], 1.62, 2.02)
        & (c["RefittedPV2_NTracks"] >= 2)
        & (c["FlightDistBS_SV_Significance"] > 2),
    )
    yield (
        "acceptance",
        _muon_acceptance(c, "Mu01") & _muon_acceptance(c, "Mu02") & (c["Tr_Pt"] > 1.2),
    )
    pairs = (("Mu01", "Mu02"), ("Mu01", "Tr"), ("Mu02", "Tr"))
    distances = [_distance(c, first, second) for first, second in pairs]
    yield "delta_r", np.logical_and.reduce([_inside(d, 1e-4, 0.8) for d in distances])
    muons, tracks = events.muons.branches, events.tracks.branches
    identified = (muons["Muon_isGlobal"] == 1) & (muons["Muon_isPF"] == 1)
    yield "muon_id", np.all(identified[events.rows.muon_rows], axis=1)
    (track,) = events.rows.track_rows.T
    dz, dxy = tracks["Track_dz"][track], tracks["Track_dxy"][track]
    yield "track_ip", (np.abs(dz) < 20) & (np.abs(dxy) < 0.3)
    yield "phi_window", _inside(_dimuon_mass(c), 1.00, 1.04)
    matches = [next(v for k, v in c.items() if k.startswith(f"Mu{i}_dR")) for i in (1, 2)]
    yield "trigger_match", np.logical_and.reduce([(d >= 0) & (d < 0.03) for d in matches])


def _inside(values: Floats, low: float, high: float) -> Booleans:
    return (values > low) & (values < high)


def _muon_acceptance(c: dict[str, Floats], leg: str) -> Booleans:
    pt, eta = c[f"{leg}_Pt"], np.abs(c[f"{leg}_Eta"])
    inside: Booleans = np.where(eta < 1.2, pt > 3.5, (eta < 2.4) & (pt > 2.0))
    return inside


def _distance(c: dict[str, Floats], first: str, second: str) -> Floats:
    d_eta = c[f"{first}_Eta"] - c[f"{second}_Eta"]
    d_phi = np.abs(c[f"{first}_Phi"] - c[f"{second}_Phi"]) % (2 * np.pi)
    distance: Floats = np.hypot(d_eta, np.minimum(d_phi, 2 * np.pi - d_phi))
    return distance


def _dimuon_mass(c: dict[str, Floats]) -> Floats:
    """Return the mass of the first two refitted tracks; NaN if one of them is padding."""
    pt1, pt2 = c["RefTrack1_Pt"], c["RefTrack2_Pt"]
    fitted = (pt1 > 0) & (pt2 > 0)
    energy1, energy2, pz1, pz2 = np.ones((4, len(pt1)))
    for energy, pz, leg in ((energy1, pz1, "RefTrack1"), (energy2, pz2, "RefTrack2")):
        pz[fitted] = (c[f"{leg}_Pt"] * np.sinh(np.where(fitted, c[f"{leg}_Eta"], 0)))[fitted]
        energy[:] = np.sqrt(c[f"{leg}_Pt"] ** 2 + pz**2 + MUON_MASS**2)
    transverse = pt1 * pt2 * np.cos(c["RefTrack1_Phi"] - c["RefTrack2_Phi"])
    square = 2 * (MUON_MASS**2 + energy1 * energy2 - transverse - pz1 * pz2)
    mass: Floats = np.sqrt(np.where(fitted, square, np.nan))
    return mass
