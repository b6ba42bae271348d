"""Matching by value, against a loop."""

import awkward as ak
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.physics.matching import first_match

# few values, so that candidates find none, one or several objects
PT = st.sampled_from([2.5, 2.5000000001, 3.75, 4.1, -99.0, float("nan")])
EVENTS = st.lists(st.tuples(st.lists(PT, max_size=4), st.lists(PT, max_size=5)), max_size=6)


def jagged(lists, dtype):
    flat = np.array([x for values in lists for x in values], dtype=dtype)
    return ak.unflatten(ak.from_numpy(flat), np.array([len(values) for values in lists], int))


@given(events=EVENTS, single=st.booleans())
def test_is_the_first_object_with_the_value(events, single):
    precision = np.float32 if single else np.float64
    candidates = jagged([c for c, _ in events], np.float64)
    objects = jagged([o for _, o in events], precision)
    positions = ak.local_index(objects)
    got = first_match(candidates, objects).pick(positions, missing=-1).to_list()
    expected = [
        [
            next((k for k, o in enumerate(offered) if precision(o) == precision(wanted)), -1)
            for wanted in legs
        ]
        for legs, offered in events
    ]
    assert got == expected


def test_double_of_the_candidate_matches_float_of_the_muon():
    pt = 5.924490875578088
    muons = ak.values_astype(ak.Array([[1.0, pt]]), np.float32)
    assert first_match(ak.Array([[pt]]), muons).pick(ak.Array([[7, 8]]), missing=-1).to_list() == [
        [8]
    ]


def test_picks_the_missing_value_without_a_match():
    match = first_match(ak.Array([[1.0, 2.0], []]), ak.Array([[2.0], [1.0]]))
    flags = match.pick(ak.Array([[True], [True]]), missing=False)
    assert flags.to_list() == [[False, True], []]
    distances = match.pick(ak.Array([[3], [4]]), missing=float("nan")).to_list()
    assert np.isnan(distances[0][0])
    assert distances[0][1] == 3.0
