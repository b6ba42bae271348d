"""The weights of a chunk: of its events, and of candidates with all their variations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul
from typing import Any, Final

import awkward as ak
import numpy.typing as npt
from coffea.analysis_tools import Weights

from bphcoffea.analysis.selection import Candidates, Floats, Integers
from bphcoffea.analysis.variables import Values, Variable
from bphcoffea.analysis.weights import Given, Weight
from bphcoffea.corrections import EraCorrections, Factor
from bphcoffea.corrections.factors import WHOLE

#: Name of the weight that the generator gave.
GENERATOR: Final = "generator"


class Weighting:
    """The weights of a chunk.

    Parameters
    ----------
    weights
        Those that apply to its dataset.
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
    """

    def __init__(
        self,
        weights: Sequence[Weight],
        corrections: EraCorrections | None,
        events: Any,
        generator: Floats,
        from_cut: Mapping[str, str | None],
    ) -> None:
        self._weights = [w for w in weights if w.field is None or w.field in events.fields]
        self._from_cut = from_cut
        self._corrections = corrections
        self._metadata = events.metadata
        self._generator = generator
        self.events = generator

        def of_events(variable: Variable) -> npt.NDArray[Any]:
            values: npt.NDArray[Any] = ak.to_numpy(variable(events))
            return values

        for weight in self._weights:
            if weight.after is None:
                self.events = self.events * self._evaluate(weight, of_events, shifted=False).nominal

    def belated(self, cut: str, which: Integers, candidates: Candidates) -> Floats | None:
        """Product of the weights that count from a cut on; None where there are none.

        Parameters
        ----------
        cut
            Name of the cut.
        which, candidates
            Positions of those to weigh, shape (n,), among the candidates.
        """
        factors = [
            self._evaluate(weight, candidates.at(which), shifted=False).nominal
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
        weights = Weights(len(which), storeIndividual=True)
        clamped: dict[str, int] = {}
        points: dict[str, Floats] = {}
        if self._metadata["is_mc"]:
            weights.add(GENERATOR, self._generator[candidates.chunk_event[which]])
        for weight in self._weights:
            factor = self._evaluate(weight, candidates.at(which), shifted=shifted)
            _add(weights, weight.name, factor)
            points |= factor.points
            if factor.clamped:
                clamped[weight.name] = factor.clamped
        return CandidateWeights(weights, points, clamped)

    def _evaluate(self, weight: Weight, values: Values, *, shifted: bool) -> Factor:
        return weight.evaluate(values, Given(self._corrections, self._metadata, shifted))


@dataclass(frozen=True)
class CandidateWeights:
    """Weights of some candidates.

    Attributes
    ----------
    weights
        Coffea's container of the factors with their up and down variations.
    points
        Factors under other hypotheses, by the name of the variation, shape (n,) each.
    clamped
        For each weight that met values outside its bins, how many.
    """

    weights: Weights
    points: Mapping[str, Floats]
    clamped: dict[str, int]

    @property
    def nominal(self) -> Floats:
        """Product of all factors, shape (n,)."""
        nominal: Floats = self.weights.weight()
        return nominal

    def variations(self) -> list[str]:
        """Names of the variations, in the order of the weights."""
        return [*sorted(self.weights.variations), *self.points]

    def varied(self, variation: str) -> Floats:
        """The weight under a variation, shape (n,)."""
        if variation in self.points:
            return self.nominal * self.points[variation]
        varied: Floats = self.weights.weight(variation)
        return varied

    def components(self) -> dict[str, Floats]:
        """Each factor by its name, shape (n,)."""
        names = self.weights._names
        return {name: self.weights.partial_weight(include=[name]) for name in names}


def _add(weights: Weights, name: str, factor: Factor) -> None:
    if not factor.shifts:
        weights.add(name, factor.nominal)
    elif list(factor.shifts) == [WHOLE]:
        up, down = factor.shifts[WHOLE]
        # copies: coffea divides them by the nominal in place
        weights.add(name, factor.nominal, weightUp=up.copy(), weightDown=down.copy())
    else:
        names = list(factor.shifts)
        ups, downs = zip(*factor.shifts.values(), strict=True)
        weights.add_multivariation(
            name, factor.nominal, names, [u.copy() for u in ups], [d.copy() for d in downs]
        )
