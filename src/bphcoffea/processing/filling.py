"""Histograms and table of the chosen candidates of a chunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import hist
import numpy as np
import numpy.typing as npt

from bphcoffea.analysis import ALL, FACTOR, NOMINAL, SCORE, Analysis, ResolvedAnalysis, repeated
from bphcoffea.arrays import Floats, Integers, Numbers
from bphcoffea.processing.best_candidates import Chosen
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.result import Columns
from bphcoffea.processing.selected import Selected
from bphcoffea.processing.weighting import CandidateWeights


@dataclass(frozen=True)
class Filling:
    """Numbers that one variation fills into the histograms.

    Attributes
    ----------
    values
        Values of the variable of each histogram, by the histogram's name, shape (n,).
    category
        Name of each candidate's category, shape (n,), or of the only category.
    weights
        Weights, shape (n,).
    """

    values: Mapping[str, Numbers]
    category: npt.NDArray[np.str_] | str
    weights: Floats

    @classmethod
    def of(
        cls, analysis: Analysis, candidates: Candidates, positions: Integers, weights: Floats
    ) -> Filling:
        """Evaluate the variables of the histograms for candidates at some positions."""
        values = candidates.at(positions)
        categories = analysis.filled_categories
        category = ALL if categories is None else categories.of(values(categories.variable))
        return cls({h.name: values(h.variable) for h in analysis.histograms}, category, weights)


def fill(
    analysis: Analysis,
    nominal: Filling,
    weights: Sequence[tuple[str, Floats]],
    shapes: Sequence[tuple[str, Filling]],
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
    shapes
        Names and fillings of the shape variations.
    """
    fillings = [(NOMINAL, nominal), *((n, replace(nominal, weights=w)) for n, w in weights)]
    fillings += shapes
    variations = [name for name, _ in fillings]
    if repeated(variations):
        raise ValueError(f"two variations are named {', '.join(repeated(variations))}")
    categories = tuple(analysis.categories_by_bin()) or (ALL,)
    histograms = {h.name: h.empty(categories, variations) for h in analysis.histograms}
    for variation, filling in fillings:
        for name, histogram in histograms.items():
            histogram.fill(
                filling.category, variation, filling.values[name], weight=filling.weights
            )
    return histograms


def fill_n_minus_1(analysis: Analysis, selected: Selected) -> dict[str, hist.Hist]:
    """Return the N-1 histograms.

    They hold candidates that a cut rejects: only weights of events apply, and no variations.
    """
    histograms = {}
    weights = selected.weights[selected.candidates.event]
    existing = selected.selection.variables()
    for declared in analysis.n_minus_1():
        histogram = histograms[declared.name] = declared.empty()
        if declared.variable in existing:
            passed = selected.without(declared.variable)
            values = selected.candidates.values(declared.variable)
            histogram.fill(ALL, NOMINAL, values[passed], weight=weights[passed])
    return histograms


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
    columns |= {variable.name: values(variable) for variable in resolved.held_columns}
    if analysis.classifier is not None:
        columns[SCORE.name] = values(SCORE)
    categories = analysis.filled_categories
    if categories is not None:
        columns["category"] = categories.of(values(categories.variable))
    columns["weight"] = weights.nominal
    columns |= {f"{FACTOR}{name}": factor.nominal for name, factor in weights.factors.items()}
    return Columns(columns)
