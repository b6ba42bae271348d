"""Alternative weights of the generator: PDF, scales of QCD and parton shower, as in NanoAOD.

They are relative to the nominal weight, whose factor is 1. Members of a PDF set and the pairs of
scales are histogrammed one by one and combined in each bin when the run ends, because a quadratic
sum, or an envelope, of the weights of single events is another quantity.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np
from typing_extensions import override

from bphcoffea.analysis.names import DOWN, UP, shown
from bphcoffea.analysis.objects import ObjectVariable
from bphcoffea.analysis.variables import Values
from bphcoffea.analysis.weights.pdf_sets import PDF_ERRORS, pdf_errors
from bphcoffea.analysis.weights.weight import Weight, WeightContext
from bphcoffea.arrays import Booleans, Floats, Integers, Numbers
from bphcoffea.corrections import Factor
from bphcoffea.errors import DeclarationError
from bphcoffea.physics import Combination, flattened, lengths

#: Positions of the weights in NanoAOD's list of (μ_R, μ_F) = (½, ½), (½, 1), … (2, 2), by the
#: number of weights; lists of eight leave out the nominal one. Opposite changes are not used.
_SCALES: Final[Mapping[int, Mapping[str, tuple[int, int]]]] = MappingProxyType(
    {
        9: {"muR": (7, 1), "muF": (5, 3), "muRF": (8, 0)},
        8: {"muR": (6, 1), "muF": (4, 3), "muRF": (7, 0)},
    }
)
#: Positions of the weights of NanoAOD's list for initial and final state radiation, up and down.
_SHOWER: Final = MappingProxyType({"isr": (0, 2), "fsr": (1, 3)})


@dataclass(frozen=True)
class GeneratorWeights(Weight):
    """Base class of alternative weights of the generator; the factor itself is 1.

    Attributes
    ----------
    name
        Beginning of the names of the variations.
    field
        Branch that holds a list of weights for each event. Datasets without it have no such
        variations.
    normalised
        Whether each variation is normalised to its own Σw over all events, so that it changes shape
        and acceptance, but not the cross section, which has an uncertainty of its own.
    """

    name: str
    field: str | None
    normalised: bool = True
    nominal_is_one: ClassVar[bool] = True

    @abstractmethod
    def factor(self, lists: Numbers, context: WeightContext) -> Factor:
        """Return the factor from the list of weights of each event."""

    @override
    def evaluate(self, values: Values, context: WeightContext) -> Factor:
        return self.factor(values(_list_of(str(self.field))), context)


@dataclass(frozen=True)
class ScaleWeights(GeneratorWeights):
    """Variations of the renormalisation and factorisation scales by factors of 2.

    Attributes
    ----------
    name, field, normalised
        See :class:`GeneratorWeights`.
    separate
        Scales that are varied separately, of ``muR``, ``muF`` and ``muRF`` (both together), as
        variations ``<name>_muR`` … By default the variation ``<name>`` is the envelope of all six
        in each bin.
    """

    name: str = "scale"
    field: str | None = "LHEScaleWeight"
    normalised: bool = True
    separate: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = tuple(_SCALES[9])
        wrong = [scale for scale in self.separate if scale not in known]
        if wrong or not isinstance(self.separate, tuple):
            raise DeclarationError(
                f"weight '{self.name}': separate is {shown(self.separate)}, but must be a tuple "
                f"of {', '.join(known)}"
            )

    @override
    def factor(self, lists: Numbers, context: WeightContext) -> Factor:
        weights = _Weights(lists, tuple(_SCALES))
        points = {
            f"{self.name}_{scale}{side}": weights.at({n: _SCALES[n][scale][i] for n in _SCALES})
            for scale in self.separate or _SCALES[9]
            for i, side in enumerate((UP, DOWN))
        }
        notes = {
            f"no envelope is known for {number} weights in {self.field}; "
            "the variation equals the nominal weight": events
            for number, events in weights.others()
        }
        combinations = (Combination(self.name, "envelope", tuple(points)),)
        return Factor(
            np.ones(len(lists)),
            points=points,
            notes=notes,
            combinations=() if self.separate else combinations,
        )


@dataclass(frozen=True)
class PartonShower(GeneratorWeights):
    """Scales of initial and final state radiation in the parton shower, by factors of 2.

    The variations are ``<name>_isr`` and ``<name>_fsr``, from lists of four weights: ISR up, FSR
    up, ISR down, FSR down. A list of one weight has no variation.
    """

    name: str = "ps"
    field: str | None = "PSWeight"

    @override
    def factor(self, lists: Numbers, context: WeightContext) -> Factor:
        weights = _Weights(lists, (4,))
        if np.all(weights.counts <= 1):
            return Factor(np.ones(len(lists)))
        points = {
            f"{self.name}_{radiation}{side}": weights.at({4: position})
            for radiation, positions in _SHOWER.items()
            for side, position in zip((UP, DOWN), positions, strict=True)
        }
        notes = {
            f"the meaning of {number} weights in {self.field} is not known; "
            "the variations equal the nominal weight": events
            for number, events in weights.others()
            if number > 1
        }
        return Factor(np.ones(len(lists)), points=points, notes=notes)


@dataclass(frozen=True)
class PDFWeights(GeneratorWeights):
    """Uncertainty of the parton distributions, from the weights of the members of a PDF set.

    The variation ``<name>`` combines the members in each bin, ``<name>_alphas`` is that of αs if
    the set has it. What the members are follows from the LHAPDF IDs in the title of the branch, or
    from ``pdf_errors`` in the metadata of the dataset; see :func:`.pdf_sets.pdf_errors`.
    """

    name: str = "pdf"
    field: str | None = "LHEPdfWeight"

    @override
    def faults(self, context: WeightContext) -> Iterable[str]:
        try:
            pdf_errors(context.metadata, context.title)
        except DeclarationError as error:
            yield f"weight '{self.name}': {error}"

    @override
    def factor(self, lists: Numbers, context: WeightContext) -> Factor:
        counts = lengths(lists)
        number = int(np.max(counts, initial=0))
        one = np.ones(len(lists))
        if number <= 1:
            return Factor(one)
        errors = pdf_errors(context.metadata, context.title)
        combinations = errors.combinations(self.name, number) if errors else ()
        if not combinations:
            kind = "do not fit their PDF set" if errors else "are of an unknown PDF set"
            note = (
                f"the {number} weights in {self.field} {kind}; there is no such variation without "
                f"'{PDF_ERRORS}' in the metadata"
            )
            return Factor(one, notes={note: len(lists)} if len(lists) else {})
        weights = _Weights(lists, (number,))
        used = [name for c in combinations for name in (c.reference, *c.members) if name]
        points = {
            name: weights.at({number: int(name.removeprefix(f"{self.name}_"))})
            for name in dict.fromkeys(used)
        }
        notes = {
            f"some events have {other} weights in {self.field}, others {number}; "
            "the variation of the former equals the nominal weight": events
            for other, events in weights.others()
        }
        return Factor(one, points=points, notes=notes, combinations=combinations)


@cache
def _list_of(name: str) -> ObjectVariable:
    """Return the variable of a list of weights, the same for all weights that read it."""
    return ObjectVariable(name, lambda events: events[name])


class _Weights:
    """Lists of weights of known lengths; events with another length have the weight 1.

    Attributes
    ----------
    counts
        Number of weights of each event, shape (events,).
    """

    def __init__(self, lists: Numbers, known: tuple[int, ...]) -> None:
        self.counts: Integers = lengths(lists)
        self._with_length: dict[int, tuple[Booleans, Numbers]] = {}
        for length in known:
            chosen = self.counts == length
            if np.any(chosen):
                flat = flattened(lists if np.all(chosen) else lists[chosen])
                self._with_length[length] = chosen, flat.reshape(-1, length)

    def at(self, positions: Mapping[int, int]) -> Floats:
        """Return the weight at a position that depends on the length, shape (events,)."""
        values = np.ones(len(self.counts))
        for length, (chosen, weights) in self._with_length.items():
            if np.all(chosen):
                # a view, because a hundred copies would need much memory
                return weights[:, positions[length]]
            values[chosen] = weights[:, positions[length]]
        return values

    def others(self) -> Iterator[tuple[int, int]]:
        """Yield each other length, and the number of events that have it."""
        counts = self.counts[~np.isin(self.counts, list(self._with_length))]
        for number, events in zip(*np.unique(counts, return_counts=True), strict=True):
            yield int(number), int(events)
