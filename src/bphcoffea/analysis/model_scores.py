"""Scores of trained models as variables of events, candidates or objects."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Final

import awkward as ak
import numpy as np

from bphcoffea.analysis.models import MissingExtraError, Model, check_values
from bphcoffea.analysis.names import shown
from bphcoffea.analysis.records import ScoreRecord
from bphcoffea.analysis.variables import Axis, Variable
from bphcoffea.errors import DeclarationError, InputError
from bphcoffea.local_files import regular

#: Beginning of the modules of this package, whose functions use no variables that are global.
_LIBRARY: Final = "bphcoffea."
#: Beginning of the modules whose objects may contain variables: also of analyses from files.
_DECLARING: Final = "bphcoffea"


@dataclass(frozen=True)
class ModelScores:
    """Function from events, or objects, to the scores of a trained model.

    Attributes
    ----------
    model
        The model, which travels to workers with the analysis.
    inputs
        Variables that the model takes, in its order.
    """

    model: Model
    inputs: tuple[Variable, ...]

    def __call__(self, events: ak.Array) -> ak.Array:
        """Return one score per event, candidate or object, whichever the inputs are of.

        Raises
        ------
        InputError
            If an input is infinite, or NaN for an ONNX model.
        """
        values = ak.broadcast_arrays(*(variable(events) for variable in self.inputs))
        if any(ak.fields(array) for array in values):
            raise TypeError("an input of a model must be a number, but is a record")
        in_lists = values[0].ndim > 1
        columns = [ak.flatten(array) if in_lists else array for array in values]
        # a missing value becomes NaN
        inputs = np.stack([ak.to_numpy(ak.fill_none(c, np.nan)) for c in columns], axis=1)
        names = [variable.name for variable in self.inputs]
        check_values(f"model '{self.model.file}'", names, inputs, (self.model,))
        scores = self.model.outputs(inputs) if len(inputs) else np.empty(0)
        return ak.unflatten(scores, ak.num(values[0])) if in_lists else ak.Array(scores)


def score(
    name: str,
    file: str | Path,
    inputs: tuple[Variable, ...],
    label: str = "",
    axis: Axis | None = None,
) -> Variable:
    """Return the score of a trained model as a variable.

    It can be used like any other variable, in cuts, objects, regions, histograms and columns. Each
    process opens the model once, and evaluates it for all candidates of a chunk, and of up to six
    shape variations, at a time.

    Parameters
    ----------
    name
        Name of the variable.
    file
        A model of XGBoost (``.json``) or ONNX (``.onnx``). Its content becomes part of the
        analysis, so that workers need not have the file. Write ``Path(__file__).parent /
        "top.json"`` for a file beside that of the analysis.
    inputs
        Inputs of the model, in its order: variables of events and candidates, or quantities of
        objects. Numbers of events are repeated for each candidate. If the model knows the names of
        its inputs, those of the variables must be the same. NaN is a missing value for XGBoost;
        ONNX models do not handle it.
    label
        Label in figures, in mathtext; the name if empty.
    axis
        Binning of the N-1 histogram; None for no histogram.

    Raises
    ------
    DeclarationError
        If the file is not a model of these inputs, or the package that evaluates it is missing.
    """
    owner = f"variable '{name}'"
    if not inputs:
        raise DeclarationError(f"{owner}: no inputs of the model are given; name them in its order")
    for variable in inputs:
        if not isinstance(variable, Variable):
            raise DeclarationError(f"{owner}: its input {shown(variable)} is not a Variable")
    try:
        model = Model(Path(file).name, regular(Path(file)).read_bytes())
        model.check(tuple(variable.name for variable in inputs), probability=False)
    except OSError as error:
        raise DeclarationError(f"{owner}: {file}: cannot be read ({error.strerror})") from None
    except (InputError, MissingExtraError) as error:
        raise DeclarationError(f"{owner}: {error}") from None
    return Variable(name, ModelScores(model, tuple(inputs)), label, "", axis)


def scores_in(*declared: object) -> tuple[ScoreRecord, ...]:
    """Return the scores among some declarations, and among the variables that their functions use.

    Parameters
    ----------
    declared
        Variables, requirements, cuts, objects and the like, collections of these, and functions.
    """
    found: dict[Variable, ScoreRecord] = {}
    seen: dict[int, object] = {}  # with the objects, so that no number is given twice
    left = [*declared]
    while left:
        value = left.pop(0)
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, Variable) and isinstance(value.function, ModelScores):
            scores = value.function
            found[value] = ScoreRecord(
                name=value.name,
                file=scores.model.file,
                sha256=scores.model.sha256,
                library=scores.model.library,
                inputs=tuple(variable.name for variable in scores.inputs),
            )
        left += _parts(value)
    return tuple(found.values())


def _parts(value: object) -> Iterator[object]:
    """Yield what a declaration consists of, and what a function uses."""
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, tuple | list | set | frozenset):
        yield from value
    elif isinstance(value, MethodType):
        yield value.__func__
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, FunctionType):
        yield from (value.__defaults__, value.__kwdefaults__)
        for cell in value.__closure__ or ():
            with contextlib.suppress(ValueError):  # nothing was assigned to the name yet
                yield cell.cell_contents
        if not str(value.__module__).startswith(_LIBRARY):
            used = value.__globals__
            yield from (used[name] for name in _names(value.__code__) if name in used)
    elif type(value).__module__.startswith(_DECLARING):
        yield from getattr(value, "__dict__", {}).values()


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that a function, or a function in it, uses."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
