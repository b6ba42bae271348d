"""Pointing angle, closest track and isolation of candidates."""

from __future__ import annotations

from typing import Final, NamedTuple

import awkward as ak
import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.physics.lists import doubles, elementwise
from bphcoffea.physics.matching import pairs_in_events

#: Tracks count for the isolation of a muon if pT (GeV) is above, and ΔR and the distance to the
#: vertex (cm) are below these values [PLB 853 (2024) 138633].
ISOLATION_PT: Final = 1.0
ISOLATION_DELTA_R: Final = 0.3
ISOLATION_DISTANCE: Final = 0.1
_TRACK: Final = ("pt", "eta", "phi", "dxy", "dz")


def pointing_angle(primary: ak.Array, secondary: ak.Array, momentum: ak.Array) -> ak.Array:
    """Return the angle between the flight of a candidate and its momentum, radians.

    Parameters
    ----------
    primary, secondary
        Vertices with ``x``, ``y``, ``z`` (cm), of equal shape.
    momentum
        Records with ``pt`` (GeV), ``eta``, ``phi`` (radians), of the same shape.

    Returns
    -------
    array
        Angles, of the same shape; NaN if the vertices coincide.
    """
    return elementwise(
        _angle,
        *(vertex[axis] for vertex in (primary, secondary) for axis in "xyz"),
        *(momentum[name] for name in ("pt", "eta", "phi")),
    )


class Surroundings(NamedTuple):
    """Tracks around a candidate.

    Attributes
    ----------
    closest_track
        Distance of the closest other track to the vertex of the candidate, cm; NaN if there is no
        other track. One number per candidate.
    isolation
        Largest isolation of the legs: Σ pT of the other tracks near a leg, divided by the pT of the
        leg. One number per candidate.
    """

    closest_track: ak.Array
    isolation: ak.Array


def surroundings(
    legs: list[ak.Array],
    track_pts: list[ak.Array],
    primary: ak.Array,
    secondary: ak.Array,
    tracks: ak.Array,
) -> Surroundings:
    """Return the closest track of each candidate, and the isolation of its legs.

    Tracks are taken as straight lines, which they are near a vertex.

    Parameters
    ----------
    legs
        Particles of the candidates with ``pt`` (GeV), ``eta``, ``phi`` (radians), each with one
        list per event.
    track_pts
        pT of the track of each leg, which identifies tracks that do not count. It differs from the
        pT of the leg if momenta are shifted.
    primary, secondary
        Vertices of the candidates with ``x``, ``y``, ``z`` (cm).
    tracks
        All tracks with ``pt``, ``eta``, ``phi``, and their distances ``dxy``, ``dz`` (cm) to the
        primary vertex.
    """
    counts = ak.num(legs[0].pt)
    candidate, track = pairs_in_events(legs[0].pt, tracks.pt)
    pt, eta, phi, dxy, dz = (doubles(tracks[name])[track] for name in _TRACK)
    sin, cos = np.sin(phi), np.cos(phi)
    # vectors from the point of closest approach to the vertex, and along the track
    flight = [doubles(secondary[axis]) - doubles(primary[axis]) for axis in "xyz"]
    nearest = (-dxy * sin, dxy * cos, dz)
    with np.errstate(over="ignore", invalid="ignore"):
        away = [a[candidate] - b for a, b in zip(flight, nearest, strict=True)]
        direction = [x / np.cosh(eta) for x in (cos, sin, np.sinh(eta))]
        along = sum(a * b for a, b in zip(away, direction, strict=True))
        squares = sum((a - along * b) ** 2 for a, b in zip(away, direction, strict=True))
        distance = np.sqrt(squares)
        momenta = [[doubles(leg[name])[candidate] for name in ("pt", "eta", "phi")] for leg in legs]
        other = np.logical_and.reduce([doubles(leg_pt)[candidate] != pt for leg_pt in track_pts])
        closest = np.full(len(doubles(legs[0].pt)), np.inf)
        np.minimum.at(closest, candidate[other], distance[other])
        counted = other & (pt > ISOLATION_PT) & (distance < ISOLATION_DISTANCE)
        isolation = np.zeros(len(closest))
        for leg_pt, leg_eta, leg_phi in momenta:
            delta_phi = (leg_phi - phi + np.pi) % (2 * np.pi) - np.pi
            near = counted & (np.hypot(leg_eta - eta, delta_phi) < ISOLATION_DELTA_R)
            around = np.where(near, pt / leg_pt, 0.0)
            isolation = np.maximum(isolation, np.bincount(candidate, around, len(closest)))
    closest = np.where(np.isfinite(closest), closest, np.nan)
    return Surroundings(ak.unflatten(closest, counts), ak.unflatten(isolation, counts))


def _angle(*coordinates: Floats) -> Floats:
    pt, eta, phi = coordinates[6:]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        flight = [end - start for start, end in zip(coordinates[:3], coordinates[3:6], strict=True)]
        direction = [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
        along = sum(a * b for a, b in zip(flight, direction, strict=True))
        lengths = [np.sqrt(sum(a**2 for a in vector)) for vector in (flight, direction)]
        cosine = along / (lengths[0] * lengths[1])
        return np.arccos(np.where(abs(cosine) > 1, np.sign(cosine), cosine))
