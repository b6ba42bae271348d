"""Shape variations: events in which some measured quantities are shifted.

A shift replaces fields of the events. For each of its variations the selection, the categories and
the best candidates are evaluated again; nothing is read again, and variables that do not look at
the replaced fields keep their nominal values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import awkward as ak
import numpy as np
import numpy.typing as npt
from typing_extensions import override

from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.names import DOWN, UP
from bphcoffea.arrays import Floats
from bphcoffea.corrections import EraCorrections, Particle
from bphcoffea.physics import doubles, flattened, invariant_mass

#: Field of the records that replace opaque fields.
OPAQUE: Final = "moved"
#: A field of a field of the events: ``("Triplet", "mu1", "pt")``.
Path = tuple[str, ...]
#: Sizes of a variation, whose meaning the shift defines.
Amounts = tuple[float, ...]


class Shift(ABC):
    """Base class of shape variations: a systematic uncertainty of measured quantities."""

    @property
    @abstractmethod
    def paths(self) -> tuple[Path, ...]:
        """Fields of the events that the shift replaces."""

    @abstractmethod
    def variations(
        self, metadata: DatasetMetadata, corrections: EraCorrections | None
    ) -> dict[str, Amounts]:
        """Return the amounts of each variation of a dataset, by name; empty if it has none.

        Parameters
        ----------
        metadata
            Metadata of the dataset.
        corrections
            Corrections of the dataset's era.
        """

    def possible_variations(self) -> tuple[str, ...]:
        """Return the names of all variations that a dataset may have; empty if unknown."""
        return ()

    @abstractmethod
    def shifted(self, events: ak.Array, amounts: Sequence[Floats]) -> Mapping[Path, ak.Array]:
        """Return the new values of the fields in `paths`.

        Parameters
        ----------
        events
            Events of all variations, one variation after the other.
        amounts
            Amounts of the variation that each event belongs to, an array of shape (events,) per
            amount.
        """


@dataclass(frozen=True)
class MomentumShift(Shift):
    """Scale and resolution of the transverse momenta of muons or tracks.

    Their sizes are in the section ``momentum`` of the corrections. The scale moves all momenta by
    the same fraction, up or down. The resolution smears each momentum by a random fraction, which
    is always the same for the same particle. A better resolution cannot be simulated by smearing,
    so that there is only ``Up``.

    Attributes
    ----------
    particle
        ``muon`` or ``track``; the variations are ``muon_scaleUp`` and so on.
    particles
        For each particle, the records that hold its momentum (as measured, after a vertex fit).
        The first record identifies the particle.
    masses
        For each field that holds a mass, the records of all particles that it is computed from. The
        mass is scaled like their invariant mass.
    """

    particle: Particle
    particles: tuple[tuple[Path, ...], ...]
    masses: Mapping[Any, tuple[Path, ...]]  # of Path: the type of a Mapping's keys is invariant

    @property
    @override
    def paths(self) -> tuple[Path, ...]:
        momenta = [(*record, "pt") for records in self.particles for record in records]
        return (*momenta, *self.masses)

    @override
    def possible_variations(self) -> tuple[str, ...]:
        scale, resolution = f"{self.particle}_scale", f"{self.particle}_resolution"
        return (scale + UP, scale + DOWN, resolution + UP)

    @override
    def variations(
        self, metadata: DatasetMetadata, corrections: EraCorrections | None
    ) -> dict[str, Amounts]:
        declared = corrections.momentum.get(self.particle) if corrections else None
        if not metadata["is_mc"] or declared is None:
            return {}
        scale, resolution = f"{self.particle}_scale", f"{self.particle}_resolution"
        variations: dict[str, Amounts] = {}
        if declared.scale:
            variations[scale + UP] = (declared.scale, 0.0)
            variations[scale + DOWN] = (-declared.scale, 0.0)
        if declared.resolution:
            variations[resolution + UP] = (0.0, declared.resolution)
        return variations

    @override
    def shifted(self, events: ak.Array, amounts: Sequence[Floats]) -> Mapping[Path, ak.Array]:
        scale, resolution = amounts
        momenta: dict[Path, ak.Array] = {}
        for records in self.particles:
            factor = 1 + scale + resolution * noise(_at(events, records[0]))
            for record in records:
                momenta[*record, "pt"] = _at(events, record).pt * factor
        masses: dict[Path, ak.Array] = {}
        for field, parts in self.masses.items():
            before = [_at(events, part) for part in parts]
            moved = [momenta.get((*part, "pt")) for part in parts]
            after = [
                record if pt is None else ak.with_field(record, pt, "pt")
                for record, pt in zip(before, moved, strict=True)
            ]
            with np.errstate(divide="ignore", invalid="ignore"):  # padding stays invalid
                growth = invariant_mass(*after) / invariant_mass(*before)
            masses[field] = _at(events, field) * growth
        return momenta | masses


def replaced(events: ak.Array, fields: Mapping[Path, ak.Array]) -> ak.Array:
    """Return the events with new values of some fields."""
    for path, values in fields.items():
        events = ak.with_field(events, values, list(path))
    return events


def opaque(events: ak.Array, paths: Sequence[Path]) -> ak.Array:
    """Return a copy of the events in which some fields are opaque: any arithmetic on them raises.

    Fields are replaced by records instead of being removed, since vectors need all their fields.
    """
    return replaced(events, {path: ak.zip({OPAQUE: _at(events, path)}) for path in paths})


def _at(events: ak.Array, path: Path) -> ak.Array:
    return reduce(lambda record, field: record[field], path, events)


#: Shifts and odd numbers that spread the bits of a number over all of its bits [splitmix64:
#: G. L. Steele Jr., D. Lea, C. H. Flood, OOPSLA 2014].
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))


def noise(particle: ak.Array) -> ak.Array:
    """Return a normally distributed random number per particle, derived from its momentum.

    The same particle always gets the same number, in whatever chunk or collection it is found.
    """
    from scipy.special import ndtri

    uniform = uniform_noise(particle)
    return ak.unflatten(ndtri(flattened(uniform)), ak.num(uniform))


def uniform_noise(particle: ak.Array) -> ak.Array:
    """Return a random number between 0 and 1 per particle; see :func:`noise`."""
    counts = ak.num(particle.pt)
    state = np.zeros(int(ak.sum(counts)), dtype=np.uint64)
    for name in ("pt", "eta", "phi"):
        values = doubles(particle[name])
        state = _mixed(state ^ values.view(np.uint64))
    return ak.unflatten(((state >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53, counts)


def _mixed(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = state + _STEP
    for shift, factor in _MIX:
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return state
