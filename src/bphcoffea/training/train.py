"""Training of a classifier on the tables of a run, and its record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bphcoffea.analysis import Classifier, library_version, load_classifier
from bphcoffea.errors import RunError, alternatives
from bphcoffea.results import RunFolder, write_json
from bphcoffea.storage import make_folder, replacing
from bphcoffea.training.edges import Bins, best_bins, given_bins
from bphcoffea.training.folds import PARAMETERS, TREES, Folds, train_folds
from bphcoffea.training.metrics import (
    Scores,
    area_under_curve,
    kolmogorov_smirnov,
    rank_correlation,
)
from bphcoffea.training.sample import Sample, read_sample

#: Files of the classifier and of the record of its training.
DECLARATION, RECORD = "classifier.toml", "training.json"


@dataclass(frozen=True)
class Scored:
    """Scores of signal and sidebands."""

    signal: Scores
    background: Scores

    @property
    def area(self) -> float:
        """Area under the ROC curve."""
        return area_under_curve(self.signal, self.background)


@dataclass(frozen=True)
class Training:
    """A trained classifier with its training sample.

    Attributes
    ----------
    source
        Folder of the run.
    sample
        Training sample.
    folds
        Models and their scores.
    bins
        Bins of the score by category.
    seed
        Seed of the random numbers.
    """

    source: Path
    sample: Sample
    folds: Folds
    bins: dict[str, Bins]
    seed: int

    def scored(self, *, test: bool, fold: int | None = None) -> Scored:
        """Return the scores of candidates by models that were or were not trained on them.

        Parameters
        ----------
        test
            Use models that were not trained on a candidate, else those that were.
        fold
            Use only this model; all by default.
        """
        models = range(len(self.folds.models)) if fold is None else [fold]
        indices = [np.flatnonzero((self.folds.fold == model) == test) for model in models]
        index = np.concatenate(indices)
        values = np.concatenate(
            [self.folds.scores[model, at] for model, at in zip(models, indices, strict=True)]
        )
        signal, weights = self.sample.signal[index], self.sample.weights[index]
        return Scored(*(Scores(values[of], weights[of]) for of in (signal, ~signal)))

    def as_json(self) -> dict[str, Any]:
        """Return the content of ``training.json``."""
        sample, score = self.sample, self.folds.held_out
        sidebands = ~sample.signal
        by_category = {
            name: rank_correlation(score[members], sample.mass[members])
            for name in self.bins
            if np.count_nonzero(members := sidebands & (sample.category == name)) > 1
        }
        return {
            "run": str(self.source.absolute()),
            "seed": self.seed,
            "library": library_version(self.folds.models[0]),
            "parameters": PARAMETERS,
            "trees": TREES,
            "inputs": list(sample.inputs),
            "importances": self.folds.gains,
            "signal": int(np.count_nonzero(sample.signal)),
            "sidebands": int(np.count_nonzero(sidebands)),
            "auc": {
                "train": self.scored(test=False).area,
                "test": self.scored(test=True).area,
            },
            "folds": [self._of_fold(number) for number in range(len(self.folds.models))],
            "correlation_with_mass": {
                "all": rank_correlation(score[sidebands], sample.mass[sidebands]),
                **by_category,
            },
            "bins": {name: asdict(bins) for name, bins in self.bins.items()},
            "notes": list(sample.notes),
        }

    def _of_fold(self, fold: int) -> dict[str, Any]:
        """Return the record of one model."""
        train, test = self.scored(test=False, fold=fold), self.scored(test=True, fold=fold)
        return {
            "auc_train": train.area,
            "auc_test": test.area,
            "ks_signal": kolmogorov_smirnov(train.signal, test.signal),
            "ks_background": kolmogorov_smirnov(train.background, test.background),
            "signal": len(test.signal.values),
            "sidebands": len(test.background.values),
        }

    def write(self, folder: str | Path) -> Classifier:
        """Write the classifier with its models and ``training.json``, and return it.

        Raises
        ------
        UnwritableError
            If that fails; an earlier classifier remains unchanged.
        """
        path = make_folder(Path(folder))
        with replacing(path, "classifier") as temporary:
            for model in self.folds.models:
                (temporary / model.file).write_bytes(model.content)
            (temporary / DECLARATION).write_text(
                self._declaration(path.absolute().name), encoding="utf-8"
            )
            write_json(temporary / RECORD, self.as_json())
        return load_classifier(path / DECLARATION)

    def _declaration(self, name: str) -> str:
        """Return the text of the classifier's TOML file."""

        def toml(value: object) -> str:
            # strings and lists have the same syntax in JSON and TOML
            return json.dumps(value, ensure_ascii=False)

        lines = [
            "# Model number (event % number of models) scores an event: it was not trained on it.",
            f"name = {toml(name)}",
            f"inputs = {toml(self.sample.inputs)}",
            f"models = {toml([model.file for model in self.folds.models])}",
            "",
            "# Lower edges of the bins of the score in each category; the last bin ends at 1.",
            "[edges]",
            *(f"{toml(category)} = {list(bins.edges)}" for category, bins in self.bins.items()),
        ]
        return "\n".join(lines) + "\n"


def train_run(
    folder: RunFolder,
    inputs: Sequence[str] = (),
    *,
    folds: int = 5,
    bins: int = 2,
    edges: Mapping[str, tuple[float, ...]] | None = None,
    seed: int = 0,
) -> Training:
    """Train a classifier on the simulated signal and the sidebands of a run.

    Parameters
    ----------
    folder
        Run without a classifier.
    inputs
        Columns of its tables; for the default see :func:`~bphcoffea.training.sample.read_sample`.
    folds
        Number of models.
    bins
        Number of bins of the score in each category.
    edges
        Lower edges of the bins of some categories, instead of the best ones.
    seed
        Seed of the random numbers, which makes the result reproducible.

    Raises
    ------
    RunError
        If the run cannot be used.
    InputError
        If there are too few candidates, or XGBoost is not installed.
    """
    sample = read_sample(folder, inputs)
    # a category without candidates is in no table, but needs edges as well
    names = list(folder.analysis.categories) or sorted(set(sample.category.tolist()))
    unknown = [name for name in edges or {} if name not in names]
    if unknown:
        raise RunError(
            f"{folder.path}: has no category '{unknown[0]}'{alternatives(unknown[0], names)}"
        )
    trained = train_folds(sample, folds, seed)
    chosen = {}
    for name in names:
        members = sample.category == name
        signal, background = members & sample.signal, members & ~sample.signal
        scores = trained.held_out
        of_category = scores[signal], sample.weights[signal], scores[background]
        if edges and name in edges:
            chosen[name] = given_bins(edges[name], *of_category)
        else:
            chosen[name] = best_bins(*of_category, bins)
    return Training(folder.path, sample, trained, chosen, seed)
