"""Weights that an analysis declares: what corrects simulation, and by how much that may be wrong.

A weight of an event (pile-up) is known before any cut. A weight of a candidate (the scale factors
of its muons) belongs to a cut, which is what it corrects: it counts from that step of the cutflow
on. Data have the weight 1 and no variation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from bphcoffea.analysis.variables import Values, Variable
from bphcoffea.arrays import Floats
from bphcoffea.corrections import EraCorrections, Factor
from bphcoffea.corrections.factors import WHOLE, MuonFactor, PileupFactor, TriggerFactor, product
from bphcoffea.errors import InputError
from bphcoffea.physics.lifetimes import lifetime_weight

#: Sides of a variation, as coffea and Combine call them.
UP, DOWN = "Up", "Down"
#: Name of the generator's weight.
GENERATOR: Final = "generator"


@dataclass(frozen=True)
class WeightContext:
    """What weights depend on beside the events.

    Attributes
    ----------
    corrections
        Those of the dataset's era.
    metadata
        The dataset's.
    shifted
        Whether the uncertainties are evaluated, too.
    """

    corrections: EraCorrections | None
    metadata: Mapping[str, Any]
    shifted: bool = False


class Weight(ABC):
    """A factor of the weight of simulation.

    Attributes
    ----------
    name
        Of the factor, and beginning of the names of its variations.
    after
        The cut that it corrects, where it is a candidate's; None where it is an event's.
    branches
        Branches that it needs, for a schema that has no template to find that out.
    field
        Field of the events, a branch that a file may lack. If no file of a dataset has it, the
        dataset does not have the weight; in a file without it the factor is 1. None if the weight
        needs no such field.
    """

    name: str
    after: str | None = None
    branches: tuple[str, ...] = ()
    field: str | None = None
    #: The section of the corrections that it takes; None where it needs none.
    section: ClassVar[str | None] = None

    def applies(self, metadata: Mapping[str, Any], corrections: EraCorrections | None) -> bool:
        """Whether a dataset has it: by default simulation whose corrections declare it."""
        if not metadata["is_mc"]:
            return False
        needed = self.needs()
        return needed is None or getattr(corrections, needed, None) is not None

    def needs(self) -> str | None:
        """The section of the corrections that it takes."""
        return self.section

    def absent(self, count: int, *, shifted: bool) -> Factor:  # noqa: ARG002
        """The factor of events in a file that lacks the field, shape (count,): 1.

        It must have the same shifts and points as that of other files, so that results add up.
        """
        return Factor(np.ones(count))

    @abstractmethod
    def evaluate(self, values: Values, given: WeightContext) -> Factor:
        """The factor.

        Parameters
        ----------
        values
            From a variable to its numbers: one an event, or one a candidate.
        given
            What it depends on beside.
        """


@dataclass(frozen=True)
class PileupWeight(Weight):
    """Pile-up of data over that of simulation, from the section ``pileup``.

    Attributes
    ----------
    interactions
        True number of interactions of the event.
    """

    interactions: Variable
    branches: tuple[str, ...] = ()
    name: str = "pileup"
    section: ClassVar[str] = "pileup"

    @override
    def evaluate(self, values: Values, given: WeightContext) -> Factor:
        pileup: PileupFactor = getattr(given.corrections, self.section)
        return pileup.evaluate(_doubles(values(self.interactions)), shifted=given.shifted)


@dataclass(frozen=True)
class MuonWeight(Weight):
    """Scale factors of the muons of a candidate: their product, uncertainties correlated.

    Attributes
    ----------
    name
        The section that holds the scale factor: ``muon_id`` or ``muon_reconstruction``.
    muons
        pT, GeV, and η of each muon.
    after
        The cut that it corrects.
    """

    name: str
    muons: tuple[tuple[Variable, Variable], ...]
    after: str | None
    branches: tuple[str, ...] = ()

    @override
    def needs(self) -> str | None:
        return self.name

    @override
    def evaluate(self, values: Values, given: WeightContext) -> Factor:
        muon: MuonFactor = getattr(given.corrections, self.name)
        return product(
            [
                muon.evaluate(_doubles(values(pt)), _doubles(values(eta)), shifted=given.shifted)
                for pt, eta in self.muons
            ]
        )


@dataclass(frozen=True)
class TriggerWeight(Weight):
    """Trigger efficiency of data over that of simulation, where any of some muons may fire.

    Attributes
    ----------
    muons
        For each muon, what the efficiency depends on, by the names of the payload's inputs.
    after
        The cut that it corrects.
    """

    muons: tuple[Mapping[str, Variable], ...]
    after: str | None
    branches: tuple[str, ...] = ()
    name: str = "trigger"
    section: ClassVar[str] = "trigger"

    @override
    def evaluate(self, values: Values, given: WeightContext) -> Factor:
        trigger: TriggerFactor = getattr(given.corrections, self.section)
        known = [name for name in self.muons[0] if all(name in muon for muon in self.muons)]
        unknown = [name for name in trigger.inputs if name not in known]
        if unknown:
            raise InputError(
                f"{self.name}: the efficiency takes "
                f"{', '.join(unknown)}; this analysis gives {', '.join(known)}"
            )
        muons = [
            {name: _doubles(values(variable)) for name, variable in muon.items()}
            for muon in self.muons
        ]
        return trigger.evaluate(muons, shifted=given.shifted)


@dataclass(frozen=True)
class LifetimeWeight(Weight):
    """Other mean decay lengths of a long-lived signal, as variations ``ctau_<mm>``.

    Datasets that have ``ctau`` in their metadata get it. The nominal factor is 1.

    Attributes
    ----------
    proper_length
        Generated proper decay length, mm.
    points
        From the generated mean length, mm, to those that are wanted.
    after
        None where the length is the event's; a cut where it is the candidate's.
    """

    proper_length: Variable
    points: Callable[[float], Iterable[float]]
    after: str | None = None
    branches: tuple[str, ...] = ()
    name: str = "ctau"

    @override
    def applies(self, metadata: Mapping[str, Any], corrections: EraCorrections | None) -> bool:
        return bool(metadata["is_mc"]) and metadata.get("ctau") is not None

    @override
    def evaluate(self, values: Values, given: WeightContext) -> Factor:
        length = _doubles(values(self.proper_length))
        generated = float(given.metadata["ctau"])
        wanted = self.points(generated) if given.shifted else ()
        return Factor(
            np.ones(len(length)),
            points={
                f"{self.name}_{point:g}": lifetime_weight(length, generated, point)
                for point in wanted
            },
        )


@dataclass(frozen=True)
class GeneratorVariation(Weight):
    """Uncertainty of the generator, as alternative weights relative to its own; the factor is 1.

    Attributes
    ----------
    name
        Beginning of the names of the variations.
    up, down
        Weights of the event under the variation, relative to the nominal one.
    field
        Branch that holds the alternative weights. Datasets without it have no such variation.
    without_meaning
        Number of alternative weights of the event if it is not known what they stand for, so that
        up and down are 1; NaN if it is known. Such events are counted and reported.
    """

    name: str
    up: Variable
    down: Variable
    field: str | None
    without_meaning: Variable | None = None
    branches: tuple[str, ...] = ()
    after: str | None = None

    @override
    def absent(self, count: int, *, shifted: bool) -> Factor:
        one = np.ones(count)
        return Factor(one, {WHOLE: (one, one)} if shifted else {})

    @override
    def evaluate(self, values: Values, given: WeightContext) -> Factor:
        up, down = _doubles(values(self.up)), _doubles(values(self.down))
        notes: dict[str, int] = {}
        if given.shifted and self.without_meaning is not None:
            numbers = _doubles(values(self.without_meaning))
            for number, count in zip(*np.unique(numbers, return_counts=True), strict=True):
                if np.isfinite(number):
                    text = (
                        f"no envelope is known for {number:g} weights in {self.field}; "
                        "the variation equals the nominal weight"
                    )
                    notes[text] = int(count)
        shifts = {WHOLE: (up, down)} if given.shifted else {}
        return Factor(np.ones(len(up)), shifts, notes=notes)


def _doubles(values: npt.NDArray[Any]) -> Floats:
    return np.asarray(values, dtype=np.float64)
