"""Collisions of the toy: τ → 3μ from charm and beauty, and background."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import awkward as ak
import numpy as np

from bphcoffea.physics.constants import DPLUS_MASS, DS_MASS, MUON_MASS, PHI_MASS, PHI_WIDTH
from bphcoffea.toys import generation
from bphcoffea.toys.decay import Booleans, Floats, Integers, breit_wigner, four_momentum, two_body
from bphcoffea.toys.detector import slope
from bphcoffea.toys.generation import PDG_B0, PDG_DPLUS, PDG_DS, PDG_MUON

#: Mass, GeV, and cτ, cm, of the τ [PDG].
TAU_MASS, TAU_CTAU = 1.77693, 0.00870
#: Mass and width of the ω(782), GeV [PDG].
OMEGA_MASS, OMEGA_WIDTH = 0.78266, 0.00868
#: Fraction of the τ of charm that come from D+; the others come from Ds.
_DPLUS_FRACTION: Final = 1 - 1 / 1.04


class Species(IntEnum):
    """Origin of an event's three muons."""

    TAU_D = 0  #: τ → 3μ from Ds and D+
    TAU_B = 1  #: τ → 3μ from b hadrons
    PHI_MUON = 2  #: φ → μμ and another muon
    OMEGA_MUON = 3  #: ω → μμ and another muon
    THREE_MUONS = 4  #: three muons with smooth mass spectra
    NOTHING = 5  #: no three muons


#: Particle number [PDG].
PDG_TAU: Final = 15

#: Transverse momentum of the three muons: threshold and mean above it, GeV, for charm, beauty and
#: background.
_PT: Final = ((12.0, 6.0), (12.0, 8.0), (10.0, 5.0))
#: Mothers of the τ: particle number, cτ, cm, mass, GeV, and transverse momentum relative to that of
#: the τ (approximate).
_MOTHERS: Final = (
    (PDG_DS, generation.DS_CTAU, DS_MASS, DS_MASS / TAU_MASS),
    (PDG_DPLUS, generation.DPLUS_CTAU, DPLUS_MASS, DPLUS_MASS / TAU_MASS),
    (PDG_B0, 0.0455, 5.28, 1.7),
)
#: Angle, radians, between the flight of τ and mother together and the momentum of the τ: of charm,
#: of beauty, and of combinations of muons from several vertices.
KINK: Final = (0.008, 0.04, 0.12)
#: Fraction of the muons of random combinations that come from the primary vertex instead.
_FROM_PRIMARY: Final = 0.30
#: Fraction of the muons that are misidentified hadrons: of the pair and of the third one beside a φ
#: or ω, and of three unrelated muons.
_FAKE_BESIDE_RESONANCE: Final = (0.03, 0.03, 0.6)
_FAKE_UNRELATED: Final = (0.30, 0.30, 0.30)
#: Fraction of the muons of random combinations that come from another collision, and the spread of
#: collisions along the beam, cm.
_PILEUP, _COLLISIONS = 0.04, 5.0
#: Fraction of three unrelated muons that have the same charge.
_SAME_SIGN: Final = 0.20


@dataclass(frozen=True)
class Decays:
    """Three muons of each event.

    Attributes
    ----------
    species
        Origin, a `Species`, shape (n,).
    mother
        Particle number of the mother of the τ, without sign, shape (n,).
    parent
        Four-momenta (E, px, py, pz) of the three muons together, GeV, shape (n, 4).
    muons
        Four-momenta of a pair, which is that of the resonance if there is one, and of the third
        muon, GeV, shape (n, 3, 4).
    charge
        Charges of the muons, shape (n, 3).
    vertex
        Apparent common vertex relative to the primary vertex, cm, shape (n, 3).
    origin
        Origin of each muon relative to the primary vertex, cm, shape (n, 3, 3).
    real
        Whether each is a muon rather than a misidentified hadron, shape (n, 3).
    """

    species: Integers
    mother: Integers
    parent: Floats
    muons: Floats
    charge: Integers
    vertex: Floats
    origin: Floats
    real: Booleans

    @property
    def signal(self) -> Booleans:
        """Whether each event holds τ → 3μ, shape (n,)."""
        return is_signal(self.species)


def is_signal(species: Integers) -> Booleans:
    """Return whether each species is τ → 3μ, shape (n,)."""
    return np.isin(species, (Species.TAU_D, Species.TAU_B))


