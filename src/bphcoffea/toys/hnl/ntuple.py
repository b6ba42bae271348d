"""Events of the toy in the layout of the wztree, and what the toy knows about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import awkward as ak
import numpy as np
import numpy.typing as npt

from bphcoffea.physics.constants import MUON_MASS, PION_MASS
from bphcoffea.toys.calibration import draw_interactions
from bphcoffea.toys.decay import Booleans, Floats, Integers, mass
from bphcoffea.toys.detector import BEAM_SPOT, Measured, measure, primary_vertices
from bphcoffea.toys.hnl.decays import Decays, random_flights, random_tracks
from bphcoffea.toys.hnl.triggers import Muons, TriggerObjects, trigger_objects

#: The tracker: radius and half length, cm; and its acceptance: thresholds of pT, GeV, and end in η.
_RADIUS, _HALF_LENGTH = 60.0, 200.0
_MUON_PT, _PION_PT, _ETA_MAX = 3.0, 0.6, 2.4
#: Part of the vertices that are found, at none and with what falls with the distance, cm.
_FOUND, _FOUND_LENGTH = 0.95, 40.0
#: Mean number of further tracks that make a candidate with the muons, and part of the pairs of
#: muons whose candidate is there a second time with the muons exchanged.
_FURTHER_TRACKS, _EXCHANGED = 0.20, 0.06
#: Part of the particles that the matching to what was generated does not find.
_UNMATCHED: Final = 0.01
#: Muons of an event that are numbered.
_MUON_NUMBERS: Final = 4

#: Error of a vertex in x and y, and along the beam: cm, at none, and the distance that doubles it.
_VERTEX_ERROR, _VERTEX_ERROR_Z, _DOUBLED = 0.007, 0.012, 12.0
#: Spread of the error in its logarithm, and factor and spread for tracks that have no vertex.
_ERROR_SPREAD, _FAKE_ERROR, _FAKE_SPREAD = 0.35, 4.0, 0.8
#: What the beam spot and the primary vertex add, cm.
_BEAM_ERROR, _PV_ERROR = 0.0015, 0.0020
#: Error of an impact parameter, cm, at high pT, the pT (GeV) that doubles it, and its spread.
_IP_ERROR, _IP_DOUBLED, _IP_SPREAD = 0.0017, 3.0, 0.25
#: Mean impact parameters of muons of b hadrons and such: that beside the track, and the other.
_MUON_IP: Final = (0.050, 0.035)
#: Part of the random tracks that come from the vertex that they seem to have, and how far the
#: others pass from the beam spot, cm.
_FROM_VERTEX, _PROMPT_IP = 0.30, 0.018
#: Part of the muons that are identified in each way: those of a decay, and those that are not.
_FLAGS: Final = {
    "isSoft": (0.96, 0.90),
    "isGlobal": (0.97, 0.93),
    "isLoose": (0.99, 0.97),
    "isMedium": (0.95, 0.88),
    "isTracker": (0.99, 0.98),
}
#: Primary vertices for each interaction.
_VERTICES_OF_INTERACTIONS: Final = 0.7


@dataclass(frozen=True)
class Events:
    """Events and the toy's knowledge about them.

    Attributes
    ----------
    branches
        One entry an event: arrays of shape (events,), or arrays of lists.
    candidates, triggers
        The branches of candidates and of trigger objects as flat arrays, in the order of the
        ntuple, shape (candidates,) and (objects,) each.
    event, trigger_event
        Position of the event of each candidate and of each trigger object.
    true
        Whether a candidate is made of the decay products of a heavy neutral lepton, whatever the
        matching to the generated particles says, shape (candidates,).
    decays
        What happened in each event.
    """

    branches: dict[str, Any]
    candidates: dict[str, npt.NDArray[Any]]
    triggers: dict[str, npt.NDArray[Any]]
    event: Integers
    trigger_event: Integers
    true: Booleans
    decays: Decays


@dataclass(frozen=True)
class _Legs:
    """Both muons of each event, those of N first; those that were not reconstructed included."""

    measured: Measured
    charge: Integers
    number: Integers
    reconstructed: Booleans
    branches: dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class _Tracks:
    """Tracks that are taken for the pion, each once."""

    true: Floats
    charge: Integers
    ip: Floats  # the true one, cm


@dataclass(frozen=True)
class _Rows:
    """What each candidate is made of: rows of the muons and of the track, and a vertex."""

    event: Integers
    mu_hnl: Integers
    mu_ds: Integers
    track: Integers
    flight: Floats
    true: Booleans  # the decay itself, or what looks like one


def simulate(decays: Decays, is_mc: bool, rng: np.random.Generator) -> Events:
    """Reconstruct events, but for their numbers.

    Parameters
    ----------
    decays
        What happens in each.
    is_mc
        Whether they have what was generated, and the pile-up of MC.
    rng
        Source of randomness.
    """
    n = len(decays)
    primary = primary_vertices(n, rng)
    interactions = draw_interactions(n, is_mc, rng)
    legs = _reconstruct_muons(decays, primary, rng)
    tracks, rows = _combine(decays, primary, legs, rng)
    candidates = _reconstruct_candidates(decays, rows, legs, tracks, primary, rng)
    of_decay = rows.true & decays.signal[rows.event]
    if is_mc:
        candidates |= _generated(decays, rows, of_decay, rng)
    triggers = _reconstruct_triggers(n, legs, rng)

    order = np.lexsort((rng.random(len(rows.event)), rows.event))
    candidates = {name: values[order] for name, values in candidates.items()}
    event = rows.event[order]
    branches: dict[str, Any] = {
        "nPV": (1 + rng.poisson(_VERTICES_OF_INTERACTIONS * interactions)).astype(np.int32),
        "nCand": np.bincount(event, minlength=n).astype(np.int32),
    }
    if is_mc:
        branches["nPU_trueInt"] = interactions.astype(np.int32)
    branches |= _lists(candidates, event, n) | _lists(triggers.branches, triggers.event, n)
    return Events(
        branches=branches,
        candidates=candidates,
        triggers=triggers.branches,
        event=event,
        trigger_event=triggers.event,
        true=of_decay[order],
        decays=decays,
    )


def _reconstruct_muons(decays: Decays, primary: Floats, rng: np.random.Generator) -> _Legs:
    n = len(decays)
    true = np.concatenate([decays.mu_hnl, decays.mu_ds])
    measured = measure(true, rng)
    # numbers of muons in their event: any two, and others are left for those in no candidate
    first = rng.integers(0, _MUON_NUMBERS, n)
    second = (first + rng.integers(1, _MUON_NUMBERS, n)) % _MUON_NUMBERS
    ds_vertex = primary + decays.ds_flight
    ip = np.concatenate(
        [
            np.where(
                decays.signal,
                _impact(ds_vertex + decays.flight, decays.mu_hnl),
                rng.exponential(_MUON_IP[0], n),
            ),
            np.where(
                decays.signal, _impact(ds_vertex, decays.mu_ds), rng.exponential(_MUON_IP[1], n)
            ),
        ]
    )
    of_decay = np.tile(decays.signal, 2)
    branches: dict[str, npt.NDArray[Any]] = {
        name: (rng.random(2 * n) < np.where(of_decay, *parts)).astype(np.int16)
        for name, parts in _FLAGS.items()
    }
    # the ntuple has the magnitude for muons, and a sign for the pion
    branches |= {k: np.abs(v) for k, v in _impact_branches(ip, measured, rng).items()}
    return _Legs(
        measured=measured,
        charge=np.concatenate([decays.charge_hnl, decays.charge_ds]),
        number=np.concatenate([first, second]),
        reconstructed=(measured.pt > _MUON_PT) & (np.abs(measured.eta) < _ETA_MAX),
        branches=branches,
    )


def _combine(
    decays: Decays, primary: Floats, legs: _Legs, rng: np.random.Generator
) -> tuple[_Tracks, _Rows]:
    """Which candidates there are: the decays that are seen, and others with the same muons."""
    n = len(decays)
    start = primary + decays.ds_flight
    pairs = np.flatnonzero(legs.reconstructed[:n] & legs.reconstructed[n:])
    vertex = (start + decays.flight)[pairs]
    found = rng.random(len(pairs)) < _FOUND * np.exp(-_radius(vertex) / _FOUND_LENGTH)
    seen = pairs[found & _in_tracker(vertex) & _pion_in_acceptance(decays.pi[pairs])]

    further = np.repeat(pairs, rng.poisson(_FURTHER_TRACKS, len(pairs)))
    track, flight = random_tracks(decays.mu_hnl[further], rng)
    kept = _pion_in_acceptance(track) & _in_tracker(start[further] + flight)
    further, track, flight = further[kept], track[kept], flight[kept]
    of_track = np.concatenate([seen, further])
    true = np.concatenate([decays.pi[seen], track])
    flights = np.concatenate([decays.flight[seen], flight])
    # signal comes from its vertex, and of the others some
    of_decay = np.arange(len(of_track)) < len(seen)
    from_vertex = (of_decay & decays.signal[of_track]) | (rng.random(len(of_track)) < _FROM_VERTEX)
    ip = np.where(
        from_vertex,
        _impact(start[of_track] + flights, true),
        rng.normal(0, _PROMPT_IP, len(of_track)),
    )
    charge = np.concatenate([decays.charge_pi[seen], rng.choice(np.array([-1, 1]), len(further))])

    again = np.flatnonzero(rng.random(len(seen)) < _EXCHANGED)
    elsewhere = random_flights(decays.mu_ds[seen[again]] + decays.pi[seen[again]], rng)
    kept = _in_tracker(start[seen[again]] + elsewhere)
    again, elsewhere = again[kept], elsewhere[kept]

    row = np.concatenate([np.arange(len(of_track)), again])
    event = of_track[row]
    exchanged = np.arange(len(row)) >= len(of_track)
    rows = _Rows(
        event=event,
        mu_hnl=np.where(exchanged, event + n, event),
        mu_ds=np.where(exchanged, event, event + n),
        track=row,
        flight=np.concatenate([flights, elsewhere]),
        true=of_decay[row] & ~exchanged,
    )
    return _Tracks(true, charge, ip), rows


def _reconstruct_candidates(
    decays: Decays,
    rows: _Rows,
    legs: _Legs,
    tracks: _Tracks,
    primary: Floats,
    rng: np.random.Generator,
) -> dict[str, npt.NDArray[Any]]:
    measured = measure(tracks.true, rng)
    pi = measured[rows.track]
    mu_hnl, mu_ds = legs.measured[rows.mu_hnl], legs.measured[rows.mu_ds]
    hnl = mu_hnl.four_momentum(MUON_MASS) + pi.four_momentum(PION_MASS)
    # in the same order whichever muon is which: candidates of the same three are exactly as heavy
    first, second = legs.measured[rows.event], legs.measured[len(decays) + rows.event]
    both = first.four_momentum(MUON_MASS) + second.four_momentum(MUON_MASS)
    ds = both + pi.four_momentum(PION_MASS)
    of_decay = rows.true & decays.signal[rows.event]
    start = primary[rows.event]
    ds_vertex = start + decays.ds_flight[rows.event]
    branches: dict[str, npt.NDArray[Any]] = {}
    for name, momentum in (("Ds", ds), ("Hnl", hnl)):
        branches |= {
            f"C_{name}_mass": mass(momentum),
            f"C_{name}_pt": np.hypot(momentum[:, 1], momentum[:, 2]),
            **{f"C_{name}_p{axis}": momentum[:, i] for i, axis in enumerate("xyz", start=1)},
        }
    flight = ds_vertex + rows.flight
    for name, vertex, momentum in (("Ds", ds_vertex, ds), ("Hnl", flight, hnl)):
        found = _vertex_branches(vertex, start, momentum, of_decay, rng)
        branches |= {f"C_{name}_vertex_{quantity}": values for quantity, values in found.items()}
    for name, row in (("mu_Hnl", rows.mu_hnl), ("mu_Ds", rows.mu_ds)):
        branches |= _leg_branches(name, legs.measured[row], legs.charge[row])
        branches[f"C_{name}_idx"] = legs.number[row].astype(np.uint32)
        branches |= {f"C_{name}_{k}": values[row] for k, values in legs.branches.items()}
    branches |= _leg_branches("pi", pi, tracks.charge[rows.track])
    of_tracks = _impact_branches(tracks.ip, measured, rng)
    branches |= {f"C_pi_{k}": values[rows.track] for k, values in of_tracks.items()}
    d_phi = np.abs(mu_hnl.phi - mu_ds.phi)
    branches["C_mu1mu2_mass"] = mass(both)
    branches["C_mu1mu2_dr"] = np.hypot(mu_hnl.eta - mu_ds.eta, np.minimum(d_phi, 2 * np.pi - d_phi))
    return {
        name: values.astype(np.float32) if values.dtype == np.float64 else values
        for name, values in branches.items()
    }


def _leg_branches(name: str, measured: Measured, charge: Integers) -> dict[str, npt.NDArray[Any]]:
    return {
        f"C_{name}_pt": measured.pt,
        f"C_{name}_eta": measured.eta,
        f"C_{name}_phi": measured.phi,
        f"C_{name}_charge": charge.astype(np.int32),
    }


def _vertex_branches(
    true: Floats, primary: Floats, momentum: Floats, good: Booleans, rng: np.random.Generator
) -> dict[str, Floats]:
    """A vertex fit: quality, pointing, and distances from beam spot and primary vertex.

    Parameters
    ----------
    true
        Where the vertices are, cm, shape (n, 3).
    primary
        Where those of their events are, cm, shape (n, 3).
    momentum
        Four-momenta of what decays there, GeV, shape (n, 4).
    good
        Whether the tracks have a vertex in common at all, shape (n,).
    rng
        Source of randomness.
    """
    n = len(true)
    spread = np.where(good, _ERROR_SPREAD, _FAKE_SPREAD)
    scale = np.where(good, 1.0, _FAKE_ERROR) * np.exp(spread * rng.normal(size=n))
    scale *= 1 + np.hypot(true[:, 0], true[:, 1]) / _DOUBLED
    transverse, along = _VERTEX_ERROR * scale, _VERTEX_ERROR_Z * scale
    resolution = np.stack([transverse, transverse, along], axis=1)
    vertex = true + rng.normal(0, resolution)
    beam = np.array([*BEAM_SPOT, 0.0])
    uniform = rng.random(n)
    branches = {"prob": np.where(good, uniform, uniform**4)}
    for origin, place, own_error in (("BS", beam, _BEAM_ERROR), ("PV", primary, _PV_ERROR)):
        way = vertex - place
        lengths = np.hypot(way[:, 0], way[:, 1]), np.linalg.norm(way, axis=1)
        in_space = np.linalg.norm(way * resolution, axis=1) / lengths[1]
        errors = np.hypot(transverse, own_error), np.hypot(in_space, own_error)
        for dimensions, length, error in zip("23", lengths, errors, strict=True):
            branches[f"{dimensions}DDist_{origin}"] = length
            branches[f"{dimensions}DErr_{origin}"] = error
            branches[f"{dimensions}DSig_{origin}"] = length / error
        axes = slice(2) if origin == "BS" else slice(3)
        p, d = momentum[:, 1:][:, axes], way[:, axes]
        norms = np.linalg.norm(p, axis=1) * np.linalg.norm(d, axis=1)
        branches[f"cos{axes.stop}D"] = np.sum(p * d, axis=1) / norms
    return branches


def _impact(vertex: Floats, momentum: Floats) -> Floats:
    """How far a straight track from a vertex passes from the beam spot, signed, cm. Shape (n,)."""
    x, y = (vertex[:, :2] - np.array(BEAM_SPOT)).T
    px, py = momentum[:, 1], momentum[:, 2]
    distance: Floats = (x * py - y * px) / np.hypot(px, py)
    return distance


def _impact_branches(
    ip: Floats, measured: Measured, rng: np.random.Generator
) -> dict[str, npt.NDArray[Any]]:
    """Transverse impact parameters, cm, and their significances, from true ones."""
    n = len(ip)
    own = _IP_ERROR * (1 + _IP_DOUBLED / measured.pt) * np.exp(rng.normal(0, _IP_SPREAD, n))
    found = ip + rng.normal(0, own)
    branches: dict[str, npt.NDArray[Any]] = {}
    for origin, added in (("BS", _BEAM_ERROR), ("PV", _PV_ERROR)):
        values, error = found + rng.normal(0, added, n), np.hypot(own, added)
        branches[f"{origin}_ip_xy"] = values.astype(np.float32)
        branches[f"{origin}_ips_xy"] = (values / error).astype(np.float32)
    return branches


def _generated(
    decays: Decays, rows: _Rows, of_decay: Booleans, rng: np.random.Generator
) -> dict[str, npt.NDArray[Any]]:
    """What simulation knows: which leg is what it is taken for, and the true proper length."""
    n = len(decays)
    signal = decays.signal[rows.event]
    exchanged = rows.mu_hnl >= n
    flags = {
        "C_mu_Hnl_isHnlDaughter": signal & ~exchanged,
        "C_mu_Ds_isHnlBrother": signal & ~exchanged,
        "C_pi_isHnlDaughter": of_decay | (signal & exchanged),
    }
    lost = rng.random((len(flags), len(signal))) < _UNMATCHED
    branches: dict[str, npt.NDArray[Any]] = {
        name: (flag & ~missed).astype(np.int16)
        for (name, flag), missed in zip(flags.items(), lost, strict=True)
    }
    # every candidate of an event has that of the N which was generated
    branches["C_Hnl_gen_l_prop"] = decays.proper_length[rows.event].astype(np.float32)
    return branches


def _reconstruct_triggers(n: int, legs: _Legs, rng: np.random.Generator) -> TriggerObjects:
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


def _radius(position: Floats) -> Floats:
    """Distance from the middle of the tracker across the beam, cm, shape (n,)."""
    radius: Floats = np.hypot(position[:, 0], position[:, 1])
    return radius


def _in_tracker(position: Floats) -> Booleans:
    inside: Booleans = (_radius(position) < _RADIUS) & (np.abs(position[:, 2]) < _HALF_LENGTH)
    return inside


def _pion_in_acceptance(momentum: Floats) -> Booleans:
    pt = np.hypot(momentum[:, 1], momentum[:, 2])
    inside: Booleans = (pt > _PION_PT) & (np.abs(np.arcsinh(momentum[:, 3] / pt)) < _ETA_MAX)
    return inside


def _lists(flat: Mapping[str, npt.NDArray[Any]], event: Integers, n: int) -> dict[str, ak.Array]:
    """One list an event from flat arrays in the order of events."""
    counts = np.bincount(event, minlength=n)
    return {name: ak.unflatten(values, counts) for name, values in flat.items()}
