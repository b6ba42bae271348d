"""Trained models from XGBoost JSON or ONNX files, evaluated on plain arrays.

A model travels to workers as the bytes of its file, and each process opens it once. The wrappers of
``coffea.ml_tools`` open a path instead, which a worker may lack, and only warn of missing inputs.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bphcoffea.arrays import Floats, Numbers
from bphcoffea.errors import InputError

#: Packages that evaluate models, by file name extension.
LIBRARIES: Final = {".json": "xgboost", ".onnx": "onnxruntime"}

_PARTS_OF_XGBOOST: Final = ("gradient_booster", "learner_model_param", "objective")


class MissingExtraError(Exception):
    """The package that evaluates a model is not installed in this process."""


@dataclass(frozen=True)
class Model:
    """One trained model: a score from the inputs of a candidate.

    Attributes
    ----------
    file
        Name of the file, which ends in ``.json`` (XGBoost) or ``.onnx``.
    content
        Bytes of the file.
    sha256
        Hash of the bytes.
    """

    file: str
    content: bytes = field(repr=False)
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", hashlib.sha256(self.content).hexdigest())

    @property
    def library(self) -> str:
        """Name of the package that evaluates the model.

        Raises
        ------
        InputError
            If the file has another extension.
        """
        for ending, library in LIBRARIES.items():
            if self.file.endswith(ending):
                return library
        raise InputError(f"{self.file}: not a model; its name must end in .json or .onnx")

    def check(self, inputs: tuple[str, ...], *, probability: bool = True) -> None:
        """Check that the model can be opened and takes these inputs, in this order.

        Parameters
        ----------
        inputs
            Names of the inputs.
        probability
            Whether its scores must lie between 0 and 1.

        Raises
        ------
        InputError
            If the model cannot be opened, or takes other inputs.
        MissingExtraError
            If the package that evaluates it is not installed.
        """
        opened = _opened(self)
        if opened.inputs not in (None, len(inputs)):
            raise InputError(
                f"{self.file}: takes {opened.inputs} inputs, but {len(inputs)} are declared"
            )
        if opened.names and opened.names != inputs:
            raise InputError(
                f"{self.file}: was trained with the inputs {', '.join(opened.names)}; "
                "declare the same, in the same order"
            )
        try:
            (self.scores if probability else self.outputs)(np.zeros((2, len(inputs))))
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001 - each library raises its own
            raise InputError(
                f"{self.file}: gives no score for {len(inputs)} inputs ({_first_line(error)})"
            ) from None

    def scores(self, inputs: Floats) -> Floats:
        """Return the score of each candidate, shape (n,).

        Parameters
        ----------
        inputs
            Values of the inputs, shape (n, inputs). NaN is a missing value for XGBoost; ONNX models
            do not handle it.

        Raises
        ------
        InputError
            If the model does not give one number from 0 to 1 per candidate.
        MissingExtraError
            If the package that evaluates it is not installed.
        """
        scores = self.outputs(inputs)
        if not np.all((scores >= 0) & (scores <= 1)):
            raise InputError(
                f"{self.file}: gives scores outside 0 to 1; train it with a logistic objective"
            )
        return scores

    def outputs(self, inputs: Floats) -> Floats:
        """Return the output for each candidate, which may be any number; see :meth:`scores`."""
        outputs = np.asarray(_opened(self).evaluate(inputs.astype(np.float32)), dtype=np.float64)
        if outputs.shape != (len(inputs),):
            raise InputError(
                f"{self.file}: gives an array of shape {outputs.shape} for {len(inputs)} "
                "candidates; it must give one number for each"
            )
        return outputs


def check_values(
    owner: str, inputs: Sequence[str], values: Floats, models: Iterable[Model]
) -> None:
    """Raise an InputError if models cannot evaluate some inputs.

    Parameters
    ----------
    owner
        Classifier or variable, with which the message begins.
    inputs
        Names of the inputs.
    values
        Their values, shape (n, inputs): none may be infinite in single precision; only XGBoost
        takes NaN.
    models
        The models.
    """
    takes_nan = all(model.library == "xgboost" for model in models)
    for name, column in zip(inputs, values.T, strict=True):
        wrong, fault = np.abs(column) > float(np.finfo(np.float32).max), "infinite"
        if not np.any(wrong) and not takes_nan:
            wrong, fault = np.isnan(column), "NaN, which an ONNX model does not take,"
        if np.any(wrong):
            raise InputError(
                f"{owner}: input '{name}' is {fault} for {np.count_nonzero(wrong)} of "
                f"{len(column)} candidates; a cut must reject those"
            )


@dataclass(frozen=True)
class _Opened:
    """A model in the memory of this process.

    Attributes
    ----------
    inputs
        Number of inputs; None if the file does not have it.
    names
        Names of the inputs; empty if the file does not have them.
    evaluate
        Function from inputs of shape (n, inputs) to scores.
    """

    inputs: int | None
    names: tuple[str, ...]
    evaluate: Callable[[npt.NDArray[np.float32]], object]


@lru_cache(maxsize=64)
def _opened(model: Model) -> _Opened:
    opener = {"xgboost": _open_xgboost, "onnxruntime": _open_onnx}[model.library]
    return opener(model)


def library_version(model: Model) -> str:
    """Return name and version of the package that evaluates a model, such as ``xgboost 3.2.0``."""
    return f"{model.library} {_library(model).__version__}"


def _library(model: Model) -> Any:
    try:
        return importlib.import_module(model.library)
    except ImportError:
        raise MissingExtraError(
            f"{model.file}: needs {model.library}, which is not installed here; "
            "install it with: pip install 'bphcoffea[ml]'"
        ) from None


def _open_xgboost(model: Model) -> _Opened:
    library = _library(model)
    # workers run in parallel already
    booster = library.Booster({"nthread": 1})
    try:
        # XGBoost ends the process if one of these parts is missing
        parts = json.loads(model.content)["learner"]
        if not all(isinstance(parts[name], dict) for name in _PARTS_OF_XGBOOST):
            raise TypeError
        booster.load_model(bytearray(model.content))
    except (ValueError, TypeError, KeyError, library.core.XGBoostError):
        raise InputError(
            f"{model.file}: not a model of XGBoost; write one with Booster.save_model"
        ) from None
    booster.set_param({"nthread": 1})
    return _Opened(
        booster.num_features(), tuple(booster.feature_names or ()), booster.inplace_predict
    )


def _open_onnx(model: Model) -> _Opened:
    library = _library(model)
    options = library.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = library.InferenceSession(
            model.content, options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # noqa: BLE001 - its exceptions have no common base
        raise InputError(f"{model.file}: not a model of ONNX") from None
    inputs = session.get_inputs()
    outputs = [o for o in session.get_outputs() if o.type in ("tensor(float)", "tensor(double)")]
    if len(inputs) != 1 or not outputs:
        raise InputError(
            f"{model.file}: must take one tensor of shape (candidates, inputs) and give a tensor "
            "of scores; convert classifiers without ZipMap"
        )
    (tensor,) = inputs
    dtype = np.float64 if tensor.type == "tensor(double)" else np.float32
    width = tensor.shape[1] if len(tensor.shape) == 2 else None

    def evaluate(values: npt.NDArray[np.float32]) -> Numbers:
        # converted classifiers give labels before probabilities, and background before signal
        scores: Numbers
        (scores,) = session.run([outputs[-1].name], {tensor.name: values.astype(dtype)})
        two_classes = scores.ndim == 2 and scores.shape[1] == 2
        if two_classes or (scores.ndim == 2 and scores.shape[1] == 1):
            return scores[:, -1]
        return scores

    return _Opened(width if isinstance(width, int) else None, (), evaluate)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
