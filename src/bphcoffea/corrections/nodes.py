"""Nodes of a correction in correctionlib's schema version 2, as its JSON has them.

Numbers stay the texts that the file has: correctionlib rounds some decimals otherwise than Python,
so that a number that was parsed and written again may differ in its last bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, TypedDict, cast

from typing_extensions import NotRequired


class Number(str):
    """A number as the file has it."""

    __slots__ = ()


class Variable(TypedDict):
    """An input or the output of a correction."""

    name: str
    type: Literal["real", "int", "string"]


class UniformEdges(TypedDict):
    """Edges of bins of equal width."""

    n: Number
    low: Number
    high: Number


Edges: TypeAlias = list[Number] | UniformEdges


class CategoryItem(TypedDict):
    """Content for one key."""

    key: Number | str
    value: Node


class Category(TypedDict):
    """Contents for the keys of an input."""

    nodetype: Literal["category"]
    input: str
    content: list[CategoryItem]
    default: NotRequired[Node | None]


class Binning(TypedDict):
    """Contents in bins of one input."""

    nodetype: Literal["binning"]
    input: str
    edges: Edges
    content: list[Node]
    flow: Node | Literal["clamp", "error", "wrap"]


class MultiBinning(TypedDict):
    """Contents in bins of several inputs."""

    nodetype: Literal["multibinning"]
    inputs: list[str]
    edges: list[Edges]
    content: list[Node]
    flow: Node | Literal["clamp", "error", "wrap"]


class Transform(TypedDict):
    """Content with another value of an input, which follows a rule."""

    nodetype: Literal["transform"]
    input: str
    rule: Node
    content: Node


class Formula(TypedDict):
    """Formula of inputs."""

    nodetype: Literal["formula", "formularef"]


Node: TypeAlias = Number | Category | Binning | MultiBinning | Transform | Formula


class CorrectionNode(TypedDict):
    """A correction."""

    name: str
    version: Number
    inputs: list[Variable]
    data: Node


#: Value returned for inputs outside the bins; never a real factor, and the same number for
#: correctionlib as for Python.
OUTSIDE: Final = Number("-1e18")
#: Lower limit of all real inputs; :data:`OUTSIDE` lies below it.
_LOWEST: Final = Number("-9e17")


def parse(text: str) -> CorrectionNode:
    """Parse the JSON of a correction."""
    return cast(
        CorrectionNode,
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


def descend(
    node: Node | str | None, keys: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Category | Binning | MultiBinning | Transform | Formula]:
    """Yield a node and all nodes below it.

    Parameters
    ----------
    node
        The node; numbers and names of flows have no nodes.
    keys
        Keys of some inputs; nodes below other keys of these inputs are left out.
    """
    if node is None or isinstance(node, str):
        return
    yield node
    below: list[Node | str | None] = []
    if node["nodetype"] == "category":
        items, key = node["content"], keys.get(node["input"])
        if key is not None:
            items = [item for item in items if item["key"] == key]
        below = [item["value"] for item in items]
        if key is None or not items:
            below.append(node.get("default"))
    elif node["nodetype"] == "binning" or node["nodetype"] == "multibinning":
        below = [*node["content"], node["flow"]]
    elif node["nodetype"] == "transform":
        below = [node["rule"], node["content"]]
    for child in below:
        yield from descend(child, keys)


def ranges(node: Node, name: str) -> Iterator[tuple[float, float]]:
    """Yield the lowest and highest edge of all bins of an input, below a node."""
    for part in descend(node):
        binned: list[tuple[str, Edges]] = []
        if part["nodetype"] == "binning":
            binned = [(part["input"], part["edges"])]
        elif part["nodetype"] == "multibinning":
            binned = list(zip(part["inputs"], part["edges"], strict=True))
        for binned_name, edges in binned:
            if binned_name == name:
                low, high = (
                    (edges[0], edges[-1])
                    if isinstance(edges, list)
                    else (edges["low"], edges["high"])
                )
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
