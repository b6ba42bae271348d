"""The JSON of the Muon POG from before correctionlib.

``{"NUM_SoftID_DEN_TrackerMuons": {"abseta_pt": {"abseta:[0.00,0.90]": {"pt:[2.00,2.50]": {"value":
0.99, "stat": 0.001, "syst": 0.002}}}}}``
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from correctionlib.schemav2 import Binning, Category, CategoryItem, Correction, Variable

from bphcoffea.corrections.making.schema1 import edge_in_json
from bphcoffea.corrections.making.sources import read_json
from bphcoffea.errors import CorrectionsError

_BIN = re.compile(r"(?P<variable>\w+):\[(?P<low>[^,\]]+),(?P<high>[^,\]]+)\]")
#: Keys of a value and of its errors in the JSON, with the keys in the correction.
_KEYS: Final = {"value": "nominal", "stat": "stat", "error": "stat", "syst": "syst"}
_INPUT: Final = "scale_factors"


def from_tag_and_probe_json(path: str | Path) -> list[Correction]:
    """Convert the older JSON of the Muon POG.

    The inputs are the variables of the bins under their names in the JSON, pt last, and
    ``scale_factors``: ``nominal``; ``stat`` and ``syst``, the absolute errors, if the file has them
    (``error`` is read as ``stat``); and, with ``syst``, also ``systup`` and ``systdown``: nominal ±
    all errors in quadrature, as in the correctionlib files of the Muon POG. Values outside the bins
    are an error.

    Returns
    -------
    list
        One correction per measurement, with its name; if it is binned in several ways, one
        correction ``measurement_variables`` per binning.

    Raises
    ------
    CorrectionsError
        If it cannot be read, is malformed, or has gaps or overlaps between bins, or bins with
        different errors. The message names the place in the file.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise CorrectionsError(f"{path}: expected {{measurement: {{variables: {{bin: …}}}}}}")
    corrections = []
    for name, binnings in content.items():
        if not isinstance(binnings, dict) or not binnings:
            raise CorrectionsError(f"{path}: {name}: expected {{variables: {{bin: …}}}}")
        for variables, bins in binnings.items():
            title = name if len(binnings) == 1 else f"{name}_{variables}"
            corrections.append(_correction(title, variables, bins, f"{path}: {name}, {variables}"))
    return corrections


def _correction(name: str, variables: str, bins: object, where: str) -> Correction:
    nested = _nested(bins, where)
    if all("_".join(order) != variables for order in itertools.permutations(nested)):
        raise CorrectionsError(f"{where}: its bins are of {' and '.join(nested)} instead")
    keys, data = _content(bins, nested, where)
    inputs = sorted(nested, key=lambda variable: variable == "pt")
    return Correction(
        name=name,
        version=1,
        inputs=[
            *(Variable(name=variable, type="real") for variable in inputs),
            Variable(name=_INPUT, type="string", description=", ".join(keys)),
        ],
        output=Variable(name="weight", type="real"),
        data=data,
    )


def _nested(bins: object, where: str) -> list[str]:
    """Return the variables of the bins, the outermost first."""
    variables: list[str] = []
    while not _is_value(bins):
        first = _bins(bins, where)[0]
        if first.variable in variables:
            raise CorrectionsError(f"{where}: bins of {first.variable} in bins of {first.variable}")
        variables.append(first.variable)
        bins = first.content
    if not variables:
        raise CorrectionsError(f"{where}: expected bins such as 'pt:[2.00,2.50]'")
    return variables


def _content(
    bins: object, variables: Sequence[str], where: str
) -> tuple[tuple[str, ...], Binning | Category]:
    """Return the keys of the values in the bins, and the node of the correction."""
    if not variables:
        return _value(bins, where)
    if _is_value(bins):
        raise CorrectionsError(
            f"{where}: expected bins of {variables[0]}, as elsewhere in the file"
        )
    # sorted by edges, because the text "10.00" sorts before "2.00"
    ordered = sorted(_bins(bins, where), key=lambda bin_: (bin_.low, bin_.high))
    for bin_ in ordered:
        if bin_.variable != variables[0]:
            raise CorrectionsError(f"{where}: '{bin_.text}' among bins of {variables[0]}")
    for before, after in itertools.pairwise(ordered):
        if before.high != after.low:
            fault = "a gap" if before.high < after.low else "an overlap"
            raise CorrectionsError(f"{where}: {fault} between '{before.text}' and '{after.text}'")
    parts = [_content(bin_.content, variables[1:], f"{where}, {bin_.text}") for bin_ in ordered]
    keys = parts[0][0]
    for bin_, (other_keys, _) in zip(ordered, parts, strict=True):
        if other_keys != keys:
            raise CorrectionsError(
                f"{where}: '{ordered[0].text}' has {', '.join(keys)}, but '{bin_.text}' "
                f"{', '.join(other_keys)}"
            )
    # validated, because the type of the edges admits only some strings
    node = Binning.model_validate(
        {
            "nodetype": "binning",
            "input": variables[0],
            "edges": [edge_in_json(edge) for edge in (ordered[0].low, *(b.high for b in ordered))],
            "content": [node for _, node in parts],
            "flow": "error",
        }
    )
    return keys, node


def _value(entry: object, where: str) -> tuple[tuple[str, ...], Category]:
    """Return the keys of a value and its errors, and the node of the correction."""
    if not isinstance(entry, dict) or not _is_value(entry):
        raise CorrectionsError(f"{where}: expected a value, as elsewhere in the file")
    found: dict[str, float] = {}
    for key, number in entry.items():
        name = _KEYS.get(key)
        if name is None:
            continue
        if name in found:
            raise CorrectionsError(f"{where}: both stat and error; which of them is it?")
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise CorrectionsError(f"{where}: {key} is {number!r}, which is no number")
        if not math.isfinite(number) or number < 0:
            raise CorrectionsError(
                f"{where}: {key} is {number}; it must be finite, and not negative"
            )
        found[name] = float(number)
    if "syst" in found:
        error = math.hypot(found.get("stat", 0.0), found["syst"])
        found["systup"] = found["nominal"] + error
        found["systdown"] = found["nominal"] - error
    order = ("nominal", "stat", "syst", "systup", "systdown")
    keys = tuple(key for key in order if key in found)
    items = [CategoryItem(key=key, value=found[key]) for key in keys]
    return keys, Category(nodetype="category", input=_INPUT, content=items)


def _is_value(entry: object) -> bool:
    return isinstance(entry, dict) and "value" in entry


@dataclass(frozen=True)
class _Bin:
    """A bin such as ``pt:[2.00,2.50]``, and its content."""

    text: str
    variable: str
    low: float
    high: float
    content: object


def _bins(bins: object, where: str) -> list[_Bin]:
    """Return all bins; the entry ``binning`` repeats their edges and is ignored."""
    if not isinstance(bins, dict):
        raise CorrectionsError(f"{where}: expected bins such as 'pt:[2.00,2.50]', not {bins!r:.40}")
    found = []
    for text, content in bins.items():
        if text == "binning":
            continue
        match = _BIN.fullmatch(text)
        try:
            if not match:
                raise ValueError
            low, high = float(match["low"]), float(match["high"])
        except ValueError:
            raise CorrectionsError(
                f"{where}: '{text}' is no bin such as 'pt:[2.00,2.50]'"
            ) from None
        if not low < high:
            raise CorrectionsError(f"{where}: '{text}' ends before it begins")
        found.append(_Bin(text, match["variable"], low, high, content))
    if not found:
        raise CorrectionsError(f"{where}: has no bins such as 'pt:[2.00,2.50]'")
    return found
