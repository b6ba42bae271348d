"""The skeleton of toys in the format of the Tree3Mu ntuple: candidates of three legs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeAlias, TypeVar

import awkward as ak
import numpy as np

from bphcoffea.toys.calibration import draw_interactions
from bphcoffea.toys.decay import Booleans, Floats, Integers, Table
from bphcoffea.toys.detector import primary_vertices
from bphcoffea.toys.files import Branches, lists, random_order
from bphcoffea.toys.reconstruction import Collisions, Objects, fail
from bphcoffea.toys.toy import Sample, Toy, split
from bphcoffea.toys.triggers import HLT_MENUS, L1_MENUS, Menus, trigger_list
from bphcoffea.toys.truth import Truth, count, in_json, smallest

Decays = TypeVar("Decays")


@dataclass(frozen=True)
class Candidates(Table):
    """Event and legs of each candidate.

    Attributes
    ----------
    event
        Event of each candidate, shape (candidates,).
    species
        Species of each candidate; -1 for a combination with another particle.
    muon_rows, track_rows
        Rows of each candidate's muons and tracks, shape (candidates, muons) and (candidates,
        tracks).
    """

    event: Integers
    species: Integers
    muon_rows: Integers
    track_rows: Integers


#: Muons, tracks, candidates, and branches of the candidates as flat arrays.
Reconstructed: TypeAlias = tuple[Objects, Objects, Candidates, dict[str, Floats]]


@dataclass(frozen=True)
class Events:
    """Events of the ntuple, with the toy's knowledge about them.

    Attributes
    ----------
    branches
        Branches of the ntuple, one entry per event.
    muons, tracks
        Muons and tracks as flat arrays.
    rows
        Event and legs of each candidate, in the order of the ntuple.
    candidates
        Branches of the candidates as flat arrays, shape (candidates,).
    hlt, l1
        Whether the triggers of the selection fired, shape (events,).
    generated
        Species of each event, shape (events,).
    """

    branches: Branches
    muons: Objects
    tracks: Objects
    rows: Candidates
    candidates: dict[str, Floats]
    hlt: Booleans
    l1: Booleans
    generated: Integers


@dataclass(frozen=True)
class TripletTruth(Truth):
    """Expected result of an analysis of candidates with three legs on some events.

    Attributes
    ----------
    generated
        Number of events of each species, whether reconstructed or not, by name.
    species
        Species of the best candidate of each selected event; -1 for a combination with another
        particle.
    names
        Name of each species in ``truth.json``.
    other
        Name of combinations with another particle.
    """

    generated: dict[str, int]
    species: Integers

    names: ClassVar[Mapping[int, str]]
    other: ClassVar[str]

    def as_json(self) -> dict[str, object]:
        """Return the numbers for ``truth.json``."""
        return {
            "events": self.events,
            "generated": self.generated,
            "cutflow": in_json(self.cutflow),
            "selected": self.composition(np.ones(len(self.mass), dtype=bool)),
        }

    def composition(self, which: Booleans) -> dict[str, int]:
        """Count the selected events where a mask is true by species."""
        species = self.species[which]
        numbers = {
            name: int(np.sum(species == kind))
            for kind, name in self.names.items()
            if name != "nothing"
        }
        return numbers | {self.other: int(np.sum(species == -1)), "all": len(species)}

    @classmethod
    def of_selected(
        cls,
        events: Events,
        steps: Iterable[tuple[str, Booleans]],
        flavour: str,
        **quantities: Floats,
    ) -> Self:
        """Select the best candidates and count.

        Parameters
        ----------
        events
            The events.
        steps
            Label and mask of the steps of the selection that follow the triggers.
        flavour
            End of the names of the candidates' branches, ``"2"`` or nothing.
        quantities
            Further quantities of all candidates, by attribute, shape (candidates,).
        """
        n = len(events.hlt)
        triggers = (("hlt", events.hlt), ("l1", events.l1))
        cutflow, alive = count(n, events.rows.event, steps, triggers)
        best = smallest(events.rows.event, alive, events.candidates[f"TripletVtx{flavour}_Chi2"])
        return cls(
            events=n,
            cutflow=cutflow,
            mass=events.candidates[f"Triplet{flavour}_Mass"][best],
            generated={
                name: int(np.sum(events.generated == kind)) for kind, name in cls.names.items()
            },
            species=events.rows.species[best],
            **{name: values[best] for name, values in quantities.items()},
        )


@dataclass(frozen=True)
class Model(Generic[Decays]):
    """Functions that make and select the events of one toy.

    Attributes
    ----------
    generate
        Generate the decay of each event, from its species.
    reconstruct
        Reconstruct objects and candidates.
    particles
        Return the ``GenParticle_*`` branches.
    find
        Select the best candidates and count.
    """

    generate: Callable[[Integers, np.random.Generator], Decays]
    reconstruct: Callable[[Decays, Collisions, Sample, np.random.Generator], Reconstructed]
    particles: Callable[[Decays, np.random.Generator], dict[str, ak.Array]]
    find: Callable[[Events], TripletTruth]


class Tree3MuToy(Toy[Integers, Events]):
    """Toy whose events are drawn from species, in the format of the Tree3Mu ntuple.

    Attributes
    ----------
    model
        Functions of the toy.
    steps
        How the names of the branches begin that one step of the reconstruction fills.
    menus
        Menus of the high-level trigger by year.
    """

    tree = "Tree3Mu/ntuple"
    model: ClassVar[Model[Any]]
    steps: ClassVar[tuple[str, ...]]
    menus: ClassVar[Mapping[str, Menus]] = {"2017": HLT_MENUS, "2018": HLT_MENUS}

    def added(self, sample: Sample, total: int) -> Mapping[int, float]:  # noqa: ARG002 - for subclasses
        """Return the mean number of injected events of each species in a whole sample."""
        return {}

    def draw(self, sample: Sample, total: int, part: int, rng: np.random.Generator) -> Integers:
        """Draw the species of the events of one file; see :meth:`Toy.draw`."""
        species = np.array(list(sample.fractions), dtype=np.int64)
        size = split(total, sample.files)[part]
        drawn = rng.choice(species, size, p=list(sample.fractions.values()))
        means = self.added(sample, total)
        if means:
            numbers = rng.poisson(np.array(list(means.values())) / sample.files)
            added = np.repeat(np.array(list(means), dtype=np.int64), numbers)
            drawn = rng.permutation(np.concatenate([drawn, added]))
        return drawn

    def simulate(self, contents: Integers, sample: Sample, rng: np.random.Generator) -> Events:
        """Simulate events of given species, without their event numbers.

        Simulated samples also have the branches of what was generated, and the pile-up and the
        efficiencies of simulation (:mod:`~bphcoffea.toys.calibration`).
        """
        n = len(contents)
        decays = self.model.generate(contents, rng)
        collisions = Collisions(primary_vertices(n, rng), draw_interactions(n, sample.is_mc, rng))
        hlt = trigger_list(n, self.menus[sample.era[:4]], rng)
        l1 = trigger_list(n, L1_MENUS, rng)
        muons, tracks, rows, candidates = self.model.reconstruct(decays, collisions, sample, rng)
        fail(candidates, rng, self.steps)
        order = random_order(rows.event, rng)
        rows, candidates = rows[order], {name: flat[order] for name, flat in candidates.items()}
        branches: Branches = {
            "Trigger_hltname": hlt.names,
            "Trigger_hltdecision": hlt.decisions,
            "Trigger_l1name": l1.names,
            "Trigger_l1decision": l1.decisions,
            "MuonCollectionSize": np.bincount(muons.event, minlength=n).astype(np.int32),
        }
        for objects in (muons, tracks):
            order = random_order(objects.event, rng)
            shuffled = {name: flat[order] for name, flat in objects.branches.items()}
            branches |= lists(shuffled, objects.event, n)
        branches |= lists(candidates, rows.event, n)
        if sample.is_mc:
            branches |= self.model.particles(decays, rng)
            branches["nPileUpInt"] = collisions.interactions.astype(np.uint32)
        return Events(
            branches, muons, tracks, rows, candidates, hlt.accepted, l1.accepted, contents
        )

    def find(self, events: Events, sample: Sample) -> TripletTruth:  # noqa: ARG002 - all alike
        """Select the best candidates and count; see :meth:`Toy.find`."""
        return self.model.find(events)
