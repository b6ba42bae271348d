"""What the toy's detector makes of particles: resolutions, refits, vertices, identification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bphcoffea.physics.constants import MUON_MASS
from bphcoffea.toys.decay import Floats, four_momentum, pt_eta_phi

#: Relative resolution of pT, and resolution of both angles, radians.
PT_RESOLUTION: Final = 0.010
ANGLE_RESOLUTION: Final = 0.001
#: Resolution of tracks whose errors the ntuple holds: relative for pT in the middle of the barrel,
#: its growth with η² and with pT (1/GeV); for both angles, radians, from the hits and from multiple
#: scattering (times GeV); and the range of a factor by which tracks differ.
_BARREL_RESOLUTION, _FORWARD, _RESOLUTION_SLOPE = 0.0074, 0.32, 0.0001
_ANGLE_HIT, _ANGLE_SCATTERING = 0.0004, 0.0020
_TRACK_QUALITY: Final = (0.85, 1.15)
#: The vertex fit shrinks a deviation by the first, and adds the second part of the resolution.
#: Angles gain more than pT: what they add to the mass resolution grows with pT, and would give the
#: peaks tails on both sides.
_REFIT_PT: Final = (0.80, 0.35)
_REFIT_ANGLE: Final = (0.30, 0.10)

#: Beam line, cm, and the spread of primary vertices around it.
BEAM_SPOT: Final = (0.083, -0.036)
_BEAM_WIDTH, _BEAM_LENGTH = 0.0015, 3.8
#: Resolution of the vertex fit in x and y: median, cm, and its spread in the logarithm.
_VERTEX_RESOLUTION, _VERTEX_SPREAD = 0.010, 0.30
_VERTEX_RESOLUTION_Z = 0.015

#: Mean number of tracks of a primary vertex: without other interactions, and more for each of them
#: whose tracks are taken for its own.
_PV_TRACKS, _PV_TRACKS_FOR_EACH_INTERACTION = 8.0, 0.5

#: Part of the identified muons' inefficiency, in the logarithm, that being global is; the rest is
#: being PF. Gives 0.96 and 0.97 where both together are 0.93.
_GLOBAL_SHARE = 0.573

#: Degrees of freedom of a vertex of three tracks: six measurements, three coordinates.
VERTEX_NDOF: Final = 3


@dataclass(frozen=True)
class Measured:
    """Momenta of charged particles in collider coordinates.

    Attributes
    ----------
    pt, eta, phi
        GeV and radians, shape (n,).
    """

    pt: Floats
    eta: Floats
    phi: Floats

    def __getitem__(self, index: npt.NDArray[Any]) -> Measured:
        return Measured(self.pt[index], self.eta[index], self.phi[index])

    def __len__(self) -> int:
        return len(self.pt)

    def four_momentum(self, mass: float) -> Floats:
        """Four-momenta of particles of that mass (GeV), shape (n, 4)."""
        return four_momentum(self.pt, self.eta, self.phi, mass)


def slope(eta: Floats, phi: Floats) -> Floats:
    """Vectors of a direction whose transverse part has length one. Shape (n, 3)."""
    return np.stack([np.cos(phi), np.sin(phi), np.sinh(eta)], axis=1)


def concatenate(*parts: Measured) -> Measured:
    """One sequence after the other."""
    return Measured(
        np.concatenate([part.pt for part in parts]),
        np.concatenate([part.eta for part in parts]),
        np.concatenate([part.phi for part in parts]),
    )


def measure(momentum: Floats, rng: np.random.Generator) -> Measured:
    """Measure particles, with the resolution of the tracker.

    Parameters
    ----------
    momentum
        True four-momenta, GeV, shape (n, 4).
    rng
        Source of randomness.
    """
    pt, eta, phi = pt_eta_phi(momentum)
    return Measured(
        pt * (1 + rng.normal(0, PT_RESOLUTION, len(pt))),
        eta + rng.normal(0, ANGLE_RESOLUTION, len(pt)),
        wrap(phi + rng.normal(0, ANGLE_RESOLUTION, len(pt))),
    )


def track_errors(momentum: Floats, rng: np.random.Generator) -> Measured:
    """Resolutions of muons in a tracker with barrel and endcaps.

    Parameters
    ----------
    momentum
        True four-momenta, GeV, shape (n, 4).
    rng
        Source of randomness.

    Returns
    -------
    One standard deviation of pT (GeV), η and φ (radians), shape (n,) each.
    """
    pt, eta, _ = pt_eta_phi(momentum)
    quality = rng.uniform(*_TRACK_QUALITY, (3, len(pt)))
    relative = _BARREL_RESOLUTION * (1 + _FORWARD * eta**2) + _RESOLUTION_SLOPE * pt
    angle = np.hypot(_ANGLE_HIT, _ANGLE_SCATTERING / pt)
    return Measured(pt * relative * quality[0], angle * quality[1], angle * quality[2])


def measure_with(momentum: Floats, errors: Measured, rng: np.random.Generator) -> Measured:
    """Measure particles, each with its own resolution.

    Parameters
    ----------
    momentum
        True four-momenta, GeV, shape (n, 4).
    errors
        Their resolutions.
    rng
        Source of randomness.
    """
    pt, eta, phi = pt_eta_phi(momentum)
    return Measured(
        pt + errors.pt * rng.normal(size=len(pt)),
        eta + errors.eta * rng.normal(size=len(pt)),
        wrap(phi + errors.phi * rng.normal(size=len(pt))),
    )


def impact_parameters(origin: Floats, direction: Measured) -> tuple[Floats, Floats]:
    """Transverse and longitudinal impact parameter of straight tracks, cm, shape (n,) each.

    Parameters
    ----------
    origin
        Points on the tracks, relative to the primary vertex, cm, shape (n, 3).
    direction
        Of the tracks.
    """
    cos, sin = np.cos(direction.phi), np.sin(direction.phi)
    x, y, z = origin.T
    return y * cos - x * sin, z - (x * cos + y * sin) * np.sinh(direction.eta)


def refit(momentum: Floats, measured: Measured, rng: np.random.Generator) -> Measured:
    """Momenta after the vertex fit: nearer to the truth than the measurement that went into it.

    Parameters
    ----------
    momentum
        True four-momenta, GeV, shape (n, 4).
    measured
        The same particles as measured.
    rng
        Source of randomness.
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
    """Particles that belong to nothing, with an exponential pT spectrum above a threshold (GeV)."""
    return Measured(
        threshold + rng.exponential(mean, n),
        rng.uniform(-2.4, 2.4, n),
        rng.uniform(-np.pi, np.pi, n),
    )


