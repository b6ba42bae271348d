"""Reconstruction of the toy's events: which muons and tracks there are, and their candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bphcoffea.physics.constants import MUON_MASS, PION_MASS
from bphcoffea.toys.calibration import identification_efficiency, reconstruction_efficiency
from bphcoffea.toys.decay import Floats, Integers, mass, pt_eta_phi
from bphcoffea.toys.detector import (
    Measured,
    concatenate,
    measure,
    muon_branches,
    refit,
    slope,
    stray,
    track_branches,
    trigger_match_distance,
    vertex_branches,
)
from bphcoffea.toys.generation import Decays, Species, radiate, random_tracks

#: Value of a branch for which the reconstruction failed.
PADDING: Final = -99.0
#: Part of the candidates that failed altogether, and in one step of the reconstruction.
_FAILED, _PARTLY_FAILED = 0.03, 0.03
#: Part of the events whose dimuon and track were reconstructed, but for muons that only data lose.
_RECONSTRUCTED = 0.94
#: Mean numbers in an event: further tracks that make candidates with the dimuon, and muons and
#: tracks that belong to no candidate.
_FURTHER_CANDIDATES, _STRAY_MUONS, _STRAY_TRACKS = 0.30, 0.35, 0.70

#: The branches that one step of the reconstruction fills, by how their names begin.
STEPS: Final = (
    "Mu01_",
    "Mu02_",
    "Tr_",
    "RefTrack",
    "Triplet2_",
    "TripletVtx2_",
    "RefittedPV2_",
    "FlightDistPVSV2",
    "FlightDistBS_SV",
    "Mu1_dR",
    "Mu2_dR",
)


@dataclass(frozen=True)
class Collisions:
    """Where the collision of each event was, and what came with it.

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
class Dimuons:
    """Dimuons that were reconstructed; muons are the leading ones of all, then the trailing ones.

    Attributes
    ----------
    event
        Position of each dimuon's event, shape (dimuons,).
    true
        Four-momenta of the muons, after radiation, GeV, shape (2 * dimuons, 4).
    measured
        The same as measured.
    charge
        Of the muons, shape (2 * dimuons,).
    """

    event: Integers
    true: Floats
    measured: Measured
    charge: Integers


@dataclass(frozen=True)
class Rows:
    """Which dimuon and which track each candidate has.

    The candidates' tracks are the first rows of the tracks, in the order of the candidates; the
    muons begin with the leading ones of all dimuons, then come the trailing ones.

    Attributes
    ----------
    dimuon_event
        Position of each dimuon's event, shape (dimuons,).
    dimuon
        The dimuon of each candidate, shape (candidates,).
    origin
        A `Species`, or -1 for a combination with another track, shape (candidates,).
    pion
        Four-momentum of the track's particle, GeV, shape (candidates, 4).
    charge
        Its charge, shape (candidates,).
    flight
        Transverse distance to the vertex of the three, cm, shape (candidates,).
    """

    dimuon_event: Integers
    dimuon: Integers
    origin: Integers
    pion: Floats
    charge: Integers
    flight: Floats

    @property
    def event(self) -> Integers:
        """Position of each candidate's event, shape (candidates,)."""
        return self.dimuon_event[self.dimuon]

    @property
    def muon_rows(self) -> tuple[Integers, Integers]:
        """Rows of the leading and of the trailing muon, shape (candidates,) each."""
        return self.dimuon, len(self.dimuon_event) + self.dimuon


@dataclass(frozen=True)
class Objects:
    """Muons or tracks of all events as flat arrays, in any order.

    Attributes
    ----------
    event
        Position of each object's event.
    measured
        Momenta.
    branches
        What the ntuple holds of them.
    true
        Four-momenta of the particles that candidates are made of: the first of the objects.
    """

    event: Integers
    measured: Measured
    branches: dict[str, npt.NDArray[Any]]
    true: Floats


def reconstruct_dimuons(decays: Decays, is_mc: bool, rng: np.random.Generator) -> Dimuons:
    """Measure the muons, and see which events keep both of theirs."""
    n = len(decays.species)
    every = np.arange(n)
    leading = np.argmax(np.hypot(decays.muons[:, :, 1], decays.muons[:, :, 2]), axis=1)
    pair = decays.muons[every, leading], decays.muons[every, 1 - leading]
    true = radiate(np.concatenate(pair), rng)
    measured = measure(true, rng)
    efficiency = reconstruction_efficiency(measured.eta, measured.pt, is_mc)
    kept = rng.random(2 * n) < efficiency
    event = np.flatnonzero(kept[:n] & kept[n:] & (rng.random(n) < _RECONSTRUCTED))
    sign = np.where(leading[event] == 0, -1, 1)  # the negative muon comes first
    rows = np.concatenate([event, n + event])
    return Dimuons(event, true[rows], measured[rows], np.concatenate([sign, -sign]))


def combine(decays: Decays, dimuon_event: Integers, rng: np.random.Generator) -> Rows:
    """Combine each reconstructed dimuon with its track, and some with further tracks."""
    own = np.arange(len(dimuon_event))
    further = np.repeat(own, rng.poisson(_FURTHER_CANDIDATES, len(own)))
    pion, flight = random_tracks(decays.dimuon[dimuon_event[further]], rng)
    return Rows(
        dimuon_event=dimuon_event,
        dimuon=np.concatenate([own, further]),
        origin=np.concatenate([decays.species[dimuon_event], np.full(len(further), -1)]),
        pion=radiate(np.concatenate([decays.pion[dimuon_event], pion]), rng),
        charge=np.concatenate([decays.charge[dimuon_event], random_charges(len(further), rng)]),
        flight=np.concatenate([decays.flight[dimuon_event], flight]),
    )


