"""Columns of numbers that a schema computes from the numbers of branches, such as pT from px, py.

Importing this module adds transforms to ``coffea.nanoevents.transforms``, as
:mod:`bphcoffea.inputs.columns` does.
"""

from __future__ import annotations

import copy

import awkward as ak
import numpy as np
from coffea.nanoevents import transforms
from coffea.nanoevents.util import concat

from bphcoffea.arrays import Floats
from bphcoffea.inputs.columns import Form, Stack, is_list


def computed(like: Form, transform: str, *inputs: str, primitive: str = "float64") -> Form:
    """Return the form of a column whose numbers a transform computes.

    Parameters
    ----------
    like
        Form with one number per event, or with lists of numbers, which gives the column its shape.
    transform
        Name of the transform, without ``!bphcoffea_``.
    inputs
        What the transform takes from the stack: form keys of flat arrays, and texts.
    primitive
        Type of the new numbers.
    """
    numbers = {
        "class": "NumpyArray",
        "primitive": primitive,
        "parameters": {},
        "form_key": concat(*inputs, f"!bphcoffea_{transform}"),
    }
    return {**copy.deepcopy(like), "content": numbers} if is_list(like) else numbers


def key_of_numbers(form: Form) -> str:
    """Return the form key of the numbers of a column, without its lists."""
    key: str = (form["content"] if is_list(form) else form)["form_key"]
    return key


def divided(form: Form, divisor: float) -> Form:
    """Return the form of a column of doubles: the numbers of another one, divided by a number.

    Different numbers of single precision remain different and in order, so that comparisons decide
    as they would in the unit of the file.

    Parameters
    ----------
    form
        Form with one number per event, or with lists of numbers.
    divisor
        The number, such as 1000 from MeV to GeV.
    """
    return computed(form, "divided", key_of_numbers(form), repr(divisor))


def boolean(form: Form) -> Form:
    """Return the form of a column of booleans, which are false where another column is 0."""
    return computed(form, "boolean", key_of_numbers(form), primitive="bool")


def _divided(stack: Stack) -> None:
    divisor, array = stack.pop(), ak.to_numpy(stack.pop())
    stack.append(array.astype(np.float64) / float(divisor))


def _boolean(stack: Stack) -> None:
    stack.append(ak.to_numpy(stack.pop()) != 0)


def _pop_numbers(stack: Stack, number: int) -> list[Floats]:
    numbers = [ak.to_numpy(stack.pop()).astype(np.float64) for _ in range(number)]
    return numbers[::-1]


def _number(stack: Stack) -> None:
    stack.append(_pop_numbers(stack, 1)[0])


def _pt(stack: Stack) -> None:
    stack.append(np.hypot(*_pop_numbers(stack, 2)))


def _eta(stack: Stack) -> None:
    x, y, z = _pop_numbers(stack, 3)
    with np.errstate(divide="ignore", invalid="ignore"):  # along the beam
        stack.append(np.arcsinh(z / np.hypot(x, y)))


def _phi(stack: Stack) -> None:
    x, y = _pop_numbers(stack, 2)
    stack.append(np.arctan2(y, x))


transforms.bphcoffea_divided = _divided
transforms.bphcoffea_boolean = _boolean
transforms.bphcoffea_number = _number
transforms.bphcoffea_pt = _pt
transforms.bphcoffea_eta = _eta
transforms.bphcoffea_phi = _phi
