"""Reconstruction of the toy's events: muons, tracks, and candidates of three muons."""

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from bphcoffea.physics.constants import MUON_MASS
from bphcoffea.toys.calibration import identification_efficiency, reconstruction_efficiency
from bphcoffea.toys.decay import Booleans, Floats, Integers, companion, mass, pt_eta_phi
from bphcoffea.toys.detector import (
    BEAM_SPOT,
    Measured,
    concatenate,
    impact_parameters,
    measure_with,
    muon_branches,
    stray,
    track_errors,
    trigger_match_distance,
    vertex_branches,
    wrap,
)
from bphcoffea.toys.generation import combinatorial_masses, radiate
from bphcoffea.toys.reconstruction import Collisions, Objects, random_charges
from bphcoffea.toys.tau3mu.generation import (
    KINK,
    Decays,
    Species,
    displaced,
    is_signal,
    random_flights,
)

#: The branches that one step of the reconstruction fills, by how their names begin.
STEPS: Final = (
    *("Mu1_", "Mu2_", "Mu3_", "Triplet_", "TripletVtx_", "RefittedPV_"),
    *("FlightDistPVSV", "FlightDistBS_SV", "Mu1_dR", "Mu2_dR", "Mu3_dR"),
)
#: Part of the events whose muons were reconstructed, but for muons that only data lose.
_RECONSTRUCTED: Final = 0.94
#: Mean numbers of other muons that make candidates with the pair: in signal, and in other events;
#: and of muons that belong to no candidate.
_FURTHER, _STRAY_MUONS = (0.02, 0.15), 0.35
#: Part of those muons that are real.
_OTHERS_REAL: Final = 0.5
#: Part of the muons that radiate: less than in Ds → φπ, so that the errors of the ntuple describe
#: the mass.
_RADIATING: Final = 0.01
#: Part of the muons that are soft: real ones, and those that are none; and what the latter lose in
#: being global and PF.
_SOFT, _SOFT_FAKE, _IDENTIFIED_FAKE = 0.97, 0.55, 0.75
#: Factor on χ² of the vertices of random combinations.
_CHI2_SCALE: Final = 2.5
#: Errors of the impact parameters at high pT, cm, and the pT, GeV, that doubles them about.
_IP_ERRORS, _IP_PT = (0.0020, 0.0040), 3.0
#: Mean numbers of tracks: near a τ of charm, near one of beauty, near other combinations; and far
#: away in every event. And the part of the near ones that come from the same vertex.
_NEAR: Final = ((0.6, 0.04), (0.9, 0.12), (2.0, 0.45))
_FAR: Final = 0.8
#: Spread of the near ones in η and φ, and threshold and mean above it of the pT of all, GeV.
_CONE, _TRACK_PT = 0.25, (0.5, 0.9)


@dataclass(frozen=True)
class Legs:
    """Particles that are taken for muons, in any order.

    Attributes
    ----------
    event
        Position of each one's event, shape (n,).
    true
        Four-momenta after radiation, GeV, shape (n, 4).
    charge
        Shape (n,).
    origin
        Where each comes from, relative to the primary vertex, cm, shape (n, 3).
    real
        Whether it is a muon, shape (n,).
    """

    event: Integers
    true: Floats
    charge: Integers
    origin: Floats
    real: Booleans

    def __getitem__(self, which: Booleans) -> "Legs":
        return Legs(*(getattr(self, field.name)[which] for field in fields(self)))


@dataclass(frozen=True)
class Rows:
    """Candidates.

    Attributes
    ----------
    event
        Position of each one's event, shape (candidates,).
    legs
        Rows of its muons, shape (candidates, 3).
    vertex
        Position relative to the primary vertex, cm, shape (candidates, 3).
    species
        Origin, a `Species`, or -1 for a combination with another muon. Shape (candidates,).
    """

    event: Integers
    legs: Integers
    vertex: Floats
    species: Integers


