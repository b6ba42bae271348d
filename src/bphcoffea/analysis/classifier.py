"""Trained classifiers, which split the categories of an analysis in bins of their score."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final

import awkward as ak
import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import override

from bphcoffea.analysis.models import MissingExtraError, Model, check_values, library_version
from bphcoffea.analysis.names import ALL, repeated
from bphcoffea.analysis.records import ClassifierRecord, ModelRecord
from bphcoffea.analysis.variables import Variable
from bphcoffea.arrays import Floats, Numbers
from bphcoffea.documents import faults, read_toml
from bphcoffea.errors import InputError
from bphcoffea.local_files import regular

#: Step of the cutflow that rejects candidates below the lowest edge.
CLASSIFIER: Final = "classifier"


def _only_assigned(events: ak.Array) -> ak.Array:  # noqa: ARG001
    raise ValueError("the score is assigned to chosen candidates, not computed from events")


#: Score of a chosen candidate, a column of the table of candidates.
SCORE: Final = Variable("score", _only_assigned, "Classifier score")
#: Position of a chosen candidate's bin among the categories that the classifier makes.
SCORE_BIN: Final = Variable("score_bin", _only_assigned)


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    if repeated(names):
        raise ValueError(f"'{repeated(names)[0]}' is listed twice")
    return names


def _ascending(edges: tuple[float, ...]) -> tuple[float, ...]:
    ascending = all(low < high for low, high in pairwise(edges))
    if not edges or not ascending or edges[0] < 0 or not edges[-1] < 1:
        raise ValueError(
            f"{list(edges)} must be lower edges of bins, ascending, from 0 on and below 1"
        )
    return edges


_Name = Annotated[str, Field(min_length=1)]
_Edges = Annotated[tuple[float, ...], AfterValidator(_ascending)]


class _Declaration(BaseModel):
    """Content of the TOML of a classifier; see :class:`Classifier`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: _Name
    inputs: Annotated[tuple[_Name, ...], Field(min_length=1), AfterValidator(_unique)]
    models: Annotated[tuple[_Name, ...], Field(min_length=1)]
    edges: Annotated[dict[_Name, _Edges], Field(min_length=1)]


