"""Data over simulation: band and ratio are those of plain loops, and so is what is drawn."""

import math

import hist
import matplotlib as mpl
import numpy as np
import pytest
from hist.intervals import poisson_interval
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.presentation.comparison import band, draw_comparison
from bphcoffea.presentation.ratio import ratio
from bphcoffea.presentation.style import Heading, arrange, cms_style

HEADING = Heading("Toy data", "14.4 $fb^{-1}$ (13 TeV)")
#: Of a number that was computed twice, in another order.
ROUNDING = {"rtol": 1e-12, "atol": 1e-12}
contents = st.floats(-1e6, 1e6)
positive = st.floats(0, 1e6)


def histogram(values, variances=None, axis=None):
    """A histogram with these contents; those of data, where no variances are given."""
    values = np.asarray(values, dtype=float)
    axis = axis or hist.axis.Regular(len(values), 0, 2 * len(values), name="pt")
    made = hist.Hist(axis, storage=hist.storage.Weight())
    made.view().value = values
    made.view().variance = values if variances is None else variances
    return made


def logarithmic(bins, low=0.25, high=300):
    return hist.axis.Regular(bins, low, high, name="m", transform=hist.axis.transform.log)


DATA = histogram([12, 30, 0, 9, 7])
STACK = {
    "middle": histogram([4.0, 6, 5, 2, 0], [1.0, 1.5, 1, 1, 0]),
    "large": histogram([8.0, 20, 1, 5, 0], [0.5, 2.0, 1, 1, 0]),
    "small": histogram([0.5, 1, 2, 0.1, 0], [0.1, 0.1, 1, 0.1, 0]),
}
SUM = np.array([12.5, 27, 8, 7.1, 0])
VARIANCE = np.array([1.6, 3.6, 3, 2.1, 0])
VARIATIONS = {"pileup": (0.9 * SUM, 1.2 * SUM), "trigger": (None, 0.95 * SUM)}


def drawn(data=DATA, stack=STACK, **options):
    return draw_comparison(data, stack, HEADING, **{"label": "$p_T$", "unit": "GeV", **options})


def render(figure):
    """Draw a figure as it is saved."""
    with cms_style():
        arrange(figure)
        figure.canvas.draw()


def layers(axes):
    """What is drawn as steps, by the name that the legend gives it."""
    legend = axes.get_legend()
    named = {}
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        for patch in axes.patches if isinstance(handle, mpl.patches.Patch) else ():
            look = (handle.get_facecolor(), handle.get_hatch())
            if (patch.get_facecolor(), patch.get_hatch()) == look:
                named[text.get_text()] = patch.get_data()
    return named


