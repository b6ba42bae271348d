"""The older JSON of CMS's muon group, from before there was correctionlib.

``{"NUM_SoftID_DEN_TrackerMuons": {"abseta_pt": {"abseta:[0.00,0.90]": {"pt:[2.00,2.50]": {"value":
0.99, "stat": 0.001, "syst": 0.002}}}}}``
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from correctionlib.schemav2 import Binning, Category, CategoryItem, Correction, Variable

from bphcoffea.corrections.making.sources import read_json
from bphcoffea.errors import InputError

_BIN = re.compile(r"(?P<variable>\w+):\[(?P<low>[^,\]]+),(?P<high>[^,\]]+)\]")
#: Names of the error of a value, and what it is called in the correction.
_ERRORS = {"stat": "stat", "error": "stat", "syst": "syst"}
_INPUT = "scale_factors"


def from_tag_and_probe_json(
    path: str | Path, names: Sequence[str] | None = None
) -> list[Correction]:
    """Corrections from the older JSON of CMS's muon group.

    The inputs are the variables of the bins, as they are called there, pt last, and
    ``scale_factors``: ``nominal``; ``stat`` and ``syst``, which are absolute errors, where the file
    has them (``error`` counts as stat); and where it has syst, ``systup`` and ``systdown``, which
    are nominal ± all errors in quadrature, as in the correctionlib files of the muon group. Values
    beyond the bins are an error.

    Parameters
    ----------
    path
        The JSON.
    names
        Which of its measurements; all when None.

    Returns
    -------
    list
        One for each measurement, of its name; where that is binned in several ways, one for each,
        called ``measurement_variables``.

    Raises
    ------
    InputError
        When it can't be read, is not of that form, lacks a name, has gaps or overlaps between bins,
        or bins that tell different errors. Names the place in the file.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: expected {{measurement: {{variables: {{bin: …}}}}}}")
    missing = [name for name in names or () if name not in content]
    if missing:
        raise InputError(f"{path}: no {', '.join(missing)}; the file holds {', '.join(content)}")
    corrections = []
    for name in content if names is None else names:
        binnings = content[name]
        if not isinstance(binnings, dict) or not binnings:
            raise InputError(f"{path}: {name}: expected {{variables: {{bin: …}}}}")
        for variables, bins in binnings.items():
            own = name if len(binnings) == 1 else f"{name}_{variables}"
            corrections.append(_correction(own, variables, bins, f"{path}: {name}, {variables}"))
    return corrections


def _correction(name: str, variables: str, bins: Any, where: str) -> Correction:
    nested = _nested(bins, where)
    if all("_".join(order) != variables for order in itertools.permutations(nested)):
        raise InputError(f"{where}: but the bins are those of {' and '.join(nested)}")
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


def _nested(bins: Any, where: str) -> list[str]:
    """Variables of the bins, the outermost first."""
    variables = []
    while not _is_value(bins):
        edges = _bins(bins, where)
        variable = next(iter(edges.values()))[0]
        if variable in variables:
            raise InputError(f"{where}: bins of {variable} in bins of {variable}")
        variables.append(variable)
        bins = bins[next(iter(edges))]
    if not variables:
        raise InputError(f"{where}: expected bins such as 'pt:[2.00,2.50]'")
    return variables


def _content(
    bins: Any, variables: Sequence[str], where: str
) -> tuple[tuple[str, ...], Binning | Category]:
    """Keys of the values in the bins, and the node of the correction."""
    if not variables:
        return _value(bins, where)
    if _is_value(bins):
        raise InputError(f"{where}: expected bins of {variables[0]}, as elsewhere in the file")
    edges = _bins(bins, where)
    for bin_, (variable, _, _) in edges.items():
        if variable != variables[0]:
            raise InputError(f"{where}: '{bin_}' among bins of {variables[0]}")
    # the text "10.00" sorts before "2.00"
    order = sorted(edges, key=lambda bin_: edges[bin_][1:])
    for before, after in itertools.pairwise(order):
        if edges[before][2] != edges[after][1]:
            fault = "a gap" if edges[before][2] < edges[after][1] else "an overlap"
            raise InputError(f"{where}: {fault} between '{before}' and '{after}'")
    parts = {bin_: _content(bins[bin_], variables[1:], f"{where}, {bin_}") for bin_ in order}
    keys = parts[order[0]][0]
    for bin_, (others, _) in parts.items():
        if others != keys:
            raise InputError(
                f"{where}: '{order[0]}' has {', '.join(keys)}, but '{bin_}' {', '.join(others)}"
            )
    numbers = [edges[order[0]][1], *(edges[bin_][2] for bin_ in order)]
    node = Binning(
        nodetype="binning",
        input=variables[0],
        edges=[_edge(number) for number in numbers],
        content=[node for _, node in parts.values()],
        flow="error",
    )
    return keys, node


def _value(entry: Any, where: str) -> tuple[tuple[str, ...], Category]:
    """The keys of a value and its errors, and the node of the correction."""
    if not _is_value(entry):
        raise InputError(f"{where}: expected a value, as elsewhere in the file")
    found: dict[str, float] = {}
    for key, number in entry.items():
        known = {"value": "nominal", **_ERRORS}.get(key)
        if known is None:
            continue
        if known in found:
            raise InputError(f"{where}: both stat and error; which of them is it?")
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise InputError(f"{where}: {key} is {number!r}, which is no number")
        if not math.isfinite(number) or number < 0:
            raise InputError(f"{where}: {key} is {number}; it must be finite, and not negative")
        found[known] = float(number)
    if "syst" in found:
        error = math.hypot(found.get("stat", 0.0), found["syst"])
        found["systup"] = found["nominal"] + error
        found["systdown"] = found["nominal"] - error
    order = ("nominal", "stat", "syst", "systup", "systdown")
    keys = tuple(key for key in order if key in found)
    items = [CategoryItem(key=key, value=found[key]) for key in keys]
    return keys, Category(nodetype="category", input=_INPUT, content=items)


def _is_value(entry: Any) -> bool:
    return isinstance(entry, dict) and "value" in entry


def _bins(bins: Any, where: str) -> dict[str, tuple[str, float, float]]:
    """Variable and edges of each bin; ``binning`` says again what they are."""
    if not isinstance(bins, dict):
        raise InputError(f"{where}: expected bins such as 'pt:[2.00,2.50]', not {bins!r:.40}")
    edges = {}
    for bin_ in bins:
        if bin_ == "binning":
            continue
        match = _BIN.fullmatch(bin_)
        try:
            if not match:
                raise ValueError
            low, high = float(match["low"]), float(match["high"])
        except ValueError:
            raise InputError(f"{where}: '{bin_}' is no bin such as 'pt:[2.00,2.50]'") from None
        if not low < high:
            raise InputError(f"{where}: '{bin_}' ends before it begins")
        edges[bin_] = (match["variable"], low, high)
    if not edges:
        raise InputError(f"{where}: has no bins such as 'pt:[2.00,2.50]'")
    return edges


def _edge(number: float) -> Any:
    """An edge as correctionlib writes it: JSON has no infinity."""
    return number if math.isfinite(number) else ("inf" if number > 0 else "-inf")
