"""One correction of a correctionlib file, with an explicit policy for values outside its bins.

The text of the correction is kept as it stands in the file: correctionlib rounds some decimals
otherwise than Python, so that a number that was parsed and written again may differ in its last
bit.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import correctionlib
import numpy as np
import numpy.typing as npt

from bphcoffea.errors import InputError

Floats = npt.NDArray[np.float64]
#: What to do with a value outside the bins: take the nearest bin, or refuse.
Policy = Literal["clamp", "error"]

#: What the copy of a correction that only tells inside from outside gives outside; no real factor.
_OUTSIDE: Final = -1e300
_BINNED = ("binning", "multibinning")


@dataclass(frozen=True)
class Evaluated:
    """Values of a correction.

    Attributes
    ----------
    values
        Shape (n,).
    outside
        Which of them lay outside the bins and were given the nearest one's, shape (n,).
    """

    values: Floats
    outside: npt.NDArray[np.bool_]


class Payload:
    """A correction, ready to be evaluated; it can be pickled.

    Parameters
    ----------
    path
        A correctionlib file of schema version 2, ``.json`` or ``.json.gz``.
    name
        The correction's name in the file.

    Attributes
    ----------
    version
        Version number of the correction.
    sha256
        Hash of the file.
    inputs
        Names of its inputs, with their types: ``real``, ``int`` or ``string``.

    Raises
    ------
    InputError
        When there is no such file, it is no correctionlib file, or it does not hold the correction;
        the line lists those that it holds.
    """

    def __init__(self, path: str | Path, name: str) -> None:
        self.path = Path(path)
        self.name = name
        content = read(self.path)
        self.sha256 = content.sha256
        if name not in content.corrections:
            raise InputError(
                f"{path}: holds no correction '{name}'; it holds: {', '.join(content.corrections)}"
            )
        self._text = content.corrections[name]
        self._check_readable()
        self.version = int(self._node["version"])
        self.inputs = {each["name"]: str(each["type"]) for each in self._node["inputs"]}

    def keys(self, name: str) -> tuple[str, ...]:
        """The keys that a string input may have, in every bin; in the order of the file."""
        found: list[list[str]] = [
            [str(item["key"]) for item in node["content"]]
            for node in _nodes(self._node["data"])
            if node.get("nodetype") == "category" and node["input"] == name
        ]
        first = found[0] if found else []
        return tuple(key for key in first if all(key in keys for keys in found))

    def ranges(self, name: str) -> tuple[str, ...]:
        """From where to where the bins of an input that is a number reach, for people."""
        found: list[str] = []
        for node in _nodes(self._node["data"]):
            for each, edges in _edges(node):
                if each == name:
                    low, high = (edges[0], edges[-1]) if isinstance(edges, list) else edges
                    found.append(f"{float(low):g} to {float(high):g}")
        return tuple(dict.fromkeys(found))

    def evaluate(
        self, numbers: Mapping[str, npt.NDArray[Any]], texts: Mapping[str, str], outside: Policy
    ) -> Evaluated:
        """Values of the correction.

        Parameters
        ----------
        numbers
            The inputs that are numbers, shape (n,) each.
        texts
            The inputs that are texts.
        outside
            What to do with numbers outside the bins.

        Raises
        ------
        InputError
            When a number is not finite, or outside the bins where the policy is ``error``.
        """
        arrays = {
            name: np.ascontiguousarray(values, np.int64 if self.inputs[name] == "int" else float)
            for name, values in numbers.items()
        }
        for name, values in arrays.items():
            wrong = ~np.isfinite(values)
            if np.any(wrong):
                raise InputError(
                    f"correction '{self.name}': {name} is {values[wrong][0]} for "
                    f"{np.count_nonzero(wrong)} of {len(values)} values; "
                    "it is applied to what was not measured"
                )

        def call(evaluator: Any, which: Any) -> Floats:
            arguments = [texts.get(i) if i in texts else arrays[i][which] for i in self.inputs]
            return np.asarray(evaluator.evaluate(*arguments), dtype=np.float64)

        everything = slice(None)
        beyond = np.equal(call(self._detector, everything), _OUTSIDE)
        if not np.any(beyond):
            return Evaluated(call(self._evaluator, everything), beyond)
        if outside == "error":
            first = np.flatnonzero(beyond)[0]
            where = ", ".join(f"{name} = {array[first]:.6g}" for name, array in arrays.items())
            raise InputError(
                f"correction '{self.name}': {np.count_nonzero(beyond)} of {len(beyond)} values "
                f'outside its bins, the first at {where}; say out_of_range = "clamp" to take '
                "the nearest bin, or cut them away"
            )
        values = np.empty(len(beyond))
        values[~beyond] = call(self._evaluator, ~beyond)
        values[beyond] = call(self._clamped, beyond)
        return Evaluated(values, beyond)

    def __getstate__(self) -> dict[str, Any]:
        # what correctionlib compiled is made again where it is needed
        compiled = ("_evaluator", "_detector", "_clamped", "_node")
        return {key: value for key, value in vars(self).items() if key not in compiled}

    @cached_property
    def _node(self) -> dict[str, Any]:
        node: dict[str, Any] = json.loads(self._text)
        return node

    @cached_property
    def _evaluator(self) -> Any:
        return _compiled(self._text, self.name)

    @cached_property
    def _detector(self) -> Any:
        return _compiled(json.dumps(_with_flow(self._node, _OUTSIDE)), self.name)

    @cached_property
    def _clamped(self) -> Any:
        return _compiled(json.dumps(_with_flow(self._node, "clamp")), self.name)

    def _check_readable(self) -> None:
        try:
            _ = self._evaluator
        except RuntimeError as error:
            raise InputError(
                f"{self.path}: correctionlib cannot read the correction '{self.name}' ({error})"
            ) from None


@dataclass(frozen=True)
class Content:
    """What a correctionlib file holds.

    Attributes
    ----------
    sha256
        Hash of the file.
    corrections
        The text of each correction, by name.
    """

    sha256: str
    corrections: dict[str, str]


def read(path: Path) -> Content:
    """Read a correctionlib file.

    Raises
    ------
    InputError
        When it can't be read or is no correctionlib file of schema version 2.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
        version, corrections = _split(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such correction file{_beside(path)}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError, KeyError, TypeError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: not a correctionlib file ({reason}); an older JSON, or histograms, become "
            "one with: bphcoffea corrections convert"
        ) from None
    if version != 2:
        raise InputError(
            f"{path}: schema version {version} of correctionlib, which reads 2 alone; "
            f"make one with: bphcoffea corrections convert {path} -o NEW.json.gz"
        )
    return Content(hashlib.sha256(raw).hexdigest(), corrections)


