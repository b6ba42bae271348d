"""Where the tracks of an event and the vertex of a candidate lie, for a classifier."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any, Final, NamedTuple

import awkward as ak
import numpy as np

from bphcoffea.physics.kinematics import delta_r

#: Tracks that count for the isolation of a muon: pT above, GeV; ΔR below; distance below, cm
#: [PLB 853 (2024) 138633].
ISOLATION_PT: Final = 1.0
ISOLATION_DELTA_R: Final = 0.3
ISOLATION_DISTANCE: Final = 0.1


def pointing_angle(primary: ak.Array, secondary: ak.Array, momentum: ak.Array) -> ak.Array:
    """Return the angle between the flight of a candidate and its momentum, radians.

    Parameters
    ----------
    primary, secondary
        Vertices with ``x``, ``y``, ``z`` (cm), of one shape.
    momentum
        Records with ``pt``, ``eta``, ``phi``, of that shape.

    Returns
    -------
    Array of that shape; not a number where the vertices are the same.
    """
    flight = [_doubles(secondary[axis]) - _doubles(primary[axis]) for axis in "xyz"]
    pt, eta, phi = (_doubles(momentum[name]) for name in ("pt", "eta", "phi"))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        direction = [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
        along = sum(a * b for a, b in zip(flight, direction, strict=True))
        lengths = [np.sqrt(sum(a**2 for a in each)) for each in (flight, direction)]
        cosine = along / (lengths[0] * lengths[1])
    return np.arccos(ak.where(abs(cosine) > 1, np.sign(cosine), cosine))


class Surroundings(NamedTuple):
    """Tracks around a candidate.

    Attributes
    ----------
    closest_track
        Distance of the closest other track to the primary vertex from which the candidate flies,
        cm; not a number without another track.
    isolation
        Largest of the legs' isolations: Σ pT of the other tracks near a leg, over its pT.
    """

    closest_track: ak.Array
    isolation: ak.Array


def surroundings(legs: list[ak.Array], tracks: ak.Array) -> Surroundings:
    """Look at the tracks around candidates.

    Parameters
    ----------
    legs
        Particles of the candidates with ``pt``, ``eta``, ``phi``, a list an event each. A track
        with the pT of a leg is its own.
    tracks
        All tracks with ``pt``, ``eta``, ``phi``, and ``dxy``, ``dz`` (cm) from the primary vertex.

    Returns
    -------
    One number for each candidate.
    """
    beside = [ak.cartesian({"leg": leg, "track": tracks}, nested=True) for leg in legs]
    track = beside[0].track
    own = reduce(or_, (pair.leg.pt == pair.track.pt for pair in beside))
    distance = np.hypot(_doubles(track.dxy), _doubles(track.dz))
    closest = ak.fill_none(ak.min(ak.mask(distance, ~own), axis=2), np.nan, axis=1)
    near_vertex = ~own & (track.pt > ISOLATION_PT) & (distance < ISOLATION_DISTANCE)
    isolations = []
    for pair in beside:
        near = near_vertex & (delta_r(pair.leg, pair.track) < ISOLATION_DELTA_R)
        around = ak.sum(ak.where(near, pair.track.pt, 0.0), axis=2)
        isolations.append(around / ak.firsts(pair.leg.pt, axis=2))
    isolation = reduce(lambda a, b: ak.where(a > b, a, b), isolations)
    return Surroundings(closest, ak.fill_none(isolation, 0.0, axis=1))


def _doubles(values: Any) -> Any:
    return ak.values_astype(values, np.float64)
