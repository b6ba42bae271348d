"""Weights of the events of a chunk, and of candidates with all their variations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import itemgetter, mul

import awkward as ak
import numpy as np

from bphcoffea.analysis import (
    DOWN,
    GENERATOR,
    HELD,
    UP,
    DatasetMetadata,
    ResolvedAnalysis,
    Values,
    Variable,
    Weight,
    WeightContext,
)
from bphcoffea.arrays import Floats, Integers, Numbers
from bphcoffea.corrections import Factor
from bphcoffea.errors import InputError
from bphcoffea.physics import Combination
from bphcoffea.processing.candidates import Candidates, values_of_events


class Weighting:
    """The weights of a chunk.

    A weight whose field this file lacks is 1, without variations, if other files of the dataset
    have the field (metadata ``held``); else it is left out.

    Parameters
    ----------
    resolved
        Declarations for the dataset.
    events
        Events of the chunk.
    generator
        Generator weight of each event, shape (events,).

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
        resolved: ResolvedAnalysis,
        events: ak.Array,
        generator: Floats,
    ) -> None:
        self._resolved = resolved
        self._metadata = resolved.metadata
        self._events = events
        fields = [weight.field for weight in resolved.weights if weight.field is not None]
        self._titles = {name: _title(events, name) for name in fields if _has(events, name)}
        held = (*self._titles, *self._metadata[HELD])
        self._weights = [w for w in resolved.weights if w.field is None or w.field in held]
        if self._metadata["is_mc"]:
            check_finite(f"weight '{GENERATOR}'", generator, None, self._metadata)
        self._generator = generator
        self.events = generator

        all_events = np.arange(len(generator))
        for weight in self._weights:
            if weight.after is None:
                factor = self._evaluate(weight, self._of_events, all_events, shifted=False)
                self.events = self.events * factor.nominal

    def _of_events(self, variable: Variable) -> Numbers:
        return values_of_events(variable, self._events)

    @property
    def generator_sumw(self) -> float:
        """Sum of the generator weights of all events, with the nominal normalised weights."""
        return float(np.sum(self._normalised(shifted=False).nominal))

    def sums_of_variations(self) -> dict[str, float]:
        """Return the sum of the weights that are normalised under each of their variations.

        Keys are names of variations; those of weights that are not normalised have no sum. See
        :attr:`generator_sumw`.
        """
        return {
            name: float(np.sum(varied)) for name, varied in self._normalised(shifted=True).varied()
        }

    def _normalised(self, *, shifted: bool) -> CandidateWeights:
        """Return the generator weights of all events, and the weights that are normalised."""
        factors = {GENERATOR: Factor(self._generator)}
        all_events = np.arange(len(self._generator))
        for weight in self._weights:
            if weight.normalised and (shifted or not weight.nominal_is_one):
                factors[weight.name] = self._evaluate(
                    weight, self._of_events, all_events, shifted=shifted
                )
        return CandidateWeights(len(self._generator), factors)

    def weights_from_cut(
        self, cut: str, positions: Integers, candidates: Candidates
    ) -> Floats | None:
        """Return the product of the weights that first apply at a cut; None if there are none.

        Parameters
        ----------
        cut
            Name of the cut.
        positions
            Positions of the candidates to weight among all candidates, shape (n,).
        candidates
            All candidates.
        """
        events = candidates.chunk_event[positions]
        factors = [
            self._evaluate(weight, candidates.at(positions), events, shifted=False).nominal
            for weight in self._weights
            if self._resolved.first_cuts.get(weight.name) == cut
        ]
        return reduce(mul, factors) if factors else None

    def sum_of(self, candidates: Candidates, positions: Integers) -> float:
        """Return the sum of the nominal weights of candidates at some positions."""
        return float(np.sum(self.of(candidates, positions, shifted=False).nominal))

    def of(self, candidates: Candidates, positions: Integers, *, shifted: bool) -> CandidateWeights:
        """Return all weights of candidates at some positions, shape (n,).

        Parameters
        ----------
        candidates
            All candidates.
        positions
            Positions of the candidates to weight, shape (n,).
        shifted
            Whether to evaluate the variations.
        """
        events = candidates.chunk_event[positions]
        factors: dict[str, Factor] = {}
        if self._metadata["is_mc"]:
            factors[GENERATOR] = Factor(self._generator[events])
        for weight in self._weights:
            values = candidates.at(positions)
            factors[weight.name] = self._evaluate(weight, values, events, shifted=shifted)
        return CandidateWeights(len(positions), factors)

    def _evaluate(
        self, weight: Weight, values: Values, events: Integers, *, shifted: bool
    ) -> Factor:
        """Evaluate a weight for some events of the chunk, and check that it is finite."""
        is_absent = weight.field is not None and weight.field not in self._titles
        if is_absent or (weight.nominal_is_one and not shifted):
            return Factor(np.ones(len(events)))
        title = self._titles[weight.field] if weight.field is not None else ""
        context = WeightContext(self._resolved.corrections, self._metadata, shifted, title)
        factor = weight.evaluate(values, context)
        check_finite(f"weight '{weight.name}'", factor.nominal, events, self._metadata)
        for name, sides in factor.shifts.items():
            label = f"weight '{weight.name}', shifted by its {name or 'uncertainty'},"
            for side in sides:
                check_finite(label, side, events, self._metadata)
        for name, relative in factor.points.items():
            label = f"weight '{weight.name}', variation '{name}',"
            check_finite(label, relative, events, self._metadata)
        return factor


