"""Values and errors end at the same digit, the second one of the error."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.rounding import rounded, with_error


@given(st.floats(-1e7, 1e7), st.floats(1e-5, 1e5))
def test_both_are_rounded_to_the_second_digit_of_the_error(value, error):
    shown_value, shown_error = map(Decimal, rounded(value, error))
    last = Decimal(10) ** (Decimal(f"{error:.1e}").adjusted() - 1)
    assert shown_value % last == shown_error % last == 0
    assert 10 <= shown_error / last < 100
    # half a unit, and what decimals of a float are beside it
    for shown, exact in ((shown_value, value), (shown_error, error)):
        assert abs(float(shown) - exact) <= 0.5001 * float(last)
    # no more decimals than that
    assert shown_value.as_tuple().exponent == min(last.as_tuple().exponent, 0)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.0, 0.0996, "1.00 ± 0.10"),
        (99.96, 9.96, "100 ± 10"),
        (-0.001, 0.3, "0.00 ± 0.30"),
        (2.5, 0.0, "2.5"),
        (2.5, math.inf, "2.5 ± inf"),
    ],
)
def test_edges(value, error, text):
    assert with_error(value, error) == text
