"""What the collisions of several toys have in common: momenta, random masses, particles."""

from collections.abc import Sequence
from typing import Final

import awkward as ak
import numpy as np

from bphcoffea.toys.decay import Booleans, Floats, Integers, pt_eta_phi

#: Mean proper decay lengths cτ, cm [PDG].
DS_CTAU, DPLUS_CTAU = 0.01503, 0.03098
#: Particle numbers [PDG].
PDG_MUON, PDG_PION, PDG_PHI, PDG_DPLUS, PDG_DS, PDG_B0 = 13, 211, 333, 411, 431, 511

#: Range, GeV, and slope, 1/GeV, of the mass of random combinations. The range is wider than that of
#: the fit by more than ten times the resolution, so that its edges are not seen.
COMBINATORIAL_RANGE: Final = (1.5, 2.2)
COMBINATORIAL_SLOPE: Final = 2.5
#: Transverse momentum of what is produced: a threshold and the mean above it, GeV.
_PT_THRESHOLD, _PT_MEAN = 10.0, 6.0
_ETA_MAX: Final = 2.5
#: Fraction of random combinations with a displaced vertex, as of a b hadron, and the mean of its
#: transverse flight, cm per GeV of transverse momentum.
DISPLACED, FLIGHT = 0.55, 0.009
#: Fraction of the particles that radiate; mean and maximum of the fraction of momentum they lose.
_RADIATING, _RADIATED, _MOST_RADIATED = 0.04, 0.015, 0.5


def spectrum(
    n: int,
    rng: np.random.Generator,
    threshold: float | Floats = _PT_THRESHOLD,
    mean: float | Floats = _PT_MEAN,
) -> tuple[Floats, Floats, Floats]:
    """Draw transverse momenta (GeV), pseudorapidities and azimuths, shape (n,) each."""
    return (
        threshold + rng.exponential(mean, n),
        rng.uniform(-_ETA_MAX, _ETA_MAX, n),
        rng.uniform(-np.pi, np.pi, n),
    )


def random_charges(n: int, rng: np.random.Generator) -> Integers:
    """Draw charges, shape (n,)."""
    return rng.choice(np.array([-1, 1]), n)


def falling_masses(
    low: float, high: float, slope: float, rng: np.random.Generator, least: Floats
) -> Floats:
    """Draw masses (GeV) from an exponential with a slope (1/GeV) in a range.

    Each mass exceeds its own `least`, shape (n,).
    """
    start = np.maximum(low, least)
    at_start, at_end = (np.exp(-slope * (edge - low)) for edge in (start, high))
    masses: Floats = low - np.log(at_start + rng.random(len(least)) * (at_end - at_start)) / slope
    return masses


def combinatorial_masses(least: Floats, rng: np.random.Generator) -> Floats:
    """Draw masses of random combinations, GeV, each above its least mass; shape (n,)."""
    return falling_masses(*COMBINATORIAL_RANGE, COMBINATORIAL_SLOPE, rng, least)


def radiate(momentum: Floats, rng: np.random.Generator, radiating: float = _RADIATING) -> Floats:
    """Scale down the four-momenta of the few particles that radiate a photon, shape (n, 4)."""
    loss = rng.exponential(_RADIATED, len(momentum)) * (rng.random(len(momentum)) < radiating)
    kept: Floats = 1 - np.minimum(loss, _MOST_RADIATED)
    return momentum * kept[:, np.newaxis]


def generator_branches(
    momenta: Sequence[Floats],
    pdg: Sequence[Integers],
    mother: Sequence[Integers],
    present: Booleans,
) -> dict[str, ak.Array]:
    """Return the ``GenParticle_*`` branches.

    Parameters
    ----------
    momenta
        Four-momenta of each of an event's particles, GeV, shape (n, 4) each.
    pdg, mother
        Particle numbers of the particles and of their mothers, shape (n,) each.
    present
        Which of the particles each event has, shape (n, particles).
    """
    pt, eta, phi = zip(*(pt_eta_phi(p) for p in momenta), strict=True)
    columns = {"Pt": pt, "Eta": eta, "Phi": phi, "PdgId": pdg, "MotherPdgId": mother}
    return {
        f"GenParticle_{name}": ak.unflatten(
            np.stack(column, axis=1)[present].astype(np.float64), np.sum(present, axis=1)
        )
        for name, column in columns.items()
    }
