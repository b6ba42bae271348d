"""Histograms and table of the chosen candidates of a chunk."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import hist
import numpy as np
import numpy.typing as npt

from bphcoffea.analysis import (
    ALL,
    FACTOR,
    NOMINAL,
    SCORE,
    Analysis,
    DatasetMetadata,
    Histogram,
    ObjectVariable,
    OptionalVariable,
    Region,
    ResolvedAnalysis,
    Values,
    Variable,
    repeated,
)
from bphcoffea.arrays import Booleans, Floats, Integers, Numbers
from bphcoffea.physics import flattened, lengths
from bphcoffea.processing.best_candidates import Chosen
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.columns import Columns
from bphcoffea.processing.selected import Selected
from bphcoffea.processing.weighting import CandidateWeights
from bphcoffea.results import Cutflow, source_of

#: Axes on which values without a bin cannot be looked up.
_CATEGORIES: Final = (hist.axis.StrCategory, hist.axis.IntCategory)


@dataclass(frozen=True)
class Filling:
    """Numbers that one variation fills into the histograms.

    Attributes
    ----------
    values
        Values of the variables of each histogram, by its name: arrays of shape (n,), or lists.
    category
        Name of each candidate's category, shape (n,), or of the only category.
    members
        Names of regions, and which candidates belong to them, shape (n,).
    weights
        Weights, shape (n,).
    """

    values: Mapping[str, tuple[Numbers, ...]]
    category: npt.NDArray[np.str_] | str
    members: Mapping[str, Booleans]
    weights: Floats

    @classmethod
    def of(
        cls,
        analysis: Analysis,
        candidates: Candidates,
        positions: Integers,
        weights: Floats,
        variation: str = NOMINAL,
    ) -> Filling:
        """Evaluate what a variation fills, for candidates at some positions."""
        values = candidates.at(positions)
        categories = analysis.filled_categories
        category = ALL if categories is None else categories.of(values(categories.variable))
        members = {r.name: _members(r, values, len(positions)) for r in analysis.regions}
        varied = [h for h in analysis.histograms if h.varies(variation)]
        filled = {h.name: tuple(values(v) for v in h.variables) for h in varied}
        return cls(filled, category, members, weights)

    def fill(self, histogram: Histogram, into: hist.Hist, variation: str) -> None:
        """Fill a declared histogram, once for all candidates and once for each region."""
        for name, rows, values in self._parts(histogram):
            category = name if isinstance(name, str) else name[rows]
            into.fill(category, variation, *values, weight=self.weights[rows])

    def fill_weights(
        self, histogram: Histogram, into: hist.Hist, weights: Sequence[tuple[str, Floats]]
    ) -> None:
        """Fill variations that differ only in the weights.

        The bins are looked up once for all variations, since there may be a hundred.

        Parameters
        ----------
        histogram
            The declared histogram.
        into
            The histogram to fill.
        weights
            Names of variations, and weights of shape (n,).
        """
        if not weights:
            return
        category_axis, variation_axis, *axes = into.axes
        if any(isinstance(axis, _CATEGORIES) for axis in axes):
            for variation, varied in weights:
                replace(self, weights=varied).fill(histogram, into, variation)
            return
        shape = (category_axis.extent, *(axis.extent for axis in axes))
        places, rows = [], []
        for name, of_part, values in self._parts(histogram):
            found, inverse = np.unique(name, return_inverse=True)
            indices = np.array([category_axis.index(str(each)) for each in found], dtype=np.int64)
            category = indices[inverse]
            if isinstance(name, str):
                category = np.broadcast_to(category, len(of_part))
            else:
                category = category[of_part]
            positions = [_place(axis, v) for axis, v in zip(axes, values, strict=True)]
            inside = np.logical_and.reduce(
                [(p >= 0) & (p < axis.extent) for p, axis in zip(positions, axes, strict=True)]
            )
            kept = (category[inside], *(position[inside] for position in positions))
            places.append(np.ravel_multi_index(kept, shape))
            rows.append(of_part[inside])
        bins, of_all = np.concatenate(places), np.concatenate(rows)
        view = into.view(flow=True)
        for variation, varied in weights:
            content = view[:, variation_axis.index(variation)]
            chosen = varied[of_all]
            size = content.size
            content["value"] = np.bincount(bins, chosen, size).reshape(shape)
            content["variance"] = np.bincount(bins, np.square(chosen), size).reshape(shape)

    def _parts(
        self, histogram: Histogram
    ) -> Iterator[tuple[npt.NDArray[np.str_] | str, Integers, tuple[Numbers, ...]]]:
        """Yield the entries of all candidates, and those of each region.

        Yields
        ------
        Name of the category, or one name per candidate; the candidate of each entry, and the values
        of the variables, shape (entries,) each.
        """
        values = self.values[histogram.name]
        rows = np.arange(len(self.weights))
        lists = [v for v in histogram.variables if isinstance(v, ObjectVariable)]
        if lists:
            rows, values = _by_object(histogram, values)
        present = np.ones(len(rows), dtype=np.bool_)
        for variable, numbers in zip(histogram.variables, values, strict=True):
            if isinstance(variable, OptionalVariable):
                present &= ~np.isnan(numbers)
        whole = np.ones(len(self.weights), dtype=np.bool_)
        for name, members in ((self.category, whole), *self.members.items()):
            chosen = present & members[rows]
            yield name, rows[chosen], tuple(numbers[chosen] for numbers in values)


def _place(axis: hist.axis.AxesMixin, values: Numbers) -> Integers:
    """Return the position of values in the view of an axis with flow bins, shape (n,)."""
    found: Integers = np.asarray(axis.index(values)) + int(axis.traits.underflow)
    return found


def _members(
    region: Region, values: Values, count: int, without: Variable | None = None
) -> Booleans:
    """Return which candidates belong to a region, shape (n,), whatever one variable is."""
    met = np.ones(count, dtype=np.bool_)
    for requirement in region.requirements:
        if all(variable is not without for variable in requirement.variables()):
            met &= requirement.mask(values)
    return met


def region_cutflow(
    region: Region, candidates: Candidates, positions: Integers, weights: Floats
) -> Cutflow:
    """Return how many chosen candidates meet each requirement of a region and all before it.

    Parameters
    ----------
    region
        The declaration.
    candidates
        All candidates of the chunk.
    positions
        Positions of the chosen ones, shape (n,).
    weights
        Their nominal weights, shape (n,).
    """
    values = candidates.at(positions)
    left = np.ones(len(positions), dtype=np.bool_)
    masks = [left, *(requirement.mask(values) for requirement in region.requirements)]
    rows = []
    for mask in masks:
        left = left & mask
        events = np.unique(candidates.event[positions[left]])
        rows.append((len(events), int(np.count_nonzero(left)), float(np.sum(weights[left]))))
    return Cutflow.of_rows(region.steps, rows)


def _by_object(
    histogram: Histogram, values: tuple[Numbers, ...]
) -> tuple[Integers, tuple[Numbers, ...]]:
    """Return the candidate of each object and the values per object, shape (objects,) each."""
    counts = [
        lengths(numbers)
        for variable, numbers in zip(histogram.variables, values, strict=True)
        if isinstance(variable, ObjectVariable)
    ]
    if any(not np.array_equal(counts[0], other) for other in counts[1:]):
        raise ValueError(f"histogram '{histogram.name}': its lists have different lengths")
    rows = np.repeat(np.arange(len(counts[0])), counts[0])
    return rows, tuple(
        flattened(numbers) if isinstance(variable, ObjectVariable) else numbers[rows]
        for variable, numbers in zip(histogram.variables, values, strict=True)
    )


def fill(
    analysis: Analysis,
    nominal: Filling,
    weights: Sequence[tuple[str, Floats]],
    shape_names: Sequence[str],
    shapes: Iterable[tuple[str, Filling]],
) -> dict[str, hist.Hist]:
    """Return the histograms of the analysis with all variations.

    Parameters
    ----------
    analysis
        The analysis.
    nominal
        Filling of the nominal variation.
    weights
        Names and weights of the variations that change nothing else.
    shape_names
        Names of the shape variations.
    shapes
        Names and fillings of the shape variations, which are filled one after the other, so that
        their number does not need memory.
    """
    variations = [NOMINAL, *(name for name, _ in weights), *shape_names]
    if repeated(variations):
        raise ValueError(f"two variations are named {', '.join(repeated(variations))}")
    histograms = {
        h.name: h.empty(analysis.filled_names, [v for v in variations if h.varies(v)])
        for h in analysis.histograms
    }
    for histogram in analysis.histograms:
        varied = [(name, values) for name, values in weights if histogram.varies(name)]
        nominal.fill_weights(histogram, histograms[histogram.name], varied)
    for variation, filling in itertools.chain([(NOMINAL, nominal)], shapes):
        for histogram in analysis.histograms:
            if histogram.varies(variation):
                filling.fill(histogram, histograms[histogram.name], variation)
    return histograms


def fill_n_minus_1(analysis: Analysis, selected: Selected) -> dict[str, hist.Hist]:
    """Return the N-1 histograms of the selection.

    They hold candidates that a cut rejects: only weights of events apply, and no variations.
    """
    histograms = {}
    weights = selected.weights[selected.candidates.event]
    existing = selected.selection.variables()
    for declared in analysis.n_minus_1():
        if declared.objects is not None or declared.regions:
            continue
        histogram = histograms[declared.name] = declared.empty()
        variable = declared.variables[0]
        if variable in existing:
            passed = selected.without(variable)
            values = selected.candidates.values(variable)
            if isinstance(variable, OptionalVariable):
                passed &= ~np.isnan(values)
            positions = np.flatnonzero(passed)
            histogram.fill(ALL, NOMINAL, values[positions], weight=weights[positions])
    return histograms


def fill_n_minus_1_of_regions(
    analysis: Analysis, candidates: Candidates, positions: Integers, weights: Floats
) -> dict[str, hist.Hist]:
    """Return the N-1 histograms of regions: chosen candidates with all nominal weights.

    Parameters
    ----------
    analysis
        The analysis.
    candidates
        All candidates of the chunk.
    positions
        Positions of the chosen ones, shape (n,).
    weights
        Their nominal weights, shape (n,).
    """
    values = candidates.at(positions)
    histograms = {}
    for declared in (h for h in analysis.n_minus_1() if h.regions):
        histogram = histograms[declared.name] = declared.empty()
        variable = declared.variables[0]
        numbers = values(variable)
        present = ~np.isnan(numbers)
        for region in (r for r in analysis.regions if r.name in declared.regions):
            passed = present & _members(region, values, len(positions), without=variable)
            histogram.fill(region.name, NOMINAL, numbers[passed], weight=weights[passed])
    return histograms


def _places(metadata: DatasetMetadata, event: Integers) -> dict[str, Numbers]:
    """Return the columns with the file and the entry of some events of a chunk."""
    if "entrystart" not in metadata:  # events that are in no file
        return {}
    files = np.empty(len(event), dtype=object)
    files.fill(source_of(metadata))  # one string for all rows, where np.full would make as many
    return {"file": files, "entry": event + metadata["entrystart"]}


def candidates_table(
    analysis: Analysis,
    resolved: ResolvedAnalysis,
    selected: Selected,
    chosen: Chosen,
    numbers: Mapping[str, npt.NDArray[np.integer]],
    weights: CandidateWeights,
) -> Columns:
    """Return the table of the chosen candidates, one row each; see :func:`.choose`."""
    event = selected.candidates.event[chosen.positions]
    values = selected.candidates.at(chosen.positions)
    columns: dict[str, Numbers] = {name: number[event] for name, number in numbers.items()}
    columns |= _places(resolved.metadata, selected.candidates.chunk_event[chosen.positions])
    columns |= {variable.name: values(variable) for variable in resolved.held_columns}
    if analysis.classifier is not None:
        columns[SCORE.name] = values(SCORE)
    categories = analysis.filled_categories
    if categories is not None:
        columns["category"] = categories.of(values(categories.variable))
    for region in analysis.regions:
        columns[f"in_{region.name}"] = _members(region, values, len(event))
    columns["weight"] = weights.nominal
    without = [weight.name for weight in resolved.weights if weight.nominal_is_one]
    columns |= {
        f"{FACTOR}{name}": factor.nominal
        for name, factor in weights.factors.items()
        if name not in without
    }
    return Columns(columns)
