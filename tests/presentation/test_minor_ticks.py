"""Merged minor ticks are where matplotlib would draw them."""

import numpy as np
import pytest

from bphcoffea.presentation.minor_ticks import MinorTicks, merge_minor_ticks
from bphcoffea.presentation.style import cms_style, new_figure


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("limits", [(1.0, 1e4), (0.98, 1040.0), (3e-3, 7e5)])
def test_merged_ticks_are_those_of_matplotlib(scale, limits):
    with cms_style():
        figure = new_figure()
        axes = figure.subplots()
        axes.set_yscale(scale)
        axes.set_ylim(*limits)
        places = axes.yaxis.get_minorticklocs()
        expected = places[(places >= limits[0]) & (places <= limits[1])]
        merge_minor_ticks(figure)
        merge_minor_ticks(figure)
        figure.draw_without_rendering()
    merged = [line for line in axes.lines if isinstance(line, MinorTicks)]
    assert len(merged) == 4
    assert len(axes.yaxis.get_minorticklocs()) == 0
    for line in merged[2:]:
        np.testing.assert_allclose(np.sort(line.get_ydata()), np.sort(expected), rtol=1e-12)
