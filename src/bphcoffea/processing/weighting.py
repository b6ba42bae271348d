"""The weights of a chunk: of its events, and of candidates with all their variations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import mul
from typing import Any

import numpy as np
import numpy.typing as npt

from bphcoffea.analysis.branch_needs import HELD
from bphcoffea.analysis.variables import Values, Variable
from bphcoffea.analysis.weights import DOWN, GENERATOR, UP, Weight, WeightContext
from bphcoffea.arrays import Floats, Integers
from bphcoffea.corrections import EraCorrections, Factor
from bphcoffea.errors import InputError
from bphcoffea.processing.candidates import Candidates, values_of_events


class Weighting:
    """The weights of a chunk.

    Parameters
    ----------
    weights
        Those that apply to its dataset. One whose field this file lacks is 1, with all its
        variations, if other files of the dataset have the field (metadata ``held``); else it is
        left out.
    corrections
        Of its era.
    events
        The chunk, with its dataset's metadata.
    generator
        Weight of each event that the generator gave, shape (events,).
    from_cut
        For each weight of a candidate, the cut of this dataset's selection from which it counts.

    Attributes
    ----------
    events
        Weight of each event before any cut, shape (events,).

    Raises
    ------
    InputError
        If a weight is not finite for some event; the message names the weight and the event.
    """

    def __init__(
        self,
        weights: Sequence[Weight],
        corrections: EraCorrections | None,
        events: Any,
        generator: Floats,
        from_cut: Mapping[str, str | None],
    ) -> None:
        held = (*events.fields, *events.metadata.get(HELD, ()))
        self._weights = [w for w in weights if w.field is None or w.field in held]
        self._from_cut = from_cut
        self._corrections = corrections
        self._metadata = events.metadata
        self._absent = {
            weight.name
            for weight in self._weights
            if weight.field is not None and weight.field not in events.fields
        }
        if self._metadata["is_mc"]:
            check_finite(f"weight '{GENERATOR}'", generator, None, self._metadata)
        self._generator = generator
        self.events = generator

        def of_events(variable: Variable) -> npt.NDArray[Any]:
            return values_of_events(variable, events)

        everything = np.arange(len(generator))
        for weight in self._weights:
            if weight.after is None:
                factor = self._evaluate(weight, of_events, everything, shifted=False)
                self.events = self.events * factor.nominal

    def weights_from_cut(self, cut: str, which: Integers, candidates: Candidates) -> Floats | None:
        """Product of the weights that first apply at this cut; None if there are none.

        Parameters
        ----------
        cut
            Name of the cut.
        which, candidates
            Positions of those to weigh, shape (n,), among the candidates.
        """
        events = candidates.chunk_event[which]
        factors = [
            self._evaluate(weight, candidates.at(which), events, shifted=False).nominal
            for weight in self._weights
            if self._from_cut.get(weight.name) == cut
        ]
        return reduce(mul, factors) if factors else None

    def of(self, candidates: Candidates, which: Integers, *, shifted: bool) -> CandidateWeights:
        """All weights of some candidates.

        Parameters
        ----------
        candidates, which
            The candidates, and positions of those to weigh, shape (n,).
        shifted
            Whether to evaluate the variations, too.
        """
        events = candidates.chunk_event[which]
        factors: dict[str, Factor] = {}
        if self._metadata["is_mc"]:
            factors[GENERATOR] = Factor(self._generator[events])
        for weight in self._weights:
            values = candidates.at(which)
            factors[weight.name] = self._evaluate(weight, values, events, shifted=shifted)
        return CandidateWeights(len(which), factors)

    def _evaluate(
        self, weight: Weight, values: Values, events: Integers, *, shifted: bool
    ) -> Factor:
        """Evaluate a weight of some events of the chunk, and check that it is finite."""
        if weight.name in self._absent:
            return weight.absent(len(events), shifted=shifted)
        factor = weight.evaluate(values, WeightContext(self._corrections, self._metadata, shifted))
        check_finite(f"weight '{weight.name}'", factor.nominal, events, self._metadata)
        for name, sides in factor.shifts.items():
            what = f"weight '{weight.name}', shifted by its {name or 'uncertainty'},"
            for side in sides:
                check_finite(what, side, events, self._metadata)
        for name, relative in factor.points.items():
            check_finite(f"variation '{name}'", relative, events, self._metadata)
        return factor


@dataclass(frozen=True)
class CandidateWeights:
    """Weights of some candidates.

    Attributes
    ----------
    count
        Number of candidates, n.
    factors
        The factors by name, in the order in which they are multiplied.
    """

    count: int
    factors: Mapping[str, Factor]

    @cached_property
    def nominal(self) -> Floats:
        """Product of all nominal factors, shape (n,)."""
        return self._product()

    @property
    def clamped(self) -> dict[str, int]:
        """For each weight that met values outside its bins, how many."""
        return {name: factor.clamped for name, factor in self.factors.items() if factor.clamped}

    @property
    def notes(self) -> dict[str, int]:
        """Remarks on the factors, with the number of candidates that each applies to."""
        return {
            f"weight '{name}': {note}": count
            for name, factor in self.factors.items()
            for note, count in factor.notes.items()
        }

    def varied(self) -> Iterator[tuple[str, Floats]]:
        """Yield the name of each variation and the weights under it, shape (n,).

        A shifted factor replaces the nominal one. It is not applied as a ratio to the nominal
        weight, which may be 0 where the shifted weight is not.
        """
        shifted: list[tuple[str, str, Floats]] = []
        for name, factor in self.factors.items():
            for part, (up, down) in factor.shifts.items():
                beginning = f"{name}_{part}" if part else name
                shifted += [(beginning + UP, name, up), (beginning + DOWN, name, down)]
        others: dict[str, Floats] = {}
        for variation, name, values in sorted(shifted, key=lambda each: each[0]):
            if name not in others:
                others[name] = self._product(without=name)
            yield variation, others[name] * values
        for factor in self.factors.values():
            for variation, relative in factor.points.items():
                yield variation, self.nominal * relative

    def components(self) -> dict[str, Floats]:
        """Each nominal factor by its name, shape (n,)."""
        return {name: factor.nominal for name, factor in self.factors.items()}

    def _product(self, without: str | None = None) -> Floats:
        product = np.ones(self.count)
        for name, factor in self.factors.items():
            if name != without:
                product *= factor.nominal
        return product


def check_finite(
    what: str, values: Floats, events: Integers | None, metadata: Mapping[str, Any]
) -> None:
    """Raise an InputError if some values, or their squares, are not finite.

    Squares are summed, too; the message tells the entry of the first such value.

    Parameters
    ----------
    what
        What the values are, for the message.
    values
        Shape (n,).
    events
        Position of each value's event in the chunk, shape (n,); None if they are 0 … n - 1.
    metadata
        Of the chunk, which tells at which entry of the file it begins.
    """
    with np.errstate(over="ignore"):
        wrong = np.flatnonzero(~np.isfinite(np.square(values)))
    if not len(wrong):
        return
    first = int(wrong[0] if events is None else events[wrong[0]])
    entry = first + int(metadata.get("entrystart", 0))
    raise InputError(
        f"{what} is {values[wrong[0]]:g} for {len(wrong)} of {len(values)} "
        f"{'events' if events is None else 'candidates'}, the first of them in entry {entry}"
    )
