"""Ranges of a variable that requirements keep, against values tried one by one."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.analysis import Variable
from bphcoffea.analysis.n_minus_1 import kept_ranges

X = Variable("x", lambda events: events.x)
OTHER = Variable("other", lambda events: events.other)
numbers = st.integers(-3, 3)
comparisons = st.one_of(
    numbers.map(lambda bound: bound < X),
    numbers.map(lambda bound: bound >= X),
    numbers.map(X.equals),
    st.tuples(numbers, st.integers(1, 3)).map(lambda ends: X.between(ends[0], sum(ends))),
)
requirements = st.recursive(
    comparisons,
    lambda of: st.one_of(
        of.map(lambda one: ~one),
        st.tuples(of, of).map(lambda pair: pair[0] & pair[1]),
        st.tuples(of, of).map(lambda pair: pair[0] | pair[1]),
    ),
    max_leaves=4,
)


@given(st.lists(requirements, min_size=1, max_size=3))
def test_a_value_is_kept_if_it_lies_in_a_range(required):
    ranges = kept_ranges([*required, OTHER > 0, (OTHER < 1) | (X > 9)], X)
    ends = {end for pair in ranges for end in pair if end is not None}
    values = np.array([value for value in np.arange(-7, 8, 0.25) if value not in ends])
    met = np.logical_and.reduce([one.mask(lambda _: values) for one in required])
    for value, is_kept in zip(values, met, strict=True):
        inside = any(
            (-math.inf if low is None else low) < value < (math.inf if high is None else high)
            for low, high in ranges
        )
        assert inside == is_kept, value


def test_a_single_value_is_a_range_of_its_own():
    assert kept_ranges([X.equals(2)], X) == ((2, 2),)
    assert kept_ranges([OTHER > 2], X) == ((None, None),)
