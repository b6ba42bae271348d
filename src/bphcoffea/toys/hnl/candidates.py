"""Branches of the candidates of the wztree: momenta, vertices, legs, and matching."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bphcoffea.physics.constants import MUON_MASS, PION_MASS
from bphcoffea.toys.decay import Booleans, Floats, Integers, Numbers, mass
from bphcoffea.toys.detector import Measured, measure
from bphcoffea.toys.hnl.decays import Decays
from bphcoffea.toys.hnl.vertices import impact_branches, vertex_branches

#: Fraction of the particles that the matching to what was generated misses.
_UNMATCHED: Final = 0.01


@dataclass(frozen=True)
class Legs:
    """Both muons of all events, the muons of N first, also those that were not reconstructed."""

    measured: Measured
    charge: Integers
    number: Integers
    reconstructed: Booleans
    branches: dict[str, Numbers]


@dataclass(frozen=True)
class Tracks:
    """Tracks taken for the pion, each once."""

    true: Floats
    charge: Integers
    ip: Floats  # the true impact parameter, cm


@dataclass(frozen=True)
class Candidates:
    """Composition of each candidate: event, rows of the muons and of the track, and vertex."""

    event: Integers
    mu_hnl: Integers
    mu_ds: Integers
    track: Integers
    flight: Floats
    true: Booleans  # the decay itself, or its background


def candidate_branches(
    decays: Decays,
    rows: Candidates,
    legs: Legs,
    tracks: Tracks,
    primary: Floats,
    rng: np.random.Generator,
) -> dict[str, Numbers]:
    """Return the branches of all candidates, in single precision, shape (candidates,)."""
    measured = measure(tracks.true, rng)
    pi = measured[rows.track]
    mu_hnl, mu_ds = legs.measured[rows.mu_hnl], legs.measured[rows.mu_ds]
    hnl = mu_hnl.four_momentum(MUON_MASS) + pi.four_momentum(PION_MASS)
    # the sum has the same order whichever muon is which: exchanging them keeps the exact mass
    first, second = legs.measured[rows.event], legs.measured[len(decays) + rows.event]
    both = first.four_momentum(MUON_MASS) + second.four_momentum(MUON_MASS)
    ds = both + pi.four_momentum(PION_MASS)
    of_decay = rows.true & decays.signal[rows.event]
    start = primary[rows.event]
    ds_vertex = start + decays.ds_flight[rows.event]
    branches: dict[str, Numbers] = {}
    for name, momentum in (("Ds", ds), ("Hnl", hnl)):
        branches |= {
            f"C_{name}_mass": mass(momentum),
            f"C_{name}_pt": np.hypot(momentum[:, 1], momentum[:, 2]),
            **{f"C_{name}_p{axis}": momentum[:, i] for i, axis in enumerate("xyz", start=1)},
        }
    flight = ds_vertex + rows.flight
    for name, vertex, momentum in (("Ds", ds_vertex, ds), ("Hnl", flight, hnl)):
        found = vertex_branches(vertex, start, momentum, of_decay, rng)
        branches |= {f"C_{name}_vertex_{quantity}": values for quantity, values in found.items()}
    for name, row in (("mu_Hnl", rows.mu_hnl), ("mu_Ds", rows.mu_ds)):
        branches |= _leg_branches(name, legs.measured[row], legs.charge[row])
        branches[f"C_{name}_idx"] = legs.number[row].astype(np.uint32)
        branches |= {f"C_{name}_{k}": values[row] for k, values in legs.branches.items()}
    branches |= _leg_branches("pi", pi, tracks.charge[rows.track])
    of_tracks = impact_branches(tracks.ip, measured, rng)
    branches |= {f"C_pi_{k}": values[rows.track] for k, values in of_tracks.items()}
    d_phi = np.abs(mu_hnl.phi - mu_ds.phi)
    branches["C_mu1mu2_mass"] = mass(both)
    branches["C_mu1mu2_dr"] = np.hypot(mu_hnl.eta - mu_ds.eta, np.minimum(d_phi, 2 * np.pi - d_phi))
    return {
        name: values.astype(np.float32) if values.dtype == np.float64 else values
        for name, values in branches.items()
    }


def _leg_branches(name: str, measured: Measured, charge: Integers) -> dict[str, Numbers]:
    return {
        f"C_{name}_pt": measured.pt,
        f"C_{name}_eta": measured.eta,
        f"C_{name}_phi": measured.phi,
        f"C_{name}_charge": charge.astype(np.int32),
    }


def generated_branches(
    decays: Decays, rows: Candidates, of_decay: Booleans, rng: np.random.Generator
) -> dict[str, Numbers]:
    """Return branches that only simulation has: matched legs, and the true proper length."""
    n = len(decays)
    signal = decays.signal[rows.event]
    exchanged = rows.mu_hnl >= n
    flags = {
        "C_mu_Hnl_isHnlDaughter": signal & ~exchanged,
        "C_mu_Ds_isHnlBrother": signal & ~exchanged,
        "C_pi_isHnlDaughter": of_decay | (signal & exchanged),
    }
    lost = rng.random((len(flags), len(signal))) < _UNMATCHED
    branches: dict[str, Numbers] = {
        name: (flag & ~missed).astype(np.int16)
        for (name, flag), missed in zip(flags.items(), lost, strict=True)
    }
    # the length of the generated N, for every candidate of its event
    branches["C_Hnl_gen_l_prop"] = decays.proper_length[rows.event].astype(np.float32)
    return branches