def _has(events: ak.Array, branch: str) -> bool:
    """Return whether the events have a branch, as a field or as one of a collection."""
    collection, _, name = branch.partition("_")
    return branch in events.fields or (
        collection in events.fields and name in events[collection].fields
    )


def _title(events: ak.Array, branch: str) -> str:
    """Return the title of a branch in the file; empty if it has none."""
    if branch not in events.fields:
        return ""
    return str(events[branch].layout.purelist_parameter("__doc__") or "")


@dataclass(frozen=True)
class CandidateWeights:
    """Weights of some candidates.

    Attributes
    ----------
    count
        Number of candidates, n.
    factors
        Factors by the name of the weight, in the order in which they are multiplied.
    """

    count: int
    factors: Mapping[str, Factor]

    @cached_property
    def nominal(self) -> Floats:
        """Product of all nominal factors, shape (n,)."""
        return self._product()

    @property
    def clamped(self) -> dict[str, int]:
        """Number of values outside the bins of a correction, by the name of the weight."""
        return {name: factor.clamped for name, factor in self.factors.items() if factor.clamped}

    @property
    def combinations(self) -> tuple[Combination, ...]:
        """Combinations of variations that are made when all histograms are filled."""
        return tuple(c for factor in self.factors.values() for c in factor.combinations)

    @property
    def notes(self) -> dict[str, int]:
        """Remarks on the factors, with the number of candidates that each remark applies to."""
        return {
            f"weight '{name}': {note}": count
            for name, factor in self.factors.items()
            for note, count in factor.notes.items()
        }

    def varied(self) -> Iterator[tuple[str, Floats]]:
        """Yield the name of each variation and its weights, shape (n,).

        A shifted factor replaces the nominal one. It is not applied as a ratio to the nominal
        weight, which may be 0 where the shifted weight is not.
        """
        shifted: list[tuple[str, str, Floats]] = []
        for name, factor in self.factors.items():
            for part, (up, down) in factor.shifts.items():
                beginning = f"{name}_{part}" if part else name
                shifted += [(beginning + UP, name, up), (beginning + DOWN, name, down)]
        without: dict[str, Floats] = {}
        for variation, name, values in sorted(shifted, key=itemgetter(0)):
            if name not in without:
                without[name] = self._product(without=name)
            yield variation, without[name] * values
        for factor in self.factors.values():
            for variation, relative in factor.points.items():
                yield variation, self.nominal * relative

    def _product(self, without: str | None = None) -> Floats:
        product = np.ones(self.count)
        for name, factor in self.factors.items():
            if name != without:
                product *= factor.nominal
        return product


def check_finite(
    label: str, values: Floats, events: Integers | None, metadata: DatasetMetadata
) -> None:
    """Raise an InputError if some weights, or their squares, which are summed, are not finite.

    Parameters
    ----------
    label
        Name of the weights, with which the message begins.
    values
        The weights, shape (n,).
    events
        Position of each weight's event in the chunk, shape (n,); None if they are 0 … n - 1.
    metadata
        Metadata of the chunk, with the entry of the file at which it begins.
    """
    with np.errstate(over="ignore"):
        wrong = np.flatnonzero(~np.isfinite(np.square(values, dtype=np.float64)))
    if not len(wrong):
        return
    first = int(wrong[0] if events is None else events[wrong[0]])
    entry = first + int(metadata.get("entrystart", 0))
    raise InputError(
        f"{label} is {values[wrong[0]]:g} for {len(wrong)} of {len(values)} "
        f"{'events' if events is None else 'candidates'}, the first of them in entry {entry}"
    )
