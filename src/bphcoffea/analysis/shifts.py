"""Shape variations: events in which something was measured otherwise.

A shift says which fields of the events it replaces, with what, and by how much in each of its
variations. The selection, the categories and the best candidates are evaluated again for each;
nothing is read again, and what does not look at the replaced fields is not evaluated again.
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
from scipy.special import ndtri
from typing_extensions import override

from bphcoffea.analysis.weights import DOWN, UP
from bphcoffea.corrections import EraCorrections
from bphcoffea.corrections.declaration import Particle
from bphcoffea.physics.kinematics import invariant_mass

#: What stands in the place of a opaque field.
OPAQUE: Final = "moved"
#: A field of a field of the events: ``("Triplet", "mu1", "pt")``.
Path = tuple[str, ...]
#: By how much something is shifted: numbers whose meaning the shift knows.
Amounts = tuple[float, ...]


class Shift(ABC):
    """A systematic uncertainty of what was measured.

    Attributes
    ----------
    paths
        The fields that it replaces.
    """

    @property
    @abstractmethod
    def paths(self) -> tuple[Path, ...]:
        """The fields that it replaces."""

    @abstractmethod
    def variations(
        self, metadata: Mapping[str, Any], corrections: EraCorrections | None
    ) -> dict[str, Amounts]:
        """Names of its variations for a dataset, and by how much each shifts.

        Parameters
        ----------
        metadata
            The dataset's.
        corrections
            Those of its era.

        Returns
        -------
        Nothing for a dataset that does not have it.
        """

    def possible_variations(self) -> tuple[str, ...]:
        """Names of the variations that some dataset may have; none if they are not known before."""
        return ()

    @abstractmethod
    def shifted(
        self, events: Any, amounts: Sequence[npt.NDArray[np.float64]]
    ) -> Mapping[Path, ak.Array]:
        """New values of the fields.

        Parameters
        ----------
        events
            The events of all variations, one variation after the other.
        amounts
            The numbers of each event's variation, shape (events,) each.
        """


@dataclass(frozen=True)
class MomentumShift(Shift):
    """Transverse momentum of a kind of particle, by the section ``momentum`` of the corrections.

    The scale moves all momenta by the same part of themselves, up or down. The resolution smears
    each by a random part of itself, the same one whenever the same particle is met; there is no
    such thing as a better resolution, so that it has the side ``Up`` alone.

    Attributes
    ----------
    particle
        ``muon`` or ``track``: the variations are ``muon_scaleUp`` and so on.
    particles
        The particles: for each, the records that describe it (as measured, after a vertex fit),
        the first of which tells which particle it is.
    masses
        Masses that follow: the field, and the records of all particles that it is made of. It is
        scaled as their invariant mass is.
    """

    particle: Particle
    particles: tuple[tuple[Path, ...], ...]
    masses: Mapping[Any, tuple[Path, ...]]

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
        self, metadata: Mapping[str, Any], corrections: EraCorrections | None
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
    def shifted(
        self, events: Any, amounts: Sequence[npt.NDArray[np.float64]]
    ) -> Mapping[Path, ak.Array]:
        scale, resolution = amounts
        momenta: dict[Path, ak.Array] = {}
        for records in self.particles:
            factor = 1 + scale + resolution * _noise(_at(events, records[0]))
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
            with np.errstate(divide="ignore", invalid="ignore"):  # of padding, which stays invalid
                growth = invariant_mass(*after) / invariant_mass(*before)
            masses[field] = _at(events, field) * growth
        return momenta | masses


def replaced(events: Any, fields: Mapping[Path, ak.Array]) -> Any:
    """The events with other values of some fields."""
    for path, values in fields.items():
        events = ak.with_field(events, values, list(path))
    return events


def opaque(events: Any, paths: Sequence[Path]) -> Any:
    """The events with records in place of some fields: nothing can be computed from those.

    Without the fields the records that hold them would be no vectors any more, and nothing in them
    could be looked at.
    """
    return replaced(events, {path: ak.zip({OPAQUE: _at(events, path)}) for path in paths})


def _at(events: Any, path: Path) -> ak.Array:
    return reduce(lambda record, field: record[field], path, events)


#: Shifts and odd numbers that spread the bits of a number over all of its bits [splitmix64:
#: G. L. Steele Jr., D. Lea, C. H. Flood, OOPSLA 2014].
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))


def _noise(particle: ak.Array) -> ak.Array:
    """A number from the normal distribution for each particle, always the same for the same one.

    It is made of the bits of its momentum: it does not depend on chunks, or on what else is there.
    """
    counts = ak.num(particle.pt)
    state = np.zeros(int(ak.sum(counts)), dtype=np.uint64)
    for name in ("pt", "eta", "phi"):
        values = ak.to_numpy(ak.flatten(particle[name])).astype(np.float64)
        state = _mixed(state ^ values.view(np.uint64))
    uniform = ((state >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53
    return ak.unflatten(ndtri(uniform), counts)


def _mixed(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = state + _STEP
    for shift, factor in _MIX:
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return state
