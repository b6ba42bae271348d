"""Expected result of an analysis of τ → 3μ, from the toy's own arrays.

This is the selection of the analysis a second time, on purpose: written for flat numpy arrays and
from what the toy knows (which muons, which triggers), it shares no code with the analyses that are
tested against it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Final

import numpy as np
from typing_extensions import override

from bphcoffea.physics.constants import MUON_MASS
from bphcoffea.toys.decay import Booleans, Floats, Integers, mass
from bphcoffea.toys.detector import Measured
from bphcoffea.toys.tau3mu.generation import Species
from bphcoffea.toys.tree3mu import Events, TripletTruth

CATEGORIES: Final = ("A", "B", "C")
#: Relative mass resolutions at which the second and the third category begin.
_RESOLUTIONS: Final = (0.0070, 0.0105)
#: Windows of the vetoes, GeV; that of the φ by category.
_PHI_LOW, _PHI_HIGH = np.array([0.99, 0.98, 0.965]), np.array([1.05, 1.06, 1.075])
_OMEGA, _OMEGA_HALF_WIDTH = 0.783, 0.017
_LEGS: Final = (0, 1, 2)
_PAIRS: Final = tuple(combinations(_LEGS, 2))


@dataclass(frozen=True)
class Tau3MuTruth(TripletTruth):
    """Expected result of an analysis of τ → 3μ on some events.

    Attributes
    ----------
    resolution
        Relative resolution of the mass of the best candidate of each selected event.
    """

    resolution: Floats

    names: ClassVar = {
        Species.TAU_D: "tau3mu_d",
        Species.TAU_B: "tau3mu_b",
        Species.PHI_MUON: "phi_muon",
        Species.OMEGA_MUON: "omega_muon",
        Species.THREE_MUONS: "three_muons",
        Species.NOTHING: "nothing",
    }
    other = "other_muon"

    @property
    def category(self) -> Integers:
        """Position of each selected event's category in `CATEGORIES`."""
        return category(self.resolution)

    @override
    def as_json(self) -> dict[str, object]:
        in_category = Counter(self.category.tolist())
        return super().as_json() | {
            "categories": {name: in_category[i] for i, name in enumerate(CATEGORIES)},
            "composition": {
                name: self.composition(self.category == i) for i, name in enumerate(CATEGORIES)
            },
        }


def find(events: Events) -> Tau3MuTruth:
    """Select the best candidates and count."""
    resolution = mass_resolution(events)
    steps = _steps(events, resolution)
    return Tau3MuTruth.of_selected(events, steps, flavour="", resolution=resolution)


def category(resolution: Floats) -> Integers:
    """Return the position of the category in `CATEGORIES` for relative mass resolutions."""
    return np.searchsorted(_RESOLUTIONS, resolution, side="right")


def mass_resolution(events: Events) -> Floats:
    """Return the relative resolution of each candidate's mass, from the errors of its muons."""
    momenta = [events.muons.measured[rows] for rows in events.rows.muon_rows.T]
    variance = np.zeros(len(events.rows.muon_rows))
    for number, rows in enumerate(events.rows.muon_rows.T):
        for name in ("pt", "eta", "phi"):
            error = events.muons.branches[f"Muon_BestTrack{name.capitalize()}Err"][rows]
            up, down = (_shifted(momenta, number, name, sign * error) for sign in (1, -1))
            variance += ((up - down) / 2) ** 2
    relative: Floats = np.sqrt(variance) / _mass(momenta)
    return relative


def _shifted(momenta: list[Measured], number: int, name: str, shift: Floats) -> Floats:
    """Return the mass with one coordinate of one muon shifted."""
    leg = momenta[number]
    values = {key: getattr(leg, key) for key in ("pt", "eta", "phi")}
    shifted = Measured(**(values | {name: values[name] + shift}))
    return _mass([shifted if i == number else other for i, other in enumerate(momenta)])


def _mass(momenta: list[Measured]) -> Floats:
    return mass(np.sum([leg.four_momentum(MUON_MASS) for leg in momenta], axis=0))


def _steps(events: Events, resolution: Floats) -> Iterator[tuple[str, Booleans]]:
    c = events.candidates
    muons = {name: values[events.rows.muon_rows] for name, values in events.muons.branches.items()}
    yield "vertex", c["TripletVtx_Chi2"] >= 0
    yield "displacement", c["FlightDistBS_SV_Significance"] >= 2
    pt, eta, phi = (
        np.stack([c[f"Mu{leg + 1}_{name}"] for leg in _LEGS], axis=1)
        for name in ("Pt", "Eta", "Phi")
    )
    identified = (muons["Muon_isGlobal"] == 1) & (muons["Muon_isPF"] == 1)
    # no muon has the pT of padding
    yield "muon_id", np.all((pt > 0) & identified, axis=1)
    threshold = np.where(np.abs(eta) < 1.2, 3.5, 2.0)
    yield "acceptance", np.all((np.abs(eta) < 2.4) & (pt > threshold), axis=1)
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
            lambda a, b: np.hypot(eta[:, a] - eta[:, b], _size(phi[:, a] - phi[:, b])) < 0.8
        ),
    )
    z = muons["Muon_vz"]
    yield "delta_z", _for_pairs(lambda a, b: np.abs(z[:, a] - z[:, b]) < 0.5)
    distances = [v for k, v in c.items() if "_dRtriggerMatch" in k]
    yield "trigger_match", np.logical_and.reduce([(d >= 0) & (d < 0.03) for d in distances])
    legs = [events.muons.measured[rows] for rows in events.rows.muon_rows.T]
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


def _for_pairs(condition: Callable[[int, int], Booleans]) -> Booleans:
    """Return whether all three pairs of legs meet a condition, shape (candidates,)."""
    met: Booleans = np.logical_and.reduce([condition(*pair) for pair in _PAIRS])
    return met


def _size(angle: Floats) -> Floats:
    """Return the size of a difference of azimuths."""
    size = np.abs(angle) % (2 * np.pi)
    return np.minimum(size, 2 * np.pi - size)
