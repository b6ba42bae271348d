"""Choice, look and kinds of figures: what the options and the page on figures say is drawn."""

import json
import re
import shlex
from pathlib import Path

import hist
import matplotlib as mpl
import numpy as np
import pytest
from hist.intervals import clopper_pearson_interval
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.errors import InputError, RunError
from bphcoffea.presentation import FigureOptions, FigureStyle, drawing, load_style, plot_run
from bphcoffea.presentation.colors import palette
from bphcoffea.presentation.comparison import band
from bphcoffea.presentation.efficiency import efficiency
from bphcoffea.presentation.run_figures import figures_of_run, jobs_of_run
from bphcoffea.presentation.shape_noise import systematic_part
from bphcoffea.presentation.stacks import totals
from bphcoffea.presentation.style import figure_name, new_figure, scale_counts
from bphcoffea.results.folder import RunFolder
from bphcoffea.results.histogram_files import write_histograms

PAGE = Path(__file__).parents[2] / "docs" / "figures.md"
SIMULATED = {"is_mc": True, "era": "2018"}
DATASETS = {
    "toy_2018": {"is_mc": False, "era": "2018", "luminosity": 10.0, "label": "Toy data"},
    "ds_phipi": {**SIMULATED, "process": "ds_phipi", "kind": "signal", "label": "Signal"},
    "phi_track": {**SIMULATED, "process": "phi_track"},
    "dimuon_track": {**SIMULATED, "process": "di/muon"},
}
BACKGROUNDS = ("phi_track", "dimuon_track")
CATEGORIES = ("A", "B")
VARIATIONS = ("nominal", "muon_scaleUp", "muon_scaleDown", "pileupUp", "pileupDown")
SIZES = {"nominal": 1.0, "muon_scaleUp": 1.1, "muon_scaleDown": 0.8, "pileupUp": 1.2}
SCALE = 2.0


