"""Boosted trees in k folds of the event number."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from bphcoffea.analysis import Model
from bphcoffea.arrays import Booleans, Floats, Integers
from bphcoffea.errors import InputError
from bphcoffea.training.sample import Sample

#: Parameters of XGBoost. Shallow trees that each see 70% of the candidates, with leaves of at least
#: about 20 candidates (one of weight 1 counts p(1 - p) ≤ 1/4), do not overfit single candidates.
#: One thread makes the trees reproducible, since they depend on the order of sums.
PARAMETERS: Final[dict[str, str | float]] = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 3,
    "learning_rate": 0.1,
    "min_child_weight": 5.0,
    "subsample": 0.7,
    "base_score": 0.5,
    "nthread": 1,
    "verbosity": 0,
}
#: Number of trees; stopping early would need candidates that are not scored.
TREES: Final = 200
#: Smallest number of candidates of signal, and of sidebands, in each fold.
FEWEST: Final = 10


@dataclass(frozen=True)
class Folds:
    """Models of all folds and their scores of all candidates.

    Attributes
    ----------
    models
        Models; number i was trained on events whose number modulo the number of folds is not i.
    fold
        Fold of each candidate, shape (n,).
    scores
        Scores of each model, shape (folds, n).
    gains
        Fraction of the gain of all splits by input, averaged over the folds.
    """

    models: tuple[Model, ...]
    fold: Integers
    scores: Floats
    gains: dict[str, float]

    @property
    def held_out(self) -> Floats:
        """Score of each candidate by the model that was not trained on it, shape (n,)."""
        return self.scores[self.fold, np.arange(len(self.fold))]


def train_folds(sample: Sample, folds: int, seed: int) -> Folds:
    """Train one model per fold, with equal sums of weights of signal and sidebands.

    Raises
    ------
    InputError
        If there are too few candidates, or XGBoost is not installed.
    """
    if folds < 2:
        raise InputError(f"{folds} folds: use at least 2, else models score their training events")
    fold = (sample.events % np.uint64(folds)).astype(np.int64)
    faults = list(_too_few(sample, fold, folds))
    if faults:
        raise InputError("\n".join(faults))
    if np.any(np.isinf(sample.values)):
        infinite = np.any(np.isinf(sample.values), axis=0)
        names = [name for name, bad in zip(sample.inputs, infinite, strict=True) if bad]
        raise InputError(f"inputs are infinite for some candidates: {', '.join(names)}")
    unfit = [name for name in sample.inputs if any(sign in name for sign in "[]<")]
    if unfit:
        raise InputError(f"XGBoost accepts no names with [, ] or <: {', '.join(unfit)}")
    try:
        xgboost = importlib.import_module("xgboost")
    except ImportError:
        raise InputError(
            "training needs xgboost, which is not installed; "
            "install it with: pip install 'bphcoffea[ml]'"
        ) from None
    models, gains = [], []
    for number in range(folds):
        kept = fold != number
        matrix = xgboost.DMatrix(
            sample.values[kept],
            label=sample.signal[kept],
            weight=balanced(sample.weights[kept], sample.signal[kept]),
            feature_names=list(sample.inputs),
            nthread=1,
        )
        booster = xgboost.train(PARAMETERS | {"seed": seed}, matrix, TREES)
        models.append(Model(f"fold{number}.json", bytes(booster.save_raw("json"))))
        gain = booster.get_score(importance_type="total_gain")
        gains.append({name: value / sum(gain.values()) for name, value in gain.items()})
    return Folds(
        tuple(models),
        fold,
        np.stack([model.scores(sample.values) for model in models]),
        {name: float(np.mean([gain.get(name, 0.0) for gain in gains])) for name in sample.inputs},
    )


def balanced(weights: Floats, signal: Booleans) -> Floats:
    """Return weights that sum to the size of the smaller class in each class, shape (n,).

    Leaves of the trees then hold enough candidates of the smaller class.
    """
    scaled = np.empty(len(weights))
    smaller = min(np.count_nonzero(signal), np.count_nonzero(~signal))
    for members in (signal, ~signal):
        scaled[members] = weights[members] * (smaller / np.sum(weights[members]))
    return scaled


def _too_few(sample: Sample, fold: Integers, folds: int) -> Iterator[str]:
    """Yield a message for each class with too few candidates in a fold."""
    for members, name in ((sample.signal, "simulated signal"), (~sample.signal, "the sidebands")):
        fewest = int(np.min(np.bincount(fold[members], minlength=folds)))
        if fewest < FEWEST or np.sum(sample.weights[members]) <= 0:
            yield (
                f"too few candidates of {name}: {np.count_nonzero(members)} in all and {fewest} in "
                f"one of {folds} folds, which needs {FEWEST}"
            )
