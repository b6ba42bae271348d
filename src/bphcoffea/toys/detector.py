"""Response of the toys' detector: resolutions, refits, impact parameters, primary vertices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from bphcoffea.toys.decay import Floats, Table, four_momentum, pt_eta_phi

#: Relative resolution of pT, and resolution of both angles, radians.
PT_RESOLUTION: Final = 0.010
ANGLE_RESOLUTION: Final = 0.001
#: Resolution of tracks whose errors the ntuple holds. Of pT: relative, in the middle of the barrel;
#: its growth with η² and with pT (1/GeV). Of both angles, radians: from the hits, and from multiple
#: scattering (times GeV). Range of a factor by which tracks differ.
_BARREL_RESOLUTION, _FORWARD, _RESOLUTION_SLOPE = 0.0074, 0.32, 0.0001
_ANGLE_HIT, _ANGLE_SCATTERING = 0.0004, 0.0020
_TRACK_QUALITY: Final = (0.85, 1.15)
#: The vertex fit multiplies a deviation by the first number, and adds the second times the
#: resolution. Angles gain more than pT, because their part of the mass resolution grows with pT and
#: would give the peaks tails on both sides.
_REFIT_PT: Final = (0.80, 0.35)
_REFIT_ANGLE: Final = (0.30, 0.10)

#: Beam line, cm, and the spread of primary vertices around it.
BEAM_SPOT: Final = (0.083, -0.036)
BEAM_WIDTH, _BEAM_LENGTH = 0.0015, 3.8
_ETA_MAX: Final = 2.4


@dataclass(frozen=True)
class Measured(Table):
    """Momenta of charged particles in collider coordinates.

    Attributes
    ----------
    pt, eta, phi
        GeV and radians, shape (n,).
    """

    pt: Floats
    eta: Floats
    phi: Floats

    def four_momentum(self, mass: float) -> Floats:
        """Return four-momenta for particles of a mass (GeV), shape (n, 4)."""
        return four_momentum(self.pt, self.eta, self.phi, mass)


def slope(eta: Floats, phi: Floats) -> Floats:
    """Return vectors of given directions with transverse length 1, shape (n, 3)."""
    return np.stack([np.cos(phi), np.sin(phi), np.sinh(eta)], axis=1)


def measure(momentum: Floats, rng: np.random.Generator) -> Measured:
    """Measure particles of true four-momenta, shape (n, 4), with the mean resolution."""
    pt, eta, phi = pt_eta_phi(momentum)
    return smeared(Measured(pt, eta, phi), PT_RESOLUTION, ANGLE_RESOLUTION, rng)


def smeared(
    true: Measured, pt_resolution: float, angle_resolution: float, rng: np.random.Generator
) -> Measured:
    """Smear momenta with a relative resolution of pT, and one of both angles in radians."""
    n = len(true)
    return Measured(
        true.pt * (1 + rng.normal(0, pt_resolution, n)),
        true.eta + rng.normal(0, angle_resolution, n),
        wrap(true.phi + rng.normal(0, angle_resolution, n)),
    )


def track_errors(momentum: Floats, rng: np.random.Generator) -> Measured:
    """Return the resolution of muons in a tracker with barrel and endcaps.

    Takes true four-momenta of shape (n, 4); returns one standard deviation of pT, η and φ.
    """
    pt, eta, _ = pt_eta_phi(momentum)
    quality = rng.uniform(*_TRACK_QUALITY, (3, len(pt)))
    relative = _BARREL_RESOLUTION * (1 + _FORWARD * eta**2) + _RESOLUTION_SLOPE * pt
    angle = np.hypot(_ANGLE_HIT, _ANGLE_SCATTERING / pt)
    return Measured(pt * relative * quality[0], angle * quality[1], angle * quality[2])


def measure_with(momentum: Floats, errors: Measured, rng: np.random.Generator) -> Measured:
    """Measure particles of true four-momenta, shape (n, 4), each with its own resolution."""
    pt, eta, phi = pt_eta_phi(momentum)
    return Measured(
        pt + errors.pt * rng.normal(size=len(pt)),
        eta + errors.eta * rng.normal(size=len(pt)),
        wrap(phi + errors.phi * rng.normal(size=len(pt))),
    )


def impact_parameters(origin: Floats, direction: Measured) -> tuple[Floats, Floats]:
    """Return the transverse and longitudinal impact parameters of straight tracks, cm, (n,) each.

    The tracks start at `origin`, relative to the primary vertex, cm, shape (n, 3).
    """
    cos, sin = np.cos(direction.phi), np.sin(direction.phi)
    x, y, z = origin.T
    return y * cos - x * sin, z - (x * cos + y * sin) * np.sinh(direction.eta)


def refit(momentum: Floats, measured: Measured, rng: np.random.Generator) -> Measured:
    """Return momenta after the vertex fit, which are nearer to the truth than measured ones.

    `momentum` are the true four-momenta, GeV, shape (n, 4), of the measured particles.
    """
    pt, eta, phi = pt_eta_phi(momentum)
    noise = rng.normal(size=(3, len(pt)))
    pt_kept, pt_added = _REFIT_PT[0], _REFIT_PT[1] * PT_RESOLUTION
    kept, added = _REFIT_ANGLE[0], _REFIT_ANGLE[1] * ANGLE_RESOLUTION
    return Measured(
        pt * (1 + pt_kept * (measured.pt / pt - 1) + pt_added * noise[0]),
        eta + kept * (measured.eta - eta) + added * noise[1],
        wrap(phi + kept * wrap(measured.phi - phi) + added * noise[2]),
    )


def stray(n: int, threshold: float, mean: float, rng: np.random.Generator) -> Measured:
    """Draw unrelated particles, with an exponential pT spectrum above a threshold (GeV)."""
    return Measured(
        threshold + rng.exponential(mean, n),
        rng.uniform(-_ETA_MAX, _ETA_MAX, n),
        rng.uniform(-np.pi, np.pi, n),
    )


def wrap(angle: Floats) -> Floats:
    """Return azimuths in [-π, π)."""
    wrapped: Floats = (angle + np.pi) % (2 * np.pi) - np.pi
    return wrapped


def primary_vertices(n: int, rng: np.random.Generator) -> Floats:
    """Draw primary vertices, cm, shape (n, 3)."""
    widths = (BEAM_WIDTH, BEAM_WIDTH, _BEAM_LENGTH)
    return rng.normal((*BEAM_SPOT, 0.0), widths, size=(n, 3))
