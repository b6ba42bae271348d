"""Envelopes of generator weights against a loop over the pairs of scales."""

import itertools

import awkward as ak
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.physics import scale_envelope

#: NanoAOD's order: μ_R outside, μ_F inside.
PAIRS = list(itertools.product((0.5, 1.0, 2.0), repeat=2))
WEIGHTS = st.floats(0.125, 8, width=32)


def envelope(weights, pairs):
    """Without the pairs in which the scales go opposite ways, and without the nominal one."""
    kept = [
        weight
        for weight, (renormalisation, factorisation) in zip(weights, pairs, strict=True)
        if {renormalisation, factorisation} != {0.5, 2.0}
        and (renormalisation, factorisation) != (1.0, 1.0)
    ]
    assert len(kept) == 6
    return min(kept), max(kept)


@given(
    st.lists(
        st.one_of(
            st.just([]),
            st.lists(WEIGHTS, min_size=8, max_size=8),
            st.lists(WEIGHTS, min_size=9, max_size=9),
        ),
        max_size=6,
    )
)
def test_the_envelope_is_that_of_a_loop(events):
    layout = ak.values_astype(ak.Array([*events, [1.0]])[:-1], "float32")
    low, high = scale_envelope(layout)
    without_nominal = [pair for pair in PAIRS if pair != (1.0, 1.0)]
    for event, weights in enumerate(layout.tolist()):
        pairs = {9: PAIRS, 8: without_nominal}.get(len(weights))
        expected = envelope(weights, pairs) if pairs else (1.0, 1.0)
        assert (low[event], high[event]) == expected


@pytest.mark.samples
def test_of_a_real_file(nanoaod):
    with uproot.open(nanoaod / "nano_dy.root") as file:
        weights = file["Events/LHEScaleWeight"].array()
    low, high = scale_envelope(weights)
    assert [envelope(w, PAIRS) for w in weights.tolist()] == list(
        zip(low.tolist(), high.tolist(), strict=True)
    )
