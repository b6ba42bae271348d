"""Lists of all events joined to one array, which numpy handles much faster than awkward.

An operation of awkward takes up to a millisecond, however few the events are.
"""

import awkward as ak
import numpy as np

from bphcoffea.arrays import Integers, Numbers


def joined(array: ak.Array) -> tuple[Integers | None, Numbers] | None:
    """Return where the lists of all events begin and end, and their numbers one after the other.

    Parameters
    ----------
    array
        One list of numbers per event, or one number per event.

    Returns
    -------
    Offsets of the lists, shape (events + 1,), or None without lists; and the numbers, shape (n,).
    None for anything else, such as lists of lists, strings or missing values.

    Examples
    --------
    >>> joined(ak.Array([[1, 2], [], [3]]))
    (array([0, 2, 2, 3]), array([1, 2, 3]))
    """
    layout = array.layout.to_packed()
    has_lists = isinstance(layout, ak.contents.ListOffsetArray)
    content = layout.content if has_lists else layout
    if not isinstance(content, ak.contents.NumpyArray) or content.parameter("__array__"):
        return None
    numbers = ak.to_numpy(content)
    if numbers.ndim != 1:
        return None
    return ak.to_numpy(layout.offsets) if has_lists else None, numbers


def unjoined(offsets: Integers | None, numbers: Numbers) -> ak.Array:
    """Return lists, or numbers if there are no offsets; see :func:`joined`."""
    content = ak.contents.NumpyArray(numbers)
    if offsets is None:
        return ak.Array(content)
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), content))


def counts_and_numbers(lists: ak.Array) -> tuple[Integers, Numbers]:
    """Return the number of values in the list of each event, and the values one after the other.

    Parameters
    ----------
    lists
        One list of numbers per event.
    """
    found = joined(lists)
    if found is None or found[0] is None:
        return ak.to_numpy(ak.num(lists)), ak.to_numpy(ak.flatten(lists))
    return np.diff(found[0]), found[1]
