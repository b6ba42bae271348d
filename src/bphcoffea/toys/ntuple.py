"""Events of the toy in the layout of the Tree3Mu ntuple, and what the toy knows about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from bphcoffea.toys.calibration import draw_interactions
from bphcoffea.toys.decay import Booleans, Floats, Integers
from bphcoffea.toys.detector import primary_vertices
from bphcoffea.toys.generation import generate, generator_particles
from bphcoffea.toys.reconstruction import (
    Collisions,
    Objects,
    combine,
    fail,
    reconstruct_candidates,
    reconstruct_dimuons,
    reconstruct_muons,
    reconstruct_tracks,
)
from bphcoffea.toys.triggers import HLT_MENUS, L1_MENUS, TriggerList, trigger_list


@dataclass(frozen=True)
class TriggeredEvents:
    """Events with candidates, and the toy's knowledge about them.

    Attributes
    ----------
    branches
        One entry an event: arrays of shape (events,), or arrays of lists.
    candidates
        The candidate branches as flat arrays, in the order of the ntuple, shape (candidates,).
    event
        Position of each candidate's event, shape (candidates,).
    species
        Origin of each candidate, a species of the toy, or -1 for a combination with something else.
    hlt, l1
        Whether the triggers of the selection fired, shape (events,).
    generated
        A species for each event, shape (events,).
    """

    branches: dict[str, Any]
    candidates: dict[str, Floats]
    event: Integers
    species: Integers
    hlt: Booleans
    l1: Booleans
    generated: Integers


@dataclass(frozen=True)
class Events(TriggeredEvents):
    """Events with candidates of two muons and a track.

    Attributes
    ----------
    muon_id, track_dxy, track_dz
        Of the objects that each candidate was made of: both muons global and PF, and the impact
        parameters of the track (cm), shape (candidates,).
    """

    muon_id: Booleans
    track_dxy: Floats
    track_dz: Floats


def simulate(
    species: Integers, trigger_match: str, is_mc: bool, rng: np.random.Generator
) -> Events:
    """Simulate events, but for their numbers.

    Parameters
    ----------
    species
        What each event holds, a `Species`, shape (events,).
    trigger_match
        End of the names of the branches for the distance to the trigger object, such as
        ``dRtriggerMatch_2017``.
    is_mc
        Whether they are as in MC: with what was generated, and the pile-up and the efficiencies of
        MC (`calibration`).
    rng
        Source of randomness.
    """
    n = len(species)
    decays = generate(species, rng)
    collisions = Collisions(primary_vertices(n, rng), draw_interactions(n, is_mc, rng))
    hlt, l1 = trigger_list(n, HLT_MENUS, rng), trigger_list(n, L1_MENUS, rng)
    dimuons = reconstruct_dimuons(decays, is_mc, rng)
    rows = combine(decays, dimuons.event, rng)
    muons = reconstruct_muons(dimuons, collisions, is_mc, rng)
    tracks = reconstruct_tracks(rows, n, rng)
    candidates = reconstruct_candidates(rows, muons, tracks, collisions, trigger_match, rng)
    fail(candidates, rng)

    order = random_order(rows.event, rng)
    candidates = {name: values[order] for name, values in candidates.items()}
    branches = event_branches(hlt, l1, muons, tracks, candidates, rows.event[order], rng)
    if is_mc:
        branches |= generator_particles(decays, rng)
        branches["nPileUpInt"] = collisions.interactions.astype(np.uint32)

    identified = (muons.branches["Muon_isGlobal"] == 1) & (muons.branches["Muon_isPF"] == 1)
    muon_id = np.logical_and.reduce([identified[leg] for leg in rows.muon_rows])
    return Events(
        branches=branches,
        candidates=candidates,
        event=rows.event[order],
        species=rows.origin[order],
        muon_id=muon_id[order],
        track_dxy=tracks.branches["Track_dxy"][: len(order)][order],
        track_dz=tracks.branches["Track_dz"][: len(order)][order],
        hlt=hlt.accepted,
        l1=l1.accepted,
        generated=species,
    )


def random_order(event: Integers, rng: np.random.Generator) -> Integers:
    """Order by event, random within each."""
    return np.lexsort((rng.random(len(event)), event))


def event_branches(
    hlt: TriggerList,
    l1: TriggerList,
    muons: Objects,
    tracks: Objects,
    candidates: Mapping[str, Floats],
    event: Integers,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Branches with one entry an event.

    Parameters
    ----------
    hlt, l1
        Triggers of the events.
    muons, tracks
        Their objects, which are put into a random order.
    candidates
        Branches of the candidates, in order, shape (candidates,).
    event
        Position of each candidate's event, shape (candidates,).
    rng
        Source of randomness.
    """
    n = len(hlt.accepted)
    branches: dict[str, Any] = {
        "Trigger_hltname": hlt.names,
        "Trigger_hltdecision": hlt.decisions,
        "Trigger_l1name": l1.names,
        "Trigger_l1decision": l1.decisions,
        "MuonCollectionSize": np.bincount(muons.event, minlength=n).astype(np.int32),
    }
    for objects in (muons, tracks):
        shuffled = random_order(objects.event, rng)
        branches |= _lists(objects.branches, objects.event, shuffled, n)
    return branches | _lists(candidates, event, np.arange(len(event)), n)


def _lists(
    flat: Mapping[str, npt.NDArray[Any]], event: Integers, order: Integers, n: int
) -> dict[str, ak.Array]:
    """One list an event from flat arrays."""
    counts = np.bincount(event, minlength=n)
    return {name: ak.unflatten(values[order], counts) for name, values in flat.items()}
