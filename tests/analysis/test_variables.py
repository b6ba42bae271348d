"""Requirements say and do what was written."""

import math
import operator

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.analysis import Axis, Condition, Variable

x = Variable("x", lambda events: events.x, unit="GeV")
y = Variable("y", lambda events: events.y)
NUMBERS = st.lists(st.sampled_from([-99.0, 0.0, 1.0, 1.5, 2.0, math.inf, math.nan]), max_size=8)


def mask(requirement, numbers, other=None):
    columns = {"x": np.array(numbers, float), "y": np.array(other or numbers, float)}
    return requirement.mask(lambda v: columns.get(v.name, np.array(numbers) > 0)).tolist()


@pytest.mark.parametrize("compare", [operator.gt, operator.ge, operator.lt, operator.le])
@given(numbers=NUMBERS)
def test_comparisons(compare, numbers):
    assert mask(compare(x, 1.5), numbers) == [compare(number, 1.5) for number in numbers]


@given(numbers=NUMBERS)
def test_between(numbers):
    assert mask(x.between(1, 2), numbers) == [1 < n < 2 for n in numbers]
    assert mask(x.between(1, 2, closed="left"), numbers) == [1 <= n < 2 for n in numbers]
    assert mask(x.equals(1), numbers) == [n == 1 for n in numbers]


@given(numbers=NUMBERS)
def test_combinations(numbers):
    assert mask((x > 1) & (x < 2), numbers) == [1 < n < 2 for n in numbers]
    assert mask((x > 1) | (x < -9), numbers) == [n > 1 or n < -9 for n in numbers]
    assert mask(~(x > 1), numbers) == [not n > 1 for n in numbers]


def test_chained_comparison_is_refused():
    # Python would keep the second half only
    with pytest.raises(TypeError, match=r"between\(a, b\)"):
        1 < x < 2  # noqa: B015


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        (x > 1.5, "x > 1.5 GeV"),
        (y >= 2, "y ≥ 2"),
        (x.between(1.62, 2.02), "1.62 < x < 2.02 GeV"),
        (x.between(0, 0.03, closed="left"), "0 ≤ x < 0.03 GeV"),
        (x.magnitude() < 2.4, "abs_x < 2.4 GeV"),
        ((x > 1) & (y < 2) | (y > 3), "(x > 1 GeV and y < 2) or y > 3"),
        (~(x > 1), "not (x > 1 GeV)"),
        (Condition("a trigger", lambda events: events.x), "a trigger"),
    ],
)
def test_says_what_it_requires(requirement, text):
    assert str(requirement) == text


def test_knows_its_variables_and_their_bounds():
    requirement = (x.between(1, 2) & (y > 3)) | ~(x > 5)
    assert list(requirement.variables()) == [x, y]
    assert requirement.bounds(x) == (1, 2, 5)
    assert requirement.bounds(y) == (3,)


def test_magnitude_is_another_variable():
    events = ak.Array([{"x": [-1.0, 2.0]}])
    assert x.magnitude()(events).to_list() == [[1.0, 2.0]]
    assert Variable("y", x.function, axis=Axis(8, -2, 3)).magnitude().axis == Axis(8, 0, 3)
    assert Variable("y", x.function, axis=Axis(8, 1, 3)).magnitude().axis == Axis(8, 1, 3)
    assert x(events).to_list() == [[-1.0, 2.0]]
