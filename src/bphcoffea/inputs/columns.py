"""Columns that a schema derives from branches: checked lists, their collections, and constants.

Coffea computes a virtual column by a chain of named transforms, which it looks up in
``coffea.nanoevents.transforms``; that module is its only place for them, so ours are put there,
under names of our own, when this module is imported (on workers too, with the schema).
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

from bphcoffea.errors import InputError
from bphcoffea.inputs.momenta import MEASURED_MOMENTUM

Form = dict[str, Any]

_MOMENTUM, _CHARGED = "PtEtaPhiMLorentzVector", "PtEtaPhiMCandidate"
#: The fields that a record needs to be a vector.
_COORDINATES = {
    _MOMENTUM: {"pt", "eta", "phi", "mass"},
    "Momentum3D": {"pt", "eta", "phi"},
    "ThreeVector": {"x", "y", "z"},
    MEASURED_MOMENTUM: {"pt", "px", "py", "pz", "mass"},
}


def is_list(form: Form) -> bool:
    """Whether a branch holds a list an event."""
    return str(form["class"]).startswith("ListOffset")


def aligned(name: str, form: Form, reference: str) -> Form:
    """The form of a branch whose lists are checked against those of another when it is read.

    The fields of a collection share one set of offsets. Without the check a branch with lists of
    other lengths would be cut into the wrong pieces, unnoticed.

    Parameters
    ----------
    name, form
        The branch and its form, lists at the top.
    reference
        The branch that sets the number of objects of each event.
    """
    if name == reference:
        return form
    return _checked(name, form, reference, "!bphcoffea_aligned")


def counted(name: str, form: Form, counter: str) -> Form:
    """The form of a branch whose lists are checked against a branch of counts when it is read.

    Parameters
    ----------
    name, form
        The branch and its form, lists at the top.
    counter
        The branch with the number of objects of each event.
    """
    return _checked(name, form, counter, "!bphcoffea_counted")


def _checked(name: str, form: Form, reference: str, transform: str) -> Form:
    plain = quote(f"{name},!load")
    checked = quote(f"{reference},!load,{name},!load,{reference},{name},{transform}")
    return _rename(copy.deepcopy(form), plain, checked)


def constant(value: float, like: Form) -> Form:
    """A column that has the same value for every object of a branch's lists.

    Parameters
    ----------
    value
        The value, such as a mass in GeV.
    like
        The form of a branch, lists of numbers, whose shape the column takes.
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
    """A column of whole numbers, int64, from a branch of numbers that is called a count.

    Reading it raises an InputError where a value is no whole number: not finite, fractional, or so
    large that its type may have rounded it.

    Parameters
    ----------
    name, form
        The branch and its form, one number an event.
    """
    return {
        "class": "NumpyArray",
        "primitive": "int64",
        "parameters": {},
        "form_key": concat(form["form_key"], name, "!bphcoffea_whole"),
    }


def unsigned(form: Form) -> Form:
    """A column of uint32 from a branch of int32 that holds the bits of one.

    Parameters
    ----------
    form
        That of the branch, one number an event. Other types than int32 stay what they are.
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
    """A list of records from branches, which are taken out of those of the file.

    The record is a vector if it has the fields of one.

    Parameters
    ----------
    branches
        All branches of the file that are left.
    named
        For each branch the name of its field. Those that the file lacks, or that hold no lists, are
        left out.
    reference
        The branch as long as whose lists all others must be; by default the first of them.
    name
        Of the collection; by default the reference.
    mass
        GeV, of a collection that has a pT.
    parts
        Records, or lists of them, that are fields.
    key
        The field by which the ntuple refers to another object: it stands there a second time, as
        ``matching_`` and its name.

    Returns
    -------
    None when none of the branches is there.
    """
    found = [branch for branch in named if branch in branches and is_list(branches[branch])]
    fields: dict[str, Form] = {}
    if found:
        first = reference or found[0]
        # the first field gives the lists their lengths: let it be the reference
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


def _rename(form: Form, old: str, new: str) -> Form:
    key = form.get("form_key")
    if key:
        form["form_key"] = new + key.removeprefix(old)
    if "content" in form:
        _rename(form["content"], old, new)
    return form


def _aligned(stack: list[Any]) -> None:
    name, reference_name, array, reference = (stack.pop() for _ in range(4))
    _check_lengths(name, array, reference_name, ak.to_numpy(ak.num(reference, axis=1)))
    stack.append(array)


def _counted(stack: list[Any]) -> None:
    name, counter_name, array, counter = (stack.pop() for _ in range(4))
    _check_lengths(name, array, counter_name, np.asarray(counter))
    stack.append(array)


def _check_lengths(name: str, array: Any, reference: str, expected: Any) -> None:
    counts = ak.to_numpy(ak.num(array, axis=1))
    wrong = np.flatnonzero(counts != expected)
    if len(wrong):
        first = wrong[0]
        raise InputError(
            f"branch {name} has {counts[first]} entries where {reference} has "
            f"{expected[first]}, in {len(wrong)} events, the first at position {first} of the chunk"
        )


def _constant(stack: list[Any]) -> None:
    value, array = stack.pop(), stack.pop()
    stack.append(np.full(len(array), float(value)))


def _whole(stack: list[Any]) -> None:
    name, array = stack.pop(), np.asarray(stack.pop())
    if not np.issubdtype(array.dtype, np.integer):
        # beyond the digits of its type a number may have been another one before
        exact = 2 ** (np.finfo(array.dtype).nmant + 1)
        with np.errstate(invalid="ignore"):
            wrong = np.flatnonzero(~((array == np.floor(array)) & (np.abs(array) <= exact)))
        if len(wrong):
            raise InputError(
                f"branch {name} should hold whole numbers up to {exact}, and has "
                f"{array[wrong[0]]} in the event at position {wrong[0]} of the chunk, one of "
                f"{len(wrong)}"
            )
    stack.append(array.astype(np.int64))


def _unsigned(stack: list[Any]) -> None:
    stack.append(np.asarray(stack.pop()).astype(np.uint32))


transforms.bphcoffea_aligned = _aligned
transforms.bphcoffea_counted = _counted
transforms.bphcoffea_whole = _whole
transforms.bphcoffea_unsigned = _unsigned
transforms.bphcoffea_constant = _constant
