"""A trained classifier that splits the categories of an analysis in bins of its score."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import override

from bphcoffea.analysis.histograms import ALL
from bphcoffea.analysis.models import MissingExtraError, Model, library_version
from bphcoffea.analysis.variables import Variable
from bphcoffea.arrays import Floats
from bphcoffea.errors import InputError

#: Step of the cutflow at which candidates below the lowest edge are lost.
CLASSIFIER: Final = "classifier"


def _only_assigned(events: Any) -> Any:  # noqa: ARG001
    raise ValueError("the score is assigned to chosen candidates; no function of events gives it")


#: Column of the candidates' table. Only chosen candidates have one, by the model of their event.
SCORE: Final = Variable("score", _only_assigned, "Classifier score")
#: Position of a chosen candidate's bin among the categories that the classifier makes.
SCORE_BIN: Final = Variable("score_bin", _only_assigned)

Name = Annotated[str, Field(min_length=1)]


class _Declaration(BaseModel):
    """What the TOML of a classifier says; see :class:`Classifier`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    inputs: Annotated[tuple[Name, ...], Field(min_length=1)]
    models: Annotated[tuple[Name, ...], Field(min_length=1)]
    edges: Annotated[dict[Name, tuple[float, ...]], Field(min_length=1)]


class ModelRecord(BaseModel):
    """File of one model, and the hash of its content."""

    model_config = ConfigDict(frozen=True)

    file: str
    sha256: str


class ClassifierRecord(BaseModel):
    """Record of a :class:`Classifier` in ``analysis.json`` and ``provenance.json``.

    Attributes
    ----------
    name, inputs, edges, library
        Those of the classifier.
    file, sha256
        Path of the TOML, and the hash of its content.
    models
        The models of the folds, in order.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    file: str
    sha256: str
    models: tuple[ModelRecord, ...]
    library: str
    inputs: tuple[str, ...]
    edges: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Classifier:
    """Models of k folds, their inputs, and the bins of the score.

    Model ``event % k`` scores an event: ``bphcoffea train`` makes model i from the events whose
    number modulo k is not i, so that no event is scored by a model that saw it.

    Attributes
    ----------
    name
        Name in messages and provenance.
    inputs
        Names of columns of the analysis, in the order in which the models take them.
    models
        The k models.
    edges
        For each category of the analysis, or ``all`` if it has none, the lower edges of the bins,
        ascending from 0. The last bin ends at 1. Candidates below the first edge are lost.
    library
        Name and version of the packages that evaluate the models.
    source
        The TOML.
    sha256
        Its hash.
    """

    name: str
    inputs: tuple[str, ...]
    models: tuple[Model, ...]
    edges: Mapping[str, tuple[float, ...]]
    library: str
    source: Path
    sha256: str

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        # checkpoints are keyed by these bytes, which a memo of equal strings would make differ
        about = {name: value for name, value in vars(self).items() if name != "models"}
        files = [model.file for model in self.models]
        text = json.dumps(about | {"source": str(self.source), "files": files})
        return _unpickled, (text.encode(), tuple(model.content for model in self.models))

    def score(self, inputs: Mapping[str, npt.NDArray[Any]], events: npt.NDArray[Any]) -> Floats:
        """Return the score of each candidate by the model of its event, shape (n,).

        Parameters
        ----------
        inputs
            Values of the inputs by name, shape (n,). NaN is a missing value for XGBoost.
        events
            Event numbers, shape (n,).

        Raises
        ------
        InputError
            If an input is infinite, or NaN and a model is of ONNX.
        """
        columns = [np.asarray(inputs[name], dtype=np.float64) for name in self.inputs]
        for name, column in zip(self.inputs, columns, strict=True):
            self._check_finite(name, column)
        values = np.stack(columns, axis=1)
        scores = np.empty(len(values))
        fold = events % np.asarray(len(self.models), dtype=events.dtype)
        for number, model in enumerate(self.models):
            own = fold == number
            if np.any(own):
                scores[own] = model.scores(values[own])
        return scores

    def _check_finite(self, name: str, column: Floats) -> None:
        largest = float(np.finfo(np.float32).max)
        wrong, what = np.abs(column) > largest, "infinite"
        if not np.any(wrong) and any(model.library != "xgboost" for model in self.models):
            wrong, what = np.isnan(column), "NaN, which a model of ONNX does not take,"
        if np.any(wrong):
            raise InputError(
                f"classifier '{self.name}': input '{name}' is {what} for {np.count_nonzero(wrong)} "
                f"of {len(column)} candidates; a cut must reject those"
            )

    def categories(self, names: Iterable[str] = (ALL,)) -> dict[str, str]:
        """Return the category of the analysis that each bin belongs to, by the bin's name.

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
        """Return the position of each candidate's bin among those of :meth:`categories`.

        Parameters
        ----------
        scores, category
            Score and category of the analysis of each candidate, shape (n,).
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
            own = (category == name) & (above > 0)
            bins[own] = first + len(edges) - above[own]
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
    about = json.loads(text)
    files = about.pop("files")
    about["inputs"] = tuple(about["inputs"])
    about["edges"] = {name: tuple(edges) for name, edges in about["edges"].items()}
    about["source"] = Path(about["source"])
    models = tuple(Model(*each) for each in zip(files, contents, strict=True))
    return Classifier(models=models, **about)


def load_classifier(path: str | Path) -> Classifier:
    """Load a classifier from its TOML, with the files of models that it names.

    Parameters
    ----------
    path
        The TOML, with ``name``, ``inputs``, ``models`` (paths relative to it) and a table
        ``edges``; see :class:`Classifier`.

    Raises
    ------
    InputError
        If anything is missing or wrong, one line for each fault, or the package that evaluates the
        models is not installed.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        declared = _Declaration.model_validate(tomllib.loads(content.decode("utf-8-sig")))
    except FileNotFoundError:
        raise InputError(f"{path}: no such classifier") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        places = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()]
        raise InputError("\n".join(f"{path}: {place}: {what}" for place, what in places)) from None
    except ValueError as error:
        raise InputError(f"{path}: not a TOML file ({error})") from None
    faults = [f"{path}: {fault}" for fault in _faults(declared)]
    models: list[Model] = []
    for file in declared.models:
        try:
            model = Model(file, (path.parent / file).read_bytes())
            model.check(declared.inputs)
            models.append(model)
        except OSError as error:
            faults.append(f"{path}: {file}: cannot be read ({error.strerror})")
        except (InputError, MissingExtraError) as error:
            faults.append(f"{path}: {error}")
    if faults:
        raise InputError("\n".join(dict.fromkeys(faults)))
    return Classifier(
        declared.name,
        declared.inputs,
        tuple(models),
        declared.edges,
        ", ".join(sorted({library_version(model) for model in models})),
        path,
        hashlib.sha256(content).hexdigest(),
    )


def _faults(declared: _Declaration) -> Iterable[str]:
    if len(set(declared.inputs)) < len(declared.inputs):
        yield "inputs: one is there twice"
    for name, edges in declared.edges.items():
        ascending = all(low < high for low, high in pairwise(edges))
        if not edges or not ascending or edges[0] < 0 or not edges[-1] < 1:
            yield (
                f"edges.{name}: {list(edges)} must be lower edges of bins, ascending, from 0 on "
                "and below 1"
            )