def filled(name, categories):
    rng = np.random.default_rng(len(name))
    axis = hist.axis.Regular(8, 0, 40, name=name, label=name)
    histogram = hist.Hist(
        hist.axis.StrCategory([*DATASETS], name="dataset"),
        hist.axis.StrCategory(categories, name="category"),
        hist.axis.StrCategory(VARIATIONS, name="variation"),
        axis,
        storage=hist.storage.Weight(),
    )
    for dataset, record in DATASETS.items():
        values = rng.uniform(0, 40, 900)
        for number, category in enumerate(categories):
            for variation in VARIATIONS if record["is_mc"] else VARIATIONS[:1]:
                weight = SIZES.get(variation, 1.0)
                part = values[number :: len(categories)]
                histogram.fill(dataset, category, variation, part, weight=weight)
    return histogram


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    histograms = {
        "mass": filled("mass", CATEGORIES),
        "pt": filled("pt", CATEGORIES),
        "nminus1_pt": filled("pt", ("all",)),
    }
    write_histograms(folder, histograms, {})
    about = {"label": "$p_T$", "unit": "GeV", "variable": "pt"}
    n_minus_1 = {"n_minus_1": "hard", "bounds": [10.0], "kept": [[10.0, None]]}
    rates = {"luminosity": 0.0, "cross_section": 0.0}
    known = {"cross_section": 1.0, "filter_efficiency": 1.0, "skim_efficiency": 1.0}
    known |= {"luminosity": 10.0, "generator_sumw": 1.0, "notes": [], "data": ["toy_2018"]}
    files = {
        "ledger": {"complete": True, "datasets": {}},
        "provenance": {"datasets": DATASETS},
        "cutflow": {
            name: [{"step": "all", "events": 9, "candidates": 9, "sumw": 9.0}] for name in DATASETS
        },
        "analysis": {
            "name": "toy",
            "categories": {name: name for name in CATEGORIES},
            "histograms": {"mass": about, "pt": about, "nminus1_pt": {**about, **n_minus_1}},
        },
        "normalisation": {
            name: {**known, "scale": SCALE, "uncertainties": rates}
            for name, record in DATASETS.items()
            if record["is_mc"]
        },
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return RunFolder(folder)


def drawn(run, **options):
    return dict(figures_of_run(run, FigureOptions(**options)))


def names_of(run, **options):
    return {name for job in jobs_of_run(run, FigureOptions(**options)) for name, _ in job}


def texts(figure):
    return [text for text in figure.findobj(mpl.text.Text) if text.get_text()]


def written(figure):
    return [text.get_text() for text in texts(figure)]


def colors_of(figure):
    """Colours by the name in the legend."""
    legend = figure.axes[0].get_legend()
    found = {}
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        if isinstance(handle, mpl.patches.Patch) and not handle.get_hatch():
            found[text.get_text()] = handle.get_facecolor()
        elif isinstance(handle, mpl.lines.Line2D) and handle.get_linestyle() == "-":
            found[text.get_text()] = handle.get_color()
    return {name: mpl.colors.to_hex(color) for name, color in found.items()}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_commands_of_the_page_work(run, bphcoffea, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    planned = []

    def plan(self, jobs, *_):
        planned.append({name for job in jobs for name, _ in job})
        return []

    monkeypatch.setattr(drawing.Pool, "draw", plan)
    (style,) = blocks("toml")
    Path("style.toml").write_text(style.replace("d*_phipi", "ds_phipi"))
    (commands,) = blocks("bash")
    lines = [shlex.split(line, comments=True) for line in commands.splitlines()]
    assert len(lines) > 10
    for program, *arguments in lines:
        status, _, err = bphcoffea(*arguments)
        assert (program, status) == ("bphcoffea", 0), err
        assert planned.pop(), arguments
    (program,) = blocks("python")
    exec(program, {})
    assert planned.pop() == {"mass", "mass_A", "mass_B"}


def test_histograms_categories_and_datasets_are_chosen(run):
    everything = {"cutflow_data", "cutflow_ds_phipi", "cutflow_phi_track", "cutflow_di_muon"}
    everything |= {"mass", "mass_A", "mass_B", "pt", "pt_A", "pt_B", "nminus1_pt"}
    assert names_of(run) == everything
    assert names_of(run, histograms=("m*",)) == {"mass", "mass_A", "mass_B"}
    assert names_of(run, histograms=("pt",), categories=("B",)) == {"pt_B"}
    figure = drawn(run, histograms=("pt",), datasets=("toy_2018", "phi*"))["pt"]
    assert set(colors_of(figure)) == {"phi_track"}
    assert colors_of(figure).items() <= colors_of(drawn(run, histograms=("pt",))["pt"]).items()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"histograms": ("mas",)}, "no histogram matches 'mas'; did you mean 'mass'? There are: "),
        ({"categories": ("C",)}, "no category or region matches 'C'; there are: A, B"),
        ({"datasets": ("toy_2017",)}, "no dataset matches 'toy_2017'; did you mean 'toy_2018'?"),
        ({"variation": "muon_scal"}, "matches 'muon_scal'; did you mean 'muon_scale'?"),
        (
            {"style": FigureStyle(colors={"phi_trak": "red"})},
            r"[colors]: no process matches 'phi_trak'; did you mean 'phi_track'?",
        ),
    ],
)
def test_what_matches_nothing_is_refused(run, options, words):
    with pytest.raises(RunError, match=re.escape(words)):
        names_of(run, **options)


def test_the_category_stands_on_each_figure(run):
    for name, figure in drawn(run, efficiency=True, breakdown=True).items():
        part = re.search(r"_([AB])(_|$)", name)
        found = [word for word in written(figure) if "Category" in word]
        assert found == ([f"Category {part[1]}"] if part else []), name
    labels = FigureStyle(labels={"A": "barrel"})
    assert "barrel" in written(drawn(run, histograms=("pt",), style=labels)["pt_A"])


@pytest.mark.parametrize(
    ("experiment", "slants"), [("CMS", ("normal", "italic")), ("ATLAS", ("italic", "normal"))]
)
def test_the_experiment_and_the_status_stand_above(run, experiment, slants):
    options = {"experiment": experiment, "status": "Preliminary", "histograms": ("pt",)}
    figure = drawn(run, **options)["pt_A"]
    name, status = (
        next(text for text in texts(figure) if text.get_text() == word)
        for word in (experiment, "Preliminary")
    )
    assert (name.get_weight(), name.get_style(), status.get_style()) == ("bold", *slants)
    assert "Toy data, Category A" in written(figure)
    figure.draw_without_rendering()
    assert name.get_window_extent().x1 < status.get_window_extent().x0
    alone = drawn(run, **options, datasets=("phi_track",))["pt"]
    assert "Simulation Preliminary" in written(alone)
    assert {"Toy data", "Category A"} <= set(written(drawn(run, histograms=("pt",))["pt_A"]))


def test_a_process_has_one_color(run):
    stacked, shapes = drawn(run, breakdown=True), drawn(run, shapes=True)
    expected = colors_of(stacked["pt"])
    assert len(set(expected.values())) == len(expected) == 3
    for name in ("mass_A", "nminus1_pt"):
        assert colors_of(stacked[name]) == expected
        found = {name.partition(" (")[0]: c for name, c in colors_of(shapes[name]).items()}
        assert found == expected


