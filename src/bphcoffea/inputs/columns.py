"""Columns that a schema derives from branches: checked lists, collections and constants.

Coffea computes a virtual column by a chain of transforms, which it looks up by name in the module
``coffea.nanoevents.transforms``. Importing this module, which workers do with the schema, therefore
adds transforms there, with names that begin with ``bphcoffea_``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
from coffea.nanoevents import transforms
from coffea.nanoevents.schemas.base import zip_forms
from coffea.nanoevents.util import concat, quote

from bphcoffea.errors import FilesetError
from bphcoffea.inputs.momenta import MEASURED_MOMENTUM
from bphcoffea.physics import lengths, share_offsets

#: Form of an awkward array, as a dictionary.
Form = dict[str, Any]
#: Stack of a chain of transforms: arrays, and texts of the form key.
Stack = list[Any]

_MOMENTUM, _CHARGED = "PtEtaPhiMLorentzVector", "PtEtaPhiMCandidate"
#: The fields that a record needs to be a vector.
_COORDINATES = {
    _MOMENTUM: {"pt", "eta", "phi", "mass"},
    "Momentum3D": {"pt", "eta", "phi"},
    "ThreeVector": {"x", "y", "z"},
    MEASURED_MOMENTUM: {"pt", "px", "py", "pz", "mass"},
}


def is_list(form: Form) -> bool:
    """Return whether a branch holds one list per event."""
    return str(form["class"]).startswith("ListOffset")


def aligned(name: str, form: Form, reference: str) -> Form:
    """Return the form of a branch whose lists must be as long as another branch says.

    The lengths are compared when the branch is read. Without this, lists of other lengths would be
    cut into wrong pieces unnoticed, because the fields of a collection share one set of offsets.

    Parameters
    ----------
    name
        Name of the branch.
    form
        Form of the branch, with lists at the top.
    reference
        Branch that sets the number of objects per event: lists, or the numbers themselves.
    """
    if name == reference:
        return form
    plain = quote(f"{name},!load")
    checked = quote(f"{reference},!load,{name},!load,{reference},{name},!bphcoffea_aligned")
    return _rename(copy.deepcopy(form), plain, checked)


def constant(value: float, like: Form) -> Form:
    """Return the form of a column with the same value for every object.

    Parameters
    ----------
    value
        The value, such as a mass in GeV.
    like
        Form of a branch with lists of numbers, which gives the column its shape.
    """
    form = copy.deepcopy(like)
    form["content"] = {
        "class": "NumpyArray",
        "primitive": "float64",
        "parameters": {},
        "form_key": concat(like["content"]["form_key"], repr(value), "!bphcoffea_constant"),
    }
    return form


def whole(name: str, form: Form) -> Form:
    """Return the form of a column of int64 from a branch of whole numbers of any type.

    Reading the column raises a FilesetError for values that are not finite, have a fraction, or are
    so large that their type may have rounded them.

    Parameters
    ----------
    name
        Name of the branch.
    form
        Form of the branch, with one number per event.
    """
    return {
        "class": "NumpyArray",
        "primitive": "int64",
        "parameters": {},
        "form_key": concat(form["form_key"], name, "!bphcoffea_whole"),
    }


def unsigned(form: Form) -> Form:
    """Return the form of a column of uint32 from a branch of int32 that holds the same bits.

    Parameters
    ----------
    form
        Form of the branch, with one number per event; returned unchanged for other types.
    """
    if form.get("primitive") != "int32":
        return form
    key = concat(form["form_key"], "!bphcoffea_unsigned")
    return {**form, "primitive": "uint32", "form_key": key}


def collection(
    branches: dict[str, Form],
    named: Mapping[str, str],
    reference: str | None = None,
    *,
    name: str | None = None,
    mass: float | None = None,
    parts: Mapping[str, Form | None] | None = None,
    key: str | None = None,
) -> Form | None:
    """Return the form of a collection, one list of records per event; None without branches.

    The branches are removed from `branches`. A record with the fields of a vector becomes one.

    Parameters
    ----------
    branches
        Forms of the branches of the file that are not used yet, by name.
    named
        Name of the field of each branch. Branches without lists, and branches that the file lacks,
        are left out.
    reference
        Branch that sets the number of objects per event; by default the first of `named`.
    name
        Name of the collection; by default the reference.
    mass
        Constant mass, GeV, of a collection with ``pt``.
    parts
        Forms of further fields: records, or lists of records.
    key
        Field by which the ntuple refers to another object; it is copied to ``matching_<key>``,
        which no shift changes.
    """
    found = [branch for branch in named if branch in branches and is_list(branches[branch])]
    fields: dict[str, Form] = {}
    if found:
        first = reference or found[0]
        # the first field sets the lengths of the lists, so the reference comes first
        for branch in sorted(found, key=lambda branch: branch != first):
            fields[named[branch]] = aligned(branch, branches.pop(branch), first)
    if mass is not None and "pt" in fields:
        fields["mass"] = constant(mass, fields["pt"])
    if key in fields:
        fields[f"matching_{key}"] = fields[key]
    if not fields:
        return None
    fields |= {field: form for field, form in (parts or {}).items() if form}
    record = next((r for r, needed in _COORDINATES.items() if needed <= set(fields)), None)
    if record == _MOMENTUM and "charge" in fields:
        record = _CHARGED
    form: Form = zip_forms(fields, name or reference or found[0], record)
    return form


def typed_columns(of_events: Mapping[str, type], lists: Mapping[str, type]) -> dict[str, ak.Array]:
    """Return columns without events by name: one value per event, and lists of numbers or texts."""
    values = {dtype: ak.Array(np.zeros(0, dtype)) for dtype in set(of_events.values())}
    listed = {dtype: _no_lists(dtype) for dtype in set(lists.values())}
    columns = {name: values[dtype] for name, dtype in of_events.items()}
    return columns | {name: listed[dtype] for name, dtype in lists.items()}


def _no_lists(dtype: type) -> ak.Array:
    one = ak.Array([""]) if dtype is str else np.zeros(1, dtype)
    return ak.unflatten(one, [1])[:0]


def _rename(form: Form, old: str, new: str) -> Form:
    key = form.get("form_key")
    if key:
        form["form_key"] = new + key.removeprefix(old)
    if "content" in form:
        _rename(form["content"], old, new)
    return form


def _aligned(stack: Stack) -> None:
    name, reference_name, array, reference = (stack.pop() for _ in range(4))
    stack.append(array)
    if share_offsets(array, reference):  # faster than to compare lengths
        return
    counts = lengths(array)
    expected = ak.to_numpy(reference) if reference.ndim == 1 else lengths(reference)
    different = np.flatnonzero(counts != expected)
    if len(different):
        first = different[0]
        raise FilesetError(
            f"branch {name} has {counts[first]} entries, but {reference_name} has "
            f"{expected[first]}, in {len(different)} events, first at position {first} of the chunk"
        )


def _constant(stack: Stack) -> None:
    value, array = stack.pop(), stack.pop()
    stack.append(np.full(len(array), float(value)))


def _whole(stack: Stack) -> None:
    name, array = stack.pop(), np.asarray(stack.pop())
    if not np.issubdtype(array.dtype, np.integer):
        # larger numbers may have been rounded to the digits of their type
        largest = 2 ** (np.finfo(array.dtype).nmant + 1)
        with np.errstate(invalid="ignore"):
            wrong = np.flatnonzero(~((array == np.floor(array)) & (np.abs(array) <= largest)))
        if len(wrong):
            raise FilesetError(
                f"branch {name} must hold whole numbers up to {largest}, but has "
                f"{array[wrong[0]]} in the event at position {wrong[0]} of the chunk, one of "
                f"{len(wrong)}"
            )
    stack.append(array.astype(np.int64))


def _unsigned(stack: Stack) -> None:
    stack.append(np.asarray(stack.pop()).astype(np.uint32))


transforms.bphcoffea_aligned = _aligned
transforms.bphcoffea_whole = _whole
transforms.bphcoffea_unsigned = _unsigned
transforms.bphcoffea_constant = _constant
