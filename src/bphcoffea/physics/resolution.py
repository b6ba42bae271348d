"""Resolution of an invariant mass, from the uncertainties of the momenta of its particles."""

from __future__ import annotations

from collections.abc import Sequence

import awkward as ak
import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.physics.lists import doubles


def mass_resolution(
    particles: Sequence[ak.Array], errors: Sequence[Sequence[ak.Array]]
) -> ak.Array:
    """Return the relative resolution σm/m of the invariant mass m of a set of particles.

    Each parameter x of each particle is moved up and down by its uncertainty σ, and the half
    differences [m(x+σ) - m(x-σ)]/2 are added in quadrature, as for uncorrelated uncertainties.

    Parameters
    ----------
    particles
        Arrays of records with ``pt``, ``eta``, ``phi``, ``mass`` (GeV, radians), of equal shape:
        one list per event.
    errors
        Uncertainties of ``pt``, ``eta`` and ``phi`` of each particle, of the same shape. ``phi``,
        or ``eta`` and ``phi``, may be left out if they are known exactly.

    Returns
    -------
    array
        Resolutions, of the same shape; NaN if a parameter or an uncertainty is NaN, or the mass is
        not positive.
    """
    counts = ak.num(particles[0].pt)
    coordinates = [
        [doubles(particle[name]) for name in ("pt", "eta", "phi", "mass")] for particle in particles
    ]
    # in Cartesian components, a moved parameter changes the sum by one particle alone
    momenta = [_four_momentum(*coordinate) for coordinate in coordinates]
    total = np.sum(momenta, axis=0)
    variance = np.zeros(total.shape[1])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for nominal, momentum, sigmas in zip(coordinates, momenta, errors, strict=True):
            for parameter, sigma in enumerate(map(doubles, sigmas)):
                masses = []
                for sign in (1, -1):
                    moved = list(nominal)
                    moved[parameter] = nominal[parameter] + sign * sigma
                    masses.append(_mass(total - momentum + _four_momentum(*moved)))
                variance += ((masses[0] - masses[1]) / 2) ** 2
        mass = _mass(total)
        relative = np.where(mass > 0, np.sqrt(variance) / mass, np.nan)
    return ak.unflatten(relative, counts)


def _four_momentum(pt: Floats, eta: Floats, phi: Floats, mass: Floats) -> Floats:
    """Return (E, px, py, pz), shape (4, n)."""
    with np.errstate(over="ignore", invalid="ignore"):
        pz = pt * np.sinh(eta)
        energy = np.sqrt(pt**2 + pz**2 + mass**2)
        return np.stack([energy, pt * np.cos(phi), pt * np.sin(phi), pz])


def _mass(momentum: Floats) -> Floats:
    square = momentum[0] ** 2 - np.sum(momentum[1:] ** 2, axis=0)
    root: Floats = np.sqrt(np.maximum(square, 0.0))
    return root
