"""Weights that an analysis declares: corrections of simulation, with their uncertainties.

A weight of events (pile-up) applies before any cut. A weight of candidates (muon scale factors)
corrects the efficiency of a cut and applies from that step of the cutflow onwards. Data have no
weights and no variations.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np
from typing_extensions import override

from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.variables import Values, Variable
from bphcoffea.arrays import Floats, Numbers
from bphcoffea.corrections import (
    EraCorrections,
    Factor,
    MuonFactor,
    PileupFactor,
    TriggerFactor,
    product,
)
from bphcoffea.errors import CorrectionsError
from bphcoffea.physics import lifetime_weight

#: Name of the generator weight.
GENERATOR: Final = "generator"

_INTERACTIONS: Final = Variable("interactions", lambda events: events.Pileup.nTrueInt)


@dataclass(frozen=True)
class WeightContext:
    """Inputs of a weight other than the events.

    Attributes
    ----------
    corrections
        Corrections of the dataset's era; None if there are none.
    metadata
        Metadata of the dataset.
    shifted
        Whether to evaluate the uncertainties.
    title
        Title of the branch that the weight names as its field; empty if there is none.
    """

    corrections: EraCorrections | None
    metadata: DatasetMetadata
    shifted: bool = False
    title: str = ""


class Weight(ABC):
    """Base class of weights: a factor of the weight of simulated events or candidates.

    Attributes
    ----------
    name
        Name of the factor; the names of its variations begin with it.
    after
        Name of the cut that a weight of candidates corrects; None for a weight of events.
    field
        Branch that files may lack. If no file of a dataset has it, the dataset does not have the
        weight; in a single file without it the factor is 1. None if there is no such branch.
    normalised
        Whether the weight, and each of its variations, is normalised to its own Σw before any cut,
        so that it changes no cross section: Σw of a dataset, by which it is scaled, includes it.
    nominal_is_one
        Whether the weight has variations only, and its nominal factor is always 1.
    """

    name: str
    after: str | None = None
    field: str | None = None
    normalised: bool = False
    nominal_is_one: ClassVar[bool] = False
    #: Section of the corrections that the weight needs; None if it needs none.
    section: ClassVar[str | None] = None
    #: Condition on the metadata of datasets, set by :meth:`only_when`.
    condition: Callable[[DatasetMetadata], bool] | None = None

    def only_when(self, condition: Callable[[DatasetMetadata], bool]) -> Self:
        """Return the weight for those datasets alone whose metadata meet a condition.

        Examples
        --------
        >>> of_b = PileupWeight().only_when(lambda metadata: metadata.get("subsample") == "b")
        >>> of_b.exists_for({"is_mc": True, "subsample": "light"}, None)
        False
        """
        other = copy.copy(self)
        object.__setattr__(other, "condition", condition)  # weights are frozen dataclasses
        return other

    def exists_for(self, metadata: DatasetMetadata, corrections: EraCorrections | None) -> bool:
        """Return whether a dataset has the weight: it applies, and the condition is met."""
        met = self.condition is None or self.condition(metadata)
        return met and self.applies(metadata, corrections)

    def applies(self, metadata: DatasetMetadata, corrections: EraCorrections | None) -> bool:
        """Return whether the weight is for a dataset with these corrections.

        By default, simulation has it if the corrections have the section that it needs.
        """
        if not metadata["is_mc"]:
            return False
        needed = self.needs()
        return needed is None or (corrections is not None and needed in corrections.declared())

    def needs(self) -> str | None:
        """Return the section of the corrections that the weight needs; None if it needs none."""
        return self.section

    def faults(self, context: WeightContext) -> Iterable[str]:  # noqa: ARG002
        """Return one line for each reason why the weight cannot be evaluated for a dataset."""
        return ()

    @abstractmethod
    def evaluate(self, values: Values, context: WeightContext) -> Factor:
        """Return the factor, with its variations if the context asks for them.

        Parameters
        ----------
        values
            Function from a variable to its values, one per event or one per candidate.
        context
            Corrections and metadata.
        """


@dataclass(frozen=True)
class PileupWeight(Weight):
    """Ratio of the pile-up profiles of data and simulation (section ``pileup``).

    Attributes
    ----------
    interactions
        True number of interactions of the event; by default that of NanoAOD, ``Pileup_nTrueInt``.
    """

    interactions: Variable = _INTERACTIONS
    name: str = "pileup"
    section: ClassVar[str] = "pileup"

    @override
    def evaluate(self, values: Values, context: WeightContext) -> Factor:
        pileup: PileupFactor = getattr(context.corrections, self.section)
        return pileup.evaluate(doubles(values(self.interactions)), shifted=context.shifted)


@dataclass(frozen=True)
class MuonWeight(Weight):
    """Product of the scale factors of a candidate's muons, with correlated uncertainties.

    Attributes
    ----------
    name
        Section of the corrections: ``muon_id`` or ``muon_reconstruction``.
    muons
        pT (GeV) and η of each muon.
    after
        Name of the cut that the scale factors correct.
    """

    name: str
    muons: tuple[tuple[Variable, Variable], ...]
    after: str | None

    @override
    def needs(self) -> str | None:
        return self.name

    @override
    def evaluate(self, values: Values, context: WeightContext) -> Factor:
        muon: MuonFactor = getattr(context.corrections, self.name)
        return product(
            [
                muon.evaluate(doubles(values(pt)), doubles(values(eta)), shifted=context.shifted)
                for pt, eta in self.muons
            ]
        )


@dataclass(frozen=True)
class TriggerWeight(Weight):
    """Ratio of the trigger efficiencies of data and simulation, if any of several muons may fire.

    Attributes
    ----------
    muons
        For each muon, the variables that the efficiency depends on, by the payload's input names.
    after
        Name of the cut that the ratio corrects.
    """

    muons: tuple[Mapping[str, Variable], ...]
    after: str | None
    name: str = "trigger"
    section: ClassVar[str] = "trigger"

    @override
    def evaluate(self, values: Values, context: WeightContext) -> Factor:
        trigger: TriggerFactor = getattr(context.corrections, self.section)
        declared = [name for name in self.muons[0] if all(name in muon for muon in self.muons)]
        missing = [name for name in trigger.inputs if name not in declared]
        if missing:
            raise CorrectionsError(
                f"{self.name}: the efficiency takes "
                f"{', '.join(missing)}; this analysis gives {', '.join(declared)}"
            )
        muons = [
            {name: doubles(values(variable)) for name, variable in muon.items()}
            for muon in self.muons
        ]
        return trigger.evaluate(muons, shifted=context.shifted)


@dataclass(frozen=True)
class LifetimeWeight(Weight):
    """Other mean decay lengths of a long-lived signal, as variations ``ctau_<mm>``.

    Applies to simulation with ``ctau`` in its metadata. The nominal factor is 1.

    Attributes
    ----------
    proper_length
        Generated proper decay length, mm.
    points
        Function from the generated mean decay length to other mean decay lengths, mm.
    after
        Name of a cut if the length is one of candidates; None if it is one of events.
    """

    proper_length: Variable
    points: Callable[[float], Iterable[float]]
    after: str | None = None
    name: str = "ctau"

    @override
    def applies(self, metadata: DatasetMetadata, corrections: EraCorrections | None) -> bool:
        return bool(metadata["is_mc"]) and metadata.get("ctau") is not None

    @override
    def evaluate(self, values: Values, context: WeightContext) -> Factor:
        length = doubles(values(self.proper_length))
        generated = float(context.metadata["ctau"])
        points = self.points(generated) if context.shifted else ()
        return Factor(
            np.ones(len(length)),
            points={
                f"{self.name}_{point:g}": lifetime_weight(length, generated, point)
                for point in points
            },
        )


def doubles(values: Numbers) -> Floats:
    """Return numbers in double precision."""
    return np.asarray(values, dtype=np.float64)
