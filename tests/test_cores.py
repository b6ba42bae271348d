"""Work in threads gives the same results in the same order."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.cores import in_threads


@given(st.lists(st.integers()), st.integers(1, 5))
def test_results_in_order(items, threads):
    assert in_threads(lambda item: item + 1, items, threads) == [i + 1 for i in items]


def test_they_work_at_the_same_time():
    meeting = threading.Barrier(2, timeout=60)
    waited = {0: meeting.wait, 1: meeting.wait}
    in_threads(lambda item: waited.get(item, int)(), range(8), 2)


def test_an_error_is_raised():
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda item: 1 // (item - 7), range(20), 2)