def wrap(angle: Floats) -> Floats:
    """Bring an azimuth into [-π, π)."""
    wrapped: Floats = (angle + np.pi) % (2 * np.pi) - np.pi
    return wrapped


def primary_vertices(n: int, rng: np.random.Generator) -> Floats:
    """Primary vertices, cm, shape (n, 3)."""
    widths = (_BEAM_WIDTH, _BEAM_WIDTH, _BEAM_LENGTH)
    return rng.normal((*BEAM_SPOT, 0.0), widths, size=(n, 3))


def vertex_branches(
    primary: Floats,
    displacement: Floats,
    chi2_scale: Floats,
    interactions: npt.NDArray[np.int64],
    rng: np.random.Generator,
    suffix: str = "2",
) -> dict[str, Floats]:
    """Vertex fit of each candidate: position, quality and flight distances.

    Parameters
    ----------
    primary
        Primary vertices, cm, shape (n, 3).
    displacement
        True position of the decay relative to the primary vertex, cm, shape (n, 3).
    chi2_scale
        Factor on the χ² of the fit, 1 if the three have a vertex in common. Shape (n,).
    interactions
        Their number in the candidate's event, shape (n,).
    rng
        Source of randomness.
    suffix
        What the flavour of the ntuple adds to the names of the branches.

    Returns
    -------
    Branches by name, shape (n,) each; distances in cm.
    """
    n = len(displacement)
    error = _VERTEX_RESOLUTION * np.exp(rng.normal(0, _VERTEX_SPREAD, n))
    resolution = np.stack([error, error, np.full(n, _VERTEX_RESOLUTION_Z)], axis=1)
    secondary = primary + displacement + rng.normal(0, resolution)
    from_primary = np.linalg.norm(secondary - primary, axis=1)
    from_beam = np.hypot(*(secondary[:, :2] - np.array(BEAM_SPOT)).T)
    primary_error = np.hypot(error, _BEAM_WIDTH)

    n_tracks = rng.poisson(_PV_TRACKS + _PV_TRACKS_FOR_EACH_INTERACTION * interactions)
    n_tracks[rng.random(n) < 0.02] = 1  # hardly anything left without the three tracks
    branches = {
        f"TripletVtx{suffix}_Chi2": rng.chisquare(VERTEX_NDOF, n) * chi2_scale,
        f"TripletVtx{suffix}_NDOF": np.full(n, float(VERTEX_NDOF)),
        f"RefittedPV{suffix}_NTracks": n_tracks.astype(np.float64),
        f"FlightDistPVSV{suffix}": from_primary,
        f"FlightDistPVSV{suffix}_Err": primary_error,
        f"FlightDistPVSV{suffix}_Significance": from_primary / primary_error,
        "FlightDistBS_SV": from_beam,
        "FlightDistBS_SV_Err": error,
        "FlightDistBS_SV_Significance": from_beam / error,
    }
    for axis, name in enumerate("xyz"):
        branches[f"TripletVtx{suffix}_{name}"] = secondary[:, axis]
        branches[f"RefittedPV{suffix}_{name}"] = primary[:, axis]
    return branches


