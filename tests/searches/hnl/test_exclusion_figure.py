"""Figure of an exclusion: areas over masses, and the ends of a scan."""

from types import SimpleNamespace

import numpy as np

from bphcoffea.presentation import RED, Heading
from bphcoffea.searches.hnl.figures import contours, draw_exclusion
from bphcoffea.statistics import Range


def excluded(low, high, *, open_high=False):
    return Range(low, high, False, open_high)


def hypothesis(mass, *observed):
    points = [SimpleNamespace(mixing=mixing) for mixing in (1e-6, 1.0)]
    return SimpleNamespace(mass=mass, points=points, expected=(observed,) * 5, observed=observed)


def test_ranges_that_overlap_at_neighbouring_masses_are_one_area():
    low, high = excluded(1e-5, 1e-4), excluded(1e-3, 1e-2)
    found = contours([1, 2, 3, 4], [[low, high], [low], [], [low]])
    assert found == [[(1, low), (2, low)], [(1, high)], [(4, low)]]
    assert contours([1, 2], [[low], [high]]) == [[(1, low)], [(2, high)]]


def test_the_outline_is_a_curve_with_marked_open_ends():
    ranges = [excluded(3e-4, 1.0, open_high=True), excluded(1e-4, 0.2), excluded(5e-5, 0.03)]
    hypotheses = [hypothesis(m, r) for m, r in zip((0.8, 1.0, 1.5), ranges, strict=True)]
    hypotheses.append(hypothesis(2.0))
    limit = SimpleNamespace(hypotheses=hypotheses, level=0.95, blinded=False)
    axes = draw_exclusion(limit, Heading("Data")).axes[0]
    lines = [line for line in axes.lines if line.get_color() == RED]
    curves = [line for line in lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 3]
    np.testing.assert_array_equal([c.get_xdata() for c in curves], [[0.8, 1.0, 1.5]] * 2)
    np.testing.assert_array_equal(curves[0].get_ydata(), [3e-4, 1e-4, 5e-5])
    # beyond the end of the scan nothing is known
    np.testing.assert_array_equal(curves[1].get_ydata(), [np.nan, 0.2, 0.03])
    (arrow,) = (line for line in lines if line.get_marker() == "^")
    assert arrow.get_xydata().tolist() == [[0.8, 1.0]]
    # the area is closed where the next mass is not excluded, and open where the scan begins
    edges = [line.get_xdata()[0] for line in lines if line.get_marker() in ("None", "")]
    assert [x for x in edges if x not in (0.8,)] == [1.5]
    assert "none" in {text.get_text() for text in axes.texts}
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert {"Observed", "Excluded", "Open: the scan ends"} <= set(labels)
