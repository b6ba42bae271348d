"""Luminosity sections go into ranges and back, and ranges that are none are named."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.luminosity import from_ranges, to_ranges
from bphcoffea.luminosity.sections import packed

SECTIONS = st.sets(st.tuples(st.integers(1, 5), st.integers(0, 40)))


def rows(pairs):
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


@given(SECTIONS)
def test_there_and_back(pairs):
    back = from_ranges(to_ranges(rows(pairs)))
    assert back.dtype == np.int64
    assert back.shape == (len(pairs), 2)
    assert back.tolist() == rows(pairs).tolist()


@given(SECTIONS)
def test_ranges_hold_what_a_loop_finds_and_never_touch(pairs):
    ranges = to_ranges(rows(pairs))
    held = [
        (int(run), section)
        for run, of_run in ranges.items()
        for first, last in of_run
        for section in range(first, last + 1)
    ]
    assert held == sorted(pairs)
    for of_run in ranges.values():
        for (_, last), (first, _) in pairwise(of_run):
            assert first > last + 1


def test_ranges_may_overlap_and_be_out_of_order():
    sections = from_ranges({"9": [[5, 6]], "8": [[4, 5], [1, 2], [2, 4]]})
    assert sections.tolist() == [[8, 1], [8, 2], [8, 3], [8, 4], [8, 5], [9, 5], [9, 6]]


@pytest.mark.parametrize("empty", [{}, {"1": []}], ids=str)
def test_nothing_is_an_empty_table(empty):
    assert from_ranges(empty).shape == (0, 2)


@pytest.mark.parametrize(
    ("ranges", "fault"),
    [
        ([1, 2], "not a list"),
        ({"B": [[1, 2]]}, "'B' is not a run number"),
        ({"-1": [[1, 2]]}, "'-1' is not a run number"),
        ({"4294967296": [[1, 2]]}, "is not a run number"),
        ({"1" * 5000: [[1, 2]]}, "is not a run number"),
        ({"7": [[1, 2]], "07": [[3, 4]]}, "run 7 occurs twice"),
        ({"7": 3}, "run 7: expected a list"),
        ({"7": [3]}, "run 7: 3 is not a range"),
        ({"7": [[1, 2, 3]]}, "run 7: "),
        ({"7": [[1, "2"]]}, "run 7: "),
        ({"7": [[True, 2]]}, "run 7: "),
        ({"7": [[1.0, 2.0]]}, "run 7: "),
        ({"7": [[2, 1]]}, "run 7: the range \\[2, 1\\] begins after its end"),
        ({"7": [[-1, 1]]}, "run 7: the range \\[-1, 1\\] is outside"),
        ({"7": [[1, 2**32]]}, "run 7: .* is outside"),
    ],
)
def test_what_is_no_range_is_named(ranges, fault):
    with pytest.raises(ValueError, match=fault):
        from_ranges(ranges)


NUMBERS = st.integers(0, 2**32 - 1)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1))
def test_packed_sorts_as_run_and_section(pairs):
    runs, sections = np.array(pairs, dtype=np.uint32).T
    assert packed(runs, sections).tolist() == [run * 2**32 + section for run, section in pairs]
