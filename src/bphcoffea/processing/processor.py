"""Run the declarations of an analysis over a chunk of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import awkward as ak
import numpy as np
import numpy.typing as npt
from coffea.processor import ProcessorABC
from typing_extensions import override

from bphcoffea.analysis.analysis import Analysis
from bphcoffea.analysis.blinding import Hidden
from bphcoffea.analysis.branch_needs import HELD
from bphcoffea.analysis.classifier import CLASSIFIER, SCORE, SCORE_BIN, Classifier
from bphcoffea.analysis.event_numbers import event_numbers
from bphcoffea.analysis.histograms import ALL, NOMINAL, Categories, fill
from bphcoffea.analysis.selection import Selection
from bphcoffea.analysis.variables import Values, Variable
from bphcoffea.arrays import Floats, Integers
from bphcoffea.corrections import EraCorrections
from bphcoffea.errors import InputError
from bphcoffea.physics.windows import within
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.result import Columns, DatasetResult
from bphcoffea.processing.selected import InWindow, Selected
from bphcoffea.processing.shape_variations import shifted_selections
from bphcoffea.processing.weighting import CandidateWeights, Weighting
from bphcoffea.results.cutflow import Cutflow
from bphcoffea.results.entries import Entries

#: Values of each histogram's variable, and categories, of some candidates.
_Filling = tuple[dict[str, npt.NDArray[Any]], Any]


#: Receives the prepared events of a chunk, its selection and its result.
Sink: TypeAlias = Callable[[ak.Array, Selected, DatasetResult], None]


class Processor(ProcessorABC):  # type: ignore[misc]
    """Select, weight and fill the chunks of an analysis.

    Parameters
    ----------
    analysis
        Declarations to run.
    sink
        Called on the worker with each processed chunk, for example to write a skim.
    """

    def __init__(self, analysis: Analysis, sink: Sink | None = None) -> None:
        self.analysis = analysis
        self.sink = sink

    @override
    def process(self, events: Any) -> dict[str, DatasetResult]:
        """Select and fill one chunk of a dataset.

        Parameters
        ----------
        events
            NanoEvents with the dataset's name and metadata.
        """
        metadata = {HELD: _branches_of(events), **events.metadata}
        corrections = self.analysis.era_corrections.for_era(metadata["era"])
        selection = self.analysis.selection_of(metadata)
        numbers = event_numbers(events)
        prepared = self.analysis.prepare(events)
        generator = np.ones(len(events))
        if metadata["is_mc"]:
            generator = self.analysis.generator_weight(events)
        weights = self.analysis.weights_of(metadata)
        from_cut = {w.name: self._first_step(w.after, selection) for w in weights if w.after}
        weighting = Weighting(weights, corrections, prepared, generator, from_cut)
        candidates = Candidates(prepared, selection.collection)
        selected = Selected(
            selection,
            candidates,
            weighting.events,
            partial(weighting.weights_from_cut, candidates=candidates) if from_cut else None,
            self.analysis.best,
            self._in_window(metadata),
        )
        chosen, steps = self._chosen(selected, metadata, numbers)
        weighed = weighting.of(candidates, chosen, shifted=not self.analysis.nominal_only)
        shapes = list(self._shapes(events, selected, weighting, corrections, numbers))
        result = DatasetResult(
            entries=Entries.of_chunk(metadata),
            events=len(events),
            generator_sumw=float(np.sum(generator)),
            lumis=_luminosity_sections(numbers),
            cutflow=_continued(selected.cutflow, steps, partial(_sum_of, weighting, candidates)),
            histograms=self._fill(selected, chosen, weighed, shapes),
            candidates=None
            if self.analysis.best is None
            else self._table(selected, chosen, numbers, weighed, metadata),
            clamped=weighed.clamped,
            notes=weighed.notes,
        )
        # a chunk has entries; what is traced has none
        if self.sink is not None and len(result.entries):
            self.sink(prepared, selected, result)
        return {metadata["dataset"]: result}

    @override
    def postprocess(self, accumulator: Any) -> Any:
        """Nothing is left to do once the chunks are added up."""
        return accumulator

    def _in_window(self, metadata: Mapping[str, Any]) -> InWindow | None:
        """Function that finds the hidden candidates of a dataset; None if nothing is hidden."""
        variable = self.analysis.blind_variable
        if (
            metadata["is_mc"]
            or variable is None
            or not (self.analysis.hidden and self.analysis.hidden.windows)
        ):
            return None
        return partial(_hidden_candidates, self.analysis.hidden, variable, self.analysis.categories)

    def _chosen(
        self,
        selected: Selected,
        metadata: Mapping[str, Any],
        numbers: Mapping[str, npt.NDArray[Any]],
    ) -> tuple[Integers, dict[str, Integers]]:
        """The candidates that are kept, and those that were after each step of the best ones."""
        chosen = selected.chosen
        steps: dict[str, Integers] = {}
        for cut in self.analysis.cuts_on_best_for(metadata):
            passed = np.ones(len(chosen), dtype=np.bool_)
            for requirement in cut.requirements:
                passed &= requirement.mask(selected.candidates.at(chosen))
            chosen = steps[cut.name] = chosen[passed]
        if self.analysis.classifier is not None:
            columns = self.analysis.columns_of(metadata)
            bins = self._score(
                self.analysis.classifier, selected.candidates, chosen, columns, numbers
            )
            chosen = steps[CLASSIFIER] = chosen[bins >= 0]
        return chosen, steps

    def _score(
        self,
        classifier: Classifier,
        candidates: Candidates,
        chosen: Integers,
        columns: Sequence[Variable],
        numbers: Mapping[str, npt.NDArray[Any]],
    ) -> Integers:
        """Give chosen candidates their score and its bin; return the bins, -1 for those lost."""
        values = candidates.at(chosen)
        inputs = {v.name: values(v) for v in columns if v.name in classifier.inputs}
        events = np.zeros(len(chosen), dtype=np.uint64)
        if "event" in numbers:
            events = numbers["event"][candidates.chunk_event[chosen]]
        elif len(classifier.models) > 1:
            raise InputError(
                f"classifier '{classifier.name}': the file has no event number, by which the model "
                "of an event is chosen"
            )
        scores = classifier.score(inputs, events)
        names: tuple[str, ...] = (ALL,)
        category = np.full(len(chosen), ALL)
        if self.analysis.categories is not None:
            names = self.analysis.categories.names
            category = self.analysis.categories.of(values(self.analysis.categories.variable))
        bins = classifier.bins(scores, category, names)
        candidates.assign(SCORE, chosen, scores)
        candidates.assign(SCORE_BIN, chosen, bins)
        return bins

    def _first_step(self, after: str, selection: Selection) -> str | None:
        """From which cut a weight counts; None where that is after the best was chosen."""
        if any(cut.name == after for cut in self.analysis.cuts_on_best):
            return None
        return self.analysis.selection.first_of(after, selection)

    def _shapes(
        self,
        events: Any,
        selected: Selected,
        weighting: Weighting,
        corrections: EraCorrections | None,
        numbers: Mapping[str, npt.NDArray[Any]],
    ) -> Iterator[tuple[str, tuple[_Filling, Floats]]]:
        """Yield what is filled of each shape variation, with its weights, by the name."""
        shifts = [] if self.analysis.nominal_only else self.analysis.shifts
        variations = [(shift, shift.variations(events.metadata, corrections)) for shift in shifts]
        makes_candidates = type(self.analysis).prepare is not Analysis.prepare
        prepare = self.analysis.prepare if makes_candidates else None
        for shifted in shifted_selections(events, selected, variations, prepare):
            chosen, _ = self._chosen(shifted.selected, events.metadata, numbers)
            candidates = shifted.selected.candidates
            weights = weighting.of(candidates, chosen, shifted=False).nominal
            variation = shifted.variation(chosen)
            for number, name in enumerate(shifted.names):
                own = np.flatnonzero(variation == number)
                yield name, (self._entries(shifted.selected, chosen[own]), weights[own])

    def _entries(self, selected: Selected, chosen: npt.NDArray[np.int64]) -> _Filling:
        """What is filled of chosen candidates, but for their weights."""
        values = selected.candidates.at(chosen)
        category: Any = ALL
        categories = self.analysis.filled_categories
        if categories is not None:
            category = categories.of(values(categories.variable))
        return {h.name: values(h.variable) for h in self.analysis.histograms}, category

    def _fill(
        self,
        selected: Selected,
        chosen: npt.NDArray[np.int64],
        weighed: CandidateWeights,
        shapes: Sequence[tuple[str, tuple[_Filling, Floats]]],
    ) -> dict[str, Any]:
        names = tuple(self.analysis.categories_by_bin()) or (ALL,)
        varied = [(NOMINAL, weighed.nominal), *weighed.varied()]
        every = [name for name, _ in (*varied, *shapes)]
        doubled = sorted(name for name, times in Counter(every).items() if times > 1)
        if doubled:
            raise ValueError(f"two variations are named {', '.join(doubled)}")
        filled = {h.name: h.empty(names, every) for h in self.analysis.histograms}
        values, category = self._entries(selected, chosen)
        for variation, weights in varied:
            for name, histogram in filled.items():
                fill(histogram, values[name], weights, category, variation)
        for variation, ((shifted, category_then), weights) in shapes:
            for name, histogram in filled.items():
                fill(histogram, shifted[name], weights, category_then, variation)
        # N-1 distributions hold what some cut rejects: weights of events alone, and no variations
        event_weights = selected.weights[selected.candidates.event]
        for histogram in self.analysis.n_minus_1():
            filled[histogram.name] = histogram.empty()
            if any(histogram.variable is v for v in selected.selection.variables()):
                others = selected.without(histogram.variable)
                all_values = selected.candidates.values(histogram.variable)
                fill(filled[histogram.name], all_values[others], event_weights[others])
        return filled

    def _table(
        self,
        selected: Selected,
        chosen: npt.NDArray[np.int64],
        numbers: dict[str, npt.NDArray[Any]],
        weighed: CandidateWeights,
        metadata: Mapping[str, Any],
    ) -> Columns:
        event = selected.candidates.event[chosen]
        values = selected.candidates.at(chosen)
        columns = {name: of_event[event] for name, of_event in numbers.items()}
        for variable in self.analysis.columns_in(metadata):
            columns[variable.name] = values(variable)
        if self.analysis.classifier is not None:
            columns[SCORE.name] = values(SCORE)
        categories = self.analysis.filled_categories
        if categories is not None:
            columns["category"] = categories.of(values(categories.variable))
        columns["weight"] = weighed.nominal
        for name, factor in weighed.components().items():
            columns[f"weight_{name}"] = factor
        return Columns(columns)


def empty_result(analysis: Analysis, metadata: Mapping[str, Any]) -> DatasetResult:
    """The result of a dataset without any event, of which nothing needs to be read.

    It has no table of candidates, since the types of its columns are not known.
    """
    cuts = (*analysis.selection_of(metadata), *analysis.cuts_on_best_for(metadata))
    last = (CLASSIFIER,) if analysis.classifier is not None else ()
    steps = ("all", *(cut.name for cut in cuts), *last)
    names = tuple(analysis.categories_by_bin()) or (ALL,)
    histograms = {h.name: h.empty(names) for h in analysis.histograms}
    return DatasetResult(
        entries=Entries(),
        events=0,
        generator_sumw=0.0,
        lumis=np.empty((0, 2), dtype=np.int64),
        cutflow=Cutflow(steps, *(np.zeros(len(steps), t) for t in (np.int64, np.int64, float))),
        histograms=histograms | {h.name: h.empty() for h in analysis.n_minus_1()},
    )


def _continued(
    cutflow: Cutflow, steps: Mapping[str, Integers], sum_of: Callable[[Integers], float]
) -> Cutflow:
    """A cutflow with further steps, each of which leaves one candidate an event."""
    if not steps:
        return cutflow
    counts = np.array([len(kept) for kept in steps.values()], dtype=np.int64)
    sums = np.array([sum_of(kept) for kept in steps.values()], dtype=np.float64)
    return Cutflow(
        (*cutflow.steps, *steps),
        np.concatenate([cutflow.events, counts]),
        np.concatenate([cutflow.candidates, counts]),
        np.concatenate([cutflow.sumw, sums]),
    )


def _sum_of(weighting: Weighting, candidates: Candidates, which: Integers) -> float:
    return float(np.sum(weighting.of(candidates, which, shifted=False).nominal))


def _hidden_candidates(
    hidden: Hidden, variable: Variable, categories: Categories | None, values: Values
) -> npt.NDArray[np.bool_]:
    """Return which candidates lie in a hidden window of their category, shape (n,)."""
    if categories is None or not hidden.by_category:
        return within(values(variable), hidden.windows)
    return hidden.hides(values(variable), values(categories.variable), categories.names)


def _branches_of(events: Any) -> tuple[str, ...]:
    """Names of the branches that events were made of, as far as fields are named after branches."""
    names = list(events.fields)
    for name in events.fields:
        names += [f"{name}_{field}" for field in events[name].fields]
    return tuple(names)


def _luminosity_sections(numbers: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    if not {"run", "lumi"} <= set(numbers):
        return np.empty((0, 2), dtype=np.int64)
    # one number each, since numpy sorts rows slowly
    packed = np.unique(numbers["run"] << 32 | numbers["lumi"])
    return np.stack([packed >> 32, packed & 0xFFFFFFFF], axis=1)