def reconstruct_muons(
    dimuons: Dimuons, collisions: Collisions, is_mc: bool, rng: np.random.Generator
) -> Objects:
    """Leading muons of the dimuons, trailing ones, and muons that belong to no candidate."""
    n = len(collisions.primary)
    strays = np.repeat(np.arange(n), rng.poisson(_STRAY_MUONS, n))
    measured = concatenate(dimuons.measured, stray(len(strays), 1.0, 3.0, rng))
    event = np.concatenate([dimuons.event, dimuons.event, strays])
    charge = np.concatenate([dimuons.charge, random_charges(len(strays), rng)])
    identified = identification_efficiency(
        measured.eta, measured.pt, collisions.interactions[event], is_mc
    )
    branches = muon_branches(measured, charge, collisions.primary[event, 2], identified, rng)
    return Objects(event, measured, branches, dimuons.true)


def reconstruct_tracks(rows: Rows, n: int, rng: np.random.Generator) -> Objects:
    """Tracks of the candidates, and tracks that belong to none."""
    strays = np.repeat(np.arange(n), rng.poisson(_STRAY_TRACKS, n))
    measured = concatenate(measure(rows.pion, rng), stray(len(strays), 0.5, 1.0, rng))
    charge = np.concatenate([rows.charge, random_charges(len(strays), rng)])
    branches = track_branches(measured, charge, rng)
    return Objects(np.concatenate([rows.event, strays]), measured, branches, rows.pion)


def reconstruct_candidates(
    rows: Rows,
    muons: Objects,
    tracks: Objects,
    collisions: Collisions,
    trigger_match: str,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Reconstruct the candidates: legs, vertex fit, and match to the trigger."""
    legs, refitted = [], []
    of_tracks = np.arange(len(rows.dimuon))
    for objects, index in [*((muons, row) for row in rows.muon_rows), (tracks, of_tracks)]:
        legs.append(objects.measured[index])
        refitted.append(refit(objects.true[index], legs[-1], rng))
    branches = _momentum_branches(legs, refitted, rows.charge)
    direction = Measured(*(branches[f"Triplet2_{name}"] for name in ("Pt", "Eta", "Phi")))
    decay = np.isin(rows.origin, (Species.DS, Species.DPLUS))
    primary, interactions = collisions.primary[rows.event], collisions.interactions[rows.event]
    displacement = rows.flight[:, np.newaxis] * slope(direction.eta, direction.phi)
    scale = np.where(decay, 1.0, 2.5)
    branches |= vertex_branches(primary, displacement, scale, interactions, rng)
    for leg, index in enumerate((rows.dimuon, rows.dimuon, of_tracks), start=1):
        distance = trigger_match_distance(len(rows.dimuon), rng)
        branches[f"Mu{leg}_{trigger_match}"] = distance[index]
    return branches


def random_charges(n: int, rng: np.random.Generator) -> Integers:
    """Draw charges, shape (n,)."""
    return rng.choice(np.array([-1, 1]), n)


def _momentum_branches(
    legs: list[Measured], refitted: list[Measured], charge: Integers
) -> dict[str, Floats]:
    """Momenta of the legs of each candidate, as measured and after the vertex fit."""
    branches: dict[str, Floats] = {}
    names = ("Mu01", "Mu02", "Tr", "RefTrack1", "RefTrack2", "RefTrack3")
    for name, leg in zip(names, [*legs, *refitted], strict=True):
        branches |= {f"{name}_Pt": leg.pt, f"{name}_Eta": leg.eta, f"{name}_Phi": leg.phi}
    masses = (MUON_MASS, MUON_MASS, PION_MASS)
    momenta = [leg.four_momentum(m) for leg, m in zip(refitted, masses, strict=True)]
    triplet = np.sum(momenta, axis=0)
    pt, eta, phi = pt_eta_phi(triplet)
    return branches | {
        "Triplet2_Mass": mass(triplet),
        "Triplet2_Pt": pt,
        "Triplet2_Eta": eta,
        "Triplet2_Phi": phi,
        "Triplet2_Charge": charge.astype(np.float64),
    }


def fail(
    candidates: Mapping[str, Floats], rng: np.random.Generator, steps: Sequence[str] = STEPS
) -> None:
    """Put the padding into all branches of some candidates, and into some branches of others.

    Parameters
    ----------
    candidates
        Branches by name, which are changed.
    rng
        Source of randomness.
    steps
        How the names of the branches begin that fail together.
    """
    n = len(next(iter(candidates.values())))
    draw = rng.random(n)
    step = rng.integers(0, len(steps), n)
    everything = draw < _FAILED
    one_step = (draw >= _FAILED) & (draw < _FAILED + _PARTLY_FAILED)
    for name, values in candidates.items():
        own = [index for index, prefix in enumerate(steps) if name.startswith(prefix)]
        values[everything | (one_step & np.isin(step, own))] = PADDING
