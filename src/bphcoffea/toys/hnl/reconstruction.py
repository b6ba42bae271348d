"""Reconstruction of the toy's events: muons, tracks and candidates of the wztree."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bphcoffea.toys.calibration import draw_interactions
from bphcoffea.toys.decay import Booleans, Floats, Integers, Numbers, pt_eta_phi
from bphcoffea.toys.detector import measure, primary_vertices
from bphcoffea.toys.files import Branches, lists, random_order
from bphcoffea.toys.generation import random_charges
from bphcoffea.toys.hnl.candidates import (
    Candidates,
    Legs,
    Tracks,
    candidate_branches,
    generated_branches,
)
from bphcoffea.toys.hnl.decays import Decays, random_flights, random_tracks
from bphcoffea.toys.hnl.triggers import Muons, TriggerObjects, trigger_objects
from bphcoffea.toys.hnl.vertices import (
    impact_branches,
    impact_parameter,
    in_tracker,
    radius,
)

#: Acceptance: thresholds of pT, GeV, and maximum of |η|.
_MUON_PT, _PION_PT, _ETA_MAX = 3.0, 0.6, 2.4
#: Fraction of the vertices found at distance 0, and the distance, cm, at which it falls to 1/e.
_FOUND, _FOUND_LENGTH = 0.95, 40.0
#: Mean number of further tracks that make a candidate with the muons, and fraction of the pairs of
#: muons with a second candidate in which the muons are exchanged.
_FURTHER_TRACKS, _EXCHANGED = 0.20, 0.06
#: Number of muons per event that have numbers.
_MUON_NUMBERS: Final = 4
#: Mean impact parameters of muons from b hadrons and the like, cm: of the muon beside the track,
#: and of the other.
_MUON_IP: Final = (0.050, 0.035)
#: Fraction of the random tracks that come from their apparent vertex, and the spread of the others
#: around the beam spot, cm.
_FROM_VERTEX, _PROMPT_IP = 0.30, 0.018
#: Probability of each identification flag, for muons of a decay and for other muons.
_FLAGS: Final = {
    "isSoft": (0.96, 0.90),
    "isGlobal": (0.97, 0.93),
    "isLoose": (0.99, 0.97),
    "isMedium": (0.95, 0.88),
    "isTracker": (0.99, 0.98),
}
#: Primary vertices per interaction.
_VERTICES_PER_INTERACTION: Final = 0.7


@dataclass(frozen=True)
class Events:
    """Events of the ntuple, with the toy's knowledge about them.

    Attributes
    ----------
    branches
        Branches of the ntuple, one entry per event.
    candidates, triggers
        Branches of the candidates and of the trigger objects as flat arrays in the order of the
        ntuple, shape (candidates,) and (objects,).
    event, trigger_event
        Event of each candidate and of each trigger object.
    true
        Whether a candidate is made of the decay products of a heavy neutral lepton, whatever the
        matching to the generated particles says, shape (candidates,).
    decays
        What happened in each event.
    """

    branches: Branches
    candidates: dict[str, Numbers]
    triggers: dict[str, Numbers]
    event: Integers
    trigger_event: Integers
    true: Booleans
    decays: Decays


def simulate(decays: Decays, is_mc: bool, rng: np.random.Generator) -> Events:
    """Reconstruct events, without their run, luminosity section and event numbers.

    Simulation (`is_mc`) has its own pile-up, and branches of what was generated.
    """
    n = len(decays)
    primary = primary_vertices(n, rng)
    interactions = draw_interactions(n, is_mc, rng)
    legs = _reconstruct_muons(decays, primary, rng)
    tracks, rows = _combine(decays, primary, legs, rng)
    candidates = candidate_branches(decays, rows, legs, tracks, primary, rng)
    of_decay = rows.true & decays.signal[rows.event]
    if is_mc:
        candidates |= generated_branches(decays, rows, of_decay, rng)
    triggers = _reconstruct_triggers(n, legs, rng)

    order = random_order(rows.event, rng)
    candidates = {name: values[order] for name, values in candidates.items()}
    event = rows.event[order]
    branches: Branches = {
        "nPV": (1 + rng.poisson(_VERTICES_PER_INTERACTION * interactions)).astype(np.int32),
        "nCand": np.bincount(event, minlength=n).astype(np.int32),
    }
    if is_mc:
        branches["nPU_trueInt"] = interactions.astype(np.int32)
    branches |= lists(candidates, event, n) | lists(triggers.branches, triggers.event, n)
    return Events(
        branches=branches,
        candidates=candidates,
        triggers=triggers.branches,
        event=event,
        trigger_event=triggers.event,
        true=of_decay[order],
        decays=decays,
    )


def _reconstruct_muons(decays: Decays, primary: Floats, rng: np.random.Generator) -> Legs:
    n = len(decays)
    true = np.concatenate([decays.mu_hnl, decays.mu_ds])
    measured = measure(true, rng)
    # any two of the numbers in the event; the others are left for muons in no candidate
    first = rng.integers(0, _MUON_NUMBERS, n)
    second = (first + rng.integers(1, _MUON_NUMBERS, n)) % _MUON_NUMBERS
    ds_vertex = primary + decays.ds_flight
    ip = np.concatenate(
        [
            np.where(
                decays.signal,
                impact_parameter(ds_vertex + decays.flight, decays.mu_hnl),
                rng.exponential(_MUON_IP[0], n),
            ),
            np.where(
                decays.signal,
                impact_parameter(ds_vertex, decays.mu_ds),
                rng.exponential(_MUON_IP[1], n),
            ),
        ]
    )
    of_decay = np.tile(decays.signal, 2)
    branches: dict[str, Numbers] = {
        name: (rng.random(2 * n) < np.where(of_decay, *parts)).astype(np.int16)
        for name, parts in _FLAGS.items()
    }
    # the ntuple has the magnitude for muons, and a sign for the pion
    branches |= {k: np.abs(v) for k, v in impact_branches(ip, measured, rng).items()}
    return Legs(
        measured=measured,
        charge=np.concatenate([decays.charge_hnl, decays.charge_ds]),
        number=np.concatenate([first, second]),
        reconstructed=(measured.pt > _MUON_PT) & (np.abs(measured.eta) < _ETA_MAX),
        branches=branches,
    )


def _combine(
    decays: Decays, primary: Floats, legs: Legs, rng: np.random.Generator
) -> tuple[Tracks, Candidates]:
    """Combine the decays that are seen, and others with the same muons."""
    n = len(decays)
    start = primary + decays.ds_flight
    pairs = np.flatnonzero(legs.reconstructed[:n] & legs.reconstructed[n:])
    vertex = (start + decays.flight)[pairs]
    found = rng.random(len(pairs)) < _FOUND * np.exp(-radius(vertex) / _FOUND_LENGTH)
    seen = pairs[found & in_tracker(vertex) & _pion_in_acceptance(decays.pi[pairs])]

    further = np.repeat(pairs, rng.poisson(_FURTHER_TRACKS, len(pairs)))
    track, flight = random_tracks(decays.mu_hnl[further], rng)
    kept = _pion_in_acceptance(track) & in_tracker(start[further] + flight)
    further, track, flight = further[kept], track[kept], flight[kept]
    of_track = np.concatenate([seen, further])
    true = np.concatenate([decays.pi[seen], track])
    flights = np.concatenate([decays.flight[seen], flight])
    # signal comes from its vertex, other tracks only sometimes
    of_decay = np.arange(len(of_track)) < len(seen)
    from_vertex = (of_decay & decays.signal[of_track]) | (rng.random(len(of_track)) < _FROM_VERTEX)
    ip = np.where(
        from_vertex,
        impact_parameter(start[of_track] + flights, true),
        rng.normal(0, _PROMPT_IP, len(of_track)),
    )
    charge = np.concatenate([decays.charge_pi[seen], random_charges(len(further), rng)])

    again = np.flatnonzero(rng.random(len(seen)) < _EXCHANGED)
    elsewhere = random_flights(decays.mu_ds[seen[again]] + decays.pi[seen[again]], rng)
    kept = in_tracker(start[seen[again]] + elsewhere)
    again, elsewhere = again[kept], elsewhere[kept]

    row = np.concatenate([np.arange(len(of_track)), again])
    event = of_track[row]
    exchanged = np.arange(len(row)) >= len(of_track)
    rows = Candidates(
        event=event,
        mu_hnl=np.where(exchanged, event + n, event),
        mu_ds=np.where(exchanged, event, event + n),
        track=row,
        flight=np.concatenate([flights, elsewhere]),
        true=of_decay[row] & ~exchanged,
    )
    return Tracks(true, charge, ip), rows


def _reconstruct_triggers(n: int, legs: Legs, rng: np.random.Generator) -> TriggerObjects:
    seen = np.flatnonzero(legs.reconstructed)
    muons = Muons(
        event=seen % n if n else seen,
        index=legs.number[seen],
        measured=legs.measured[seen],
        significance=legs.branches["BS_ips_xy"][seen].astype(np.float64),
    )
    first, second = legs.number[:n], legs.number[n:]
    free = np.ones((n, _MUON_NUMBERS), dtype=bool)
    free[np.arange(n), first] = free[np.arange(n), second] = False
    return trigger_objects(n, muons, np.argmax(free, axis=1), rng)


def _pion_in_acceptance(momentum: Floats) -> Booleans:
    pt, eta, _ = pt_eta_phi(momentum)
    inside: Booleans = (pt > _PION_PT) & (np.abs(eta) < _ETA_MAX)
    return inside