def muon_branches(
    momenta: Measured,
    charge: npt.NDArray[np.int64],
    vertex_z: Floats,
    identified: Floats,
    rng: np.random.Generator,
    soft: float | Floats = 0.90,
) -> dict[str, npt.NDArray[Any]]:
    """Muon branches: momentum, charge, flags, origin and errors.

    Parameters
    ----------
    momenta
        Muons as measured, shape (n,).
    charge
        Their charges, shape (n,).
    vertex_z
        Position of their event's primary vertex along the beam, cm, shape (n,).
    identified
        Probability of each to be global and PF, shape (n,).
    rng
        Source of randomness.
    soft
        Probability of each to be a soft muon.
    """
    n = len(momenta)
    flags: dict[str, float | Floats] = {
        "isGlobal": identified**_GLOBAL_SHARE,
        "isPF": identified ** (1 - _GLOBAL_SHARE),
        "isSoft": soft,
        "isTrackerMuon": 0.99,
        "isLoose": 0.98,
    }
    branches: dict[str, npt.NDArray[Any]] = {
        f"Muon_{name}": (rng.random(n) < efficiency).astype(np.float64)
        for name, efficiency in flags.items()
    }
    return branches | {
        "MuonPt": momenta.pt.astype(np.float32),
        "MuonEta": momenta.eta.astype(np.float32),
        "MuonPhi": momenta.phi.astype(np.float32),
        "MuonEnergy": momenta.four_momentum(MUON_MASS)[:, 0],
        "MuonCharge": charge.astype(np.float64),
        "Muon_vx": rng.normal(BEAM_SPOT[0], 0.01, n),
        "Muon_vy": rng.normal(BEAM_SPOT[1], 0.01, n),
        "Muon_vz": vertex_z + rng.normal(0, 0.02, n),
        "Muon_BestTrackPtErr": momenta.pt * PT_RESOLUTION * rng.uniform(0.8, 1.2, n),
        "Muon_BestTrackEtaErr": ANGLE_RESOLUTION * rng.uniform(0.8, 1.2, n),
        "Muon_BestTrackPhiErr": ANGLE_RESOLUTION * rng.uniform(0.8, 1.2, n),
    }


def track_branches(
    momenta: Measured, charge: npt.NDArray[np.int64], rng: np.random.Generator
) -> dict[str, Floats]:
    """Track branches: momentum, charge and impact parameters (cm) with their errors."""
    n = len(momenta)
    far = rng.random((2, n)) < 0.02
    return {
        "Track_pt": momenta.pt,
        "Track_eta": momenta.eta,
        "Track_phi": momenta.phi,
        "Track_charge": charge.astype(np.float64),
        "Track_dxy": np.where(far[0], rng.uniform(-1, 1, n), rng.normal(0, 0.03, n)),
        "Track_dz": np.where(far[1], rng.uniform(-40, 40, n), rng.normal(0, 0.1, n)),
        "Track_dxyError": rng.uniform(0.001, 0.005, n),
        "Track_dzError": rng.uniform(0.002, 0.010, n),
    }


def trigger_match_distance(n: int, rng: np.random.Generator) -> Floats:
    """ΔR of a particle to its trigger object; large or -99 where there is none. Shape (n,)."""
    matched = rng.rayleigh(0.006, n)
    unmatched = np.where(rng.random(n) < 0.5, rng.uniform(0.03, 2.0, n), -99.0)
    return np.where(rng.random(n) < 0.95, matched, unmatched)
