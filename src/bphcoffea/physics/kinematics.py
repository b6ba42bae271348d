"""Kinematics of particles, on awkward arrays."""

from functools import reduce
from operator import add

import awkward as ak
import numpy as np
from coffea.nanoevents.methods import vector


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
    eta, phi = (
        [ak.values_astype(particle[name], np.float64) for particle in (first, second)]
        for name in ("eta", "phi")
    )
    delta_phi = (phi[0] - phi[1] + np.pi) % (2 * np.pi) - np.pi
    return np.sqrt(delta_phi**2 + (eta[0] - eta[1]) ** 2)


def invariant_mass(*particles: ak.Array) -> ak.Array:
    """Return the invariant mass of two or more particles, GeV.

    Parameters
    ----------
    particles
        Arrays of particles with ``pt``, ``eta``, ``phi``, ``mass`` (GeV, radians), of equal shape.
    """
    return reduce(add, map(four_momentum, particles)).mass


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
    total = reduce(add, map(four_momentum, particles))
    squared = (energy - total.energy) ** 2 - total.p2
    return np.sign(squared) * np.sqrt(abs(squared))


def four_momentum(particle: ak.Array) -> ak.Array:
    """Return the four-momentum of a particle in double precision, without its other fields.

    The mass of a light, boosted pair is a small difference of large numbers, for which the single
    precision of NanoAOD does not suffice.
    """
    return ak.zip(
        {
            name: ak.values_astype(particle[name], np.float64)
            for name in ("pt", "eta", "phi", "mass")
        },
        with_name="PtEtaPhiMLorentzVector",
        behavior=vector.behavior,
    )
