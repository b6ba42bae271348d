"""What a notebook shows of a cutflow."""

import numpy as np

from bphcoffea.results.cutflow import Cutflow


def test_a_table_of_steps_with_efficiencies():
    cutflow = Cutflow(
        ("all", "pt < 5 & η"), np.array([2000, 500]), np.array([3, 1]), np.array([2000, 1e-3])
    )
    assert repr(cutflow).splitlines() == [
        "step        events  candidates   sumw  of previous  of all",
        "all          2,000           3   2000       100.0%  100.0%",
        "pt < 5 & η     500           1  0.001        25.0%   25.0%",
    ]
    shown = cutflow._repr_html_()
    assert "<td>pt &lt; 5 &amp; η</td><td>500</td>" in shown
    assert "pt < 5" not in shown


def test_no_events_have_no_efficiency():
    nothing = Cutflow(("all", "x"), np.zeros(2, int), np.zeros(2, int), np.zeros(2))
    assert repr(nothing).splitlines()[-1].split() == ["x", "0", "0", "0", "–", "–"]
