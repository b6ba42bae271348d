"""Names of parameters on figures of template fits, however long they are."""

import json

import pytest
from two_regions import two_regions

from bphcoffea import presentation
from bphcoffea.statistics import inference

LONG = "a_scale_factor_of_muons_in_2018_with_its_origin"


@pytest.fixture(scope="module")
def figures():
    spec = json.loads(json.dumps(two_regions()).replace('"tagging"', f'"{LONG}"'))
    model = inference.WorkspaceModel.of(spec)
    result, heading = inference.fit(model), presentation.Heading("Data")
    return {
        "pulls": presentation.pull_figure(result, heading),
        "correlations": presentation.correlation_figure(result, heading),
        "ranking": presentation.impact_figure(inference.rank(model), heading),
    }


def drawn_labels(axis):
    """Labels of the ticks within the axis; matplotlib keeps others that it does not draw."""
    low, high = sorted(axis.get_view_interval())
    for tick in axis.get_major_ticks():
        if low <= tick.get_loc() <= high:
            yield from (tick.label1, tick.label2)


@pytest.mark.parametrize("name", ["pulls", "correlations", "ranking"])
def test_all_texts_lie_on_the_figure(figures, name):
    figure = figures[name]
    presentation.arrange(figure)
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    texts = [
        text
        for axes in figure.axes
        for text in (
            *(*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label),
            *(label for axis in (axes.xaxis, axes.yaxis) for label in drawn_labels(axis)),
        )
        if text.get_text() and text.get_visible() and axes.axison
    ]
    # a very long name is shortened
    assert any(text.get_text().startswith(LONG[:12]) for text in texts)
    # the box of a text has a margin of some pixels
    for text in texts:
        box = text.get_window_extent()
        assert -3 <= box.x0 <= box.x1 <= width + 3, text.get_text()
        assert -3 <= box.y0 <= box.y1 <= height + 3, text.get_text()
    (bar,) = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"] or [None]
    if bar is not None:
        assert not bar.yaxis.label.get_window_extent().overlaps(figure.axes[0].bbox)
