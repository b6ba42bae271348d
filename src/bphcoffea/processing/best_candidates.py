"""Steps that the best candidate of an event must pass after it was chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bphcoffea.analysis import (
    ALL,
    CLASSIFIER,
    SCORE,
    SCORE_BIN,
    Analysis,
    Classifier,
    ResolvedAnalysis,
)
from bphcoffea.arrays import Integers
from bphcoffea.errors import InputError
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.selected import Selected
from bphcoffea.results import Cutflow


@dataclass(frozen=True)
class Chosen:
    """The candidates that enter histograms and table.

    Attributes
    ----------
    positions
        Their positions among all candidates, shape (n,).
    steps
        Positions of the candidates that were left after each step, by its name.
    """

    positions: Integers
    steps: Mapping[str, Integers]


def choose(
    analysis: Analysis,
    resolved: ResolvedAnalysis,
    selected: Selected,
    numbers: Mapping[str, npt.NDArray[np.integer]],
) -> Chosen:
    """Apply the cuts on the best candidates, and the classifier if the analysis has one.

    Parameters
    ----------
    analysis, resolved
        The analysis, and its declarations for the dataset.
    selected
        Selection of the events.
    numbers
        Run, luminosity section and event number of the events of the chunk.
    """
    positions = selected.chosen
    steps: dict[str, Integers] = {}
    for cut in resolved.cuts_on_best:
        passed = np.ones(len(positions), dtype=np.bool_)
        for requirement in cut.requirements:
            passed &= requirement.mask(selected.candidates.at(positions))
        positions = steps[cut.name] = positions[passed]
    if analysis.classifier is not None:
        candidates = selected.candidates
        inputs = [v for v in resolved.columns if v.name in analysis.classifier.inputs]
        values = candidates.at(positions)
        scores = analysis.classifier.score(
            {variable.name: values(variable) for variable in inputs},
            _fold_numbers(analysis.classifier, candidates, positions, numbers),
        )
        names: tuple[str, ...] = (ALL,)
        category = np.full(len(positions), ALL)
        if analysis.categories is not None:
            names = analysis.categories.names
            category = analysis.categories.of(values(analysis.categories.variable))
        bins = analysis.classifier.bins(scores, category, names)
        candidates.assign(SCORE, positions, scores)
        candidates.assign(SCORE_BIN, positions, bins)
        positions = steps[CLASSIFIER] = positions[bins >= 0]
    return Chosen(positions, steps)


def _fold_numbers(
    classifier: Classifier,
    candidates: Candidates,
    positions: Integers,
    numbers: Mapping[str, npt.NDArray[np.integer]],
) -> npt.NDArray[np.integer]:
    """Return the event number of each candidate, which decides its model; 0 for a single model."""
    if "event" in numbers:
        return numbers["event"][candidates.chunk_event[positions]]
    if len(classifier.models) > 1:
        raise InputError(
            f"classifier '{classifier.name}': the input has no event number, by which the model "
            "of an event is chosen; use a classifier with one model"
        )
    return np.zeros(len(positions), dtype=np.uint64)


def continued(cutflow: Cutflow, chosen: Chosen, sum_of: Callable[[Integers], float]) -> Cutflow:
    """Return a cutflow with the steps on the best candidates, each with one candidate per event.

    Parameters
    ----------
    cutflow
        Cutflow of the selection.
    chosen
        Candidates that are left after each step.
    sum_of
        Function from positions of candidates to the sum of their weights.
    """
    counts = np.array([len(left) for left in chosen.steps.values()], dtype=np.int64)
    sums = np.array([sum_of(left) for left in chosen.steps.values()], dtype=np.float64)
    return Cutflow(
        (*cutflow.steps, *chosen.steps),
        np.concatenate([cutflow.events, counts]),
        np.concatenate([cutflow.candidates, counts]),
        np.concatenate([cutflow.sumw, sums]),
    )
