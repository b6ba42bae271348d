"""Kinematics of particles, on awkward arrays."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add

import awkward as ak
import numpy as np
import vector
from coffea.nanoevents.methods import vector as awkward_vector

from bphcoffea.arrays import Floats, Integers
from bphcoffea.physics.joined_lists import joined, unjoined

_MOMENTUM = ("pt", "eta", "phi", "mass")


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
    fields = [particle[name] for particle in (first, second) for name in ("eta", "phi")]
    computed = _on_numbers(_distance, fields)
    if computed is None:
        computed = _distance(*(ak.values_astype(field, np.float64) for field in fields))
    return computed


def _distance(eta: ak.Array, phi: ak.Array, other_eta: ak.Array, other_phi: ak.Array) -> ak.Array:
    delta_phi = (phi - other_phi + np.pi) % (2 * np.pi) - np.pi
    return np.sqrt(delta_phi**2 + (eta - other_eta) ** 2)


def invariant_mass(*particles: ak.Array) -> ak.Array:
    """Return the invariant mass of two or more particles, GeV.

    Parameters
    ----------
    particles
        Arrays of particles with ``pt``, ``eta``, ``phi``, ``mass`` (GeV, radians), of equal shape.
    """
    fields = [particle[name] for particle in particles for name in _MOMENTUM]
    computed = _on_numbers(_mass_of_sum, fields)
    if computed is None:
        computed = reduce(add, map(four_momentum, particles)).mass
    return computed


def _mass_of_sum(*fields: Floats) -> Floats:
    """Return the mass of the sum of particles, from pT, η, φ and mass of each in turn."""
    momenta = (
        vector.array(dict(zip(_MOMENTUM, fields[first : first + 4], strict=True)))
        for first in range(0, len(fields), 4)
    )
    return np.asarray(reduce(add, momenta).mass)


def _on_numbers(function: Callable[..., Floats], fields: Sequence[ak.Array]) -> ak.Array | None:
    """Return a function of fields, evaluated on the numbers of all events in double precision.

    Returns
    -------
    Lists like those of the fields; None if the fields are not numbers, or lists of numbers with the
    same lengths.
    """
    if not all(isinstance(field, ak.Array) for field in fields):  # of one particle
        return None
    parts = [part for field in fields if (part := joined(field)) is not None]
    offsets = parts[0][0] if parts else None
    if len(parts) < len(fields) or not all(_same(offsets, other) for other, _ in parts):
        return None
    with np.errstate(all="ignore"):  # as awkward does
        values = function(*(numbers.astype(np.float64) for _, numbers in parts))
    return unjoined(offsets, values)


def _same(offsets: Integers | None, other: Integers | None) -> bool:
    if offsets is None or other is None:
        return offsets is other
    return np.array_equal(offsets, other)


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
        {name: ak.values_astype(particle[name], np.float64) for name in _MOMENTUM},
        with_name="PtEtaPhiMLorentzVector",
        behavior=awkward_vector.behavior,
    )
