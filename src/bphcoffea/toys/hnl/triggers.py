"""Trigger objects of the parking paths: objects of the muons that fire, and faults in them."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bphcoffea.toys.decay import Booleans, Floats, Integers, Numbers
from bphcoffea.toys.detector import Measured, smeared, stray
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
#: Fraction of the events in which a path is active, and of the muons above threshold that fire it.
_ACTIVE, _PLATEAU = 0.80, 0.95
#: All paths require less |η|.
_ETA_MAX: Final = 1.5
#: Resolutions of the trigger: relative for pT and the significance, absolute for η and φ; and the
#: scale of the distance ΔR of its object to the muon.
_PT, _SIGNIFICANCE, _ANGLE, _DISTANCE = 0.02, 0.10, 0.002, 0.006
#: Fractions of the objects that are far from the muon, that have another pT, that carry the number
#: of another muon, and that no path matched although it saw them.
_FAULTS: Final = (0.04, 0.04, 0.04, 0.04)
#: Mean number of objects of muons that belong to no candidate.
_STRAY_OBJECTS: Final = 0.10


@dataclass(frozen=True)
class Muons:
    """Muons that the trigger may see.

    Attributes
    ----------
    event, index
        Event of each muon, and its number in the event, shape (n,).
    measured
        Measured momenta.
    significance
        Significance of the transverse impact parameter, shape (n,).
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
        Event of each object, shape (objects,).
    branches
        Branches by name, shape (objects,) each.
    """

    event: Integers
    branches: dict[str, Numbers]


def trigger_objects(
    n: int, muons: Muons, strangers: Integers, rng: np.random.Generator
) -> TriggerObjects:
    """Draw the trigger objects of muons that fire the paths.

    Parameters
    ----------
    n
        Number of events.
    muons
        Muons of the candidates, each once.
    strangers
        Number of a muon in no candidate, for each event, shape (n,).
    rng
        Source of randomness.
    """
    number = rng.poisson(_STRAY_OBJECTS, n)
    stray_event = np.repeat(np.arange(n), number)
    event = np.concatenate([muons.event, stray_event])
    index = np.concatenate([muons.index, strangers[stray_event]])
    seen = muons.measured + stray(len(stray_event), 6.0, 3.0, rng)
    seen = smeared(seen, _PT, _ANGLE, rng)
    significance = np.concatenate(
        [muons.significance, 3.0 + rng.exponential(5.0, len(stray_event))]
    )
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
    branches: dict[str, Numbers] = {
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


def _fired(
    n: int, event: Integers, seen: Measured, significance: Floats, rng: np.random.Generator
) -> Booleans:
    """Return whether each muon fires each path, shape (muons, paths)."""
    pt, ip = np.array(list(PATHS.values())).T
    active = rng.random((n, len(PATHS))) < _ACTIVE
    fired: Booleans = (
        (seen.pt[:, np.newaxis] > pt)
        & (significance[:, np.newaxis] > ip)
        & (np.abs(seen.eta) < _ETA_MAX)[:, np.newaxis]
        & active[event]
        & (rng.random(len(event)) < _PLATEAU)[:, np.newaxis]
    )
    return fired


def _faults(n: int, rng: np.random.Generator) -> list[Booleans]:
    """Return a mask of the objects with each fault; no object has two."""
    fault = np.searchsorted(np.cumsum(_FAULTS), rng.random(n), side="right")
    return [fault == kind for kind in range(len(_FAULTS))]