def combine(decays: Decays, rng: np.random.Generator) -> tuple[Legs, Rows]:
    """Make a candidate of each event's three muons, and further ones of the pair and other muons.

    The particles are the first, second and third ones of all events, then the other muons, then
    muons that belong to no candidate.
    """
    n = len(decays.species)
    own = np.flatnonzero(decays.species != Species.NOTHING)
    number = np.where(is_signal(decays.species[own]), *_FURTHER)
    base = np.repeat(own, rng.poisson(number))
    pair = decays.muons[base, 0] + decays.muons[base, 1]
    other = companion(pair, MUON_MASS, combinatorial_masses(mass(pair) + MUON_MASS, rng), rng)
    pt, eta, phi = pt_eta_phi(pair + other)
    vertex = displaced(random_flights(pt, rng), eta, phi, KINK[-1], rng)
    strays = np.repeat(np.arange(n), rng.poisson(_STRAY_MUONS, n))
    lonely = stray(len(strays), 1.0, 3.0, rng).four_momentum(MUON_MASS)
    more = len(base) + len(strays)
    legs = Legs(
        event=np.concatenate([np.tile(np.arange(n), 3), base, strays]),
        true=np.concatenate([*decays.muons.swapaxes(0, 1), other, lonely]),
        charge=np.concatenate([*decays.charge.T, random_charges(more, rng)]),
        origin=np.concatenate([*decays.origin.swapaxes(0, 1), np.zeros((more, 3))]),
        real=np.concatenate([*decays.real.T, rng.random(more) < _OTHERS_REAL]),
    )
    legs = replace(legs, true=radiate(legs.true, rng, _RADIATING))
    third = np.concatenate([2 * n + own, 3 * n + np.arange(len(base))])
    event = np.concatenate([own, base])
    rows = Rows(
        event=event,
        legs=np.stack([event, n + event, third], axis=1),
        vertex=np.concatenate([decays.vertex[own], vertex]),
        species=np.concatenate([decays.species[own], np.full(len(base), -1)]),
    )
    return legs, rows


def lose(
    decays: Decays, legs: Legs, rows: Rows, is_mc: bool, rng: np.random.Generator
) -> tuple[Legs, Rows]:
    """Leave out muons that were not reconstructed, and candidates that lack one."""
    n = len(decays.species)
    pt, eta, _ = pt_eta_phi(legs.true)
    found = rng.random(len(pt)) < reconstruction_efficiency(eta, pt, is_mc)
    found[: 3 * n] &= np.tile(decays.species != Species.NOTHING, 3)
    whole = rng.random(n) < _RECONSTRUCTED
    kept = np.all(found[rows.legs], axis=1) & whole[rows.event]
    position = np.cumsum(found) - 1
    rows = Rows(rows.event[kept], position[rows.legs[kept]], rows.vertex[kept], rows.species[kept])
    return legs[found], rows


def reconstruct_muons(
    legs: Legs, collisions: Collisions, is_mc: bool, rng: np.random.Generator
) -> tuple[Objects, Objects]:
    """Muons, and their tracks in the same order."""
    errors = track_errors(legs.true, rng)
    measured = measure_with(legs.true, errors, rng)
    tracks = _tracks(measured, legs.charge, legs.origin, rng)
    efficiency = identification_efficiency(
        measured.eta, measured.pt, collisions.interactions[legs.event], is_mc
    )
    identified = efficiency * np.where(legs.real, 1.0, _IDENTIFIED_FAKE)
    soft = np.where(legs.real, _SOFT, _SOFT_FAKE)
    z = collisions.primary[legs.event, 2]
    branches = muon_branches(measured, legs.charge, z, identified, rng, soft)
    branches |= {
        "Muon_vx": BEAM_SPOT[0] - tracks["Track_dxy"] * np.sin(measured.phi),
        "Muon_vy": BEAM_SPOT[1] + tracks["Track_dxy"] * np.cos(measured.phi),
        "Muon_vz": z + tracks["Track_dz"],
        "Muon_BestTrackPtErr": errors.pt,
        "Muon_BestTrackEtaErr": errors.eta,
        "Muon_BestTrackPhiErr": errors.phi,
    }
    muons = Objects(legs.event, measured, branches, legs.true)
    return muons, Objects(legs.event, measured, dict(tracks), legs.true)


