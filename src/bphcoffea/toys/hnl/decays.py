"""Collisions of the toy: Ds → μN with N → μπ, and background."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from bphcoffea.physics.constants import DS_MASS, MUON_MASS, PION_MASS
from bphcoffea.toys.decay import (
    Booleans,
    Floats,
    Integers,
    Table,
    four_momentum,
    isotropic,
    pt_eta_phi,
    two_body,
)
from bphcoffea.toys.detector import slope
from bphcoffea.toys.generation import DS_CTAU, falling_masses, random_charges, spectrum

_MM_PER_CM: Final = 10.0
#: cτ·|V|²·k of a Majorana neutral lepton of 1 GeV, mm: ħc/Γ(|V|² = 1) of one channel; Γ grows with
#: the fifth power of the mass. And the open channels k, by the mass, GeV [arXiv:1805.08567].
_CTAU_OF_1_GEV: Final = 4.317458
_CHANNELS: Final = ((1.0, 1.25, 1.5, 2.0), (7.6, 7.75, 7.8, 7.8))

#: Requirements of the generator's filter: one muon that may fire the trigger; and thresholds of
#: both muons and of the pion. pT in GeV. The filter ignores where the particles come from.
_TRIGGER_PT, _TRIGGER_ETA = 7.2, 1.5
_THRESHOLDS, _ETA_MAX = (3.0, 3.0, 0.6), 2.4

#: Range, GeV, and slope, 1/GeV, of the mass of a muon and a random track. The range ends beyond
#: that of the histograms and beyond the Ds.
BACKGROUND_RANGE: Final = (0.3, 2.1)
BACKGROUND_SLOPE: Final = 0.8
#: Maximum of the mass of all three together, and its minimum above threshold, GeV.
_MOST_TOGETHER, _RELEASED = 3.2, 0.02
#: Range of a random track's momentum relative to that of the muon. Below it, no angle gives a mass
#: at the beginning of the mass range.
_TRACK_SHARE: Final = (0.4, 1.0)
#: Transverse distances of the vertices of random tracks: probabilities, and means, cm.
_FAKE_VERTICES: Final = ((0.45, 0.30, 0.25), (0.4, 3.0, 12.0))
#: Spread of their direction around that of the momentum, radians.
_FAKE_POINTING: Final = 0.05


@dataclass(frozen=True)
class Decays(Table):
    """A Ds → μN, N → μπ for each event, or background in the place of its particles.

    Attributes
    ----------
    hnl, mu_ds, mu_hnl, pi
        Four-momenta (E, px, py, pz), GeV, shape (n, 4).
    charge_ds, charge_hnl, charge_pi
        Charges of the two muons and the pion, shape (n,).
    proper_length
        Proper decay length of N, mm; NaN without an N. Shape (n,).
    ds_flight, flight
        Vectors from the primary vertex to the decay of the Ds, and from there to that of N, cm,
        shape (n, 3).
    signal
        Whether there is an N, shape (n,).
    """

    hnl: Floats
    mu_ds: Floats
    mu_hnl: Floats
    pi: Floats
    charge_ds: Integers
    charge_hnl: Integers
    charge_pi: Integers
    proper_length: Floats
    ds_flight: Floats
    flight: Floats
    signal: Booleans


def mean_proper_length(hnl_mass: float, mixing: float, *, majorana: bool = True) -> float:
    """Return the mean proper decay length cτ of a heavy neutral lepton, mm.

    Parameters
    ----------
    hnl_mass
        Mass, GeV, at least 1.
    mixing
        |V|², the square of its mixing with the muon's neutrino.
    majorana
        Whether it is a Majorana particle; a Dirac particle lives twice as long.
    """
    channels = float(np.interp(hnl_mass, *_CHANNELS))
    return _CTAU_OF_1_GEV / (channels * hnl_mass**5 * mixing) * (1 if majorana else 2)


def signal_decays(
    n: int, hnl_mass: float, ctau: float, rng: np.random.Generator, *, majorana: bool = True
) -> Decays:
    """Draw decays of Ds to a heavy neutral lepton.

    Parameters
    ----------
    n
        Number of decays, after the generator's filter.
    hnl_mass
        Mass of the lepton, GeV.
    ctau
        Mean proper decay length, mm.
    rng
        Source of randomness.
    majorana
        Whether the lepton is a Majorana particle, which gives muons of equal charges as often as of
        opposite ones; a Dirac particle gives opposite charges only.
    """
    hnl, mu_ds, mu_hnl, pi = _filtered(n, lambda number: _unfiltered(number, hnl_mass, rng))
    ds = hnl + mu_ds
    proper = rng.exponential(ctau, n)
    charge_ds, charge_hnl = random_charges(n, rng), random_charges(n, rng)
    if not majorana:
        charge_hnl = -charge_ds
    return Decays(
        hnl=hnl,
        mu_ds=mu_ds,
        mu_hnl=mu_hnl,
        pi=pi,
        charge_ds=charge_ds,
        charge_hnl=charge_hnl,
        charge_pi=-charge_hnl,
        proper_length=proper,
        ds_flight=_flight(ds, rng.exponential(DS_CTAU, n), DS_MASS),
        flight=_flight(hnl, proper / _MM_PER_CM, hnl_mass),
        signal=np.full(n, True),
    )


def filter_efficiency(n: int, hnl_mass: float, rng: np.random.Generator) -> float:
    """Return the fraction of n decays to a lepton of a mass, GeV, that pass the filter."""
    return len(_passing(_unfiltered(n, hnl_mass, rng))) / n


def background_decays(n: int, rng: np.random.Generator) -> Decays:
    """Draw two muons and a track that come from no Ds, with smooth masses."""

    def draw(number: int) -> list[Floats]:
        pt, eta, phi = spectrum(number, rng)
        pair = random_masses(number, rng)
        total = rng.uniform(pair + MUON_MASS + _RELEASED, _MOST_TOGETHER)
        hnl, mu_ds = two_body(four_momentum(pt, eta, phi, total), pair, MUON_MASS, rng)
        return [hnl, mu_ds, *two_body(hnl, MUON_MASS, PION_MASS, rng)]

    hnl, mu_ds, mu_hnl, pi = _filtered(n, draw)
    return Decays(
        hnl=hnl,
        mu_ds=mu_ds,
        mu_hnl=mu_hnl,
        pi=pi,
        charge_ds=random_charges(n, rng),
        charge_hnl=random_charges(n, rng),
        charge_pi=random_charges(n, rng),
        proper_length=np.full(n, np.nan),
        ds_flight=_flight(hnl + mu_ds, rng.exponential(DS_CTAU, n), DS_MASS),
        flight=random_flights(hnl, rng),
        signal=np.full(n, False),
    )


def random_tracks(muon: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw one unrelated pion for each muon, and the vector to their apparent vertex.

    Four-momenta have shape (n, 4); vectors start at the primary vertex, cm, shape (n, 3).
    """
    n = len(muon)
    of_muon = np.linalg.norm(muon[:, 1:], axis=1)
    of_pi = of_muon * rng.uniform(*_TRACK_SHARE, n)
    energy = np.hypot(of_pi, PION_MASS)
    square = random_masses(n, rng) ** 2 - MUON_MASS**2 - PION_MASS**2
    cosine = (muon[:, 0] * energy - square / 2) / (of_muon * of_pi)
    along = muon[:, 1:] / of_muon[:, np.newaxis]
    across = np.cross(along, isotropic(n, rng))
    across /= np.linalg.norm(across, axis=1)[:, np.newaxis]
    direction = cosine[:, np.newaxis] * along + np.sqrt(1 - cosine**2)[:, np.newaxis] * across
    pi = np.column_stack([energy, of_pi[:, np.newaxis] * direction])
    return pi, random_flights(muon + pi, rng)


