"""Reconstruction of the toy's events: muons, tracks, and candidates of three muons."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from bphcoffea.physics.constants import MUON_MASS
from bphcoffea.toys import decay, detector, reconstruction
from bphcoffea.toys.calibration import identification_efficiency, reconstruction_efficiency
from bphcoffea.toys.decay import Booleans, Floats, Integers, Numbers, Table
from bphcoffea.toys.detector import Measured
from bphcoffea.toys.generation import combinatorial_masses, radiate, random_charges
from bphcoffea.toys.reconstruction import Collisions, Objects
from bphcoffea.toys.tau3mu.generation import (
    KINK,
    Decays,
    Species,
    displaced,
    is_signal,
    random_flights,
)
from bphcoffea.toys.toy import Sample
from bphcoffea.toys.tree3mu import Candidates, Reconstructed

#: How the names of the branches begin that one step of the reconstruction fills.
STEPS: Final = (
    *("Mu1_", "Mu2_", "Mu3_", "Triplet_", "TripletVtx_", "RefittedPV_"),
    *("FlightDistPVSV", "FlightDistBS_SV", "Mu1_dR", "Mu2_dR", "Mu3_dR"),
)
#: Mean numbers of other muons that make candidates with the pair, in signal and in other events.
_FURTHER: Final = (0.02, 0.15)
#: Fraction of the other and stray muons that are real.
_OTHERS_REAL: Final = 0.5
#: Fraction of the muons that radiate: less than in Ds → φπ, so that the errors of the ntuple
#: describe the mass.
_RADIATING: Final = 0.01
#: Probability to be soft, of real muons and of misidentified hadrons; and factor on the
#: identification efficiency of the latter.
_SOFT, _SOFT_FAKE, _IDENTIFIED_FAKE = 0.97, 0.55, 0.75
#: Factor on χ² of the vertices of random combinations.
_CHI2_SCALE: Final = 2.5
#: Errors of the impact parameters at high pT, cm, and the pT, GeV, that doubles them about.
_IP_ERRORS, _IP_PT = (0.0020, 0.0040), 3.0
#: Mean number of tracks near the muons, and the fraction of them from the same vertex: in τ of
#: charm, τ of beauty, and other combinations.
_NEAR: Final = ((0.6, 0.04), (0.9, 0.12), (2.0, 0.45))
#: Mean number of tracks far away.
_FAR: Final = 0.8
#: Spread of the near tracks in η and φ; threshold and mean above it of the pT of all tracks, GeV.
_CONE, _TRACK_PT = 0.25, (0.5, 0.9)


@dataclass(frozen=True)
class Legs(Table):
    """Particles taken for muons, in any order.

    Attributes
    ----------
    event
        Event of each particle, shape (n,).
    true
        Four-momenta after radiation, GeV, shape (n, 4).
    charge
        Charges, shape (n,).
    origin
        Origin relative to the primary vertex, cm, shape (n, 3).
    real
        Whether each is a muon rather than a misidentified hadron, shape (n,).
    """

    event: Integers
    true: Floats
    charge: Integers
    origin: Floats
    real: Booleans


@dataclass(frozen=True)
class DisplacedCandidates(Candidates):
    """Candidates of three muons.

    Attributes
    ----------
    vertex
        Position relative to the primary vertex, cm, shape (candidates, 3).
    """

    vertex: Floats


def reconstruct(
    decays: Decays, collisions: Collisions, sample: Sample, rng: np.random.Generator
) -> Reconstructed:
    """Reconstruct the objects and candidates of all events."""
    legs, candidates = _lose(decays, *_combine(decays, rng), sample.is_mc, rng)
    muons, muon_tracks = _reconstruct_muons(legs, collisions, sample.is_mc, rng)
    tracks = _with_other_tracks(muon_tracks, decays, rng)
    by_falling_pt = np.argsort(-muons.measured.pt[candidates.muon_rows], axis=1)
    muon_rows = np.take_along_axis(candidates.muon_rows, by_falling_pt, axis=1)
    candidates = replace(candidates, muon_rows=muon_rows)
    branches = _candidate_branches(candidates, muons, collisions, sample.era, rng)
    return muons, tracks, candidates, branches


def _combine(decays: Decays, rng: np.random.Generator) -> tuple[Legs, DisplacedCandidates]:
    """Make a candidate of each event's three muons, and further ones of the pair and other muons.

    The legs are the first, second and third muons of all events, then the other muons, then muons
    that belong to no candidate.
    """
    n = len(decays.species)
    events = np.flatnonzero(decays.species != Species.NOTHING)
    number = np.where(is_signal(decays.species[events]), *_FURTHER)
    base = np.repeat(events, rng.poisson(number))
    pair = decays.muons[base, 0] + decays.muons[base, 1]
    other = decay.companion(
        pair, MUON_MASS, combinatorial_masses(decay.mass(pair) + MUON_MASS, rng), rng
    )
    pt, eta, phi = decay.pt_eta_phi(pair + other)
    vertex = displaced(random_flights(pt, rng), eta, phi, KINK[-1], rng)
    strays = np.repeat(np.arange(n), rng.poisson(reconstruction.STRAY_MUONS, n))
    lonely = detector.stray(len(strays), 1.0, 3.0, rng).four_momentum(MUON_MASS)
    more = len(base) + len(strays)
    legs = Legs(
        event=np.concatenate([np.tile(np.arange(n), 3), base, strays]),
        true=np.concatenate([*decays.muons.swapaxes(0, 1), other, lonely]),
        charge=np.concatenate([*decays.charge.T, random_charges(more, rng)]),
        origin=np.concatenate([*decays.origin.swapaxes(0, 1), np.zeros((more, 3))]),
        real=np.concatenate([*decays.real.T, rng.random(more) < _OTHERS_REAL]),
    )
    legs = replace(legs, true=radiate(legs.true, rng, _RADIATING))
    third = np.concatenate([2 * n + events, 3 * n + np.arange(len(base))])
    event = np.concatenate([events, base])
    candidates = DisplacedCandidates(
        event=event,
        species=np.concatenate([decays.species[events], np.full(len(base), -1)]),
        muon_rows=np.stack([event, n + event, third], axis=1),
        track_rows=np.empty((len(event), 0), dtype=np.int64),
        vertex=np.concatenate([decays.vertex[events], vertex]),
    )
    return legs, candidates


def _lose(
    decays: Decays,
    legs: Legs,
    candidates: DisplacedCandidates,
    is_mc: bool,
    rng: np.random.Generator,
) -> tuple[Legs, DisplacedCandidates]:
    """Drop muons that are not reconstructed, and candidates that lack one."""
    n = len(decays.species)
    pt, eta, _ = decay.pt_eta_phi(legs.true)
    found = rng.random(len(pt)) < reconstruction_efficiency(eta, pt, is_mc)
    found[: 3 * n] &= np.tile(decays.species != Species.NOTHING, 3)
    complete = rng.random(n) < reconstruction.RECONSTRUCTED
    kept = np.all(found[candidates.muon_rows], axis=1) & complete[candidates.event]
    new_row = np.cumsum(found) - 1
    candidates = candidates[kept]
    return legs[found], replace(candidates, muon_rows=new_row[candidates.muon_rows])


def _reconstruct_muons(
    legs: Legs, collisions: Collisions, is_mc: bool, rng: np.random.Generator
) -> tuple[Objects, Objects]:
    """Return the muons, and their tracks in the same order."""
    errors = detector.track_errors(legs.true, rng)
    measured = detector.measure_with(legs.true, errors, rng)
    tracks = _displaced_tracks(measured, legs.charge, legs.origin, rng)
    efficiency = identification_efficiency(
        measured.eta, measured.pt, collisions.interactions[legs.event], is_mc
    )
    identified = efficiency * np.where(legs.real, 1.0, _IDENTIFIED_FAKE)
    soft = np.where(legs.real, _SOFT, _SOFT_FAKE)
    z = collisions.primary[legs.event, 2]
    branches = reconstruction.muon_branches(measured, legs.charge, z, identified, rng, soft)
    branches |= {
        "Muon_vx": detector.BEAM_SPOT[0] - tracks["Track_dxy"] * np.sin(measured.phi),
        "Muon_vy": detector.BEAM_SPOT[1] + tracks["Track_dxy"] * np.cos(measured.phi),
        "Muon_vz": z + tracks["Track_dz"],
        "Muon_BestTrackPtErr": errors.pt,
        "Muon_BestTrackEtaErr": errors.eta,
        "Muon_BestTrackPhiErr": errors.phi,
    }
    muons = Objects(legs.event, measured, branches, legs.true)
    return muons, Objects(legs.event, measured, tracks, legs.true)


def _with_other_tracks(tracks: Objects, decays: Decays, rng: np.random.Generator) -> Objects:
    """Add tracks near the three muons of each event, and far away."""
    n = len(decays.species)
    mean, displaced_fraction = np.array(_NEAR)[np.minimum(decays.species, 2)].T
    number = rng.poisson(np.where(decays.species == Species.NOTHING, 0.0, mean))
    near = np.repeat(np.arange(n), number)
    _, eta, phi = decay.pt_eta_phi(decays.parent[near])
    noise = rng.normal(0, _CONE, (2, len(near)))
    close = Measured(
        _TRACK_PT[0] + rng.exponential(_TRACK_PT[1], len(near)),
        eta + noise[0],
        detector.wrap(phi + noise[1]),
    )
    from_vertex = rng.random(len(near)) < displaced_fraction[near]
    origin = np.where(from_vertex[:, np.newaxis], decays.vertex[near], 0.0)
    far = np.repeat(np.arange(n), rng.poisson(_FAR, n))
    added = close + detector.stray(len(far), *_TRACK_PT, rng)
    origin = np.concatenate([origin, np.zeros((len(far), 3))])
    branches = _displaced_tracks(added, random_charges(len(added), rng), origin, rng)
    return Objects(
        np.concatenate([tracks.event, near, far]),
        tracks.measured + added,
        {k: np.concatenate([tracks.branches[k], v]) for k, v in branches.items()},
        tracks.true,
    )


def _displaced_tracks(
    measured: Measured, charge: Integers, origin: Floats, rng: np.random.Generator
) -> dict[str, Numbers]:
    """Return branches of tracks that come from points relative to the primary vertex."""
    branches = reconstruction.track_branches(measured, charge)
    scale = np.hypot(1, _IP_PT / measured.pt) * rng.uniform(0.85, 1.15, len(measured))
    parameters = detector.impact_parameters(origin, measured)
    for name, value, error in zip(("dxy", "dz"), parameters, _IP_ERRORS, strict=True):
        branches[f"Track_{name}Error"] = error * scale
        branches[f"Track_{name}"] = value + error * scale * rng.normal(size=len(value))
    return branches


def _candidate_branches(
    candidates: DisplacedCandidates,
    muons: Objects,
    collisions: Collisions,
    era: str,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Reconstruct the candidates: legs, match to the trigger, and vertex fit."""
    distances = reconstruction.trigger_match_distances(len(muons.event), rng)
    branches: dict[str, Floats] = {}
    total = np.zeros((len(candidates.event), 4))
    for number, rows in enumerate(candidates.muon_rows.T, start=1):
        leg = muons.measured[rows]
        branches |= reconstruction.leg_branches(f"Mu{number}", leg)
        branches[reconstruction.trigger_match_name(number, era)] = distances[rows]
        total += leg.four_momentum(MUON_MASS)
    charge = np.sum(muons.branches["MuonCharge"][candidates.muon_rows], axis=1)
    branches |= reconstruction.triplet_branches(total, charge, "")
    return branches | reconstruction.vertex_branches(
        collisions=collisions,
        event=candidates.event,
        displacement=candidates.vertex,
        chi2_scale=np.where(is_signal(candidates.species), 1.0, _CHI2_SCALE),
        rng=rng,
        flavour="",
    )