def with_other_tracks(tracks: Objects, decays: Decays, rng: np.random.Generator) -> Objects:
    """Add tracks near the three muons of each event, and far away."""
    n = len(decays.species)
    mean, displaced_part = np.array(_NEAR)[np.minimum(decays.species, 2)].T
    number = rng.poisson(np.where(decays.species == Species.NOTHING, 0.0, mean))
    near = np.repeat(np.arange(n), number)
    _, eta, phi = pt_eta_phi(decays.parent[near])
    noise = rng.normal(0, _CONE, (2, len(near)))
    close = Measured(
        _TRACK_PT[0] + rng.exponential(_TRACK_PT[1], len(near)),
        eta + noise[0],
        wrap(phi + noise[1]),
    )
    from_vertex = rng.random(len(near)) < displaced_part[near]
    origin = np.where(from_vertex[:, np.newaxis], decays.vertex[near], 0.0)
    far = np.repeat(np.arange(n), rng.poisson(_FAR, n))
    added = concatenate(close, stray(len(far), *_TRACK_PT, rng))
    origin = np.concatenate([origin, np.zeros((len(far), 3))])
    branches = _tracks(added, random_charges(len(added), rng), origin, rng)
    return Objects(
        np.concatenate([tracks.event, near, far]),
        concatenate(tracks.measured, added),
        {k: np.concatenate([tracks.branches[k], v]) for k, v in branches.items()},
        tracks.true,
    )


def _tracks(
    measured: Measured, charge: Integers, origin: Floats, rng: np.random.Generator
) -> dict[str, Floats]:
    """Branches of tracks that come from points relative to the primary vertex."""
    branches = {
        "Track_pt": measured.pt,
        "Track_eta": measured.eta,
        "Track_phi": measured.phi,
        "Track_charge": charge.astype(np.float64),
    }
    scale = np.hypot(1, _IP_PT / measured.pt) * rng.uniform(0.85, 1.15, len(measured))
    parameters = impact_parameters(origin, measured)
    for name, value, error in zip(("dxy", "dz"), parameters, _IP_ERRORS, strict=True):
        branches[f"Track_{name}Error"] = error * scale
        branches[f"Track_{name}"] = value + error * scale * rng.normal(size=len(value))
    return branches


def reconstruct_candidates(
    rows: Rows,
    muons: Objects,
    collisions: Collisions,
    trigger_match: str,
    rng: np.random.Generator,
) -> tuple[dict[str, Floats], Integers]:
    """Reconstruct the candidates.

    Returns
    -------
    Branches by name, shape (candidates,), and the rows of the three muons by falling pT, shape
    (candidates, 3).
    """
    falling = np.argsort(-muons.measured.pt[rows.legs], axis=1)
    legs = np.take_along_axis(rows.legs, falling, axis=1)
    distance = trigger_match_distance(len(muons.event), rng)
    branches: dict[str, Floats] = {}
    total = np.zeros((len(rows.event), 4))
    for number, row in enumerate(legs.T, start=1):
        leg = muons.measured[row]
        branches |= {f"Mu{number}_Pt": leg.pt, f"Mu{number}_Eta": leg.eta}
        branches |= {f"Mu{number}_Phi": leg.phi, f"Mu{number}_{trigger_match}": distance[row]}
        total += leg.four_momentum(MUON_MASS)
    pt, eta, phi = pt_eta_phi(total)
    branches |= {
        "Triplet_Mass": mass(total),
        "Triplet_Pt": pt,
        "Triplet_Eta": eta,
        "Triplet_Phi": phi,
        "Triplet_Charge": np.sum(muons.branches["MuonCharge"][legs], axis=1),
    }
    scale = np.where(is_signal(rows.species), 1.0, _CHI2_SCALE)
    primary, interactions = collisions.primary[rows.event], collisions.interactions[rows.event]
    branches |= vertex_branches(primary, rows.vertex, scale, interactions, rng, suffix="")
    return branches, legs