def generate(species: Integers, rng: np.random.Generator) -> Decays:
    """Generate three muons per event from its species; meaningless for `Species.NOTHING`."""
    n = len(species)
    threshold, mean = np.array(_PT)[np.minimum(species, 2)].T
    pt, eta, phi = generation.spectrum(n, rng, threshold, mean)
    pair_mass, total = _masses(species, rng)
    parent = four_momentum(pt, eta, phi, total)
    pair, third = two_body(parent, pair_mass, MUON_MASS, rng)
    muons = np.stack([*two_body(pair, MUON_MASS, MUON_MASS, rng), third], axis=1)

    sign = generation.random_charges(n, rng)
    same = (species == Species.THREE_MUONS) & (rng.random(n) < _SAME_SIGN)
    of_third = np.where(is_signal(species), sign, generation.random_charges(n, rng))
    charge = np.stack([sign, np.where(same, sign, -sign), np.where(same, sign, of_third)], axis=1)

    of_charm = np.where(rng.random(n) < _DPLUS_FRACTION, PDG_DPLUS, PDG_DS)
    mother = np.where(species == Species.TAU_D, of_charm, PDG_B0)
    flight = np.where(is_signal(species), _flights(mother, pt, rng), random_flights(pt, rng))
    kink = np.array(KINK)[np.minimum(species, 2)]
    vertex = displaced(flight, eta, phi, kink, rng)
    stays = is_signal(species)[:, np.newaxis] | (rng.random((n, 3)) >= _FROM_PRIMARY)
    origin = np.where(stays[:, :, np.newaxis], vertex[:, np.newaxis], 0.0)
    elsewhere = ~is_signal(species)[:, np.newaxis] & (rng.random((n, 3)) < _PILEUP)
    origin[:, :, 2] += np.where(elsewhere, rng.normal(0, _COLLISIONS, (n, 3)), 0.0)
    real = rng.random((n, 3)) >= _fake_fractions(species)
    return Decays(species, mother, parent, muons, charge, vertex, origin, real)


def displaced(
    flight: Floats, eta: Floats, phi: Floats, kink: float | Floats, rng: np.random.Generator
) -> Floats:
    """Draw positions of vertices relative to the primary vertex, cm, shape (n, 3).

    The transverse `flight` (cm) points to `eta` and `phi` with a spread of `kink` in both.
    """
    noise = rng.normal(0, kink, (2, len(flight)))
    return flight[:, np.newaxis] * slope(eta + noise[0], phi + noise[1])


def random_flights(pt: Floats, rng: np.random.Generator) -> Floats:
    """Draw apparent transverse flights of random combinations, cm, shape (n,)."""
    return rng.exponential(generation.FLIGHT * pt) * (rng.random(len(pt)) < generation.DISPLACED)


def _masses(species: Integers, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw masses of the pair and of all three muons, GeV, shape (n,) each."""
    n = len(species)
    total = np.where(
        is_signal(species),
        TAU_MASS,
        generation.combinatorial_masses(np.full(n, 3 * MUON_MASS), rng),
    )
    # near to phase space: the density rises as a square root at both ends
    pair = 2 * MUON_MASS + rng.beta(1.5, 1.5, n) * (total - 3 * MUON_MASS)
    for kind, pole, width in (
        (Species.PHI_MUON, PHI_MASS, PHI_WIDTH),
        (Species.OMEGA_MUON, OMEGA_MASS, OMEGA_WIDTH),
    ):
        rows = species == kind
        pair[rows] = breit_wigner(pole, width, 2 * MUON_MASS, total[rows] - MUON_MASS, rng)
    return pair, total


def _flights(mother: Integers, pt: Floats, rng: np.random.Generator) -> Floats:
    """Draw transverse flights of mother and τ together, cm, shape (n,)."""
    lengths = np.empty(len(pt))
    for kind, ctau, mass, of_tau in _MOTHERS:
        rows = mother == kind
        lengths[rows] = ctau * of_tau * pt[rows] / mass
    return rng.exponential(lengths) + rng.exponential(TAU_CTAU * pt / TAU_MASS)


def _fake_fractions(species: Integers) -> Floats:
    """Return the probability of each muon to be a misidentified hadron, shape (n, 3)."""
    fractions = np.zeros((len(species), 3))
    fractions[species == Species.THREE_MUONS] = _FAKE_UNRELATED
    fractions[np.isin(species, (Species.PHI_MUON, Species.OMEGA_MUON))] = _FAKE_BESIDE_RESONANCE
    return fractions


def generator_particles(decays: Decays) -> dict[str, ak.Array]:
    """Return the ``GenParticle_*`` branches of signal: the τ and its three muons."""
    sign = np.sum(decays.charge, axis=1)
    tau = -PDG_TAU * sign
    muons = [-PDG_MUON * decays.charge[:, leg] for leg in range(3)]
    momenta = [decays.parent, *(decays.muons[:, leg] for leg in range(3))]
    mothers = [decays.mother * sign, tau, tau, tau]
    present = np.ones((len(tau), len(momenta)), dtype=bool)
    return generation.generator_branches(momenta, [tau, *muons], mothers, present)
