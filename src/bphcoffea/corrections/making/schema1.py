"""Correctionlib files of schema version 1, which correctionlib no longer reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from correctionlib.schemav2 import CorrectionSet
from pydantic import ValidationError

from bphcoffea.documents import faults
from bphcoffea.errors import CorrectionsError


def upgrade_schema_1(content: Mapping[str, Any]) -> CorrectionSet:
    """Convert a correctionlib file of schema version 1 to version 2.

    Nodes of version 1 take the inputs in order, those of version 2 by name. Values outside the bins
    are an error in both.

    Parameters
    ----------
    content
        Content of the JSON.

    Raises
    ------
    CorrectionsError
        If it is of another version, is malformed, or has formulas of numexpr, which version 2 does
        not support. The message names the correction.
    """
    version = content.get("schema_version")
    if version != 1:
        raise CorrectionsError(f"the file has schema_version {version}, not 1; only 1 is upgraded")
    corrections = content.get("corrections")
    if not isinstance(corrections, list):
        raise CorrectionsError("the file has no list of 'corrections'; is it a correctionlib file?")
    upgraded = {
        **content,
        "schema_version": 2,
        "corrections": [_correction(correction) for correction in corrections],
    }
    try:
        return CorrectionSet.model_validate(upgraded)
    except ValidationError as error:
        place, text, _ = next(faults(error))
        raise CorrectionsError(
            f"{'.'.join(place)}: {text:.200}; the file is no valid correctionlib file"
        ) from None


def _correction(correction: Any) -> dict[str, object]:
    try:
        where = f"correction '{correction['name']}'"
        inputs = [variable["name"] for variable in correction["inputs"]]
        return {**correction, "data": _node(correction["data"], inputs, inputs, where)}
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        name = correction.get("name") if isinstance(correction, dict) else correction
        raise CorrectionsError(
            f"correction '{name!s:.80}': not as schema version 1 has it ({error!r})"
        ) from None


def _node(node: Any, free: Sequence[str], inputs: Sequence[str], where: str) -> object:
    """Return a node of version 2; `free` are the inputs that no node above it takes."""
    if not isinstance(node, dict):
        return node
    kind = node.get("nodetype")
    if kind is None and "expression" in node:
        if node["parser"] != "TFormula":
            raise CorrectionsError(
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
    if taken > len(free):
        raise CorrectionsError(f"{where}: its nodes take more than its inputs {', '.join(inputs)}")
    content = [_node(below, free[taken:], inputs, where) for below in node["content"]]
    if kind == "category":
        if len(node["keys"]) != len(content):
            raise CorrectionsError(f"{where}: {len(node['keys'])} keys but {len(content)} contents")
        items = [
            {"key": key, "value": below} for key, below in zip(node["keys"], content, strict=True)
        ]
        return {"nodetype": kind, "input": free[0], "content": items}
    if kind == "binning":
        axes: dict[str, object] = {
            "input": free[0],
            "edges": list(map(edge_in_json, node["edges"])),
        }
    elif kind == "multibinning":
        edges = [list(map(edge_in_json, axis)) for axis in node["edges"]]
        axes = {"inputs": list(free[:taken]), "edges": edges}
    else:
        raise CorrectionsError(f"{where}: schema version 1 has no node of type '{kind}'")
    return {"nodetype": kind, **axes, "content": content, "flow": "error"}


def edge_in_json(edge: float) -> float | str:
    """Return an edge for correctionlib's JSON, which has texts for infinity."""
    return edge if math.isfinite(edge) else ("inf" if edge > 0 else "-inf")
