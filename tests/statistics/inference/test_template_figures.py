"""Names of parameters on figures of template fits, however long they are."""

import json

import pytest
from two_regions import two_regions

from bphcoffea import presentation
from bphcoffea.statistics import TemplateAxis, inference

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


def test_a_stack_has_the_axis_of_its_variable():
    model = inference.WorkspaceModel.of(two_regions())
    entry = inference.yields(model)["signal_region"]
    axis = TemplateAxis("$m$ [GeV]", (0.0, 10.0, 20.0, 50.0, 100.0))
    figure = presentation.channel_figure(entry, presentation.Heading("Data"), axis)
    top, bottom = figure.axes
    assert bottom.get_xlabel() == "$m$ [GeV]"
    assert bottom.get_xlim() == (0.0, 100.0)
    # contents stand above their bins
    (points,) = [line for line in top.lines if len(line.get_xdata()) == 4]
    assert points.get_xdata() == pytest.approx([5, 15, 35, 75])
    assert points.get_ydata() == pytest.approx(entry.data)
    # that of another binning is not used
    for other in (None, TemplateAxis("$m$ [GeV]", (0.0, 10.0))):
        bottom = presentation.channel_figure(entry, presentation.Heading(""), other).axes[-1]
        assert (bottom.get_xlabel(), bottom.get_xlim()) == ("Bin", (0.5, 4.5))


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
