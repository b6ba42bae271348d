"""Collisions of the toy: Ds and D+ decays to φ(μμ)π, and background."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import awkward as ak
import numpy as np

from bphcoffea.physics.constants import (
    DPLUS_MASS,
    DS_MASS,
    MUON_MASS,
    PHI_MASS,
    PHI_WIDTH,
    PION_MASS,
)
from bphcoffea.toys import decay, generation
from bphcoffea.toys.decay import Floats, Integers
from bphcoffea.toys.generation import PDG_B0, PDG_DPLUS, PDG_DS, PDG_MUON, PDG_PHI, PDG_PION


class Species(IntEnum):
    """Origin of an event's dimuon and of the track that goes with it."""

    DS = 0
    DPLUS = 1
    PHI_TRACK = 2  #: a real φ and a random track
    DIMUON_TRACK = 3  #: two muons of a smooth mass spectrum and a random track


#: Mass, GeV, cτ, cm, and particle number of each meson.
_MESONS: Final = {
    Species.DS: (DS_MASS, generation.DS_CTAU, PDG_DS),
    Species.DPLUS: (DPLUS_MASS, generation.DPLUS_CTAU, PDG_DPLUS),
}
#: Particle numbers of the mothers of a φ and of a pion that come from no meson.
_PDG_STRANGE, _PDG_RHO = 3, 113
#: Range, GeV, of the smooth dimuon spectrum; its end leaves room for the pion at all masses above.
_DIMUON_RANGE: Final = (0.4, 1.3)


@dataclass(frozen=True)
class Decays:
    """One dimuon and the track that goes with it, for each event.

    Attributes
    ----------
    species
        Origin, a `Species`, shape (n,).
    parent, dimuon, pion
        Four-momenta (E, px, py, pz), GeV, shape (n, 4).
    muons
        Negative and positive muon, shape (n, 2, 4).
    charge
        Charge of the pion, shape (n,).
    flight
        Transverse distance from the primary vertex to that of the decay, cm, shape (n,).
    """

    species: Integers
    parent: Floats
    dimuon: Floats
    muons: Floats
    pion: Floats
    charge: Integers
    flight: Floats


def generate(species: Integers, rng: np.random.Generator) -> Decays:
    """Generate the decay of each event, or its background, from its species, shape (n,)."""
    n = len(species)
    pt, eta, phi = generation.spectrum(n, rng)
    dimuon, pion, flight = np.empty((n, 4)), np.empty((n, 4)), np.empty(n)
    for kind, (meson_mass, ctau, _) in _MESONS.items():
        rows = np.flatnonzero(species == kind)
        meson = decay.four_momentum(pt[rows], eta[rows], phi[rows], meson_mass)
        high = np.full(len(rows), meson_mass - PION_MASS)
        phi_mass = decay.breit_wigner(PHI_MASS, PHI_WIDTH, 2 * MUON_MASS, high, rng)
        dimuon[rows], pion[rows] = decay.two_body(meson, phi_mass, PION_MASS, rng)
        proper = rng.exponential(ctau, len(rows))
        flight[rows] = proper * pt[rows] / meson_mass

    rows = np.flatnonzero((species == Species.PHI_TRACK) | (species == Species.DIMUON_TRACK))
    low, high = (np.full(len(rows), edge) for edge in _DIMUON_RANGE)
    resonant = decay.breit_wigner(PHI_MASS, PHI_WIDTH, low, high, rng)
    smooth = rng.uniform(low, high)
    dimuon_mass = np.where(species[rows] == Species.PHI_TRACK, resonant, smooth)
    dimuon[rows] = decay.four_momentum(pt[rows], eta[rows], phi[rows], dimuon_mass)
    pion[rows], flight[rows] = random_tracks(dimuon[rows], rng)

    muons = np.stack(decay.two_body(dimuon, MUON_MASS, MUON_MASS, rng), axis=1)
    charge = generation.random_charges(n, rng)
    return Decays(species, dimuon + pion, dimuon, muons, pion, charge, flight)


def random_tracks(dimuon: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw one unrelated pion for each dimuon, and the transverse flight of their apparent vertex.

    Their mass together falls exponentially, whatever the mass of the dimuon is. Four-momenta have
    shape (n, 4), flights (cm) have shape (n,).
    """
    # a dimuon of a real φ may lie far out in its tail; the mass must leave room for the pion
    total = generation.combinatorial_masses(decay.mass(dimuon) + PION_MASS, rng)
    pion = decay.companion(dimuon, PION_MASS, total, rng)
    displaced = rng.random(len(dimuon)) < generation.DISPLACED
    flight = rng.exponential(generation.FLIGHT * np.hypot(dimuon[:, 1], dimuon[:, 2]))
    return pion, np.where(displaced, flight, 0.0)


def generator_particles(decays: Decays, rng: np.random.Generator) -> dict[str, ak.Array]:
    """Return the ``GenParticle_*`` branches: the meson, φ, μ−, μ+ and π.

    The meson is absent for a random track, and the φ for a smooth dimuon.
    """
    species, sign = decays.species, decays.charge
    n = len(species)
    one = np.ones(n, dtype=np.int64)
    is_meson, is_phi = np.isin(species, list(_MESONS)), species != Species.DIMUON_TRACK
    meson = np.where(species == Species.DS, PDG_DS, PDG_DPLUS)
    # the charm quark itself, an excited charm meson, or a b meson
    origin = rng.choice(np.array([4, 433, 511, 531]), n)
    of_phi = np.where(is_meson, meson * sign, _PDG_STRANGE)
    of_muons = np.where(is_phi, PDG_PHI, PDG_B0)
    of_pion = np.where(is_meson, meson * sign, _PDG_RHO)
    momenta = [decays.parent, decays.dimuon, decays.muons[:, 0], decays.muons[:, 1], decays.pion]
    pdg = [meson * sign, one * PDG_PHI, one * PDG_MUON, -one * PDG_MUON, PDG_PION * sign]
    mother = [origin * sign, of_phi, of_muons, of_muons, of_pion]
    present = np.stack([is_meson, is_phi, one > 0, one > 0, one > 0], axis=1)
    return generation.generator_branches(momenta, pdg, mother, present)