@dataclass(frozen=True)
class Classifier:
    """Models of k folds, their inputs, and the bins of the score.

    Model ``event % k`` scores an event: model i was trained on the events whose number modulo k is
    not i, so that no event is scored by a model that saw it in training.

    Attributes
    ----------
    name
        Name in messages and provenance.
    inputs
        Names of columns of the analysis, in the order of the models' inputs.
    models
        The k models.
    edges
        Lower edges of the bins by category, ascending from 0; the only key is ``all`` if the
        analysis has no categories. The last bin ends at 1. Candidates below the first edge are
        lost.
    library
        Names and versions of the packages that evaluate the models.
    source
        Path of the TOML.
    sha256
        Hash of the TOML.
    """

    name: str
    inputs: tuple[str, ...]
    models: tuple[Model, ...]
    edges: Mapping[str, tuple[float, ...]]
    library: str
    source: Path
    sha256: str

    @override
    def __reduce__(self) -> tuple[object, ...]:
        # checkpoints are keyed by these bytes; pickle's own depend on which strings are shared
        attributes = {name: value for name, value in vars(self).items() if name != "models"}
        files = [model.file for model in self.models]
        text = json.dumps(attributes | {"source": str(self.source), "files": files})
        return _unpickled, (text.encode(), tuple(model.content for model in self.models))

    def score(self, inputs: Mapping[str, Numbers], events: npt.NDArray[np.integer]) -> Floats:
        """Return the score of each candidate from the model of its event, shape (n,).

        Parameters
        ----------
        inputs
            Values of the inputs by name, shape (n,). NaN is a missing value for XGBoost.
        events
            Event numbers, shape (n,).

        Raises
        ------
        InputError
            If an input is infinite, or if it is NaN and a model is an ONNX model.
        """
        columns = [np.asarray(inputs[name], dtype=np.float64) for name in self.inputs]
        values = np.stack(columns, axis=1)
        check_values(f"classifier '{self.name}'", self.inputs, values, self.models)
        scores = np.empty(len(values))
        fold = events % np.asarray(len(self.models), dtype=events.dtype)
        for number, model in enumerate(self.models):
            in_fold = fold == number
            if np.any(in_fold):
                scores[in_fold] = model.scores(values[in_fold])
        return scores

    def categories(self, names: Iterable[str] = (ALL,)) -> dict[str, str]:
        """Return the category of each bin, by the name of the bin.

        Bins are numbered from the highest scores: ``A1``, ``A2``, …, or ``1``, ``2``, … without
        categories.

        Parameters
        ----------
        names
            Categories of the analysis.
        """
        return {
            f"{'' if name == ALL else name}{number + 1}": name
            for name in names
            for number in range(len(self.edges[name]))
        }

    def bins(
        self, scores: Floats, category: npt.NDArray[np.str_], names: Iterable[str]
    ) -> npt.NDArray[np.int64]:
        """Return the position of each candidate's bin among the keys of :meth:`categories`.

        Parameters
        ----------
        scores, category
            Score and category of each candidate, shape (n,).
        names
            Categories of the analysis.

        Returns
        -------
        Positions of shape (n,); -1 for candidates below the lowest edge of their category.
        """
        bins = np.full(len(scores), -1)
        first = 0
        for name in names:
            edges = np.array(self.edges[name])
            above = np.searchsorted(edges, scores, side="right")  # edges that the score reaches
            in_bin = (category == name) & (above > 0)
            bins[in_bin] = first + len(edges) - above[in_bin]
            first += len(edges)
        return bins

    def describe(self) -> ClassifierRecord:
        """Return the record of the classifier for ``analysis.json`` and ``provenance.json``."""
        return ClassifierRecord(
            name=self.name,
            file=str(self.source.absolute()),
            sha256=self.sha256,
            models=tuple(ModelRecord(file=m.file, sha256=m.sha256) for m in self.models),
            library=self.library,
            inputs=self.inputs,
            edges=dict(self.edges),
        )


def _unpickled(text: bytes, contents: tuple[bytes, ...]) -> Classifier:
    attributes = json.loads(text)
    files = attributes.pop("files")
    attributes["inputs"] = tuple(attributes["inputs"])
    attributes["edges"] = {name: tuple(edges) for name, edges in attributes["edges"].items()}
    attributes["source"] = Path(attributes["source"])
    models = tuple(Model(file, content) for file, content in zip(files, contents, strict=True))
    return Classifier(models=models, **attributes)


def load_classifier(path: str | Path) -> Classifier:
    """Load a classifier from its TOML, with the models that the TOML names.

    Parameters
    ----------
    path
        The TOML, with ``name``, ``inputs``, ``models`` (paths relative to the TOML) and a table
        ``edges``; see :class:`Classifier`.

    Raises
    ------
    InputError
        If the TOML or a model is unusable, one line per fault, or if the package that evaluates the
        models is not installed.
    """
    path = Path(path)
    content = read_toml(path, "classifier")
    try:
        declared = _Declaration.model_validate(content)
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(place)}: {text}" for place, text, _ in faults(error)]
        raise InputError("\n".join(lines)) from None
    problems: list[str] = []
    models: list[Model] = []
    for file in declared.models:
        try:
            model = Model(file, regular(path.parent / file).read_bytes())
            model.check(declared.inputs)
            models.append(model)
        except OSError as error:
            problems.append(f"{path}: {file}: cannot be read ({error.strerror})")
        except (InputError, MissingExtraError) as error:
            problems.append(f"{path}: {error}")
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    return Classifier(
        declared.name,
        declared.inputs,
        tuple(models),
        declared.edges,
        ", ".join(sorted({library_version(model) for model in models})),
        path,
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )
