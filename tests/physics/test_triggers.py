"""Trigger decisions, against a loop."""

import awkward as ak
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.physics.triggers import fired

NAMES = st.sampled_from(
    ["HLT_A_v1", "HLT_A_v12", "HLT_A_NoMass_v1", "HLT_A", "xHLT_A_v1", "HLT_B_v2", ""]
)
PATHS = st.lists(st.tuples(NAMES, st.integers(-1, 2)), max_size=4)


def paths_of(events):
    names = ak.unflatten(
        ak.Array([*(name for event in events for name, _ in event), ""])[:-1],
        list(map(len, events)),
    )
    decisions = ak.unflatten(
        ak.Array([*(decision for event in events for _, decision in event), 0])[:-1],
        list(map(len, events)),
    )
    return ak.zip({"name": names, "decision": decisions}, depth_limit=2)


@given(events=st.lists(PATHS, min_size=1, max_size=6))
def test_some_path_with_the_prefix_has_decision_one(events):
    got = fired(paths_of(events), "HLT_A_v", "HLT_B").to_list()
    assert got == [
        any(name.startswith(("HLT_A_v", "HLT_B")) and decision == 1 for name, decision in event)
        for event in events
    ]
