"""Nodes of a correction in correctionlib's schema version 2, as its JSON has them.

Numbers stay the texts that the file has: correctionlib rounds some decimals otherwise than Python,
so that a number that was parsed and written again may differ in its last bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict, cast


class Number(str):
    """A number as the file has it."""

    __slots__ = ()


class Category(TypedDict):
    """Contents for the keys of an input."""

    nodetype: Literal["category"]
    input: str
    content: list[dict[str, str]]
    default: NotRequired[object]


class Binning(TypedDict):
    """Contents in bins of one input."""

    nodetype: Literal["binning"]
    input: str
    edges: Edges


class MultiBinning(TypedDict):
    """Contents in bins of several inputs."""

    nodetype: Literal["multibinning"]
    inputs: list[str]
    edges: list[Edges]


#: All edges of bins, or ``low``, ``high`` and number ``n`` of uniform bins.
Edges: TypeAlias = list[Number] | dict[str, Number]
#: Nodes with keys or bins; there are also formulas, transforms and others.
Node: TypeAlias = Category | Binning | MultiBinning


class CorrectionNode(TypedDict):
    """A correction, with the node of its content."""

    name: str
    version: Number
    inputs: list[dict[str, str]]
    data: object


#: Value returned for inputs outside the bins; never a real factor, and the same number for
#: correctionlib as for Python.
OUTSIDE: Final = Number("-1e18")
#: Lower limit of all real inputs; :data:`OUTSIDE` lies below it.
_LOWEST: Final = Number("-9e17")


def parse(text: str) -> CorrectionNode:
    """Parse the JSON of a correction."""
    return cast(
        "CorrectionNode",
        json.loads(text, parse_float=Number, parse_int=Number, parse_constant=Number),
    )


def written(node: object) -> str:
    """Return the JSON of a node, with its numbers as the file has them."""
    if isinstance(node, Number):
        return str(node)
    if isinstance(node, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {written(v)}" for k, v in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(map(written, node)) + "]"
    return json.dumps(node)


def descend(node: object, keys: Mapping[str, str] = MappingProxyType({})) -> Iterator[Node]:
    """Yield the nodes with keys or bins in a node, except below other keys than the given ones.

    Parameters
    ----------
    node
        The node, or a part of it.
    keys
        Keys of some inputs, by name.
    """
    below: Iterable[object] = ()
    if isinstance(node, list):
        below = node
    elif isinstance(node, dict):
        below = node.values()
        if node.get("nodetype") in ("category", "binning", "multibinning"):
            yield cast("Node", node)
        if node.get("nodetype") == "category" and node["input"] in keys:
            key = keys[node["input"]]
            below = [item for item in node["content"] if item["key"] == key]
            below = below or [node.get("default")]
    for part in below:
        yield from descend(part, keys)


def keys(node: object, name: str, fixed: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return the keys that an input may have in every bin, in the order of the file.

    Parameters
    ----------
    node
        Content of a correction.
    name
        An input that is a text or an integer.
    fixed
        Keys of other inputs; bins under other keys of these are ignored.
    """
    found = [
        [str(item["key"]) for item in part["content"]]
        for part in descend(node, fixed)
        if part["nodetype"] == "category" and part["input"] == name
    ]
    return [key for key in (found[0] if found else []) if all(key in keys for keys in found)]


def ranges(node: object, name: str) -> Iterator[tuple[float, float]]:
    """Yield the lowest and highest edge of all bins of an input in a node."""
    for part in descend(node):
        binned: list[tuple[str, Edges]] = []
        if part["nodetype"] == "binning":
            binned = [(part["input"], part["edges"])]
        elif part["nodetype"] == "multibinning":
            binned = list(zip(part["inputs"], part["edges"], strict=True))
        for input_name, edges in binned:
            if input_name == name:
                if isinstance(edges, dict):
                    edges = [edges["low"], edges["high"]]
                low, *_, high = edges
                yield float(low), float(high)


def with_flow(node: object, flow: str) -> object:
    """Return a copy of a node with another rule for values outside the bins."""
    if isinstance(node, list):
        return [with_flow(value, flow) for value in node]
    if not isinstance(node, dict):
        return node
    changed = {key: with_flow(value, flow) for key, value in node.items()}
    if node.get("nodetype") in ("binning", "multibinning") and node.get("flow") != "wrap":
        changed["flow"] = flow
    return changed


def detecting(node: object) -> object:
    """Return a copy of a node that gives :data:`OUTSIDE` outside the bins."""
    return _guarded(with_flow(node, OUTSIDE))


def without_formulas(node: object) -> object:
    """Return a copy that gives 0 instead of evaluating formulas, which takes most of the time."""
    if isinstance(node, list):
        return [without_formulas(value) for value in node]
    if not isinstance(node, dict):
        return node
    if node.get("nodetype") in ("formula", "formularef"):
        return Number("0")
    return {key: without_formulas(value) for key, value in node.items()}


def _guarded(node: object) -> object:
    """Return a copy in which transforms pass :data:`OUTSIDE` on, instead of looking it up."""
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
            "flow": OUTSIDE,
        }
    return changed
