"""Resolution of an invariant mass, from the errors of its particles' momenta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
#: Quantiles of a Gaussian at one standard deviation below and above its mean.
_SIGMA = (0.158655, 0.841345)


def mass_resolution(
    particles: Sequence[ak.Array], errors: Sequence[Sequence[ak.Array]]
) -> ak.Array:
    """Return the relative resolution σm/m of the invariant mass m of some particles.

    Each parameter x of each particle is moved up and down by its error σ, and the half differences
    [m(x+σ) - m(x-σ)]/2 are added in quadrature: errors are taken to be uncorrelated.

    Parameters
    ----------
    particles
        Arrays of records with ``pt``, ``eta``, ``phi``, ``mass`` (GeV, radians), of one shape: a
        list an event.
    errors
        For each particle the errors of its ``pt``, ``eta`` and ``phi``, of that shape. What is left
        out at the end (``phi``, or ``eta`` and ``phi``) is taken to be known exactly.

    Returns
    -------
    Array of that shape; not a number where a parameter or an error is none, or the mass is 0.
    """
    counts = ak.num(particles[0].pt)
    coordinates = [
        [_flat(particle[name]) for name in ("pt", "eta", "phi", "mass")] for particle in particles
    ]
    # momenta and energies: a moved parameter changes one particle alone
    momenta = [_four_momentum(*each) for each in coordinates]
    total = np.sum(momenta, axis=0)
    variance = np.zeros(total.shape[1])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for known, own, of_particle in zip(coordinates, momenta, errors, strict=True):
            for parameter, error in enumerate(map(_flat, of_particle)):
                masses = []
                for sign in (1, -1):
                    moved = list(known)
                    moved[parameter] = known[parameter] + sign * error
                    masses.append(_mass(total - own + _four_momentum(*moved)))
                variance += ((masses[0] - masses[1]) / 2) ** 2
        mass = _mass(total)
        relative = np.where(mass > 0, np.sqrt(variance) / mass, np.nan)
    return ak.unflatten(relative, counts)


def _flat(values: Any) -> Floats:
    flat: Floats = ak.to_numpy(ak.flatten(values)).astype(np.float64)
    return flat


def _four_momentum(pt: Floats, eta: Floats, phi: Floats, mass: Floats) -> Floats:
    """(E, px, py, pz), shape (4, n)."""
    with np.errstate(over="ignore", invalid="ignore"):
        pz = pt * np.sinh(eta)
        energy = np.sqrt(pt**2 + pz**2 + mass**2)
        return np.stack([energy, pt * np.cos(phi), pt * np.sin(phi), pz])


def _mass(momentum: Floats) -> Floats:
    square = momentum[0] ** 2 - np.sum(momentum[1:] ** 2, axis=0)
    root: Floats = np.sqrt(np.maximum(square, 0.0))
    return root


def width_of(masses: Floats) -> float:
    """Return half the width of the central 68% of measured masses, GeV, shape (n,)."""
    low, high = np.quantile(masses, _SIGMA)
    return float(high - low) / 2
