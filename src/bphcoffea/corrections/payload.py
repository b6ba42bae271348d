"""One correction of a correctionlib file, with an explicit policy for values outside its bins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import correctionlib
import numpy as np
import numpy.typing as npt
from correctionlib.highlevel import Correction

from bphcoffea.arrays import Booleans, Floats
from bphcoffea.corrections import nodes
from bphcoffea.corrections.correction_set import CorrectionSet, read_correction_set
from bphcoffea.errors import CorrectionsError

#: Numbers of any precision, by name of the input, shape (n,) each.
Inputs: TypeAlias = Mapping[str, npt.NDArray[Any]]
#: Treatment of values outside the bins: take the nearest bin, or raise.
Policy: TypeAlias = Literal["clamp", "error"]


@dataclass(frozen=True)
class Evaluated:
    """Values of a correction.

    Attributes
    ----------
    values
        Shape (n,).
    outside
        Mask of the values outside the bins, which are those of the nearest bin. Shape (n,).
    """

    values: Floats
    outside: Booleans


class Payload:
    """A correction, ready to be evaluated; it can be pickled.

    Parameters
    ----------
    path
        A correctionlib file of schema version 2, ``.json`` or ``.json.gz``.
    name
        Name of the correction in the file.
    content
        Content of the file, if it was read already.

    Attributes
    ----------
    version
        Version number of the correction.
    sha256
        Hash of the file.
    inputs
        Type of each input by name: ``real``, ``int`` or ``string``.

    Raises
    ------
    CorrectionsError
        If the file is missing, is no correctionlib file, or lacks the correction; the message then
        lists its corrections.
    """

    def __init__(self, path: str | Path, name: str, content: CorrectionSet | None = None) -> None:
        self.path = Path(path)
        self.name = name
        content = content or read_correction_set(self.path)
        self.sha256 = content.sha256
        if name in content.compound:
            raise CorrectionsError(
                f"{path}: '{name}' is a compound correction, which only energies may have; "
                f"the others are: {_listed(content.corrections)}"
            )
        if name not in content.corrections:
            raise CorrectionsError(
                f"{path}: no correction '{name}'; the file holds: {_listed(content.corrections)}"
            )
        self._text = content.corrections[name]
        try:
            _compiled(self._text, name)
        except RuntimeError as error:
            raise CorrectionsError(
                f"{path}: correctionlib cannot read the correction '{name}' ({error})"
            ) from None
        self.version = int(self._node["version"])
        self.inputs: dict[str, str] = {
            variable["name"]: variable["type"] for variable in self._node["inputs"]
        }

    def keys(self, name: str, fixed: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Return the keys that an input may have in every bin, in the order of the file.

        Parameters
        ----------
        name
            An input that is a text or an integer.
        fixed
            Keys of other inputs; bins under other keys of these are ignored.
        """
        return tuple(nodes.keys(self._node["data"], name, fixed or {}))

    def all_keys(self, name: str) -> tuple[str, ...]:
        """Return the keys that an input may have in some bin, in the order of the file."""
        found = (
            str(item["key"])
            for node in nodes.descend(self._node["data"])
            if node["nodetype"] == "category" and node["input"] == name
            for item in node["content"]
        )
        return tuple(dict.fromkeys(found))

    def ranges(self, name: str) -> tuple[str, ...]:
        """Return the ranges of the bins of an input that is a number, such as ``2 to 200``."""
        found = (f"{low:g} to {high:g}" for low, high in nodes.ranges(self._node["data"], name))
        return tuple(dict.fromkeys(found))

    def evaluate(self, numbers: Inputs, texts: Mapping[str, str], policy: Policy) -> Evaluated:
        """Evaluate the correction.

        Parameters
        ----------
        numbers
            Inputs that are numbers, shape (n,) each.
        texts
            Inputs that are texts.
        policy
            Treatment of numbers outside the bins.

        Raises
        ------
        CorrectionsError
            If a number is not finite, is outside the bins and the policy is ``error``, or is an
            integer without content; or if a value is not finite.
        """
        arrays = {}
        for name, values in numbers.items():
            wrong = ~np.isfinite(values)
            if np.any(wrong):
                raise CorrectionsError(
                    f"correction '{self.name}': {name} is {values[wrong][0]} for "
                    f"{np.count_nonzero(wrong)} of {len(values)} values; "
                    "it was applied to values that were not measured"
                )
            dtype = np.int64 if self.inputs[name] == "int" else np.float64
            arrays[name] = np.ascontiguousarray(values, dtype=dtype)

        def call(evaluator: Correction, which: Booleans | slice) -> Floats:
            arguments = [texts[i] if i in texts else arrays[i][which] for i in self.inputs]
            try:
                return np.asarray(evaluator.evaluate(*arguments), dtype=np.float64)
            except (IndexError, RuntimeError) as error:
                # a category of integers has no nearest key
                raise CorrectionsError(f"correction '{self.name}': {error}") from None

        def inputs_at(index: np.intp) -> str:
            return ", ".join(f"{name} = {array[index]:.9g}" for name, array in arrays.items())

        # inside the bins, its numbers are those of the file to the last bit
        values = call(self._detector, slice(None))
        outside = np.equal(values, float(nodes.OUTSIDE))
        if policy == "error" and np.any(outside):
            raise CorrectionsError(
                f"correction '{self.name}': {np.count_nonzero(outside)} of {len(outside)} values "
                f"outside its bins, the first at {inputs_at(np.argmax(outside))}; say "
                'out_of_range = "clamp" to take the nearest bin, or cut them away'
            )
        if np.any(outside):
            values[outside] = call(self._clamped, outside)
        wrong = ~np.isfinite(values)
        if np.any(wrong):
            first = np.argmax(wrong)
            keys = "".join(f", {name} = {text}" for name, text in texts.items())
            raise CorrectionsError(
                f"correction '{self.name}' gives {values[first]} for {np.count_nonzero(wrong)} of "
                f"{len(values)} values, the first at {inputs_at(first)}{keys}"
            )
        return Evaluated(values, outside)

    def outside(self, numbers: Inputs, texts: Mapping[str, str]) -> Booleans:
        """Return which values are outside the bins, shape (n,); see :meth:`evaluate`."""
        found = self._detector.evaluate(
            *(
                texts[name]
                if name in texts
                else np.ascontiguousarray(numbers[name], np.int64 if kind == "int" else np.float64)
                for name, kind in self.inputs.items()
            )
        )
        return np.equal(found, float(nodes.OUTSIDE))

    def __getstate__(self) -> dict[str, object]:
        # what correctionlib compiled cannot be pickled, and is compiled again in each process
        compiled = ("_detector", "_clamped", "_node")
        return {key: value for key, value in vars(self).items() if key not in compiled}

    @cached_property
    def _node(self) -> nodes.CorrectionNode:
        return nodes.parse(self._text)

    @cached_property
    def _detector(self) -> Correction:
        return self._compiled_with(nodes.detecting(self._node["data"]))

    @cached_property
    def _clamped(self) -> Correction:
        return self._compiled_with(nodes.with_flow(self._node["data"], "clamp"))

    def _compiled_with(self, data: object) -> Correction:
        return _compiled(nodes.written({**self._node, "data": data}), self.name)


def _compiled(text: str, name: str) -> Correction:
    content = f'{{"schema_version": 2, "corrections": [{text}]}}'
    return correctionlib.CorrectionSet.from_string(content)[name]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