def random_masses(n: int, rng: np.random.Generator) -> Floats:
    """Draw masses of a muon and a random track, GeV, which fall exponentially. Shape (n,)."""
    least = np.full(n, BACKGROUND_RANGE[0])
    return falling_masses(*BACKGROUND_RANGE, BACKGROUND_SLOPE, rng, least)


def random_flights(momentum: Floats, rng: np.random.Generator) -> Floats:
    """Draw vectors to random vertices near the directions of four-momenta, cm, shape (n, 3)."""
    probabilities, means = _FAKE_VERTICES
    n = len(momentum)
    distance: Floats = rng.exponential(np.array(means)[rng.choice(len(means), n, p=probabilities)])
    _, eta, phi = pt_eta_phi(momentum)
    phi = phi + rng.normal(0, _FAKE_POINTING, n)
    return distance[:, np.newaxis] * slope(eta, phi)


def _unfiltered(n: int, hnl_mass: float, rng: np.random.Generator) -> list[Floats]:
    """Draw N, its sister muon, its muon and its pion, four-momenta of shape (n, 4)."""
    ds = four_momentum(*spectrum(n, rng), DS_MASS)
    hnl, mu_ds = two_body(ds, hnl_mass, MUON_MASS, rng)
    return [hnl, mu_ds, *two_body(hnl, MUON_MASS, PION_MASS, rng)]


def _passing(particles: list[Floats]) -> Integers:
    """Return the rows of N, its sister muon, its muon and its pion that pass the filter."""
    coordinates = [pt_eta_phi(momentum) for momentum in particles[1:]]
    accepted = [
        (pt > threshold) & (np.abs(eta) < _ETA_MAX)
        for threshold, (pt, eta, _) in zip(_THRESHOLDS, coordinates, strict=True)
    ]
    seen = [(pt > _TRIGGER_PT) & (np.abs(eta) < _TRIGGER_ETA) for pt, eta, _ in coordinates[:2]]
    return np.flatnonzero(np.logical_and.reduce(accepted) & np.logical_or.reduce(seen))


def _filtered(n: int, draw: Callable[[int], list[Floats]]) -> list[Floats]:
    """Draw N, its sister muon, its muon and its pion until n pass the generator's filter."""
    kept: list[list[Floats]] = []
    missing = n
    while missing > 0 or not kept:
        particles = draw(4 * missing + 100)
        passing = _passing(particles)
        kept.append([momentum[passing[: max(missing, 0)]] for momentum in particles])
        missing -= len(passing)
    return [np.concatenate(parts) for parts in zip(*kept, strict=True)]


def _flight(momentum: Floats, proper: Floats, particle_mass: float) -> Floats:
    """Return the vector that a particle flies in its proper length; both in cm."""
    flight: Floats = momentum[:, 1:] * (proper / particle_mass)[:, np.newaxis]
    return flight
