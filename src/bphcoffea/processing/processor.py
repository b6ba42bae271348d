"""Coffea processor that runs an analysis over a chunk of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeAlias, TypeVar

import awkward as ak
import numpy as np
import numpy.typing as npt
from coffea.processor import ProcessorABC
from typing_extensions import override

from bphcoffea.analysis import (
    CLASSIFIER,
    HELD,
    Analysis,
    Categories,
    DatasetMetadata,
    Hidden,
    ResolvedAnalysis,
    Values,
    Variable,
    event_numbers,
)
from bphcoffea.arrays import Booleans
from bphcoffea.physics import within
from bphcoffea.processing.best_candidates import choose, continued
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.filling import (
    Filling,
    candidates_table,
    fill,
    fill_n_minus_1,
    fill_n_minus_1_of_regions,
    region_cutflow,
)
from bphcoffea.processing.luminosity_sections import LuminositySections
from bphcoffea.processing.preparation import Preparation, count_objects
from bphcoffea.processing.result import DatasetResult
from bphcoffea.processing.selected import InWindow, Selected
from bphcoffea.processing.shape_variations import shifted_selections
from bphcoffea.processing.weighting import Weighting
from bphcoffea.results import Cutflow, Entries

#: Receives the prepared events of a chunk, its selection and its result.
Sink: TypeAlias = Callable[[ak.Array, Selected, DatasetResult], None]

_Results = TypeVar("_Results")


class Processor(ProcessorABC):  # type: ignore[misc]
    """Select, weight and fill the chunks of an analysis.

    Parameters
    ----------
    analysis
        The analysis to run.
    sink
        Called on the worker with each processed chunk, for example to write a skim.
    """

    def __init__(self, analysis: Analysis, sink: Sink | None = None) -> None:
        self.analysis = analysis
        self.sink = sink

    @override
    def process(self, events: ak.Array) -> dict[str, DatasetResult]:
        """Return the result of one chunk, keyed by the name of its dataset.

        Parameters
        ----------
        events
            NanoEvents with the name and the metadata of the dataset.
        """
        analysis = self.analysis
        resolved = analysis.for_dataset({HELD: _branches_of(events), **events.metadata})
        numbers = event_numbers(events)
        preparation = Preparation(analysis)
        calibrated = resolved.calibrated(events)
        prepared = preparation(calibrated)
        generator = np.ones(len(events))
        if resolved.metadata["is_mc"]:
            generator = analysis.generator_weight(events)
        weighting = Weighting(resolved, prepared, generator)
        candidates = Candidates(prepared, analysis.collection)
        selected = Selected(
            resolved.selection,
            candidates,
            weighting.events,
            partial(weighting.weights_from_cut, candidates=candidates),
            analysis.best,
            _in_window(analysis, resolved.metadata),
        )
        chosen = choose(analysis, resolved, selected, numbers)
        weights = weighting.of(candidates, chosen.positions, shifted=not analysis.nominal_only)
        nominal = Filling.of(analysis, candidates, chosen.positions, weights.nominal)
        shapes = self._shapes(calibrated, preparation, resolved, selected, weighting, numbers)
        counts, of_objects = count_objects(
            analysis, prepared, weighting.events, selected.hidden_events
        )
        result = DatasetResult(
            entries=Entries.of_chunk(resolved.metadata),
            events=len(events),
            generator_sumw=weighting.generator_sumw,
            lumis=_luminosity_sections(numbers),
            cutflow=continued(selected.cutflow, chosen, partial(weighting.sum_of, candidates)),
            histograms=fill(analysis, nominal, [*weights.varied()], resolved.shape_names, shapes)
            | fill_n_minus_1(analysis, selected)
            | fill_n_minus_1_of_regions(analysis, candidates, chosen.positions, weights.nominal)
            | of_objects,
            candidates=candidates_table(analysis, resolved, selected, chosen, numbers, weights)
            if analysis.has_table
            else None,
            objects=counts,
            regions={
                region.name: region_cutflow(region, candidates, chosen.positions, weights.nominal)
                for region in analysis.regions
            },
            clamped=weights.clamped | resolved.clamped(calibrated),
            notes=weights.notes,
            sums_of_variations={} if analysis.nominal_only else weighting.sums_of_variations(),
            combinations=weights.combinations,
            # after everything was evaluated
            per_event=frozenset(candidates.per_event),
        )
        # only the template of a schema, on which branches are traced, has no entries
        if self.sink is not None and len(result.entries):
            self.sink(prepared, selected, result)
        return {resolved.metadata["dataset"]: result}

    @override
    def postprocess(self, accumulator: _Results) -> _Results:
        """Return the sum over chunks as it is."""
        return accumulator

    def _shapes(
        self,
        events: ak.Array,
        preparation: Preparation,
        resolved: ResolvedAnalysis,
        selected: Selected,
        weighting: Weighting,
        numbers: Mapping[str, npt.NDArray[np.integer]],
    ) -> Iterator[tuple[str, Filling]]:
        """Yield the name of each shape variation and what it fills."""
        for shifted in shifted_selections(events, selected, resolved.shifts, preparation):
            candidates = shifted.selected.candidates
            positions = choose(self.analysis, resolved, shifted.selected, numbers).positions
            weights = weighting.of(candidates, positions, shifted=False).nominal
            variation = shifted.variation(positions)
            for number, name in enumerate(shifted.names):
                part = variation == number
                chosen = positions[part], weights[part]
                yield name, Filling.of(self.analysis, candidates, *chosen, variation=name)


def empty_result(analysis: Analysis, metadata: DatasetMetadata) -> DatasetResult:
    """Return the result of a dataset without events, for which no file is read.

    It has no table of candidates, since the types of its columns are unknown.
    """
    last = (CLASSIFIER,) if analysis.classifier is not None else ()
    steps = ("all", *(cut.name for cut in analysis.for_dataset(metadata).cuts), *last)
    histograms = {h.name: h.empty(analysis.filled_names) for h in analysis.histograms}
    return DatasetResult(
        entries=Entries(),
        events=0,
        generator_sumw=0.0,
        lumis=LuminositySections(),
        cutflow=Cutflow.empty(steps),
        histograms=histograms | {h.name: h.empty() for h in analysis.n_minus_1()},
        objects={o.name: Cutflow.empty(("all", *o.steps)) for o in analysis.objects},
        regions={region.name: Cutflow.empty(region.steps) for region in analysis.regions},
    )


def _in_window(analysis: Analysis, metadata: DatasetMetadata) -> InWindow | None:
    """Return a function that finds the hidden candidates of a dataset; None if none are hidden."""
    variable, hidden = analysis.blind_variable, analysis.hidden
    if metadata["is_mc"] or variable is None or hidden is None or not hidden.windows:
        return None
    return partial(_hidden_candidates, hidden, variable, analysis.categories)


def _hidden_candidates(
    hidden: Hidden, variable: Variable, categories: Categories | None, values: Values
) -> Booleans:
    """Return which candidates lie in a hidden window of their category, shape (n,)."""
    if categories is None or not hidden.by_category:
        return within(values(variable), hidden.windows)
    return hidden.hides(values(variable), values(categories.variable), categories.names)


def _branches_of(events: ak.Array) -> tuple[str, ...]:
    """Return the names of the events' branches, if fields are named after branches."""
    names = list(events.fields)
    for name in events.fields:
        names += [f"{name}_{field}" for field in events[name].fields]
    return tuple(names)


def _luminosity_sections(numbers: Mapping[str, npt.NDArray[np.integer]]) -> LuminositySections:
    if not {"run", "lumi"} <= set(numbers):
        return LuminositySections()
    return LuminositySections(numbers["run"], numbers["lumi"])
