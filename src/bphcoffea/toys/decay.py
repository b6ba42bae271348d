"""Exact two-body decays on arrays.

Four-momenta are arrays of shape (n, 4) that hold (E, px, py, pz) in GeV.
"""

from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Booleans: TypeAlias = npt.NDArray[np.bool_]
#: Numbers of any type, as branches have them.
Numbers: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Table:
    """Arrays of the same length, which are indexed and joined together; subclasses add columns."""

    def __len__(self) -> int:
        return len(next(iter(vars(self).values())))

    def __getitem__(self, rows: Integers | Booleans) -> Self:
        return type(self)(**{name: column[rows] for name, column in vars(self).items()})

    def __add__(self, other: Self) -> Self:
        columns = {
            name: np.concatenate([column, getattr(other, name)])
            for name, column in vars(self).items()
        }
        return type(self)(**columns)


def four_momentum(pt: Floats, eta: Floats, phi: Floats, mass: float | Floats) -> Floats:
    """Return four-momenta from collider coordinates.

    Parameters
    ----------
    pt, eta, phi
        Transverse momentum (GeV), pseudorapidity and azimuth (radians), shape (n,).
    mass
        GeV, a number or shape (n,).

    Returns
    -------
    Shape (n, 4).
    """
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + np.square(mass))
    return np.stack([energy, px, py, pz], axis=-1)


def pt_eta_phi(momentum: Floats) -> tuple[Floats, Floats, Floats]:
    """Return transverse momenta (GeV), pseudorapidities and azimuths (radians), shape (n,) each."""
    pt = np.hypot(momentum[:, 1], momentum[:, 2])
    eta = np.arcsinh(momentum[:, 3] / pt)
    return pt, eta, np.arctan2(momentum[:, 2], momentum[:, 1])


def mass(momentum: Floats) -> Floats:
    """Return invariant masses, GeV, shape (n,); 0 if rounding makes the square negative."""
    square = momentum[:, 0] ** 2 - np.sum(momentum[:, 1:] ** 2, axis=1)
    root: Floats = np.sqrt(np.maximum(square, 0.0))
    return root


def breakup_momentum(
    parent: float | Floats, first: float | Floats, second: float | Floats
) -> Floats:
    """Return the momentum of either daughter in the rest frame of the parent, GeV.

    |p| = √[(M² − (m₁ + m₂)²)(M² − (m₁ − m₂)²)] / 2M.

    Parameters
    ----------
    parent, first, second
        Masses M, m₁ and m₂, GeV, numbers or shape (n,).

    Raises
    ------
    ValueError
        If a parent is lighter than its daughters.
    """
    m, plus, minus = np.asarray(parent), np.add(first, second), np.subtract(first, second)
    if np.any(m < plus):
        raise ValueError("a parent is lighter than its daughters together")
    momentum: Floats = np.sqrt((m**2 - plus**2) * (m**2 - minus**2)) / (2 * m)
    return momentum


def isotropic(n: int, rng: np.random.Generator) -> Floats:
    """Draw unit vectors that are uniform on the sphere, shape (n, 3)."""
    cos_theta = rng.uniform(-1, 1, n)
    sin_theta = np.sqrt(1 - cos_theta**2)
    phi = rng.uniform(-np.pi, np.pi, n)
    return np.stack([sin_theta * np.cos(phi), sin_theta * np.sin(phi), cos_theta], axis=-1)


def boost(momentum: Floats, frame: Floats) -> Floats:
    """Boost four-momenta, shape (n, 4), out of the rest frames of massive particles."""
    m = mass(frame)
    along = np.sum(frame[:, 1:] * momentum[:, 1:], axis=1)
    energy = (frame[:, 0] * momentum[:, 0] + along) / m
    shift = (momentum[:, 0] + energy) / (frame[:, 0] + m)
    return np.column_stack([energy, momentum[:, 1:] + shift[:, np.newaxis] * frame[:, 1:]])


def two_body(
    parent: Floats, first: float | Floats, second: float | Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw two-body decays, isotropic in the rest frames of the parents.

    Parameters
    ----------
    parent
        Four-momenta of the parents, shape (n, 4).
    first, second
        Masses of the daughters, GeV, numbers or shape (n,).
    rng
        Source of randomness.

    Returns
    -------
    The two daughters, shape (n, 4) each.
    """
    p = breakup_momentum(mass(parent), first, second)
    vector = p[:, np.newaxis] * isotropic(len(parent), rng)
    at_rest = [
        np.column_stack([np.sqrt(p**2 + np.square(m)), sign * vector])
        for m, sign in ((first, 1), (second, -1))
    ]
    return boost(at_rest[0], parent), boost(at_rest[1], parent)


def companion(
    particle: Floats, companion_mass: float, total_mass: Floats, rng: np.random.Generator
) -> Floats:
    """Draw another particle that gives a particle and itself a given invariant mass.

    It is isotropic in the rest frame of the given particle, which therefore does not depend on the
    mass, as for random tracks beside a real resonance.

    Parameters
    ----------
    particle
        Four-momenta of the given particles, shape (n, 4).
    companion_mass
        Mass of the companion, GeV.
    total_mass
        Invariant mass of both, GeV, shape (n,), at least the sum of the masses.
    rng
        Source of randomness.

    Returns
    -------
    Four-momenta of the companions, shape (n, 4).
    """
    m = mass(particle)
    energy = (total_mass**2 - m**2 - companion_mass**2) / (2 * m)
    if np.any(energy < companion_mass):
        raise ValueError("the invariant mass is smaller than the sum of the two masses")
    p = np.sqrt(energy**2 - companion_mass**2)
    at_rest = np.column_stack([energy, p[:, np.newaxis] * isotropic(len(particle), rng)])
    return boost(at_rest, particle)


def breit_wigner(
    pole: float, width: float, low: float | Floats, high: float | Floats, rng: np.random.Generator
) -> Floats:
    """Draw masses of a resonance, from a non-relativistic Breit-Wigner between two bounds.

    Parameters
    ----------
    pole, width
        Mass and full width at half maximum, GeV.
    low, high
        Allowed range, GeV, numbers or shape (n,); at least one of them an array.
    rng
        Source of randomness.
    """
    start, stop = (np.arctan(2 * (np.asarray(edge) - pole) / width) for edge in (low, high))
    angle = rng.uniform(start, stop)
    # tan(arctan(x)) may round to beyond the bounds
    masses: Floats = np.clip(pole + width / 2 * np.tan(angle), low, high)
    return masses