def _beside(path: Path) -> str:
    try:
        there = sorted(other.name for other in path.parent.iterdir() if ".json" in other.name)
    except OSError:
        return f"; nor is there a folder {path.parent}"
    return f"; beside it: {', '.join(there)}" if there else ""


def _split(text: str) -> tuple[Any, dict[str, str]]:
    """Version and, by name, the text of each correction of a file, as it stands there."""
    decoder = json.JSONDecoder()
    version, corrections = None, None
    for key, start in _members(decoder, text):
        if key == "schema_version":
            version, _ = decoder.raw_decode(text, start)
        elif key == "corrections":
            corrections = dict(_named_elements(decoder, text, start))
    if version is None or corrections is None:
        raise ValueError("it has no schema_version, or no corrections")
    return version, corrections


def _members(decoder: json.JSONDecoder, text: str) -> Iterator[tuple[str, int]]:
    """Keys of the object that a text is, and where their values begin."""
    position = _skip(text, 0)
    if text[position : position + 1] != "{":
        raise ValueError("expected an object")
    position = _skip(text, position + 1)
    while text[position] != "}":
        key, position = decoder.raw_decode(text, position)
        position = _skip(text, _skip(text, position) + 1)
        yield key, position
        _, position = decoder.raw_decode(text, position)
        position = _skip(text, position, ",")


def _named_elements(
    decoder: json.JSONDecoder, text: str, position: int
) -> Iterator[tuple[str, str]]:
    """Name and text of each element of an array of objects."""
    if text[position] != "[":
        raise ValueError("corrections: expected a list")
    position = _skip(text, position + 1)
    while text[position] != "]":
        content, stop = decoder.raw_decode(text, position)
        yield content["name"], text[position:stop]
        position = _skip(text, stop, ",")


def _skip(text: str, position: int, also: str = "") -> int:
    while position < len(text) and (text[position].isspace() or text[position] in also):
        position += 1
    if position == len(text):
        raise ValueError("it ends early")
    return position


def _compiled(text: str, name: str) -> Any:
    whole = f'{{"schema_version": 2, "corrections": [{text}]}}'
    return correctionlib.CorrectionSet.from_string(whole)[name]


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Yield a node and all below it."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)


def _edges(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the inputs that a node bins, with their edges, or the ends of uniform ones."""
    if node.get("nodetype") == "binning":
        own = [(node["input"], node["edges"])]
    elif node.get("nodetype") == "multibinning":
        own = list(zip(node["inputs"], node["edges"], strict=True))
    else:
        return
    for name, edges in own:
        yield str(name), (edges["low"], edges["high"]) if isinstance(edges, dict) else edges


def _with_flow(correction: dict[str, Any], flow: str | float) -> dict[str, Any]:
    """The same correction with another rule for what lies outside the bins."""
    changed = copy.deepcopy(correction)
    for node in _nodes(changed["data"]):
        if node.get("nodetype") in _BINNED and node.get("flow") != "wrap":
            node["flow"] = flow
    return changed
