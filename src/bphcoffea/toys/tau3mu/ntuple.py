"""Events of the toy in the layout of the Tree3Mu ntuple, and what the toy knows about them."""

from dataclasses import dataclass

import numpy as np

from bphcoffea.toys.calibration import draw_interactions
from bphcoffea.toys.decay import Integers
from bphcoffea.toys.detector import primary_vertices
from bphcoffea.toys.ntuple import TriggeredEvents, event_branches, random_order
from bphcoffea.toys.reconstruction import Collisions, Objects, fail
from bphcoffea.toys.samples import Sample
from bphcoffea.toys.tau3mu.generation import generate, generator_particles
from bphcoffea.toys.tau3mu.reconstruction import (
    STEPS,
    combine,
    lose,
    reconstruct_candidates,
    reconstruct_muons,
    with_other_tracks,
)
from bphcoffea.toys.tau3mu.triggers import HLT_MENUS
from bphcoffea.toys.triggers import L1_MENUS, trigger_list


@dataclass(frozen=True)
class Events(TriggeredEvents):
    """Events with candidates of three muons.

    Attributes
    ----------
    legs
        Rows of each candidate's muons, shape (candidates, 3).
    muons
        All muons as flat arrays.
    """

    legs: Integers
    muons: Objects


def simulate(species: Integers, sample: Sample, rng: np.random.Generator) -> Events:
    """Simulate events, but for their numbers.

    Parameters
    ----------
    species
        What each event holds, a `Species`, shape (events,).
    sample
        Whose triggers and branches they have. MC also has what was generated, and the pile-up and
        the efficiencies of MC (`calibration`).
    rng
        Source of randomness.
    """
    n = len(species)
    decays = generate(species, rng)
    collisions = Collisions(primary_vertices(n, rng), draw_interactions(n, sample.is_mc, rng))
    hlt = trigger_list(n, HLT_MENUS[sample.era[:4]], rng)
    l1 = trigger_list(n, L1_MENUS, rng)
    legs, rows = lose(decays, *combine(decays, rng), sample.is_mc, rng)
    muons, own_tracks = reconstruct_muons(legs, collisions, sample.is_mc, rng)
    tracks = with_other_tracks(own_tracks, decays, rng)
    candidates, muon_rows = reconstruct_candidates(
        rows, muons, collisions, sample.trigger_match, rng
    )
    fail(candidates, rng, STEPS)

    order = random_order(rows.event, rng)
    candidates = {name: values[order] for name, values in candidates.items()}
    event = rows.event[order]
    branches = event_branches(hlt, l1, muons, tracks, candidates, event, rng)
    if sample.is_mc:
        branches |= generator_particles(decays)
        branches["nPileUpInt"] = collisions.interactions.astype(np.uint32)
    return Events(
        branches=branches,
        candidates=candidates,
        event=event,
        species=rows.species[order],
        legs=muon_rows[order],
        muons=muons,
        hlt=hlt.accepted,
        l1=l1.accepted,
        generated=species,
    )
