"""Exact two-body decays on arrays.

Four-momenta are arrays of shape (n, 4) that hold (E, px, py, pz) in GeV.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Booleans: TypeAlias = npt.NDArray[np.bool_]


def four_momentum(pt: Floats, eta: Floats, phi: Floats, mass: float | Floats) -> Floats:
    """Four-momentum from collider coordinates.

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
    """Transverse momentum (GeV), pseudorapidity and azimuth (radians) of shape (n,) each."""
    pt = np.hypot(momentum[:, 1], momentum[:, 2])
    eta = np.arcsinh(momentum[:, 3] / pt)
    return pt, eta, np.arctan2(momentum[:, 2], momentum[:, 1])


def mass(momentum: Floats) -> Floats:
    """Invariant mass, GeV; 0 where rounding makes its square negative. Shape (n,)."""
    square = momentum[:, 0] ** 2 - np.sum(momentum[:, 1:] ** 2, axis=1)
    root: Floats = np.sqrt(np.maximum(square, 0.0))
    return root


def breakup_momentum(
    parent: float | Floats, first: float | Floats, second: float | Floats
) -> Floats:
    """Momentum of either daughter in the rest frame of the parent, GeV.

    |p| = √[(M² − (m₁ + m₂)²)(M² − (m₁ − m₂)²)] / 2M.

    Parameters
    ----------
    parent, first, second
        Masses M, m₁ and m₂, GeV, numbers or shape (n,).

    Raises
    ------
    ValueError
        A parent is lighter than its daughters.
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
    """Bring four-momenta from the rest frame of others into the frame in which those are given.

    Parameters
    ----------
    momentum
        As seen in the rest frames, shape (n, 4).
    frame
        Four-momenta of the moving particles, massive, shape (n, 4).
    """
    m = mass(frame)
    along = np.sum(frame[:, 1:] * momentum[:, 1:], axis=1)
    energy = (frame[:, 0] * momentum[:, 0] + along) / m
    shift = (momentum[:, 0] + energy) / (frame[:, 0] + m)
    return np.column_stack([energy, momentum[:, 1:] + shift[:, np.newaxis] * frame[:, 1:]])


def two_body(
    parent: Floats, first: float | Floats, second: float | Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Let particles decay into two, isotropically in their rest frames.

    Parameters
    ----------
    parent
        Shape (n, 4).
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
    particle: Floats, own_mass: float, total_mass: Floats, rng: np.random.Generator
) -> Floats:
    """Another particle, with which the given ones have the wanted invariant mass.

    It is isotropic in the rest frame of the given particle, so that nothing of the given one
    depends on the mass: random tracks beside a real resonance are like that.

    Parameters
    ----------
    particle
        Shape (n, 4).
    own_mass
        Mass of the companion, GeV.
    total_mass
        Wanted invariant mass, GeV, shape (n,), at least the sum of the masses.
    rng
        Source of randomness.

    Returns
    -------
    Shape (n, 4).
    """
    m = mass(particle)
    energy = (total_mass**2 - m**2 - own_mass**2) / (2 * m)
    if np.any(energy < own_mass):
        raise ValueError("the wanted mass is smaller than the masses of the two together")
    p = np.sqrt(energy**2 - own_mass**2)
    at_rest = np.column_stack([energy, p[:, np.newaxis] * isotropic(len(particle), rng)])
    return boost(at_rest, particle)


def breit_wigner(
    pole: float, width: float, low: float | Floats, high: float | Floats, rng: np.random.Generator
) -> Floats:
    """Masses of a resonance, from a non-relativistic Breit-Wigner between two bounds.

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
    # the bounds themselves, whatever tan(arctan(x)) rounds to
    masses: Floats = np.clip(pole + width / 2 * np.tan(angle), low, high)
    return masses
