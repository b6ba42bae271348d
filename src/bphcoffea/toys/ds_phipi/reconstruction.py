"""Reconstruction of the toy's events: muons and tracks, and candidates of a dimuon and a track."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bphcoffea.physics.constants import MUON_MASS, PION_MASS
from bphcoffea.toys import reconstruction
from bphcoffea.toys.calibration import identification_efficiency, reconstruction_efficiency
from bphcoffea.toys.decay import Floats, Integers, Numbers
from bphcoffea.toys.detector import Measured, measure, refit, slope, stray
from bphcoffea.toys.ds_phipi.generation import Decays, Species, random_tracks
from bphcoffea.toys.generation import radiate, random_charges
from bphcoffea.toys.reconstruction import Collisions, Objects
from bphcoffea.toys.toy import Sample
from bphcoffea.toys.tree3mu import Candidates, Reconstructed

#: How the names of the branches begin that one step of the reconstruction fills.
STEPS: Final = (
    *("Mu01_", "Mu02_", "Tr_", "RefTrack", "Triplet2_", "TripletVtx2_", "RefittedPV2_"),
    *("FlightDistPVSV2", "FlightDistBS_SV", "Mu1_dR", "Mu2_dR"),
)
#: Mean numbers per event of further tracks that make candidates with the dimuon, and of tracks that
#: belong to no candidate.
_FURTHER_CANDIDATES, _STRAY_TRACKS = 0.30, 0.70


@dataclass(frozen=True)
class Dimuons:
    """Reconstructed dimuons; all leading muons come first, then all trailing ones.

    Attributes
    ----------
    event
        Event of each dimuon, shape (dimuons,).
    true
        Four-momenta of the muons, after radiation, GeV, shape (2 * dimuons, 4).
    measured
        Measured momenta of the muons.
    charge
        Charges of the muons, shape (2 * dimuons,).
    """

    event: Integers
    true: Floats
    measured: Measured
    charge: Integers


@dataclass(frozen=True)
class DimuonCandidates(Candidates):
    """Candidates of a dimuon and a track.

    The candidates' tracks are the first tracks, in the order of the candidates.

    Attributes
    ----------
    pion
        Four-momentum of the track's particle, GeV, shape (candidates, 4).
    charge
        Charge of the track, shape (candidates,).
    flight
        Transverse distance to the vertex of the three, cm, shape (candidates,).
    """

    pion: Floats
    charge: Integers
    flight: Floats


def reconstruct(
    decays: Decays, collisions: Collisions, sample: Sample, rng: np.random.Generator
) -> Reconstructed:
    """Reconstruct the objects and candidates of all events."""
    dimuons = reconstruct_dimuons(decays, sample.is_mc, rng)
    candidates = _combine(decays, dimuons.event, rng)
    muons = _reconstruct_muons(dimuons, collisions, sample.is_mc, rng)
    tracks = _reconstruct_tracks(candidates, len(decays.species), rng)
    branches = _candidate_branches(candidates, muons, tracks, collisions, sample.era, rng)
    return muons, tracks, candidates, branches


def reconstruct_dimuons(decays: Decays, is_mc: bool, rng: np.random.Generator) -> Dimuons:
    """Measure the muons, and keep the events in which both are found."""
    n = len(decays.species)
    events = np.arange(n)
    leading = np.argmax(np.hypot(decays.muons[:, :, 1], decays.muons[:, :, 2]), axis=1)
    pair = decays.muons[events, leading], decays.muons[events, 1 - leading]
    true = radiate(np.concatenate(pair), rng)
    measured = measure(true, rng)
    efficiency = reconstruction_efficiency(measured.eta, measured.pt, is_mc)
    kept = rng.random(2 * n) < efficiency
    event = np.flatnonzero(kept[:n] & kept[n:] & (rng.random(n) < reconstruction.RECONSTRUCTED))
    sign = np.where(leading[event] == 0, -1, 1)  # the negative muon comes first
    rows = np.concatenate([event, n + event])
    return Dimuons(event, true[rows], measured[rows], np.concatenate([sign, -sign]))


def _combine(decays: Decays, dimuon_event: Integers, rng: np.random.Generator) -> DimuonCandidates:
    """Combine each reconstructed dimuon with its track, and some with further tracks."""
    dimuons = np.arange(len(dimuon_event))
    further = np.repeat(dimuons, rng.poisson(_FURTHER_CANDIDATES, len(dimuons)))
    pion, flight = random_tracks(decays.dimuon[dimuon_event[further]], rng)
    dimuon = np.concatenate([dimuons, further])
    return DimuonCandidates(
        event=dimuon_event[dimuon],
        species=np.concatenate([decays.species[dimuon_event], np.full(len(further), -1)]),
        muon_rows=np.stack([dimuon, len(dimuons) + dimuon], axis=1),
        track_rows=np.arange(len(dimuon))[:, np.newaxis],
        pion=radiate(np.concatenate([decays.pion[dimuon_event], pion]), rng),
        charge=np.concatenate([decays.charge[dimuon_event], random_charges(len(further), rng)]),
        flight=np.concatenate([decays.flight[dimuon_event], flight]),
    )


def _reconstruct_muons(
    dimuons: Dimuons, collisions: Collisions, is_mc: bool, rng: np.random.Generator
) -> Objects:
    """Return the muons of the dimuons, and muons that belong to no candidate."""
    n = len(collisions.primary)
    strays = np.repeat(np.arange(n), rng.poisson(reconstruction.STRAY_MUONS, n))
    measured = dimuons.measured + stray(len(strays), 1.0, 3.0, rng)
    event = np.concatenate([dimuons.event, dimuons.event, strays])
    charge = np.concatenate([dimuons.charge, random_charges(len(strays), rng)])
    identified = identification_efficiency(
        measured.eta, measured.pt, collisions.interactions[event], is_mc
    )
    branches = reconstruction.muon_branches(
        measured, charge, collisions.primary[event, 2], identified, rng
    )
    return Objects(event, measured, branches, dimuons.true)


def _reconstruct_tracks(candidates: DimuonCandidates, n: int, rng: np.random.Generator) -> Objects:
    """Return the tracks of the candidates, and tracks that belong to none."""
    strays = np.repeat(np.arange(n), rng.poisson(_STRAY_TRACKS, n))
    measured = measure(candidates.pion, rng) + stray(len(strays), 0.5, 1.0, rng)
    charge = np.concatenate([candidates.charge, random_charges(len(strays), rng)])
    branches = reconstruction.track_branches(measured, charge) | _impact_branches(
        len(measured), rng
    )
    event = np.concatenate([candidates.event, strays])
    return Objects(event, measured, branches, candidates.pion)


def _impact_branches(n: int, rng: np.random.Generator) -> dict[str, Numbers]:
    """Return the branches of the impact parameters of tracks, cm; a few tracks pass far away."""
    far = rng.random((2, n)) < 0.02
    return {
        "Track_dxy": np.where(far[0], rng.uniform(-1, 1, n), rng.normal(0, 0.03, n)),
        "Track_dz": np.where(far[1], rng.uniform(-40, 40, n), rng.normal(0, 0.1, n)),
        "Track_dxyError": rng.uniform(0.001, 0.005, n),
        "Track_dzError": rng.uniform(0.002, 0.010, n),
    }


def _candidate_branches(
    candidates: DimuonCandidates,
    muons: Objects,
    tracks: Objects,
    collisions: Collisions,
    era: str,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Reconstruct the candidates: legs, vertex fit, and match to the trigger."""
    leading, trailing = candidates.muon_rows.T
    (track,) = candidates.track_rows.T
    legs, refitted = [], []
    for objects, rows in ((muons, leading), (muons, trailing), (tracks, track)):
        legs.append(objects.measured[rows])
        refitted.append(refit(objects.true[rows], legs[-1], rng))
    branches: dict[str, Floats] = {}
    names = ("Mu01", "Mu02", "Tr", "RefTrack1", "RefTrack2", "RefTrack3")
    for name, leg in zip(names, [*legs, *refitted], strict=True):
        branches |= reconstruction.leg_branches(name, leg)
    masses = (MUON_MASS, MUON_MASS, PION_MASS)
    momenta = [leg.four_momentum(m) for leg, m in zip(refitted, masses, strict=True)]
    charge = candidates.charge.astype(np.float64)
    branches |= reconstruction.triplet_branches(np.sum(momenta, axis=0), charge, "2")
    direction = slope(branches["Triplet2_Eta"], branches["Triplet2_Phi"])
    branches |= reconstruction.vertex_branches(
        collisions=collisions,
        event=candidates.event,
        displacement=candidates.flight[:, np.newaxis] * direction,
        chi2_scale=np.where(np.isin(candidates.species, (Species.DS, Species.DPLUS)), 1.0, 2.5),
        rng=rng,
        flavour="2",
    )
    # both muons of a dimuon have distances of their own, which all of its candidates share
    for leg_number, rows in enumerate((leading, leading, track), start=1):
        distances = reconstruction.trigger_match_distances(len(track), rng)
        branches[reconstruction.trigger_match_name(leg_number, era)] = distances[rows]
    return branches
