"""Arrays that were decoded here, against those of uproot."""

import awkward as ak


def assert_equal(here, theirs):
    """Values are the same, and types: those of strings differ in their layout."""
    assert here.to_list() == theirs.to_list() or ak.array_equal(here, theirs, equal_nan=True)
    if "string" not in str(theirs.type):
        assert here.type == theirs.type
