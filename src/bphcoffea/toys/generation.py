"""What happens in the toy's collisions: Ds and D+ decays to φ(μμ)π, and what looks like them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import awkward as ak
import numpy as np
import numpy.typing as npt

from bphcoffea.physics.constants import (
    DPLUS_MASS,
    DS_MASS,
    MUON_MASS,
    PHI_MASS,
    PHI_WIDTH,
    PION_MASS,
)
from bphcoffea.toys.decay import (
    Booleans,
    Floats,
    Integers,
    breit_wigner,
    companion,
    four_momentum,
    mass,
    pt_eta_phi,
    two_body,
)


class Species(IntEnum):
    """Origin of an event's dimuon and of the track that goes with it."""

    DS = 0
    DPLUS = 1
    PHI_TRACK = 2  #: a real φ and a random track
    DIMUON_TRACK = 3  #: two muons of a smooth mass spectrum and a random track


#: Particle numbers [PDG].
PDG_ID: Final = {Species.DS: 431, Species.DPLUS: 411}
PDG_PHI, PDG_MUON, PDG_PION = 333, 13, 211
#: Mothers of what comes from no meson: a φ, a random pion, and two muons of a cascade.
PDG_STRANGE, PDG_RHO, PDG_B0 = 3, 113, 511

_MASS: Final = {Species.DS: DS_MASS, Species.DPLUS: DPLUS_MASS}
#: Mean proper decay lengths cτ, cm [PDG].
CTAU: Final = {Species.DS: 0.01503, Species.DPLUS: 0.03098}

#: Range, GeV, and fall, 1/GeV, of the mass of a dimuon and a random track. The range is wider than
#: that of the fit by more than ten times the resolution: its edges are not seen.
COMBINATORIAL_RANGE: Final = (1.5, 2.2)
COMBINATORIAL_SLOPE: Final = 2.5
#: Range, GeV, of the smooth dimuon spectrum; its end leaves room for the pion at all masses above.
_DIMUON_RANGE: Final = (0.4, 1.3)
#: Transverse momentum of what is generated: a threshold and a mean above it, GeV.
_PT_THRESHOLD, _PT_MEAN = 10.0, 6.0
_ETA_MAX = 2.5
#: Part of the random tracks whose vertex lies as far away as that of a b hadron, and the mean of
#: their transverse flight, cm for each GeV of transverse momentum.
_B_LIKE, _B_FLIGHT = 0.55, 0.009
#: Part of the particles that radiate, and the mean and the largest fraction of momentum lost then.
_RADIATING, _RADIATED, _MOST_RADIATED = 0.04, 0.015, 0.5


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

    species: npt.NDArray[np.int64]
    parent: Floats
    dimuon: Floats
    muons: Floats
    pion: Floats
    charge: npt.NDArray[np.int64]
    flight: Floats


def generate(species: npt.NDArray[np.int64], rng: np.random.Generator) -> Decays:
    """Generate the decay of each event, or what looks like one.

    Parameters
    ----------
    species
        A `Species` for each event, shape (n,).
    rng
        Source of randomness.
    """
    n = len(species)
    pt, eta, phi = spectrum(n, rng)
    dimuon, pion, flight = np.empty((n, 4)), np.empty((n, 4)), np.empty(n)
    for kind, meson_mass in _MASS.items():
        here = np.flatnonzero(species == kind)
        meson = four_momentum(pt[here], eta[here], phi[here], meson_mass)
        high = np.full(len(here), meson_mass - PION_MASS)
        phi_mass = breit_wigner(PHI_MASS, PHI_WIDTH, 2 * MUON_MASS, high, rng)
        dimuon[here], pion[here] = two_body(meson, phi_mass, PION_MASS, rng)
        proper = rng.exponential(CTAU[kind], len(here))
        flight[here] = proper * pt[here] / meson_mass

    here = np.flatnonzero((species == Species.PHI_TRACK) | (species == Species.DIMUON_TRACK))
    low, high = (np.full(len(here), edge) for edge in _DIMUON_RANGE)
    resonant = breit_wigner(PHI_MASS, PHI_WIDTH, low, high, rng)
    smooth = rng.uniform(low, high)
    dimuon_mass = np.where(species[here] == Species.PHI_TRACK, resonant, smooth)
    dimuon[here] = four_momentum(pt[here], eta[here], phi[here], dimuon_mass)
    pion[here], flight[here] = random_tracks(dimuon[here], rng)

    muons = np.stack(two_body(dimuon, MUON_MASS, MUON_MASS, rng), axis=1)
    charge = rng.choice(np.array([-1, 1]), n)
    return Decays(species, dimuon + pion, dimuon, muons, pion, charge, flight)