@given(st.integers(1, 300))
def test_colors_do_not_repeat(number):
    assert len(set(palette(number))) == number


def test_n_minus_1_has_stack_ratio_and_the_side_that_is_kept(run):
    figure = drawn(run)["nminus1_pt"]
    axes, below = figure.axes
    tops = [patch.get_data().values for patch in axes.patches if hasattr(patch, "get_data")]
    histogram = run.histograms()["nminus1_pt"]
    simulated = [name for name, record in DATASETS.items() if record["is_mc"]]
    total = sum(histogram[name, "all", "nominal", :].values() for name in simulated)
    assert any(np.allclose(top, SCALE * total) for top in tops)
    assert below.get_ylabel() == "Data / sim."
    assert "Without cut 'hard'" in written(figure)
    (arrow,) = (
        text for text in axes.texts if isinstance(text, mpl.text.Annotation) and text.arrow_patch
    )
    assert arrow.xyann[0] == pytest.approx(0.25)  # 10 of 40 GeV
    assert arrow.xy[0] > arrow.xyann[0]
    for panel in (axes, below):
        (shade,) = (p for p in panel.patches if isinstance(p, mpl.patches.Rectangle))
        assert (shade.get_x(), shade.get_width()) == (0, 10)


def test_the_scale_of_counts_is_chosen(run):
    for log_y, scale in ((True, "log"), (False, "linear")):
        for figure in drawn(run, log_y=log_y, histograms=("*pt",)).values():
            assert figure.axes[0].get_yscale() == scale


def test_signals_are_scaled_and_the_legend_says_so(run):
    axes = drawn(run, scale_signal=100.0, histograms=("pt",))["pt"].axes[0]
    assert "Signal × 100" in written(axes.figure)
    (line,) = (patch for patch in axes.patches if not patch.get_fill())
    content = run.histograms()["pt"]["ds_phipi", sum, "nominal", :].values()
    np.testing.assert_allclose(line.get_data().values, 100 * SCALE * content)
    stack = max(
        p.get_data().values.max() for p in axes.patches if p.get_fill() and not p.get_hatch()
    )
    others = [run.histograms()["pt"][name, sum, "nominal", :] for name in BACKGROUNDS]
    assert stack == pytest.approx(SCALE * sum(of.values() for of in others).max())


def test_groups_labels_and_colors_come_from_a_file(run, tmp_path):
    path = tmp_path / "style.toml"
    path.write_text(
        '[groups]\n"All tracks" = ["*_track"]\n[labels]\nds_phipi = "$D_s$"\n'
        '[colors]\n"All tracks" = "tab:green"\nds_phipi = "#000000"\n'
    )
    figure = drawn(run, style=load_style(path), histograms=("pt",))["pt"]
    green = mpl.colors.to_hex("tab:green")
    assert colors_of(figure) == {"All tracks": green, "$D_s$": "#000000"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[colors]\nx = "no colour"', "colors.x: 'no colour' is no colour; write '#5790fc'"),
        ("[colour]", "style.toml: colour: Extra inputs are not permitted"),
        ("[groups]\nx = 1", "groups.x"),
    ],
)
def test_a_wrong_style_is_refused(tmp_path, content, words):
    path = tmp_path / "style.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=re.escape(words)):
        load_style(path)


def test_the_sources_of_the_band_add_up_to_it(run):
    axes = drawn(run, breakdown=True, histograms=("pt",))["pt_uncertainties"].axes[0]
    legend = axes.get_legend()
    assert {"Stat.", "muon_scale", "pileup"} <= {text.get_text() for text in legend.get_texts()}
    (whole,) = (p.get_data() for p in axes.patches if p.get_hatch())
    lines = [p.get_data().values for p in axes.patches if not p.get_hatch()]
    squares = sum(np.square(np.maximum(line, 0)) for line in lines)
    np.testing.assert_allclose(np.square(whole.values), squares)
    # 10% and 20% of the content, beside its statistics
    assert (np.square(whole.values) > 10**2 + 20**2).all()


def test_a_variation_stands_beside_the_nominal_distribution(run):
    figures = drawn(run, variation="muon_*")
    assert {"pt_muon_scale", "pt_A_muon_scale", "mass_muon_scale"} <= set(figures)
    axes, below = figures["pt_muon_scale"].axes
    assert {"muon_scale up", "muon_scale down", "Nominal"} <= set(written(axes.figure))
    ratios = [p.get_data().values for p in below.patches if not p.get_hatch()]
    np.testing.assert_allclose(ratios, np.outer([1.1, 0.8], np.ones(8)))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=5))
