"""Columns that a schema derives from branches: checked lists and constants.

Coffea computes a virtual column by a chain of named transforms, which it looks up in
``coffea.nanoevents.transforms``; that module is its only place for them, so ours are put there,
under names of our own, when this module is imported (on workers too, with the schema).
"""

from __future__ import annotations

import copy
from typing import Any

import awkward as ak
import numpy as np
from coffea.nanoevents import transforms
from coffea.nanoevents.util import concat, quote

from bphcoffea.errors import InputError

Form = dict[str, Any]


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
    plain = quote(f"{name},!load")
    checked = quote(f"{reference},!load,{name},!load,{reference},{name},!bphcoffea_aligned")
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


def _rename(form: Form, old: str, new: str) -> Form:
    key = form.get("form_key")
    if key:
        form["form_key"] = new + key.removeprefix(old)
    if "content" in form:
        _rename(form["content"], old, new)
    return form


def _aligned(stack: list[Any]) -> None:
    name, reference_name, array, reference = (stack.pop() for _ in range(4))
    counts, expected = ak.num(array, axis=1), ak.num(reference, axis=1)
    wrong = np.flatnonzero(ak.to_numpy(counts) != ak.to_numpy(expected))
    if len(wrong):
        first = wrong[0]
        raise InputError(
            f"branch {name} has {counts[first]} entries where {reference_name} has "
            f"{expected[first]}, in {len(wrong)} events, the first at position {first} of the chunk"
        )
    stack.append(array)


def _constant(stack: list[Any]) -> None:
    value, array = stack.pop(), stack.pop()
    stack.append(np.full(len(array), float(value)))


transforms.bphcoffea_aligned = _aligned
transforms.bphcoffea_constant = _constant
