"""What an analysis of the toy should find, from the toy's own arrays.

This is the selection of τ → 3μ a second time, on purpose: written for flat numpy arrays and from
what the toy knows (which muons, which triggers), it shares no code with the analyses that are
tested against it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from bphcoffea.physics.constants import MUON_MASS
from bphcoffea.toys.cutflow import Cutflow, Found, count, in_json, smallest
from bphcoffea.toys.decay import Booleans, Floats, Integers, mass
from bphcoffea.toys.detector import Measured
from bphcoffea.toys.tau3mu.generation import Species
from bphcoffea.toys.tau3mu.ntuple import Events

#: How the truth calls the species.
PROCESSES: Final = {
    Species.TAU_D: "tau3mu_d",
    Species.TAU_B: "tau3mu_b",
    Species.PHI_MUON: "phi_muon",
    Species.OMEGA_MUON: "omega_muon",
    Species.THREE_MUONS: "three_muons",
    Species.NOTHING: "nothing",
}
CATEGORIES: Final = ("A", "B", "C")
#: Relative mass resolutions at which the second and the third category begin.
_RESOLUTIONS: Final = (0.0070, 0.0105)
#: Windows of the vetoes, GeV: that of the φ by category.
_PHI_LOW, _PHI_HIGH = np.array([0.99, 0.98, 0.965]), np.array([1.05, 1.06, 1.075])
_OMEGA, _OMEGA_HALF_WIDTH = 0.783, 0.017
_LEGS: Final = (0, 1, 2)
_PAIRS: Final = tuple(combinations(_LEGS, 2))


@dataclass(frozen=True)
class Truth(Found):
    """What an analysis should find in some events.

    Attributes
    ----------
    generated
        Events of each process, whether reconstructed or not.
    resolution
        Relative resolution of the mass of the best candidate of each selected event.
    species
        Its origin, a `Species`, or -1 for a combination with another muon.
    """

    generated: dict[str, int]
    resolution: Floats
    species: Integers

    @property
    def category(self) -> Integers:
        """Position of each selected event's category in `CATEGORIES`."""
        return category(self.resolution)

    def as_json(self) -> dict[str, Any]:
        """Give the numbers for ``truth.json``."""
        of_category = Counter(self.category.tolist())
        return {
            "events": self.events,
            "generated": self.generated,
            "cutflow": in_json(self.cutflow),
            "selected": self._composition(np.ones(len(self.mass), dtype=bool)),
            "categories": {name: of_category[i] for i, name in enumerate(CATEGORIES)},
            "composition": {
                name: self._composition(self.category == i) for i, name in enumerate(CATEGORIES)
            },
        }

    def _composition(self, which: Booleans) -> dict[str, int]:
        species = Counter(self.species[which].tolist())
        numbers = {name: species[int(kind)] for kind, name in PROCESSES.items()}
        del numbers[PROCESSES[Species.NOTHING]]
        return numbers | {"other_muon": species[-1], "all": int(np.sum(which))}


def find(events: Events) -> Truth:
    """Select and count."""
    resolution = mass_resolution(events)
    cutflow, best = _select(events, resolution)
    numbers = np.bincount(events.generated, minlength=len(PROCESSES))
    return Truth(
        events=len(events.hlt),
        generated={name: int(numbers[kind]) for kind, name in PROCESSES.items()},
        cutflow=cutflow,
        mass=events.candidates["Triplet_Mass"][best],
        resolution=resolution[best],
        species=events.species[best],
    )


def best_candidates(events: Events) -> Integers:
    """Positions of the best candidates of the selected events."""
    return _select(events, mass_resolution(events))[1]


def category(resolution: Floats) -> Integers:
    """Position of the category in `CATEGORIES` for relative resolutions of the mass."""
    return np.searchsorted(_RESOLUTIONS, resolution, side="right")


def mass_resolution(events: Events) -> Floats:
    """Relative resolution of each candidate's mass, as the errors of its muons give it."""
    momenta = [events.muons.measured[leg] for leg in events.legs.T]
    variance = np.zeros(len(events.legs))
    for number, leg in enumerate(events.legs.T):
        for name in ("pt", "eta", "phi"):
            error = events.muons.branches[f"Muon_BestTrack{name.capitalize()}Err"][leg]
            up, down = (_moved(momenta, number, name, sign * error) for sign in (1, -1))
            variance += ((up - down) / 2) ** 2
    relative: Floats = np.sqrt(variance) / _mass(momenta)
    return relative


