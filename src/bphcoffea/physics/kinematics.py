"""Kinematics of particles, on awkward arrays."""

from collections.abc import Iterable, Iterator
from functools import partial, reduce
from operator import add
from typing import Final

import awkward as ak
import numpy as np
import vector
from coffea.nanoevents.methods.vector import behavior

from bphcoffea.arrays import Floats
from bphcoffea.physics.lists import elementwise

COORDINATES: Final = ("pt", "eta", "phi", "mass")
#: The same coordinates in vector. It knows the names above as well, but renames them by changing
#: numpy arrays in a way that numpy 2.5 deprecates.
_OF_VECTOR: Final = ("rho", "eta", "phi", "tau")


def delta_r(first: ak.Array, second: ak.Array) -> ak.Array:
    """Return the distance ΔR = √(Δη² + Δφ²) of two particles, with Δφ in [-π, π).

    Parameters
    ----------
    first, second
        Arrays of particles with ``eta`` and ``phi`` (radians), of equal shape.

    Returns
    -------
    array
        Distances, of the same shape.

    Notes
    -----
    Only ``eta`` and ``phi`` are read, so that shifts of the momentum do not affect the distance.
    """
    return elementwise(
        _distance, *(particle[name] for name in ("eta", "phi") for particle in (first, second))
    )


def invariant_mass(*particles: ak.Array) -> ak.Array:
    """Return the invariant mass of two or more particles, GeV.

    Parameters
    ----------
    particles
        Arrays of particles with ``pt``, ``eta``, ``phi``, ``mass`` (GeV, radians), of equal shape.
    """
    return elementwise(_mass, *_coordinates(particles))


def recoil_mass(energy: float, *particles: ak.Array) -> ak.Array:
    """Return the mass that recoils against particles in collisions of particle and antiparticle.

    Parameters
    ----------
    energy
        Collision energy in the centre of mass, which is at rest, GeV.
    particles
        Arrays of particles with ``pt``, ``eta``, ``phi``, ``mass`` (GeV, radians), of equal shape.

    Returns
    -------
    array
        √((√s - E)² - p²), GeV; negative if the square is, as the mass of a vector in ROOT.
    """
    return elementwise(partial(_recoil_mass, energy), *_coordinates(particles))


def four_momentum(particle: ak.Array) -> ak.Array:
    """Return the four-momentum of a particle in double precision, without its other fields.

    The mass of a light, boosted pair is a small difference of large numbers, for which the single
    precision of NanoAOD does not suffice.
    """
    return ak.zip(
        {name: ak.values_astype(particle[name], np.float64) for name in COORDINATES},
        with_name="PtEtaPhiMLorentzVector",
        behavior=behavior,
    )


def _coordinates(particles: Iterable[ak.Array]) -> Iterator[ak.Array]:
    """Yield the coordinates of each particle in turn."""
    return (particle[name] for particle in particles for name in COORDINATES)


def _sum(coordinates: tuple[Floats, ...]) -> vector.VectorNumpy4D:
    """Return the sum of the momenta of particles with these coordinates."""
    # four at a time
    in_turn = iter(coordinates)
    momenta = (
        vector.array(dict(zip(_OF_VECTOR, of_particle, strict=True)))
        for of_particle in zip(*[in_turn] * len(_OF_VECTOR), strict=True)
    )
    return reduce(add, momenta)


def _mass(*coordinates: Floats) -> Floats:
    mass: Floats = _sum(coordinates).tau
    return mass


def _recoil_mass(energy: float, *coordinates: Floats) -> Floats:
    total = _sum(coordinates)
    squared = (energy - total.t) ** 2 - total.mag2
    masses: Floats = np.sign(squared) * np.sqrt(abs(squared))
    return masses


def _distance(*coordinates: Floats) -> Floats:
    first_eta, second_eta, first_phi, second_phi = coordinates
    delta_phi = (first_phi - second_phi + np.pi) % (2 * np.pi) - np.pi
    distance: Floats = np.sqrt(delta_phi**2 + (first_eta - second_eta) ** 2)
    return distance