def test_efficiencies_are_those_of_hist(counts):
    passed, failed = (np.array(column, dtype=float) for column in zip(*counts, strict=True))
    axis = hist.axis.Regular(len(counts), 0, 1)
    part, whole = (hist.Hist(axis, storage=hist.storage.Weight()) for _ in range(2))
    for histogram, content in ((part, passed), (whole, passed + failed)):
        histogram.view().value = histogram.view().variance = content
    value, down, up = efficiency(part, whole)
    some = passed + failed > 0
    assert np.isnan(value[~some]).all()
    low, high = clopper_pearson_interval(passed[some], (passed + failed)[some])
    np.testing.assert_allclose((value - down)[some], np.nan_to_num(low), atol=1e-9)
    np.testing.assert_allclose((value + up)[some], np.nan_to_num(high, nan=1), atol=1e-9)


def test_efficiencies_of_categories(run):
    figures = drawn(run, efficiency=True, histograms=("pt",))
    points = figures["pt_A_efficiency"].axes[0].containers[0].lines[0].get_ydata()
    content = run.histograms()["pt"]["toy_2018", :, "nominal", :].values()
    np.testing.assert_allclose(points, content[0] / content.sum(axis=0))


def test_large_counts_have_a_power_of_ten():
    axes = new_figure().add_subplot()
    scale_counts(axes, 250_000.0, log=False, headroom=0.2)
    axes.figure.draw_without_rendering()
    assert "10^{5}" in axes.yaxis.get_offset_text().get_text()
    scale_counts(axes, 900.0, log=False, headroom=0.2)
    axes.figure.draw_without_rendering()
    assert not axes.yaxis.get_offset_text().get_text()


@given(st.text(min_size=1), st.text())
def test_names_of_files_have_no_codes(first, second):
    name = figure_name(first, second)
    assert re.fullmatch(r"[\w+=.,-]+", name)
    assert len(name) <= 120


def test_several_processes_draw_the_same(run):
    options = {"histograms": ("*pt",), "experiment": "CMS"}
    contents = []
    for processes in (1, 2):
        paths = plot_run(run, FigureOptions(**options, processes=processes))
        contents.append({path.name: path.read_bytes() for path in paths})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 4


EDGES = np.linspace(0, 60, 61)


def shifts(function, events, rng, copies=60):
    """Shift, nominal content and variance of samples of some events, and the mean shift."""
    samples = []
    for _ in range(copies):
        x = np.concatenate([rng.exponential(25, events), rng.normal(30, 1.2, events // 4)])
        nominal, varied = (np.histogram(of, EDGES)[0].astype(float) for of in (x, function(x)))
        samples.append((varied - nominal, nominal, nominal))
    return samples, np.mean([shift for shift, *_ in samples], axis=0)


def test_events_that_hop_over_edges_are_no_systematic_uncertainty():
    rng = np.random.default_rng(5)
    samples, _ = shifts(lambda x: x + rng.normal(0, 0.2, len(x)), 2000, rng)
    before = sum(np.sum(shift**2) for shift, *_ in samples)
    after = sum(np.sum(systematic_part(*sample) ** 2) for sample in samples)
    assert after < 0.25 * before


def test_what_is_smooth_or_significant_stays():
    rng = np.random.default_rng(6)
    samples, expected = shifts(lambda x: 1.02 * x, 40_000, rng)
    found = np.mean([systematic_part(*sample) for sample in samples], axis=0)
    assert np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected)
    smooth = np.linspace(10, 60, 60)
    content = np.full(60, 1000.0)
    np.testing.assert_allclose(systematic_part(smooth, content, content)[2:-2], smooth[2:-2])


def test_weights_have_no_such_part(run):
    histogram = run.histograms()["pt"]
    rng = np.random.default_rng(7)
    view = histogram.view()
    for variation in (1, 3):
        view["value"][:, :, variation] += rng.normal(0, 4, view["value"][:, :, variation].shape)
    varied = totals(histogram, BACKGROUNDS, None, ["muon_scaleUp"])
    summed = sum(histogram[name, sum, :, :].values() for name in BACKGROUNDS)
    np.testing.assert_allclose(varied["pileup"][1], summed[3])
    np.testing.assert_allclose(varied["muon_scale"][0], summed[2])
    assert not np.allclose(varied["muon_scale"][1], summed[1])
    assert (np.array(band(summed[0], summed[0], varied)) >= np.sqrt(summed[0])).all()