def _select(events: Events, resolution: Floats) -> tuple[Cutflow, Integers]:
    triggers = (("hlt", events.hlt), ("l1", events.l1))
    steps = _steps(events, resolution)
    cutflow, alive = count(len(events.hlt), events.event, steps, triggers)
    return cutflow, smallest(events.event, alive, events.candidates["TripletVtx_Chi2"])


def _moved(momenta: list[Measured], number: int, name: str, by: Floats) -> Floats:
    """Mass when one coordinate of one muon is moved."""
    leg = momenta[number]
    values = {key: getattr(leg, key) for key in ("pt", "eta", "phi")}
    moved = Measured(**(values | {name: values[name] + by}))
    return _mass([moved if i == number else other for i, other in enumerate(momenta)])


def _mass(momenta: list[Measured]) -> Floats:
    return mass(np.sum([leg.four_momentum(MUON_MASS) for leg in momenta], axis=0))


def _steps(events: Events, resolution: Floats) -> Iterator[tuple[str, Booleans]]:
    c = events.candidates
    muons = {name: values[events.legs] for name, values in events.muons.branches.items()}
    yield "vertex", c["TripletVtx_Chi2"] >= 0
    yield "displacement", c["FlightDistBS_SV_Significance"] >= 2
    # no muon has the pT of padding
    found = np.stack([c[f"Mu{leg + 1}_Pt"] > 0 for leg in _LEGS], axis=1)
    yield (
        "muon_id",
        np.all(found & (muons["Muon_isGlobal"] == 1) & (muons["Muon_isPF"] == 1), axis=1),
    )
    pt, eta, phi = (
        np.stack([c[f"Mu{leg + 1}_{name}"] for leg in _LEGS], axis=1)
        for name in ("Pt", "Eta", "Phi")
    )
    eta_size = np.abs(eta)
    yield (
        "acceptance",
        np.all((eta_size < 2.4) & (pt > np.where(eta_size < 1.2, 3.5, 2.0)), axis=1),
    )
    charge = muons["MuonCharge"]
    yield (
        "mass",
        (c["Triplet_Mass"] > 1.62)
        & (c["Triplet_Mass"] < 2.02)
        & (np.abs(np.sum(charge, axis=1)) == 1),
    )
    yield (
        "delta_r",
        _for_pairs(
            lambda a, b: np.hypot(eta[:, a] - eta[:, b], _turn(phi[:, a] - phi[:, b])) < 0.8
        ),
    )
    z = muons["Muon_vz"]
    yield "delta_z", _for_pairs(lambda a, b: np.abs(z[:, a] - z[:, b]) < 0.5)
    distances = [v for k, v in c.items() if "_dRtriggerMatch" in k]
    yield "trigger_match", np.logical_and.reduce([(d >= 0) & (d < 0.03) for d in distances])
    legs = [events.muons.measured[leg] for leg in events.legs.T]
    pair_mass = {pair: _mass([legs[leg] for leg in pair]) for pair in _PAIRS}
    same = {(a, b): charge[:, a] == charge[:, b] for a, b in _PAIRS}
    kind = category(resolution)
    low, high = _PHI_LOW[kind], _PHI_HIGH[kind]
    yield (
        "phi_veto",
        _for_pairs(lambda a, b: same[a, b] | (pair_mass[a, b] <= low) | (pair_mass[a, b] >= high)),
    )
    yield (
        "omega_veto",
        _for_pairs(
            lambda a, b: same[a, b] | (np.abs(pair_mass[a, b] - _OMEGA) >= _OMEGA_HALF_WIDTH)
        ),
    )


def _for_pairs(met: Callable[[int, int], Booleans]) -> Booleans:
    """Whether all three pairs of legs meet something."""
    all_met: Booleans = np.logical_and.reduce([met(*pair) for pair in _PAIRS])
    return all_met


def _turn(angle: Floats) -> Floats:
    """Size of a difference of azimuths."""
    size = np.abs(angle) % (2 * np.pi)
    return np.minimum(size, 2 * np.pi - size)