def legend_of(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def points_of(axes):
    return axes.containers[0].lines[0].get_data()


def ratios_of(axes):
    """Points inside the lower panel, and those above and below it that have an arrow."""
    found = {line.get_marker(): line.get_data() for line in axes.lines}
    return found["o"], found["^"][0], found["v"][0]


def bars_of(axes):
    return [segment[:, 1] for segment in axes.containers[0].lines[2][0].get_segments()]


@st.composite
def varied(draw):
    bins = draw(st.integers(1, 5))
    many = st.lists(contents, min_size=bins, max_size=bins).map(np.array)
    side = st.none() | many
    names = st.sampled_from(["pileup", "trigger", "scale"])
    variance = st.lists(positive, min_size=bins, max_size=bins).map(np.array)
    return draw(many), draw(variance), draw(st.dictionaries(names, st.tuples(side, side)))


@given(varied())
def test_the_band_is_that_of_a_loop(made):
    nominal, variance, variations = made
    down, up = band(nominal, variance, variations)
    assert down.shape == up.shape == nominal.shape
    for index, content in enumerate(nominal):
        squares_down = squares_up = variance[index]
        for low, high in variations.values():
            shifts = [side[index] - content for side in (low, high) if side is not None]
            if len(shifts) == 1:
                squares_down += shifts[0] ** 2
                squares_up += shifts[0] ** 2
            else:
                squares_down += max([-shift for shift in shifts if shift < 0], default=0) ** 2
                squares_up += max([shift for shift in shifts if shift > 0], default=0) ** 2
        np.testing.assert_allclose(down[index], math.sqrt(squares_down), **ROUNDING)
        np.testing.assert_allclose(up[index], math.sqrt(squares_up), **ROUNDING)


def test_a_band_by_hand():
    nominal = np.array([10.0, 10, 10])
    variations = {
        "sides swapped": (nominal + 3, nominal - 4),
        "both up": (nominal + 12, nominal + 5),
        "one side": (nominal - 12, None),
        "none": (None, None),
    }
    down, up = band(nominal, np.array([9.0, 0, 16]), variations)
    np.testing.assert_allclose(down**2, np.array([9, 0, 16]) + 16 + 144)
    np.testing.assert_allclose(up**2, np.array([9, 0, 16]) + 9 + 144 + 144)


def test_the_band_changes_none_of_its_arguments():
    nominal, variance = np.array([1.0, 2]), np.array([4.0, 9])
    band(nominal, variance, {"a": (nominal - 1, nominal + 1)})
    assert nominal.tolist() == [1, 2]
    assert variance.tolist() == [4, 9]


bins_of_a_ratio = st.tuples(
    st.integers(0, 10_000), st.floats(-1e3, 1e3) | st.sampled_from([0.0, 1e-310]), positive
)


@given(st.lists(bins_of_a_ratio, min_size=1, max_size=6))
def test_the_ratio_is_that_of_a_loop(made):
    counts, total, spread = (np.array(column, dtype=float) for column in zip(*made, strict=True))
    found = ratio(histogram(counts), total, (spread, 2 * spread))
    assert not any(np.isinf(part).any() for part in found)
    for index, count in enumerate(counts):
        if total[index] <= 0:
            assert all(np.isnan(part[index]) for part in found)
            continue
        # without entries, hist gives the interval no lower end
        low, high = (float(np.nan_to_num(end[0])) for end in poisson_interval(counts[[index]]))
        expected = (count, count - low, high - count, spread[index], 2 * spread[index])
        for part, wanted in zip(found, expected, strict=True):
            # Python's numbers overflow without a warning
            quotient = float(wanted) / float(total[index])
            if math.isinf(quotient):
                assert np.isnan(part[index])
            else:
                # the intervals of the two libraries agree to the precision of chi2.ppf
                np.testing.assert_allclose(part[index], quotient, rtol=1e-9, atol=1e-9)


def test_points_stack_band_and_ratio_are_drawn():
    figure = drawn(variations=VARIATIONS)
    axes, below = figure.axes
    x, y = points_of(axes)
    assert x.tolist() == [1, 3, 7, 9]
    assert y.tolist() == [12, 30, 9, 7]
    assert legend_of(figure) == ["Data", "large", "middle", "small", r"Stat. $\oplus$ syst."]
    steps = layers(axes)
    for process, content in STACK.items():
        height = steps[process].values - steps[process].baseline
        np.testing.assert_allclose(height, content.values(), **ROUNDING)
    np.testing.assert_array_equal(steps["small"].baseline, 0)
    np.testing.assert_array_equal(steps["middle"].baseline, steps["small"].values)
    np.testing.assert_array_equal(steps["large"].baseline, steps["middle"].values)
    np.testing.assert_allclose(steps["large"].values, SUM)
    down = np.sqrt(VARIANCE + (0.1 * SUM) ** 2 + (0.05 * SUM) ** 2)
    up = np.sqrt(VARIANCE + (0.2 * SUM) ** 2 + (0.05 * SUM) ** 2)
    uncertainty = steps[r"Stat. $\oplus$ syst."]
    np.testing.assert_allclose(uncertainty.values, SUM + up)
    np.testing.assert_allclose(uncertainty.baseline, SUM - down)
    (x, y), *arrows = ratios_of(below)
    # the last bin has no simulation
    assert x.tolist() == [1, 3, 5, 7]
    np.testing.assert_allclose(y, [12 / 12.5, 30 / 27, 0, 9 / 7.1])
    assert [len(found) for found in arrows] == [0, 0]
    low, high = poisson_interval(np.array([12.0, 30, 0, 9]))
    ends = np.stack([np.nan_to_num(low), high], axis=1) / SUM[:4, np.newaxis]
    np.testing.assert_allclose(bars_of(below), ends, rtol=1e-9)
    (relative,) = (patch.get_data() for patch in below.patches)
    np.testing.assert_allclose(relative.values[:4], 1 + up[:4] / SUM[:4])
    np.testing.assert_allclose(relative.baseline[:4], 1 - down[:4] / SUM[:4])
    assert np.isnan([relative.values[4], relative.baseline[4]]).all()
    assert axes.get_ylabel() == "Candidates / 2 GeV"
    assert below.get_xlabel() == "$p_T$ [GeV]"
    assert not axes.get_xlabel()


def test_without_variations_the_band_is_statistical():
    figure = drawn()
    assert legend_of(figure)[-1] == "Stat."
    uncertainty = layers(figure.axes[0])["Stat."]
    np.testing.assert_allclose(uncertainty.values, SUM + np.sqrt(VARIANCE))


def test_without_data_there_is_no_ratio():
    figure = drawn(None)
    (axes,) = figure.axes
    assert legend_of(figure) == ["large", "middle", "small", "Stat."]
    np.testing.assert_allclose(layers(axes)["large"].values, SUM)
    assert axes.get_xlabel() == "$p_T$ [GeV]"
    assert not axes.containers


def test_overlays_are_no_part_of_the_stack():
    signal = histogram([0, 0, 0, 60.0, 0])
    figure = drawn(overlays={"signal": signal})
    axes, below = figure.axes
    assert legend_of(figure)[-1] == "signal"
    (line,) = (patch for patch in axes.patches if not patch.get_fill())
    np.testing.assert_array_equal(line.get_data().values, [np.nan, np.nan, 0, 60, 0])
    np.testing.assert_allclose(layers(axes)["large"].values, SUM)
    np.testing.assert_allclose(ratios_of(below)[0][1][0], 12 / 12.5)
    assert axes.get_ylim()[1] > 60


def test_colors_belong_to_processes():
    """Whichever is the largest, and whatever stands beside them."""
    turned = {**STACK, "small": histogram([50.0, 50, 50, 50, 50])}

    def colors(figure):
        handles = figure.axes[0].get_legend().legend_handles
        filled = zip(handles, legend_of(figure), strict=True)
        return {name: handle.get_facecolor() for handle, name in filled if name in STACK}

    assert legend_of(drawn(None, turned))[0] == "small"
    assert colors(drawn(None, turned)) == colors(drawn(None)) == colors(drawn(None, log_y=True))


@pytest.mark.parametrize("number", [1, 4, 7])
def test_all_colors_of_a_figure_differ(number):
    stack = {f"process {index}": histogram([index + 1.0, 2]) for index in range(number)}
    figure = drawn(None, stack, overlays={"a": histogram([1.0, 2]), "b": histogram([2.0, 1])})
    patches = figure.axes[0].patches
    fills = [patch.get_facecolor() for patch in patches if patch.get_fill()]
    lines = [patch.get_edgecolor() for patch in patches if not patch.get_fill()]
    assert len({*fills, *lines}) == number + 1 + 2


@pytest.mark.parametrize("log_y", [False, True])
def test_with_negative_contents_the_top_is_still_the_sum(log_y):
    stack = {
        "large": histogram([9.0, 8, 2], [1.0, 1, 1]),
        "middle": histogram([-2.0, 4, -5], [1.0, 1, 1]),
        "small": histogram([-0.5, -1, 1], [1.0, 1, 1]),
    }
    total = np.array([6.5, 11, -2])
    figure = drawn(histogram([5, 12, 3]), stack, log_y=log_y)
    axes, below = figure.axes
    steps = layers(axes)
    np.testing.assert_allclose(steps["large"].values, total)
    for process in stack:
        assert (steps[process].values >= steps[process].baseline).all()
    np.testing.assert_array_equal(ratios_of(below)[0][0], [1, 3])
    render(figure)


@pytest.mark.parametrize(
    ("ratios", "limits", "above"),
    [
        ([1.0, 0.9], (0.5, 1.5), []),
        ([1.0, 1.7], (0.5, 2.0), []),
        ([0.2, 1.2], (0.0, 1.5), []),
        ([1.0, 1.47], (0.5, 2.0), []),
        ([1.0, 2.97], (0.5, 3.0), []),
        ([1.0, 40], (0.5, 3.0), [3]),
        ([0.01, 40], (0.0, 3.0), [3]),
    ],
)
def test_the_range_of_the_ratio_shows_the_points(ratios, limits, above):
    counts = 1000 * np.array(ratios)
    data = histogram(counts)
    figure = drawn(data, {"all": histogram([1000.0, 1000])})
    below = figure.axes[1]
    assert below.get_ylim() == limits
    inside, higher, lower = ratios_of(below)
    assert higher.tolist() == above
    assert lower.tolist() == []
    np.testing.assert_allclose(inside[1], [each for each in ratios if each < 3])
    ticks = below.get_yticks()
    assert 1 in ticks
    assert 2 <= len(ticks) <= 3
    assert all(limits[0] < tick < limits[1] for tick in ticks)


def test_a_negative_point_has_an_arrow_too():
    figure = drawn(histogram([-5.0, 9], [25.0, 9]), {"all": histogram([10.0, 10])})
    assert ratios_of(figure.axes[1])[2].tolist() == [1]


def test_an_empty_bin_is_a_point_where_more_is_expected_than_it_allows():
    """The 68% upper end of no events is 1.84."""
    stack = {"all": histogram([1.8, 1.9, 30.0])}
    (x, y), *_ = ratios_of(drawn(histogram([0, 0, 30]), stack).axes[1])
    assert x.tolist() == [3, 5]
    assert y.tolist() == [0, 1]


EMPTY = histogram(np.zeros(5))


@pytest.mark.parametrize("log_y", [False, True])
@pytest.mark.parametrize(
    ("data", "stack", "panels", "silent"),
    [
        (EMPTY, STACK, 2, False),
        (DATA, {"nothing": EMPTY}, 2, False),
        (EMPTY, {"nothing": EMPTY}, 2, True),
        (None, {"nothing": EMPTY}, 1, True),
        (DATA, {}, 1, False),
        (EMPTY, {}, 1, True),
        (None, {}, 1, True),
        (histogram([3]), {"one bin": histogram([2.5])}, 2, False),
        (DATA, {"negative": histogram([-4.0, -1, 0, -2, -9], np.ones(5))}, 2, False),
        (None, {"negative": histogram([-4.0, -1, -1, -2, -9], np.full(5, 0.01))}, 1, True),
    ],
)
def test_what_is_empty_is_drawn(data, stack, panels, silent, log_y):
    figure = drawn(data, stack, log_y=log_y)
    assert len(figure.axes) == panels
    written = [text.get_text() for text in figure.axes[0].texts]
    assert ("no entries" in written) == silent
    assert all(np.isfinite(figure.axes[0].get_ylim()))
    render(figure)


@pytest.mark.parametrize("log_y", [False, True])
def test_a_logarithmic_variable(log_y):
    axis = logarithmic(20)
    values = np.geomspace(1e4, 3, 20)
    data, stack = histogram(np.round(values), axis=axis), {"all": histogram(values, axis=axis)}
    figure = drawn(data, stack, log_y=log_y)
    axes, below = figure.axes
    assert axes.get_xscale() == below.get_xscale() == "log"
    assert axes.get_yscale() == ("log" if log_y else "linear")
    assert below.get_yscale() == "linear"
    np.testing.assert_allclose(below.get_xlim(), (0.25, 300))
    assert axes.get_ylabel() == "Candidates / bin"
    np.testing.assert_allclose(ratios_of(below)[0][0], axis.centers)
    render(figure)
    assert [text.get_text() for text in visible(below.xaxis)] == ["1", "10", "100"]


def visible(axis):
    """Labels of the ticks inside the range of an axis."""
    low, high = axis.get_view_interval()
    return [
        tick.label1
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        if tick.label1.get_visible() and tick.label1.get_text() and low <= tick.get_loc() <= high
    ]


def test_a_short_logarithmic_axis_has_labels():
    axis = logarithmic(10, 2, 9)
    figure = drawn(histogram(np.full(10, 9), axis=axis), {"all": histogram([9.0] * 10, axis=axis)})
    render(figure)
    axes, below = figure.axes
    assert [text.get_text() for text in visible(below.xaxis)] == ["2", "3", "4", "6"]
    assert visible(axes.xaxis) == []


LONG = {
    r"$D_s^+ \to \phi(\mu\mu)\pi^+$, prompt and from b hadrons": 60.0,
    r"$b \to \mu\mu X$ with a track (cascade)": 20.0,
    r"Combinatorial, $J/\psi \to \mu\mu$ removed": 30.0,
    "Misidentified D⁺ → φπ⁺": 5.0,
}
MANY = {f"process {index}": 10.0 + index for index in range(9)}
VERY_LONG = {
    f"{index}: a process with a name of more than fifty letters": 9.0 for index in range(8)
}


@pytest.mark.parametrize("log_y", [False, True])
@pytest.mark.parametrize("heights", [{"all": 100.0}, LONG, MANY, VERY_LONG])
def test_nothing_overlaps_or_is_cut(heights, log_y):
    stack = {name: histogram(np.full(30, height)) for name, height in heights.items()}
    total = sum(heights.values()) * np.ones(30)
    figure = drawn(
        histogram(np.round(1.4 * total)),
        stack,
        log_y=log_y,
        variations={"all": (0.8 * total, 1.3 * total)},
        overlays={"signal": histogram(np.full(30, 50.0))},
    )
    with cms_style():
        arrange(figure)
        figure.canvas.draw()
        assert_nothing_overlaps(figure, 1.3 * total[0])


def assert_nothing_overlaps(figure, band_end):
    axes, below = figure.axes
    legend, frame = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert frame.contains(legend.x0, legend.y0)
    assert frame.contains(legend.x1, legend.y1)
    assert frame.width > 0.75 * figure.bbox.width
    highest = max(end for _, end in bars_of(axes))
    assert axes.transData.transform((1, highest))[1] < legend.y0
    assert axes.transData.transform((1, band_end))[1] < legend.y0
    labels = [*visible(axes.yaxis), *visible(below.yaxis), *visible(below.xaxis)]
    labels += [axes.yaxis.label, below.yaxis.label, below.xaxis.label, *axes.texts]
    boxes = [text.get_window_extent() for text in labels]
    for index, box in enumerate(boxes):
        assert figure.bbox.contains(box.x0, box.y0), labels[index]
        assert figure.bbox.contains(box.x1, box.y1), labels[index]
        assert not any(box.overlaps(other) for other in boxes[index + 1 :]), labels[index]


def test_a_name_longer_than_the_figure_leaves_the_axes_as_they_are():
    figure = drawn(stack={"long " * 40: STACK["large"]})
    render(figure)
    assert figure.axes[0].get_window_extent().width > 0.75 * figure.bbox.width


def test_other_bins_are_refused():
    shifted = hist.axis.Regular(5, 1, 11, name="pt")
    with pytest.raises(ValueError, match="shifted has other bins than Data"):
        drawn(stack={**STACK, "shifted": histogram([1.0] * 5, axis=shifted)})


def test_a_stack_without_sums_of_squared_weights_is_refused():
    weighted = hist.Hist(hist.axis.Regular(5, 0, 10, name="pt"))
    weighted.fill([1, 2], weight=0.3)
    with pytest.raises(ValueError, match="weighted has no sums of squared weights"):
        drawn(stack={"weighted": weighted})


def test_the_style_does_not_leak():
    before = dict(mpl.rcParams)
    drawn()
    assert dict(mpl.rcParams) == before