def random_tracks(dimuon: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Tracks that have nothing to do with the dimuons, one each.

    Together with the dimuon their mass falls exponentially, whatever the mass of the dimuon is.

    Parameters
    ----------
    dimuon
        Four-momenta, shape (n, 4).
    rng
        Source of randomness.

    Returns
    -------
    Four-momenta of pions, shape (n, 4), and the transverse flight (cm) of the vertex that the three
    seem to have, shape (n,).
    """
    # a dimuon of a real φ may lie far out in its tail; the mass must leave room for the pion
    total = combinatorial_masses(mass(dimuon) + PION_MASS, rng)
    pion = companion(dimuon, PION_MASS, total, rng)
    b_like = rng.random(len(dimuon)) < _B_LIKE
    flight = rng.exponential(_B_FLIGHT * np.hypot(dimuon[:, 1], dimuon[:, 2]))
    return pion, np.where(b_like, flight, 0.0)


def combinatorial_masses(least: Floats, rng: np.random.Generator) -> Floats:
    """Draw masses of random combinations from a falling exponential.

    Parameters
    ----------
    least
        Masses that they must exceed, GeV, shape (n,).
    rng
        Source of randomness.
    """
    low, high = COMBINATORIAL_RANGE
    start = np.maximum(low, least)
    at_start, at_end = (np.exp(-COMBINATORIAL_SLOPE * (edge - low)) for edge in (start, high))
    uniform = rng.random(len(least))
    masses: Floats = low - np.log(at_start + uniform * (at_end - at_start)) / COMBINATORIAL_SLOPE
    return masses


def radiate(momentum: Floats, rng: np.random.Generator, radiating: float = _RADIATING) -> Floats:
    """Scale down the momenta of the few particles that radiate a photon. Shape (n, 4), as given."""
    loss = rng.exponential(_RADIATED, len(momentum)) * (rng.random(len(momentum)) < radiating)
    kept: Floats = 1 - np.minimum(loss, _MOST_RADIATED)
    return momentum * kept[:, np.newaxis]


def generator_particles(decays: Decays, rng: np.random.Generator) -> dict[str, ak.Array]:
    """``GenParticle_*`` branches: the meson, φ, μ−, μ+, π, of those that there are.

    A random track has no meson, and a smooth dimuon no φ.
    """
    species, sign = decays.species, decays.charge
    n = len(species)
    one = np.ones(n, dtype=np.int64)
    is_meson, is_phi = np.isin(species, list(PDG_ID)), species != Species.DIMUON_TRACK
    meson = np.where(species == Species.DS, *(PDG_ID[s] for s in (Species.DS, Species.DPLUS)))
    # the charm quark itself, an excited charm meson, or a b meson
    origin = rng.choice(np.array([4, 433, 511, 531]), n)
    of_phi = np.where(is_meson, meson * sign, PDG_STRANGE)
    of_muons = np.where(is_phi, PDG_PHI, PDG_B0)
    of_pion = np.where(is_meson, meson * sign, PDG_RHO)
    momenta = [decays.parent, decays.dimuon, decays.muons[:, 0], decays.muons[:, 1], decays.pion]
    pdg = [meson * sign, one * PDG_PHI, one * PDG_MUON, -one * PDG_MUON, PDG_PION * sign]
    mother = [origin * sign, of_phi, of_muons, of_muons, of_pion]
    there = np.stack([is_meson, is_phi, one > 0, one > 0, one > 0], axis=1)
    return generator_branches(momenta, pdg, mother, there)


def generator_branches(
    momenta: Sequence[Floats],
    pdg: Sequence[Integers],
    mother: Sequence[Integers],
    there: Booleans,
) -> dict[str, ak.Array]:
    """``GenParticle_*`` branches.

    Parameters
    ----------
    momenta
        For each of the particles of an event its four-momenta, shape (n, 4).
    pdg, mother
        Likewise its numbers and those of its mother, shape (n,).
    there
        Which particles an event has, shape (n, particles).
    """
    pt, eta, phi = zip(*(pt_eta_phi(p) for p in momenta), strict=True)
    columns = {"Pt": pt, "Eta": eta, "Phi": phi, "PdgId": pdg, "MotherPdgId": mother}
    return {
        f"GenParticle_{name}": ak.unflatten(
            np.stack(column, axis=1)[there].astype(np.float64), np.sum(there, axis=1)
        )
        for name, column in columns.items()
    }


def spectrum(
    n: int,
    rng: np.random.Generator,
    threshold: float | Floats = _PT_THRESHOLD,
    mean: float | Floats = _PT_MEAN,
) -> tuple[Floats, Floats, Floats]:
    """Transverse momentum (GeV), pseudorapidity and azimuth of what is produced. (n,) each."""
    return (
        threshold + rng.exponential(mean, n),
        rng.uniform(-_ETA_MAX, _ETA_MAX, n),
        rng.uniform(-np.pi, np.pi, n),
    )
