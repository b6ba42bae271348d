"""Vertices and impact parameters of the wztree, and the acceptance of the tracker."""

import numpy as np

from bphcoffea.toys.decay import Booleans, Floats, Numbers
from bphcoffea.toys.detector import BEAM_SPOT, Measured

#: Radius and half length of the tracker, cm.
_RADIUS, _HALF_LENGTH = 60.0, 200.0
#: Error of a vertex in x and y, and along the beam, cm, at distance 0, and the transverse distance,
#: cm, that doubles it.
_VERTEX_ERROR, _VERTEX_ERROR_Z, _DOUBLED = 0.007, 0.012, 12.0
#: Spread of the logarithm of the error; factor and spread for tracks without a common vertex.
_ERROR_SPREAD, _FAKE_ERROR, _FAKE_SPREAD = 0.35, 4.0, 0.8
#: Errors of the positions of the beam spot and of the primary vertex, cm.
_BEAM_ERROR, _PV_ERROR = 0.0015, 0.0020
#: Error of an impact parameter, cm, at high pT, the pT (GeV) that doubles it, and the spread of its
#: logarithm.
_IP_ERROR, _IP_DOUBLED, _IP_SPREAD = 0.0017, 3.0, 0.25


def vertex_branches(
    true: Floats, primary: Floats, momentum: Floats, good: Booleans, rng: np.random.Generator
) -> dict[str, Floats]:
    """Return quality, pointing, and distances from beam spot and primary vertex, by name.

    Parameters
    ----------
    true
        True positions of the vertices, cm, shape (n, 3).
    primary
        Primary vertices of their events, cm, shape (n, 3).
    momentum
        Four-momenta of the decaying particles, GeV, shape (n, 4).
    good
        Whether the tracks have a vertex in common, shape (n,).
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
    origins = (("BS", beam, _BEAM_ERROR), ("PV", primary, _PV_ERROR))
    for origin, position, origin_error in origins:
        way = vertex - position
        lengths = np.hypot(way[:, 0], way[:, 1]), np.linalg.norm(way, axis=1)
        in_space = np.linalg.norm(way * resolution, axis=1) / lengths[1]
        errors = np.hypot(transverse, origin_error), np.hypot(in_space, origin_error)
        for dimensions, length, error in zip("23", lengths, errors, strict=True):
            branches[f"{dimensions}DDist_{origin}"] = length
            branches[f"{dimensions}DErr_{origin}"] = error
            branches[f"{dimensions}DSig_{origin}"] = length / error
        axes = slice(2) if origin == "BS" else slice(3)
        p, d = momentum[:, 1:][:, axes], way[:, axes]
        norms = np.linalg.norm(p, axis=1) * np.linalg.norm(d, axis=1)
        branches[f"cos{axes.stop}D"] = np.sum(p * d, axis=1) / norms
    return branches


def impact_parameter(vertex: Floats, momentum: Floats) -> Floats:
    """Return the signed distance of straight tracks from a vertex to the beam spot, cm, (n,)."""
    x, y = (vertex[:, :2] - np.array(BEAM_SPOT)).T
    px, py = momentum[:, 1], momentum[:, 2]
    distance: Floats = (x * py - y * px) / np.hypot(px, py)
    return distance


def impact_branches(ip: Floats, measured: Measured, rng: np.random.Generator) -> dict[str, Numbers]:
    """Return measured impact parameters, cm, and their significances, by name.

    `ip` are the true impact parameters, cm, shape (n,).
    """
    n = len(ip)
    error = _IP_ERROR * (1 + _IP_DOUBLED / measured.pt) * np.exp(rng.normal(0, _IP_SPREAD, n))
    found = ip + rng.normal(0, error)
    branches: dict[str, Numbers] = {}
    for origin, added in (("BS", _BEAM_ERROR), ("PV", _PV_ERROR)):
        values = found + rng.normal(0, added, n)
        branches[f"{origin}_ip_xy"] = values.astype(np.float32)
        branches[f"{origin}_ips_xy"] = (values / np.hypot(error, added)).astype(np.float32)
    return branches


def radius(position: Floats) -> Floats:
    """Return the distance of positions from the axis of the tracker, cm, shape (n,)."""
    distance: Floats = np.hypot(position[:, 0], position[:, 1])
    return distance


def in_tracker(position: Floats) -> Booleans:
    """Return whether positions lie inside the tracker, shape (n,)."""
    inside: Booleans = (radius(position) < _RADIUS) & (np.abs(position[:, 2]) < _HALF_LENGTH)
    return inside
