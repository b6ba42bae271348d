"""What figures share changes none of them, and their files are PNG."""

import matplotlib as mpl
import mplhep
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties, fontManager
from PIL import Image

from bphcoffea.presentation.canvas import Canvas
from bphcoffea.presentation.png import write_png
from bphcoffea.presentation.style import arrange, cms_style, new_figure

TEXTS = ("$m_{12}$ [GeV], fb⁻¹", "Candidates / 5 MeV")


def pixels(canvas_of, texts=TEXTS):
    figure = new_figure(4, 3)
    canvas = canvas_of(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 2], label=texts[0])
    axes.set_xlabel(texts[0])
    axes.set_ylabel(texts[1])
    axes.legend(title=texts[1])
    if canvas_of is Canvas:
        arrange(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


def test_figures_are_those_of_the_canvas_of_matplotlib(monkeypatch):
    monkeypatch.setattr("bphcoffea.presentation.style.place_labels", lambda _: None)
    for _ in range(2):
        # the same formulas in other fonts, and a figure of the same size in between
        for font in ("regular", "it"):
            with cms_style(), mpl.rc_context({"mathtext.default": font}):
                expected = pixels(FigureCanvasAgg)
                pixels(Canvas, ("other", "$x$"))
                np.testing.assert_array_equal(pixels(Canvas), expected)


def test_settings_and_fonts_are_those_of_mplhep():
    found = fontManager.findfont
    with cms_style():
        settings = {name: mpl.rcParams[name] for name in mplhep.style.CMS}
        for weight, style in (("normal", "normal"), ("bold", "normal"), ("normal", "italic")):
            wanted = FontProperties(family="TeX Gyre Heros", weight=weight, style=style)
            assert "texgyreheros-" in fontManager.findfont(wanted)
            assert fontManager.findfont(wanted) == found(wanted)
    assert settings.pop("font.family") == ["TeX Gyre Heros", "DejaVu Sans"]
    with mpl.rc_context(rc=mplhep.style.CMS):
        assert settings == {name: mpl.rcParams[name] for name in settings}
    assert fontManager.findfont == found


@given(shape=st.tuples(st.integers(1, 9), st.integers(1, 9)), data=st.data())
def test_files_are_png(shape, data, tmp_path_factory):
    content = data.draw(
        st.binary(min_size=4 * shape[0] * shape[1], max_size=4 * shape[0] * shape[1])
    )
    colors = np.frombuffer(content, np.uint8).reshape(*shape, 4)
    path = tmp_path_factory.getbasetemp() / "figure.png"
    write_png(path, colors, 100)
    with Image.open(path) as image:
        assert image.info["dpi"] == pytest.approx((100, 100), rel=1e-4)
        np.testing.assert_array_equal(np.asarray(image), colors[:, :, :3])
