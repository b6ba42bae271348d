"""Lists of numbers as flat arrays, and functions of numbers on lists.

Awkward takes apart and puts together lists for every operator and function, which takes longer than
the operation itself unless there are very many numbers.
"""

from collections.abc import Callable

import awkward as ak
import numpy as np

from bphcoffea.arrays import Floats, Integers, Numbers


def _layout(lists: ak.Array) -> ak.contents.Content:
    """Return the layout of lists; those of chosen events without the other events."""
    layout = ak.to_layout(lists)
    return layout.project() if isinstance(layout, ak.contents.IndexedArray) else layout


def lengths(lists: ak.Array) -> Integers:
    """Return the length of each list, shape (lists,)."""
    layout = _layout(lists)
    if isinstance(layout, ak.contents.ListOffsetArray):
        return np.diff(np.asarray(layout.offsets)).astype(np.int64, copy=False)
    if isinstance(layout, ak.contents.ListArray):
        starts, stops = np.asarray(layout.starts), np.asarray(layout.stops)
        of_chosen: Integers = stops[: len(starts)] - starts
        return of_chosen.astype(np.int64, copy=False)
    of_lists: Integers = ak.to_numpy(ak.num(lists)).astype(np.int64, copy=False)
    return of_lists


def share_offsets(first: ak.Array, second: ak.Array) -> bool:
    """Return whether lists begin and end at the same elements; then their lengths are equal."""
    layouts = (_layout(first), _layout(second))
    if not all(isinstance(layout, ak.contents.ListOffsetArray) for layout in layouts):
        return False
    one, other = (layout.offsets.data for layout in layouts)
    return one is other or np.array_equal(one, other)


def flattened(lists: ak.Array) -> Numbers:
    """Return the numbers of all lists in their order, shape (numbers,)."""
    layout = _layout(lists)
    if isinstance(layout, ak.contents.ListArray):
        layout = layout.to_ListOffsetArray64()
    numbers: Numbers
    if isinstance(layout, ak.contents.ListOffsetArray) and layout.content.is_numpy:
        offsets = np.asarray(layout.offsets)
        numbers = layout.content.to_backend_array()[offsets[0] : offsets[-1]]
    else:
        numbers = ak.to_numpy(ak.flatten(lists))
    return numbers


def doubles(lists: ak.Array) -> Floats:
    """Return the numbers of all lists in their order, in double precision, shape (numbers,)."""
    return flattened(lists).astype(np.float64, copy=False)


def in_lists(numbers: Numbers, of_lists: Integers) -> ak.Array:
    """Return numbers, shape (numbers,), in lists of given lengths, shape (lists,)."""
    offsets = np.concatenate(([0], np.cumsum(of_lists)))
    content = ak.contents.NumpyArray(numbers)
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), content))


def distinct(ascending: Integers) -> Integers:
    """Return each number of an ascending array once, shape (distinct numbers,).

    >>> distinct(np.array([2, 2, 3, 7, 7])).tolist()
    [2, 3, 7]
    """
    is_new = np.ones(len(ascending), dtype=np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=is_new[1:])
    return ascending[is_new]


def elementwise(function: Callable[..., Floats], *arrays: ak.Array) -> ak.Array:
    """Apply a function of numpy arrays to the numbers of awkward arrays.

    Parameters
    ----------
    function
        Function from as many arrays in double precision as are given, at least two, each of shape
        (n,), to one of that shape. An element of the result depends on these elements alone.
    arrays
        Arrays of numbers with lists of equal lengths; a number per event counts for each element of
        the event. Where one has no value (None), the result has none.

    Returns
    -------
    array
        Results in the same lists.

    Raises
    ------
    ValueError
        If the lists do not have equal lengths.
    """

    def on_numbers(layouts: tuple[ak.contents.Content, ...], **_: object) -> object:
        if not all(layout.is_numpy for layout in layouts):
            return None  # go on inside the lists
        numbers = (part.to_backend_array().astype(np.float64, copy=False) for part in layouts)
        return ak.contents.NumpyArray(function(*numbers))

    return ak.transform(on_numbers, *arrays, allow_records=False)
