"""Combinations of alternative weights against loops over bins and members."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bphcoffea.physics import Combination, top_pt_weight

CONTENT = st.floats(-50, 50, width=32)


def members_of(count):
    return st.lists(st.lists(CONTENT, min_size=count, max_size=count), min_size=1, max_size=4)


def loop(rule, nominal, reference, members):
    """Content up and down of one bin, from the text of the PDF4LHC recommendations."""
    deviations = [member - reference for member in members]
    if rule == "symmhessian":
        size = math.sqrt(math.fsum(d * d for d in deviations))
        return nominal + size, nominal - size
    if rule == "replicas":
        size = statistics.stdev(members)
        return nominal + size, nominal - size
    if rule == "envelope":
        return nominal + max(0, *deviations), nominal + min(0, *deviations)
    if rule == "sides":
        down, up = deviations
        return nominal + up, nominal + down
    up = down = 0.0
    for first in range(0, len(deviations), 2):
        pair = deviations[first : first + 2]
        up += max(0, *pair) ** 2
        down += max(0, *(-d for d in pair)) ** 2
    return nominal + math.sqrt(up), nominal - math.sqrt(down)


@pytest.mark.parametrize("rule", ["symmhessian", "hessian", "replicas", "envelope", "sides"])
@pytest.mark.parametrize("has_reference", [True, False])
@given(data=st.data())
def test_each_bin_is_combined_as_in_a_loop(rule, has_reference, data):
    count = 2 if rule == "sides" else 4
    bins = data.draw(members_of(count + 2))
    names = tuple(f"m{k}" for k in range(count))
    contents = {n: np.array([b[2 + k] for b in bins]) for k, n in enumerate(names)}
    nominal = np.array([b[0] for b in bins])
    contents["central"] = np.array([b[1] for b in bins])
    combination = Combination("x", rule, names, "central" if has_reference else "")
    up, down = combination.sides(nominal, contents)
    for place, of_bin in enumerate(bins):
        expected = loop(rule, of_bin[0], of_bin[1 if has_reference else 0], of_bin[2:])
        assert (up[place], down[place]) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_members_at_90_percent_are_scaled_to_one_standard_deviation():
    contents = {"a": np.array([13.0]), "b": np.array([8.0])}
    at_68 = Combination("x", "hessian", ("a", "b")).sides(np.array([10.0]), contents)
    at_90 = Combination("x", "hessian", ("a", "b"), confidence=90).sides(np.array([10.0]), contents)
    # the 90% interval of a Gaussian is 1.645 standard deviations
    for whole, scaled in zip(at_68, at_90, strict=True):
        assert (whole - 10) / (scaled - 10) == pytest.approx(1.6448536)


@given(st.floats(0, 1000))
@example(0.0)
def test_the_spectrum_of_the_top_quark_is_that_of_the_formula(pt):
    assert top_pt_weight(np.array([pt]))[0] == pytest.approx(math.exp(0.0615 - 0.0005 * pt))
