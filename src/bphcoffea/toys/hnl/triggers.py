"""Trigger objects of the parking paths: what fired on which muon, and what speaks against it."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bphcoffea.toys.decay import Floats, Integers
from bphcoffea.toys.detector import Measured, concatenate, stray, wrap
from bphcoffea.toys.reconstruction import PADDING

#: Thresholds of the paths: pT, GeV, and significance of the impact parameter.
PATHS: Final = {
    "mu7_ip4": (7.0, 4.0),
    "mu8_ip3": (8.0, 3.0),
    "mu8p5_ip3p5": (8.5, 3.5),
    "mu8_ip5": (8.0, 5.0),
    "mu8_ip6": (8.0, 6.0),
    "mu9_ip4": (9.0, 4.0),
    "mu9_ip5": (9.0, 5.0),
    "mu9_ip6": (9.0, 6.0),
    "mu10p5_ip3p5": (10.5, 3.5),
    "mu12_ip6": (12.0, 6.0),
}
#: Part of the events in which a path is in force, and of the muons above threshold that fire it.
_IN_FORCE, _PLATEAU = 0.80, 0.95
#: All paths look no farther forward.
_ETA_MAX: Final = 1.5
#: Resolutions of the trigger: relative for pT and the significance, absolute for η and φ, and the
#: scale of the distance ΔR of its object to the muon.
_PT, _SIGNIFICANCE, _ANGLE, _DISTANCE = 0.02, 0.10, 0.002, 0.006
#: Part of the objects that are far from the muon, that have another pT, that are those of another
#: muon, and that no path matched although it saw them.
_FAULTS: Final = (0.04, 0.04, 0.04, 0.04)
#: Mean number of objects of muons that belong to no candidate.
_STRAY_OBJECTS: Final = 0.10


@dataclass(frozen=True)
class Muons:
    """Muons that the trigger may see.

    Attributes
    ----------
    event, index
        Position of the event, and the muon's number in it, shape (n,).
    measured
        Their momenta.
    significance
        Of the transverse impact parameter, shape (n,).
    """

    event: Integers
    index: Integers
    measured: Measured
    significance: Floats


@dataclass(frozen=True)
class TriggerObjects:
    """Trigger objects in the order of their events.

    Attributes
    ----------
    event
        Position of the event of each, shape (objects,).
    branches
        By name, shape (objects,) each.
    """

    event: Integers
    branches: dict[str, npt.NDArray[Any]]


def trigger_objects(
    n: int, muons: Muons, strangers: Integers, rng: np.random.Generator
) -> TriggerObjects:
    """Let muons fire the paths.

    Parameters
    ----------
    n
        Number of events.
    muons
        Of the candidates, each once.
    strangers
        In each event the number of a muon that is in no candidate, shape (n,).
    rng
        Source of randomness.
    """
    number = rng.poisson(_STRAY_OBJECTS, n)
    others = np.repeat(np.arange(n), number)
    event = np.concatenate([muons.event, others])
    index = np.concatenate([muons.index, strangers[others]])
    seen = _online(concatenate(muons.measured, stray(len(others), 6.0, 3.0, rng)), rng)
    significance = np.concatenate([muons.significance, 3.0 + rng.exponential(5.0, len(others))])
    significance = significance * (1 + rng.normal(0, _SIGNIFICANCE, len(event)))
    fired = _fired(n, event, seen, significance, rng)

    which = np.flatnonzero(np.any(fired, axis=1))
    which = which[np.lexsort((rng.random(len(which)), event[which]))]
    event, index, seen, fired = event[which], index[which], seen[which], fired[which]
    far, elsewhere, stranger, unmatched = _faults(len(which), rng)
    distance = np.where(
        far, rng.uniform(0.05, 0.30, len(which)), rng.rayleigh(_DISTANCE, len(which))
    )
    wrong = np.where(rng.random(len(which)) < 0.5, 0.8, 1.25)
    pt = np.where(elsewhere, seen.pt * wrong, seen.pt)
    branches: dict[str, npt.NDArray[Any]] = {
        "HLT_mu_trig_idx": np.where(stranger, strangers[event], index).astype(np.uint32),
        "HLT_mu_trig_pt": pt.astype(np.float32),
        "HLT_mu_trig_eta": seen.eta.astype(np.float32),
        "HLT_mu_trig_phi": seen.phi.astype(np.float32),
    }
    for column, path in enumerate(PATHS):
        saw = fired[:, column]
        branches[f"HLT_{path}_matched"] = (saw & ~unmatched).astype(np.int16)
        for name, values in (("dr", distance), ("pt", pt), ("eta", seen.eta)):
            branches[f"HLT_{path}_{name}"] = np.where(saw, values, PADDING).astype(np.float32)
    return TriggerObjects(event, branches)


def _online(measured: Measured, rng: np.random.Generator) -> Measured:
    n = len(measured)
    return Measured(
        measured.pt * (1 + rng.normal(0, _PT, n)),
        measured.eta + rng.normal(0, _ANGLE, n),
        wrap(measured.phi + rng.normal(0, _ANGLE, n)),
    )


def _fired(
    n: int, event: Integers, seen: Measured, significance: Floats, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Whether each muon fires each path, shape (muons, paths)."""
    pt, ip = np.array(list(PATHS.values())).T
    in_force = rng.random((n, len(PATHS))) < _IN_FORCE
    fired: npt.NDArray[np.bool_] = (
        (seen.pt[:, np.newaxis] > pt)
        & (significance[:, np.newaxis] > ip)
        & (np.abs(seen.eta) < _ETA_MAX)[:, np.newaxis]
        & in_force[event]
        & (rng.random(len(event)) < _PLATEAU)[:, np.newaxis]
    )
    return fired


def _faults(n: int, rng: np.random.Generator) -> list[npt.NDArray[np.bool_]]:
    """Which objects have each of the faults; none has two."""
    fault = np.searchsorted(np.cumsum(_FAULTS), rng.random(n), side="right")
    return [fault == kind for kind in range(len(_FAULTS))]
