"""One correction of a correctionlib file, with an explicit policy for values outside its bins.

The text of the correction is kept as it stands in the file, and so is that of each number where its
flow is changed: correctionlib rounds some decimals otherwise than Python, so that a number that was
parsed and written again may differ in its last bit, be it a factor or an edge.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import correctionlib
import numpy as np
import numpy.typing as npt

from bphcoffea.errors import InputError
from bphcoffea.size_limits import decompressed, read_json_bytes

Floats = npt.NDArray[np.float64]
#: What to do with a value outside the bins: take the nearest bin, or refuse.
Policy = Literal["clamp", "error"]

_BINNED: Final = ("binning", "multibinning")


class _Number(str):
    """A number as it is written in the file."""

    __slots__ = ()


#: What the copy of a correction that only tells inside from outside gives outside: no real factor,
#: and the same number for correctionlib as for Python.
_OUTSIDE: Final = _Number("-1e18")
#: All real inputs lie above; :data:`_OUTSIDE` does not.
_LOWEST: Final = _Number("-9e17")


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
    content
        What the file holds, where it was read already.

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

    def __init__(self, path: str | Path, name: str, content: Content | None = None) -> None:
        self.path = Path(path)
        self.name = name
        content = content or read(self.path)
        self.sha256 = content.sha256
        if name in content.compound:
            raise InputError(
                f"{path}: '{name}' is a compound correction, which is not supported; "
                f"the others are: {_listed(content.corrections)}"
            )
        if name not in content.corrections:
            raise InputError(
                f"{path}: holds no correction '{name}'; it holds: {_listed(content.corrections)}"
            )
        self._text = content.corrections[name]
        self._check_readable()
        self.version = int(self._node["version"])
        self.inputs = {each["name"]: str(each["type"]) for each in self._node["inputs"]}

    def keys(self, name: str, given: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """The keys that an input may have, in every bin; in the order of the file.

        Parameters
        ----------
        name
            An input that is a text, or an integer.
        given
            Keys of other inputs: bins under their other keys don't count.
        """
        found: list[list[str]] = [
            [str(item["key"]) for item in node["content"]]
            for node in _nodes(self._node["data"], given or {})
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
            When a number is not finite, or outside the bins where the policy is ``error``, or an
            integer that the correction does not know; when a value is not finite.
        """
        arrays = {}
        for name, values in numbers.items():
            wrong = ~np.isfinite(values)
            if np.any(wrong):
                raise InputError(
                    f"correction '{self.name}': {name} is {values[wrong][0]} for "
                    f"{np.count_nonzero(wrong)} of {len(values)} values; "
                    "it is applied to what was not measured"
                )
            kind = np.int64 if self.inputs[name] == "int" else np.float64
            arrays[name] = np.ascontiguousarray(values, dtype=kind)

        def call(evaluator: Any, which: Any) -> Floats:
            arguments = [texts[i] if i in texts else arrays[i][which] for i in self.inputs]
            try:
                return np.asarray(evaluator.evaluate(*arguments), dtype=np.float64)
            except (IndexError, RuntimeError) as error:
                # a category of integers has no nearest key
                raise InputError(f"correction '{self.name}': {error}") from None

        # inside it holds the numbers of the file, as they are written there
        values = call(self._detector, slice(None))
        beyond = np.equal(values, float(_OUTSIDE))

        def where(first: Any) -> str:
            return ", ".join(f"{name} = {array[first]:.9g}" for name, array in arrays.items())

        if outside == "error" and np.any(beyond):
            raise InputError(
                f"correction '{self.name}': {np.count_nonzero(beyond)} of {len(beyond)} values "
                f"outside its bins, the first at {where(np.argmax(beyond))}; say "
                'out_of_range = "clamp" to take the nearest bin, or cut them away'
            )
        if np.any(beyond):
            values[beyond] = call(self._clamped, beyond)
        wrong = ~np.isfinite(values)
        if np.any(wrong):
            first = np.argmax(wrong)
            given = ", ".join(f"{name} = {text}" for name, text in texts.items())
            raise InputError(
                f"correction '{self.name}' gives {values[first]} for {np.count_nonzero(wrong)} of "
                f"{len(values)} values, the first at {where(first)}{f', {given}' if given else ''}"
            )
        return Evaluated(values, beyond)

    def __getstate__(self) -> dict[str, Any]:
        # what correctionlib compiled is made again where it is needed
        compiled = ("_detector", "_clamped", "_node")
        return {key: value for key, value in vars(self).items() if key not in compiled}

    @cached_property
    def _node(self) -> dict[str, Any]:
        node: dict[str, Any] = json.loads(
            self._text, parse_float=_Number, parse_int=_Number, parse_constant=_Number
        )
        return node

    @cached_property
    def _detector(self) -> Any:
        return self._compiled_with(_detecting(self._node["data"]))

    @cached_property
    def _clamped(self) -> Any:
        return self._compiled_with(_with_flow(self._node["data"], "clamp"))

    def _compiled_with(self, data: Any) -> Any:
        return _compiled(_written(self._node | {"data": data}), self.name)

    def _check_readable(self) -> None:
        try:
            _compiled(self._text, self.name)
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
    compound
        Names of compound corrections, which are not supported.
    """

    sha256: str
    corrections: dict[str, str]
    compound: tuple[str, ...] = ()


def read(path: Path) -> Content:
    """Read a correctionlib file.

    Raises
    ------
    InputError
        When it can't be read or is no correctionlib file of schema version 2.
    """
    try:
        raw = read_json_bytes(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such correction file{_beside(path)}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        content = decompressed(raw, path)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cut off, or damaged ({error}); copy it again") from None
    try:
        version, corrections, compound = _split(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: not a correctionlib file ({reason}); an older JSON, or histograms, become "
            "one with: bphcoffea corrections convert"
        ) from None
    if version != 2:
        hint = f"; make one with: bphcoffea corrections convert {path} -o NEW.json.gz"
        raise InputError(
            f"{path}: schema version {version} of correctionlib, which reads 2 alone"
            f"{hint if version == 1 else ''}"
        )
    return Content(hashlib.sha256(raw).hexdigest(), corrections, compound)


def _beside(path: Path) -> str:
    try:
        there = sorted(other.name for other in path.parent.iterdir() if ".json" in other.name)
    except OSError:
        return f"; nor is there a folder {path.parent}"
    return f"; beside it: {', '.join(there)}" if there else ""


def _split(text: str) -> tuple[Any, dict[str, str], tuple[str, ...]]:
    """Version, the text of each correction by name as it stands there, names of compound ones."""
    decoder = json.JSONDecoder()
    version: Any = None
    corrections: dict[str, str] | None = None
    compound: tuple[str, ...] = ()
    for key, start in _members(decoder, text):
        if key == "schema_version":
            version, _ = decoder.raw_decode(text, start)
        elif key == "corrections":
            corrections = _by_name(_named_elements(decoder, text, start))
        elif key == "compound_corrections" and text[start] == "[":
            compound = tuple(_by_name(_named_elements(decoder, text, start)))
    if not isinstance(version, int) or corrections is None:
        raise ValueError("it has no schema_version, or no corrections")
    return version, corrections, compound


def _by_name(elements: Iterator[tuple[str, str]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, text in elements:
        if name in texts:
            raise ValueError(f"two corrections are called '{name}'")
        texts[name] = text
    return texts


def _members(decoder: json.JSONDecoder, text: str) -> Iterator[tuple[str, int]]:
    """Keys of the object that a text is, and where their values begin."""
    if not text.strip():
        raise ValueError("it is empty")
    position = _skip(text, 0)
    if text[position] != "{":
        raise ValueError("expected an object")
    position = _skip(text, position + 1)
    while text[position] != "}":
        key, position = decoder.raw_decode(text, position)
        position = _skip(text, position)
        if text[position] != ":":
            raise ValueError(f"expected a colon after {key!r:.40}")
        position = _skip(text, position + 1)
        yield key, position
        _, position = decoder.raw_decode(text, position)
        position = _skip(text, position, ",")
    if text[position + 1 :].strip():
        raise ValueError("something follows its end")


def _named_elements(
    decoder: json.JSONDecoder, text: str, position: int
) -> Iterator[tuple[str, str]]:
    """Name and text of each element of an array of objects."""
    if text[position] != "[":
        raise ValueError("corrections: expected a list")
    position = _skip(text, position + 1)
    while text[position] != "]":
        content, stop = decoder.raw_decode(text, position)
        if not isinstance(content, dict) or not isinstance(content.get("name"), str):
            raise ValueError("a correction has no name")
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


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _nodes(node: Any, given: Mapping[str, str] = MappingProxyType({})) -> Iterator[dict[str, Any]]:
    """Yield a node and all below it, except below other keys of inputs than those given."""
    if isinstance(node, dict):
        yield node
        below: Any = node.values()
        if node.get("nodetype") == "category" and node["input"] in given:
            key = given[node["input"]]
            of_key = [item for item in node["content"] if item["key"] == key]
            below = of_key or [node.get("default")]
        for value in below:
            yield from _nodes(value, given)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value, given)


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


def _with_flow(node: Any, flow: str) -> Any:
    """The same node with another rule for what lies outside the bins."""
    if isinstance(node, list):
        return [_with_flow(value, flow) for value in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _with_flow(value, flow) for key, value in node.items()}
    if node.get("nodetype") in _BINNED and node.get("flow") != "wrap":
        changed["flow"] = flow
    return changed


def _detecting(node: Any) -> Any:
    """The same node, which gives :data:`_OUTSIDE` outside the bins."""
    return _guarded(_with_flow(node, _OUTSIDE))


def _guarded(node: Any) -> Any:
    """Hand on what the rule of a transform found outside; else its content would take it."""
    if isinstance(node, list):
        return [_guarded(value) for value in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _guarded(value) for key, value in node.items()}
    if node.get("nodetype") == "transform":
        changed["content"] = {
            "nodetype": "binning",
            "input": node["input"],
            "edges": [_LOWEST, "inf"],
            "content": [changed["content"]],
            "flow": _OUTSIDE,
        }
    return changed


def _written(node: Any) -> str:
    """JSON of a node, with its numbers as they were written."""
    if isinstance(node, _Number):
        return str(node)
    if isinstance(node, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {_written(v)}" for k, v in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(map(_written, node)) + "]"
    return json.dumps(node)
