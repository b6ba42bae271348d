"""Correctionlib files of schema version 1, which correctionlib does not read any more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from correctionlib.schemav2 import CorrectionSet
from pydantic import ValidationError

from bphcoffea.errors import InputError


def upgrade_schema_1(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a correctionlib file of schema version 1 as one of version 2.

    Nodes of version 1 take the inputs in order, those of version 2 by name. Values beyond the bins
    are an error in both.

    Parameters
    ----------
    content
        What the JSON holds.

    Returns
    -------
    dict
        A valid correction set of version 2. Its corrections are made with
        ``Correction.model_validate``.

    Raises
    ------
    InputError
        When it is of another version, not of its form, or holds what version 2 does not know: a
        formula of numexpr. Names the correction.
    """
    version = content.get("schema_version")
    if version != 1:
        raise InputError(f"the file has schema_version {version}, not 1; only 1 is upgraded")
    corrections = content.get("corrections")
    if not isinstance(corrections, list):
        raise InputError("the file has no list of 'corrections'; is it a correctionlib file?")
    upgraded = {
        **content,
        "schema_version": 2,
        "corrections": [_correction(correction) for correction in corrections],
    }
    try:
        CorrectionSet.model_validate(upgraded)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        text = " ".join(fault["msg"].split())
        raise InputError(f"{place}: {text:.200}; the file is no valid correctionlib file") from None
    return upgraded


def _correction(correction: Any) -> dict[str, Any]:
    try:
        where = f"correction '{correction['name']}'"
        inputs = [variable["name"] for variable in correction["inputs"]]
        return {**correction, "data": _node(correction["data"], inputs, inputs, where)}
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        name = correction.get("name") if isinstance(correction, dict) else correction
        raise InputError(
            f"correction '{name!s:.80}': not as schema version 1 has it ({error!r})"
        ) from None


def _node(node: Any, left: Sequence[str], inputs: Sequence[str], where: str) -> Any:
    """A node of version 2; ``left`` are the inputs that no node above took."""
    if not isinstance(node, dict):
        return node
    kind = node.get("nodetype")
    if kind is None and "expression" in node:
        if node["parser"] != "TFormula":
            raise InputError(
                f"{where}: correctionlib no longer has formulas of {node['parser']}; write "
                f"'{node['expression']}' as a TFormula"
            )
        return {
            "nodetype": "formula",
            "expression": node["expression"],
            "parser": "TFormula",
            "variables": [inputs[index] for index in node["parameters"]],
        }
    taken = len(node["edges"]) if kind == "multibinning" else 1
    if taken > len(left):
        raise InputError(f"{where}: its nodes take more inputs than it has, {', '.join(inputs)}")
    content = [_node(below, left[taken:], inputs, where) for below in node["content"]]
    if kind == "binning":
        edges: Any = [_edge(edge) for edge in node["edges"]]
        return {
            "nodetype": kind,
            "input": left[0],
            "edges": edges,
            "content": content,
            "flow": "error",
        }
    if kind == "multibinning":
        edges = [[_edge(edge) for edge in of_input] for of_input in node["edges"]]
        return {
            "nodetype": kind,
            "inputs": list(left[:taken]),
            "edges": edges,
            "content": content,
            "flow": "error",
        }
    if kind == "category":
        if len(node["keys"]) != len(content):
            raise InputError(f"{where}: {len(node['keys'])} keys, but {len(content)} contents")
        items = [
            {"key": key, "value": below} for key, below in zip(node["keys"], content, strict=True)
        ]
        return {"nodetype": kind, "input": left[0], "content": items}
    raise InputError(f"{where}: a node of type '{kind}', which schema version 1 does not know")


def _edge(edge: float) -> float | str:
    """An edge as version 2 writes it: JSON has no infinity."""
    return edge if math.isfinite(edge) else ("inf" if edge > 0 else "-inf")
