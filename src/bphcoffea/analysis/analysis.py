"""The base of every analysis: a processor that runs what a subclass declares."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final, Self

import awkward as ak
import numpy as np
import numpy.typing as npt
from coffea.nanoevents import BaseSchema
from coffea.processor import ProcessorABC

from bphcoffea.analysis.blinding import Blind, Hidden
from bphcoffea.analysis.branch_needs import HELD
from bphcoffea.analysis.classifier import CLASSIFIER, SCORE, SCORE_BIN, Classifier
from bphcoffea.analysis.declaration import (
    GOLDEN,
    N_MINUS_1,
    check_classifier,
    check_declaration,
)
from bphcoffea.analysis.description import describe
from bphcoffea.analysis.histograms import ALL, NOMINAL, Categories, Histogram, fill
from bphcoffea.analysis.selection import (
    Cut,
    InWindow,
    Selected,
    Selection,
    missing_branches,
)
from bphcoffea.analysis.shifts import Shift
from bphcoffea.analysis.variables import Condition, Values, Variable
from bphcoffea.analysis.weights import Weight
from bphcoffea.corrections import Corrections, EraCorrections
from bphcoffea.errors import InputError
from bphcoffea.physics.windows import within
from bphcoffea.processing.candidates import Candidates, Floats, Integers
from bphcoffea.processing.result import Columns, DatasetResult
from bphcoffea.processing.shape_variations import shifted_selections
from bphcoffea.processing.weighting import CandidateWeights, Weighting
from bphcoffea.results.cutflow import Cutflow
from bphcoffea.results.entries import Entries

#: What schemas call the numbers that identify an event, and what the candidates' table calls them.
EVENT_NUMBERS: Final = {
    "run": ("run", np.int64),
    "lumi": ("lumi", np.int64),
    "luminosityBlock": ("lumi", np.int64),
    "event": ("event", np.uint64),
}
#: Branch of NanoAOD that holds the weight of the generator.
GENERATOR_WEIGHT: Final = "genWeight"
#: Values of each histogram's variable, and categories, of some candidates.
_Filling = tuple[dict[str, npt.NDArray[Any]], Any]


class Analysis(ProcessorABC):  # type: ignore[misc]
    """An analysis declares what it selects and fills; this class does it.

    Attributes
    ----------
    schema
        How branches become collections.
    selection
        The cuts, in order.
    best
        The best candidate of an event has the smallest value of this variable among the survivors.
        None: all survivors are kept, and no table of candidates is written.
    cuts_on_best
        Steps that the best candidate must pass after it was chosen: an event whose best one fails
        is lost, whatever others it has.
    histograms
        Distributions of the selected candidates. The N-1 distributions, of every variable with an
        axis that some cut looks at, come by themselves.
    columns
        Variables that the candidates' table holds beside run, luminosity section, event, category
        and the weight with its factors.
    categories
        Parts of the selected candidates that have histograms of their own; None: there are none.
    weights
        What corrects simulation, beside the generator's weight. One that takes a section of the
        corrections applies where that is declared.
    shifts
        Shape variations, for which events are selected again.
    branches
        Branches that are needed of each file, for a schema that has no template to find that out.
    metadata
        What the analysis needs to know of a dataset, beside ``is_mc`` and ``era``.
    mass_fit
        What ``bphcoffea fit`` fits.
    overlay_signal
        Whether figures draw simulated signal as a line, as that of a search, and not as a part of
        what data are compared with.
    blind
        The variable that is searched in, and the windows of it in which a run hides data.
    search
        Name of the search that the analysis is for, which ``bphcoffea limit`` asks for; None: there
        is none.
    absent
        Steps of the selection that its input can't answer, with the reason. A run reports them.
    hidden
        Windows that the results leave out, set by :meth:`hiding`. None until
        :func:`bphcoffea.execution.run` decides.
    classifier
        Splits the categories in bins of its score, see :meth:`classified`; None: there is none.
    nominal_only
        Whether there are no variations.
    sink
        Where the selected events of a chunk go, beside the result: called with the events, what
        was selected, and the result.
    """

    schema: ClassVar[type[BaseSchema]]
    selection: ClassVar[Selection]
    best: ClassVar[Variable | None] = None
    cuts_on_best: ClassVar[tuple[Cut, ...]] = ()
    categories: ClassVar[Categories | None] = None
    histograms: ClassVar[tuple[Histogram, ...]] = ()
    columns: ClassVar[tuple[Variable, ...]] = ()
    weights: ClassVar[tuple[Weight, ...]] = ()
    shifts: ClassVar[tuple[Shift, ...]] = ()
    branches: ClassVar[tuple[str, ...]] = ()
    metadata: ClassVar[tuple[str, ...]] = ()
    mass_fit: ClassVar[Any] = None
    overlay_signal: ClassVar[bool] = False
    blind: ClassVar[Blind | None] = None
    search: ClassVar[str | None] = None
    absent: ClassVar[Mapping[str, str]] = {}
    hidden: Hidden | None = None
    classifier: Classifier | None = None
    _corrections: Corrections = Corrections()
    nominal_only: bool = False
    sink: Callable[[Any, Selected, DatasetResult], None] | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_declaration(cls)

    def corrected(self, corrections: Corrections, *, nominal_only: bool = False) -> Self:
        """The same analysis with corrections.

        Parameters
        ----------
        corrections
            As :func:`bphcoffea.corrections.load_corrections` gives them.
        nominal_only
            Without any variation.
        """
        other = copy.copy(self)
        other._corrections = corrections
        other.nominal_only = nominal_only
        return other

    def hiding(self, hidden: Hidden) -> Self:
        """Return a copy whose results contain no data in some windows of the blind variable.

        An event of data whose best candidate lies in a window is left out of the table, all
        histograms, the skim and each step of the cutflow but the first. Without ``best``, it is
        each candidate in a window. Simulation is never hidden.
        """
        other = copy.copy(self)
        other.hidden = hidden
        return other

    def classified(self, classifier: Classifier) -> Self:
        """Return a copy that splits each category in bins of a classifier's score.

        The score is that of each event's best candidate, and is a column of the table. Candidates
        below the lowest edge are lost in a last step of the cutflow, ``classifier``.

        Raises
        ------
        DeclarationError
            If the classifier does not fit the analysis.
        """
        other = copy.copy(self)
        other.classifier = classifier
        check_classifier(other, classifier)
        return other

    @property
    def filled_categories(self) -> Categories | None:
        """Categories of histograms and table: the declared ones, or their bins of the score."""
        if self.classifier is None:
            return self.categories
        return Categories(tuple(self.categories_by_bin()), SCORE_BIN)

    def categories_by_bin(self) -> dict[str, str]:
        """Return the declared category of each one that is filled; empty if there are none."""
        names = self.categories.names if self.categories is not None else ()
        if self.classifier is None:
            return {name: name for name in names}
        return self.classifier.categories(names or (ALL,))

    @property
    def blind_variable(self) -> Variable | None:
        """The variable of the histogram that :attr:`blind` names."""
        if self.blind is None:
            return None
        name = self.blind.histogram
        return next(h.variable for h in self.histograms if h.name == name)

    @property
    def era_corrections(self) -> Corrections:
        """Those that it was given, see :meth:`corrected`."""
        return self._corrections

    def prepare(self, events: Any) -> Any:
        """Events with the collections that the selection needs and the schema does not give."""
        return events

    def generator_weight(self, events: Any) -> npt.NDArray[np.float64]:
        """Weight of each simulated event that the generator gave, shape (events,); 1 by default."""
        if GENERATOR_WEIGHT in events.fields:
            weights: npt.NDArray[np.float64] = ak.to_numpy(events[GENERATOR_WEIGHT])
            return weights.astype(np.float64)
        return np.ones(len(events), dtype=np.float64)

    def process(self, events: Any) -> dict[str, DatasetResult]:
        """Select and fill one chunk of a dataset.

        Parameters
        ----------
        events
            NanoEvents with the dataset's name and metadata.
        """
        metadata = {HELD: _branches_of(events), **events.metadata}
        corrections = self._corrections.for_era(metadata["era"])
        selection = self.selection_of(metadata)
        numbers = _event_numbers(events)
        prepared = self.prepare(events)
        generator = np.ones(len(events))
        if metadata["is_mc"]:
            generator = self.generator_weight(events)
        weights = self.weights_of(metadata)
        from_cut = {w.name: self._first_step(w.after, selection) for w in weights if w.after}
        weighting = Weighting(weights, corrections, prepared, generator, from_cut)
        candidates = Candidates(prepared, selection.collection)
        selected = Selected(
            selection,
            candidates,
            weighting.events,
            partial(weighting.weights_from_cut, candidates=candidates) if from_cut else None,
            self.best,
            self._in_window(metadata),
        )
        chosen, steps = self._chosen(selected, metadata, numbers)
        weighed = weighting.of(candidates, chosen, shifted=not self.nominal_only)
        shapes = list(self._shapes(events, selected, weighting, corrections, numbers))
        result = DatasetResult(
            entries=Entries.of_chunk(metadata),
            events=len(events),
            generator_sumw=float(np.sum(generator)),
            lumis=_luminosity_sections(numbers),
            cutflow=_continued(selected.cutflow, steps, partial(_sum_of, weighting, candidates)),
            histograms=self._fill(selected, chosen, weighed, shapes),
            candidates=None
            if self.best is None
            else self._table(selected, chosen, numbers, weighed, metadata),
            clamped=weighed.clamped,
            notes=weighed.notes,
        )
        # a chunk has entries; what is traced has none
        if self.sink is not None and len(result.entries):
            self.sink(prepared, selected, result)
        return {metadata["dataset"]: result}

    def postprocess(self, accumulator: Any) -> Any:
        """Nothing is left to do once the chunks are added up."""
        return accumulator

    def n_minus_1(self) -> tuple[Histogram, ...]:
        """The N-1 histograms: one for each variable with an axis that the selection looks at."""
        return tuple(
            Histogram(f"{N_MINUS_1}{variable.name}", variable, variable.axis)
            for variable in self.selection.variables()
            if variable.axis is not None
        )

    def describe(self) -> dict[str, Any]:
        """Return the content of ``analysis.json``."""
        return describe(self)

    def _in_window(self, metadata: Mapping[str, Any]) -> InWindow | None:
        """Function that finds the hidden candidates of a dataset; None if nothing is hidden."""
        variable = self.blind_variable
        if metadata["is_mc"] or variable is None or not (self.hidden and self.hidden.windows):
            return None
        return partial(_hidden_candidates, self.hidden, variable, self.categories)

    def name(self) -> str:
        """Name of the analysis: that of its file, or of its class where a notebook defines it."""
        module = type(self).__module__.rpartition(".")[2]
        return type(self).__name__ if module == "__main__" else module

    def selection_of(self, metadata: Mapping[str, Any]) -> Selection:
        """The cuts that exist for a dataset, and where its era has one, that of the golden JSON."""
        selection = self.selection.for_dataset(metadata)
        corrections = self._corrections.for_era(metadata["era"])
        golden = corrections.golden if corrections else None
        if golden is None or metadata["is_mc"]:
            return selection

        def certified(events: Any) -> ak.Array:
            numbers = _event_numbers(events)
            if not {"run", "lumi"} <= set(numbers):
                raise InputError(
                    f"{golden.path}: the file has no run and luminosity section to be certified; "
                    "leave 'golden' out of the corrections of this era"
                )
            return ak.Array(golden.certifies(numbers["run"], numbers["lumi"]))

        condition = Condition("its luminosity section is certified", certified)
        return Selection(selection.collection, Cut(GOLDEN, condition), *selection)

    def cuts_on_best_for(self, metadata: Mapping[str, Any]) -> tuple[Cut, ...]:
        """The cuts of :attr:`cuts_on_best` that exist for a dataset."""
        return tuple(cut for cut in self.cuts_on_best if cut.exists_for(metadata))

    def empty_result(self, metadata: Mapping[str, Any]) -> DatasetResult:
        """The result of a dataset without any event, of which nothing needs to be read.

        It has no table of candidates, since the types of its columns are not known.
        """
        cuts = (*self.selection_of(metadata), *self.cuts_on_best_for(metadata))
        last = (CLASSIFIER,) if self.classifier is not None else ()
        steps = ("all", *(cut.name for cut in cuts), *last)
        names = tuple(self.categories_by_bin()) or (ALL,)
        histograms = {h.name: h.empty(names) for h in self.histograms}
        return DatasetResult(
            entries=Entries(),
            events=0,
            generator_sumw=0.0,
            lumis=np.empty((0, 2), dtype=np.int64),
            cutflow=Cutflow(steps, *(np.zeros(len(steps), t) for t in (np.int64, np.int64, float))),
            histograms=histograms | {h.name: h.empty() for h in self.n_minus_1()},
        )

    def columns_of(self, metadata: Mapping[str, Any]) -> tuple[Variable, ...]:  # noqa: ARG002
        """The variables that the candidates' table of a dataset holds."""
        return self.columns

    def columns_in(self, metadata: Mapping[str, Any]) -> list[Variable]:
        """The columns of a dataset's table whose branches its files have."""
        columns = self.columns_of(metadata)
        return [column for column in columns if not missing_branches(column.branches, metadata)]

    def absences(self, metadata: Mapping[str, Any]) -> dict[str, str]:
        """Steps and columns that a dataset does not have, with the reason.

        Parameters
        ----------
        metadata
            Of a chunk of the dataset, which lists the branches that its files have.
        """
        wanted = [
            cut
            for cut in (*self.selection, *self.cuts_on_best)
            if not (cut.when and not cut.when(metadata))
        ]
        parts = {part.name: part.branches for part in (*wanted, *self.columns_of(metadata))}
        missing = {name: missing_branches(branches, metadata) for name, branches in parts.items()}
        lacking = {name: f"no branch {', '.join(each)}" for name, each in missing.items() if each}
        return {**self.absent, **lacking}

    def weights_of(self, metadata: Mapping[str, Any]) -> list[Weight]:
        """The weights that a dataset has, beside that of the generator."""
        corrections = self._corrections.for_era(metadata["era"])
        return [weight for weight in self.weights if weight.applies(metadata, corrections)]

    def _chosen(
        self,
        selected: Selected,
        metadata: Mapping[str, Any],
        numbers: Mapping[str, npt.NDArray[Any]],
    ) -> tuple[Integers, dict[str, Integers]]:
        """The candidates that are kept, and those that were after each step of the best ones."""
        chosen = selected.chosen
        steps: dict[str, Integers] = {}
        for cut in self.cuts_on_best_for(metadata):
            passed = np.ones(len(chosen), dtype=np.bool_)
            for requirement in cut.requirements:
                passed &= requirement.mask(selected.candidates.at(chosen))
            chosen = steps[cut.name] = chosen[passed]
        if self.classifier is not None:
            columns = self.columns_of(metadata)
            bins = self._score(self.classifier, selected.candidates, chosen, columns, numbers)
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
        if self.categories is not None:
            names = self.categories.names
            category = self.categories.of(values(self.categories.variable))
        bins = classifier.bins(scores, category, names)
        candidates.assign(SCORE, chosen, scores)
        candidates.assign(SCORE_BIN, chosen, bins)
        return bins

    def _first_step(self, after: str, selection: Selection) -> str | None:
        """From which cut a weight counts; None where that is after the best was chosen."""
        if any(cut.name == after for cut in self.cuts_on_best):
            return None
        return self.selection.first_of(after, selection)

    def _shapes(
        self,
        events: Any,
        selected: Selected,
        weighting: Weighting,
        corrections: EraCorrections | None,
        numbers: Mapping[str, npt.NDArray[Any]],
    ) -> Iterator[tuple[str, tuple[_Filling, Floats]]]:
        """Yield what is filled of each shape variation, with its weights, by the name."""
        shifts = [] if self.nominal_only else self.shifts
        variations = [(shift, shift.variations(events.metadata, corrections)) for shift in shifts]
        makes_candidates = type(self).prepare is not Analysis.prepare
        prepare = self.prepare if makes_candidates else None
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
        categories = self.filled_categories
        if categories is not None:
            category = categories.of(values(categories.variable))
        return {h.name: values(h.variable) for h in self.histograms}, category

    def _fill(
        self,
        selected: Selected,
        chosen: npt.NDArray[np.int64],
        weighed: CandidateWeights,
        shapes: Sequence[tuple[str, tuple[_Filling, Floats]]],
    ) -> dict[str, Any]:
        names = tuple(self.categories_by_bin()) or (ALL,)
        varied = [(NOMINAL, weighed.nominal), *weighed.varied()]
        every = [name for name, _ in (*varied, *shapes)]
        doubled = sorted(name for name, times in Counter(every).items() if times > 1)
        if doubled:
            raise ValueError(f"two variations are named {', '.join(doubled)}")
        filled = {h.name: h.empty(names, every) for h in self.histograms}
        values, category = self._entries(selected, chosen)
        for variation, weights in varied:
            for name, histogram in filled.items():
                fill(histogram, values[name], weights, category, variation)
        for variation, ((shifted, category_then), weights) in shapes:
            for name, histogram in filled.items():
                fill(histogram, shifted[name], weights, category_then, variation)
        # N-1 distributions hold what some cut rejects: weights of events alone, and no variations
        event_weights = selected.weights[selected.candidates.event]
        for histogram in self.n_minus_1():
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
        for variable in self.columns_in(metadata):
            columns[variable.name] = values(variable)
        if self.classifier is not None:
            columns[SCORE.name] = values(SCORE)
        categories = self.filled_categories
        if categories is not None:
            columns["category"] = categories.of(values(categories.variable))
        columns["weight"] = weighed.nominal
        for name, factor in weighed.components().items():
            columns[f"weight_{name}"] = factor
        return Columns(columns)


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


def _event_numbers(events: Any) -> dict[str, npt.NDArray[Any]]:
    return {
        name: ak.to_numpy(events[field]).astype(dtype)
        for field, (name, dtype) in EVENT_NUMBERS.items()
        if field in events.fields
    }


def _luminosity_sections(numbers: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    if not {"run", "lumi"} <= set(numbers):
        return np.empty((0, 2), dtype=np.int64)
    # one number each, since numpy sorts rows slowly
    packed = np.unique(numbers["run"] << 32 | numbers["lumi"])
    return np.stack([packed >> 32, packed & 0xFFFFFFFF], axis=1)
