"""Flat arrays of lists, against awkward's own functions and operators."""

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.physics import distinct, doubles, elementwise, flattened, lengths
from bphcoffea.physics.lists import in_lists

NUMBERS = st.lists(st.lists(st.integers(-9, 9), max_size=3), min_size=1, max_size=8)


def arrangements(numbers):
    """Return lists in different layouts with the same meaning, or parts of them."""
    lists = ak.values_astype(ak.Array([*numbers, [1.5]])[:-1], np.float32)
    yield lists
    yield lists[1:]
    yield lists[::-1]
    yield lists[lists > 0]
    events = ak.zip({"lists": lists}, depth_limit=1)
    yield events[np.arange(0, len(lists), 2)].lists
    yield events[np.array([len(lists) - 1, 0, 0])].lists[1:]
    yield ak.to_regular(ak.Array(np.ones((len(numbers), 2))), axis=1)


@given(NUMBERS)
def test_lists_are_taken_apart_as_awkward_does(numbers):
    for lists in arrangements(numbers):
        assert lengths(lists).tolist() == ak.num(lists).tolist()
        assert ak.from_numpy(flattened(lists)).tolist() == ak.flatten(lists).tolist()
        assert in_lists(flattened(lists), lengths(lists)).tolist() == lists.tolist()
    assert doubles(ak.Array([*numbers, [1]])).dtype == np.float64


@given(NUMBERS)
def test_a_formula_gives_what_operators_give(numbers):
    for lists in arrangements(numbers):
        of_events = ak.local_index(lists, axis=0)[:, np.newaxis] + 0.5
        result = elementwise(lambda a, b: a * b + b, lists, of_events)
        assert result.tolist() == (lists * of_events + of_events).tolist()


def test_a_formula_takes_neither_records_nor_other_lengths():
    with pytest.raises(ValueError, match="record"):
        elementwise(np.add, ak.Array([[{"x": 1}]]), ak.Array([[1]]))
    with pytest.raises(ValueError, match="broadcast"):
        elementwise(np.add, ak.Array([[1, 2], []]), ak.Array([[1], []]))


@given(st.lists(st.integers(0, 5)).map(sorted))
def test_each_number_of_an_ascending_array_is_returned_once(numbers):
    ascending = np.array(numbers, dtype=np.int64)
    assert distinct(ascending).tolist() == np.unique(ascending).tolist()
