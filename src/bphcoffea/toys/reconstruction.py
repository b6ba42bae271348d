"""Branches of the Tree3Mu ntuple: muons, tracks, legs, vertices, and failures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bphcoffea.physics.constants import MUON_MASS
from bphcoffea.toys.decay import Floats, Integers, Numbers, mass, pt_eta_phi
from bphcoffea.toys.detector import (
    ANGLE_RESOLUTION,
    BEAM_SPOT,
    BEAM_WIDTH,
    PT_RESOLUTION,
    Measured,
)

#: Value of a branch for which the reconstruction failed.
PADDING: Final = -99.0
#: Fraction of the events whose particles are reconstructed, apart from muons lost in data only.
RECONSTRUCTED: Final = 0.94
#: Mean number of muons per event that belong to no candidate.
STRAY_MUONS: Final = 0.35
#: Fraction of the candidates that failed altogether, and in one step of the reconstruction.
_FAILED, _PARTLY_FAILED = 0.03, 0.03

#: Resolution of the vertex fit in x and y: median, cm, and its spread in the logarithm.
_VERTEX_RESOLUTION, _VERTEX_SPREAD = 0.010, 0.30
_VERTEX_RESOLUTION_Z: Final = 0.015
#: Mean number of tracks of a primary vertex: without further interactions, and per interaction
#: whose tracks are taken for its own.
_PV_TRACKS, _PV_TRACKS_PER_INTERACTION = 8.0, 0.5
#: Degrees of freedom of a vertex of three tracks: six measurements, three coordinates.
VERTEX_NDOF: Final = 3
#: Share of being global in the logarithm of the identification efficiency; the rest is being PF.
#: Gives 0.96 and 0.97 where both together are 0.93.
_GLOBAL_SHARE: Final = 0.573


@dataclass(frozen=True)
class Collisions:
    """Collisions of all events.

    Attributes
    ----------
    primary
        Primary vertices, cm, shape (events, 3).
    interactions
        Numbers of interactions, shape (events,).
    """

    primary: Floats
    interactions: Integers


@dataclass(frozen=True)
class Objects:
    """Muons or tracks of all events as flat arrays, in any order.

    Attributes
    ----------
    event
        Event of each object.
    measured
        Measured momenta.
    branches
        Branches of the ntuple by name, shape (objects,).
    true
        Four-momenta of the particles that candidates are made of, which are the first objects.
    """

    event: Integers
    measured: Measured
    branches: dict[str, Numbers]
    true: Floats


def muon_branches(
    momenta: Measured,
    charge: Integers,
    vertex_z: Floats,
    identified: Floats,
    rng: np.random.Generator,
    soft: float | Floats = 0.90,
) -> dict[str, Numbers]:
    """Return the muon branches: momentum, charge, flags, origin and errors.

    Parameters
    ----------
    momenta
        Measured muons, shape (n,).
    charge
        Charges, shape (n,).
    vertex_z
        Position of each muon's primary vertex along the beam, cm, shape (n,).
    identified
        Probability of each muon to be global and PF, shape (n,).
    rng
        Source of randomness.
    soft
        Probability of each muon to be soft.
    """
    n = len(momenta)
    flags: dict[str, float | Floats] = {
        "isGlobal": identified**_GLOBAL_SHARE,
        "isPF": identified ** (1 - _GLOBAL_SHARE),
        "isSoft": soft,
        "isTrackerMuon": 0.99,
        "isLoose": 0.98,
    }
    branches: dict[str, Numbers] = {
        f"Muon_{name}": (rng.random(n) < efficiency).astype(np.float64)
        for name, efficiency in flags.items()
    }
    return branches | {
        "MuonPt": momenta.pt.astype(np.float32),
        "MuonEta": momenta.eta.astype(np.float32),
        "MuonPhi": momenta.phi.astype(np.float32),
        "MuonEnergy": momenta.four_momentum(MUON_MASS)[:, 0],
        "MuonCharge": charge.astype(np.float64),
        "Muon_vx": rng.normal(BEAM_SPOT[0], 0.01, n),
        "Muon_vy": rng.normal(BEAM_SPOT[1], 0.01, n),
        "Muon_vz": vertex_z + rng.normal(0, 0.02, n),
        "Muon_BestTrackPtErr": momenta.pt * PT_RESOLUTION * rng.uniform(0.8, 1.2, n),
        "Muon_BestTrackEtaErr": ANGLE_RESOLUTION * rng.uniform(0.8, 1.2, n),
        "Muon_BestTrackPhiErr": ANGLE_RESOLUTION * rng.uniform(0.8, 1.2, n),
    }


def track_branches(momenta: Measured, charge: Integers) -> dict[str, Numbers]:
    """Return the track branches of momentum and charge."""
    return {
        "Track_pt": momenta.pt,
        "Track_eta": momenta.eta,
        "Track_phi": momenta.phi,
        "Track_charge": charge.astype(np.float64),
    }


def leg_branches(name: str, leg: Measured) -> dict[str, Floats]:
    """Return the momentum branches of one leg of each candidate."""
    return {f"{name}_Pt": leg.pt, f"{name}_Eta": leg.eta, f"{name}_Phi": leg.phi}


def triplet_branches(momentum: Floats, charge: Floats, flavour: str) -> dict[str, Floats]:
    """Return the branches of all three legs together; four-momenta have shape (n, 4)."""
    triplet = Measured(*pt_eta_phi(momentum))
    name = f"Triplet{flavour}"
    return {f"{name}_Mass": mass(momentum), **leg_branches(name, triplet), f"{name}_Charge": charge}


def vertex_branches(
    collisions: Collisions,
    event: Integers,
    displacement: Floats,
    chi2_scale: Floats,
    rng: np.random.Generator,
    flavour: str,
) -> dict[str, Floats]:
    """Return the branches of the vertex fit: position, quality and flight distances.

    Parameters
    ----------
    collisions
        Collisions of all events.
    event
        Event of each candidate, shape (n,).
    displacement
        True position of the decay relative to the primary vertex, cm, shape (n, 3).
    chi2_scale
        Factor on the χ² of the fit, 1 if the legs have a vertex in common. Shape (n,).
    rng
        Source of randomness.
    flavour
        End of the names of the candidates' branches.

    Returns
    -------
    Branches by name, shape (n,) each; distances in cm.
    """
    n, primary = len(displacement), collisions.primary[event]
    error = _VERTEX_RESOLUTION * np.exp(rng.normal(0, _VERTEX_SPREAD, n))
    resolution = np.stack([error, error, np.full(n, _VERTEX_RESOLUTION_Z)], axis=1)
    secondary = primary + displacement + rng.normal(0, resolution)
    from_primary = np.linalg.norm(secondary - primary, axis=1)
    from_beam = np.hypot(*(secondary[:, :2] - np.array(BEAM_SPOT)).T)
    primary_error = np.hypot(error, BEAM_WIDTH)

    n_tracks = rng.poisson(_PV_TRACKS + _PV_TRACKS_PER_INTERACTION * collisions.interactions[event])
    n_tracks[rng.random(n) < 0.02] = 1  # hardly anything left without the three tracks
    branches = {
        f"TripletVtx{flavour}_Chi2": rng.chisquare(VERTEX_NDOF, n) * chi2_scale,
        f"TripletVtx{flavour}_NDOF": np.full(n, float(VERTEX_NDOF)),
        f"RefittedPV{flavour}_NTracks": n_tracks.astype(np.float64),
        f"FlightDistPVSV{flavour}": from_primary,
        f"FlightDistPVSV{flavour}_Err": primary_error,
        f"FlightDistPVSV{flavour}_Significance": from_primary / primary_error,
        "FlightDistBS_SV": from_beam,
        "FlightDistBS_SV_Err": error,
        "FlightDistBS_SV_Significance": from_beam / error,
    }
    for axis, name in enumerate("xyz"):
        branches[f"TripletVtx{flavour}_{name}"] = secondary[:, axis]
        branches[f"RefittedPV{flavour}_{name}"] = primary[:, axis]
    return branches


def trigger_match_name(leg: int, era: str) -> str:
    """Return the branch for the distance of a leg (1, 2 or 3) to its trigger object."""
    return f"Mu{leg}_dRtriggerMatch" + ("_2017" if era.startswith("2017") else "")


def trigger_match_distances(n: int, rng: np.random.Generator) -> Floats:
    """Draw ΔR of particles to their trigger objects, large or -99 without one. Shape (n,)."""
    matched = rng.rayleigh(0.006, n)
    unmatched = np.where(rng.random(n) < 0.5, rng.uniform(0.03, 2.0, n), -99.0)
    return np.where(rng.random(n) < 0.95, matched, unmatched)


def fail(candidates: Mapping[str, Floats], rng: np.random.Generator, steps: Sequence[str]) -> None:
    """Put the padding into all branches of some candidates, and into some branches of others.

    Parameters
    ----------
    candidates
        Branches by name, which are changed in place.
    rng
        Source of randomness.
    steps
        How the names of the branches begin that fail together.
    """
    n = len(next(iter(candidates.values())))
    draw = rng.random(n)
    step = rng.integers(0, len(steps), n)
    failed = draw < _FAILED
    partly_failed = (draw >= _FAILED) & (draw < _FAILED + _PARTLY_FAILED)
    for name, values in candidates.items():
        steps_of_branch = [i for i, prefix in enumerate(steps) if name.startswith(prefix)]
        values[failed | (partly_failed & np.isin(step, steps_of_branch))] = PADDING
