"""Figures: what is drawn is what the histograms and cutflows hold, and what stands beside it."""

import json

import hist
import matplotlib as mpl
import mplhep
import numpy as np
import pytest
from hist.intervals import poisson_interval
from mass_fits import write_run

from bphcoffea.analysis.mass_model import MassModel, Peak
from bphcoffea.analysis.names import NOMINAL
from bphcoffea.analysis.records import ResonanceRecord
from bphcoffea.presentation import FigureOptions, plot_run
from bphcoffea.presentation.cutflow import draw_cutflow, summed
from bphcoffea.presentation.distributions import draw_distribution
from bphcoffea.presentation.hidden_data import RunHistogram
from bphcoffea.presentation.labels import LabelledRun
from bphcoffea.presentation.mass import draw_mass, mass_figures, pulls, yields
from bphcoffea.presentation.run_figures import figures_of_run
from bphcoffea.presentation.spectrum import draw_spectrum
from bphcoffea.presentation.style import Heading, garwood, is_logarithmic, per_bin, save
from bphcoffea.results.folder import RunFolder
from bphcoffea.results.histogram_files import write_histograms
from bphcoffea.results.records import DatasetRecord
from bphcoffea.statistics import fit_mass
from bphcoffea.statistics.histogram_fit import fit_histogram
from bphcoffea.statistics.mass_fit import MassFit

MODEL = MassModel(
    histogram="mass", peaks=(Peak(name="ds", label="$D_s^+$", mass=1.968, width=0.010),)
)
HEADING = Heading("Toy data", "14.4 $fb^{-1}$ (13 TeV)")
DATA_B = {"is_mc": False, "era": "2017B", "luminosity": 4.79, "label": "Toy data"}
DATA_C = {"is_mc": False, "era": "2017C", "luminosity": 9.63, "label": "Toy data"}
SIMULATED = {"is_mc": True, "era": "2017C", "process": "dsphipi", "label": "Toy simulation"}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def filled(axis, values, weight=1.0):
    histogram = hist.Hist(axis, storage=hist.storage.Weight())
    histogram.fill(values, weight=weight)
    return histogram


def mass_axis():
    return hist.axis.Regular(62, 1.65, 2.01, name="mass", label="$m$ [GeV]")


def masses(rng, peak=1000, background=1500):
    return np.concatenate([rng.normal(1.968, 0.01, peak), rng.uniform(1.65, 2.01, background)])


def texts(figure):
    """Everything written in a figure, its legends and the names of its axes included."""
    found = [text.get_text() for text in figure.findobj(mpl.text.Text)]
    return "\n".join(text for text in found if text)


def points_of(axes):
    """The points of a figure, as x and y."""
    return axes.containers[0].lines[0].get_data()


def heights(axes):
    return [patch.get_data().values for patch in axes.patches if hasattr(patch, "get_data")]


def test_mass_with_fit(rng):
    histogram = filled(mass_axis(), masses(rng))
    fit = fit_histogram(histogram, MODEL)
    figure = draw_mass(histogram, HEADING, label="$m(\\mu\\mu\\pi)$", fit=fit)
    axes, below = figure.axes
    x, y = points_of(axes)
    nonzero = histogram.values() > 0
    np.testing.assert_array_equal(y, histogram.values()[nonzero])
    np.testing.assert_allclose(x, histogram.axes[0].centers[nonzero])
    assert axes.get_ylabel() == "Candidates / 5.8 MeV"
    assert below.get_xlabel() == "$m(\\mu\\mu\\pi)$ [GeV]"
    written = texts(figure)
    value, error = fit.parameters["n_ds"].value, fit.parameters["n_ds"].error
    assert f"N($D_s^+$) = {value:.0f} $\\pm$ {error:.0f}" in written
    assert f"/ndof = {fit.chi2:.1f}/{fit.ndof}" in written
    assert "p-value" in written
    assert "Toy data" in written
    assert "14.4 $fb^{-1}$ (13 TeV)" in written
    assert "NOT VALID" not in written
    total = next(line for line in axes.lines if line.get_label() == "Fit").get_ydata()
    assert np.max(total) == pytest.approx(np.max(sum(fit.expected().values())), rel=0.05)


def test_pulls_are_deviations_from_the_fit(rng):
    histogram = filled(mass_axis(), masses(rng))
    fit = fit_histogram(histogram, MODEL)
    expected = sum(fit.expected().values())
    centers, deviations = pulls(histogram, fit)
    np.testing.assert_allclose(centers, histogram.axes[0].centers)
    np.testing.assert_allclose(deviations, (histogram.values() - expected) / np.sqrt(expected))
    narrow = MODEL.model_copy(update={"range": (1.90, 2.01)})
    part = fit_histogram(histogram, narrow)
    centers, deviations = pulls(histogram, part)
    assert len(centers) == len(part.edges) - 1
    assert np.mean(deviations**2) == pytest.approx(1, abs=0.8)
    # entries of weight 1/4 fluctuate as much, in their own standard deviations
    weighted = filled(mass_axis(), masses(np.random.default_rng(7)), 0.25)
    _, scaled = pulls(weighted, fit_histogram(weighted, MODEL))
    assert np.std(scaled) == pytest.approx(1, abs=0.3)


def test_mass_without_fit(rng):
    figure = draw_mass(filled(mass_axis(), masses(rng)), HEADING, label="$m$")
    assert len(figure.axes) == 1
    assert "ndof" not in texts(figure)


def test_a_fit_that_is_not_valid_says_so(rng):
    few = filled(mass_axis(), masses(rng, 3, 2))
    fit = fit_histogram(few, MODEL)
    assert "NOT VALID: only 5 effective entries" in texts(
        draw_mass(few, HEADING, label="$m$", fit=fit)
    )
    shifted = MODEL.model_copy(
        update={"peaks": (MODEL.peaks[0].model_copy(update={"mass": 1.94}),)}
    )
    histogram = filled(mass_axis(), masses(rng))
    written = texts(
        draw_mass(histogram, HEADING, label="$m$", fit=fit_histogram(histogram, shifted))
    )
    assert "NOT VALID: mean_ds is at its limit" in written


def test_yields_without_error_are_fixed(rng):
    histogram = filled(mass_axis(), masses(rng, background=0))
    assert yields(fit_histogram(histogram, MODEL))[-1] == "N(bkg.) = 0 (fixed)"


def test_distribution_has_the_data_and_the_simulation_scaled(rng):
    axis = hist.axis.Regular(20, 0, 40, name="pt")
    data = filled(axis, rng.gamma(3, 3, 500))
    simulation = filled(axis, rng.gamma(3, 3, 5000), 0.3)
    figure = draw_distribution(
        data, {"dsphipi": simulation}, HEADING, label="$p_T$", unit="GeV", log_y=True
    )
    (axes,) = figure.axes
    nonzero = data.values() > 0
    np.testing.assert_array_equal(points_of(axes)[1], data.values()[nonzero])
    (line,) = heights(axes)
    np.testing.assert_allclose(
        line, simulation.values() * data.values().sum() / simulation.values().sum()
    )
    assert "dsphipi (simulation, scaled to data)" in texts(figure)
    assert axes.get_ylabel() == "Candidates / 2 GeV"
    assert axes.get_xlabel() == "$p_T$ [GeV]"
    assert axes.get_yscale() == "log"


def test_simulation_alone_is_not_scaled(rng):
    simulation = filled(hist.axis.Regular(20, 0, 40, name="pt"), rng.gamma(3, 3, 5000), 0.3)
    figure = draw_distribution(None, {"dsphipi": simulation}, HEADING, label="$p_T$")
    np.testing.assert_array_equal(heights(figure.axes[0])[0], simulation.values())
    assert "scaled" not in texts(figure)


def test_n_minus_1_shows_the_bounds(rng):
    data = filled(hist.axis.Regular(20, 0.9, 1.14, name="phi_mass"), rng.normal(1.02, 0.01, 500))
    figure = draw_distribution(
        data, {}, HEADING, label="$m$", unit="GeV", without="cut 'phi_window'", bounds=(1.0, 1.04)
    )
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"][1:]
    assert [line.get_xdata()[0] for line in lines] == [1.0, 1.04]
    assert "cut 'phi_window'" in texts(figure)


@pytest.mark.parametrize("log_y", [False, True])
def test_an_empty_histogram_says_so(log_y):
    data = filled(hist.axis.Regular(20, 0, 40, name="pt"), [])
    assert "no entries" in texts(draw_distribution(data, {}, HEADING, label="x", log_y=log_y))


RESONANCES = [
    {"label": label, "mass": mass}
    for _, label, mass in (
        ("omega", "$\\rho/\\omega$", 0.78),
        ("phi", "$\\phi$", 1.019),
        ("jpsi", "$J/\\psi$", 3.097),
        ("psi2s", "$\\psi(2S)$", 3.686),
        ("upsilon", "$\\Upsilon$", 9.46),
        ("z", "$Z$", 91.19),
        ("outside", "$H$", 1000.0),
    )
]


def dimuons(rng):
    axis = hist.axis.Regular(300, 0.25, 300, name="mass", transform=hist.axis.transform.log)
    continuum = np.exp(rng.uniform(np.log(0.25), np.log(300), 20_000))
    peaks = [rng.normal(r["mass"], 0.02 * r["mass"], 2000) for r in RESONANCES]
    return filled(axis, np.concatenate([continuum, *peaks]))


def test_labels_of_the_spectrum_do_not_overlap(rng):
    histogram = dimuons(rng)
    figure = draw_spectrum(
        histogram,
        HEADING,
        label="$m(\\mu\\mu)$",
        resonances=[ResonanceRecord(**r) for r in RESONANCES],
    )
    (axes,) = figure.axes
    labels = {resonance["label"] for resonance in RESONANCES[:-1]}
    found = [text for text in axes.texts if text.get_text() in labels]
    assert {text.get_text() for text in found} == labels
    assert "$H$" not in texts(figure)
    frame = axes.get_window_extent()
    boxes = [text.get_window_extent() for text in found]
    for index, box in enumerate(boxes):
        assert box.y1 <= frame.y1
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
    np.testing.assert_array_equal(heights(axes)[0], histogram.values())
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.get_ylabel() == "Candidates / bin"


def rows(*events):
    steps = ("all", "hlt", "mass_window")
    return [
        {"step": step, "events": n, "candidates": 2 * n, "sumw": float(n)}
        for step, n in zip(steps, events, strict=True)
    ]


def test_cutflow_has_numbers_and_efficiencies():
    figure = draw_cutflow(
        summed([rows(1000, 500, 0), rows(1000, 300, 0)]),
        HEADING,
        requirements={"hlt": ["HLT_Mu_v*"], "mass_window": ["1.62 < m_$ < 2.02 GeV"]},
        title="Toy",
    )
    written = texts(figure)
    assert "800  (40%)" in written
    assert "2\N{THIN SPACE}000" in written
    assert "0  (0%)" in written
    assert "1.62 < m_$ < 2.02 GeV" in written
    bars = figure.axes[1].containers
    assert [bar.get_width() for bar in bars[0]] == [2000, 800, 0]
    assert [bar.get_width() for bar in bars[1]] == [4000, 1600, 0]


def records(datasets):
    return [DatasetRecord.model_validate(metadata) for metadata in datasets]


@pytest.mark.parametrize(
    ("datasets", "expected"),
    [
        ([DATA_B, DATA_C, SIMULATED], Heading("Toy data", "14.4 $fb^{-1}$ (13 TeV)")),
        ([SIMULATED], Heading("Toy simulation", "13 TeV")),
        ([{"is_mc": True, "era": "2022"}], Heading("Simulation", "13.6 TeV")),
        ([{"is_mc": False, "era": "2012"}], Heading("Data", "8 TeV")),
        ([{"is_mc": False, "era": "Run2"}], Heading("Data", "")),
        (
            [{"is_mc": False, "era": "2018", "luminosity": 59.8, "energy": 5.02}],
            Heading("Data", "59.8 $fb^{-1}$ (5.02 TeV)"),
        ),
        (
            [{"is_mc": False, "era": "2018", "luminosity": 0.0046}],
            Heading("Data", "4.6 $pb^{-1}$ (13 TeV)"),
        ),
        (
            [{"is_mc": False, "era": "2018", "luminosity": 3000.0}],
            Heading("Data", "3 $ab^{-1}$ (13 TeV)"),
        ),
        ([DATA_B, {"is_mc": False, "era": "2017C"}], Heading("Toy data", "13 TeV")),
    ],
)
def test_heading(datasets, expected):
    assert Heading.of(records(datasets)) == expected


@pytest.mark.parametrize(
    ("parts", "notes"),
    [
        ([(100, 100), (7, 7)], ()),
        ([(100, 100), (25, 900)], ("Partial run: 12.5% of the events",)),
        ([(100, 100), (25, None)], ("Partial run: an unknown part of the events",)),
    ],
)
def test_the_heading_says_which_part_of_the_events_a_figure_has(parts, notes):
    datasets = [DATA_B | {"part": {"events": n, "of": of}} for n, of in parts]
    simulated = {**SIMULATED, "part": {"events": 1, "of": 2}}
    heading = Heading.of(records([*datasets, simulated]), ["", "Data blinded"])
    assert heading.notes == (*notes, "Data blinded")
    figure = draw_cutflow(rows(9, 8, 7), heading, requirements={})
    assert set(heading.notes) <= {t.get_text() for axes in figure.axes for t in axes.texts}


def test_figures_of_a_partial_run_say_so(run):
    count = {"expected_events": 5, "processed_events": 5, "uncounted_files": 0}
    ledger = {"data_B": {**count, "dataset_events": 10}, "data_C": {**count, "dataset_events": 5}}
    run.write("ledger.json", {"complete": True, "partial": True, "datasets": ledger})
    assert run.partial
    written = {name: texts(figure) for name, figure in figures_of_run(run)}
    assert {"cutflow_data", "mass", "pt_A", "nminus1_pt", "spectrum"} <= set(written)
    for name, text in written.items():
        expected = name != "cutflow_dsphipi"
        assert ("Partial run: 66.7% of the events" in text) == expected, name


def test_garwood_is_that_of_hist():
    counts = np.array([0.0, 1.0, 4.0, 250.0])
    down, up = garwood(counts)
    low, high = poisson_interval(counts)
    np.testing.assert_allclose(counts - down, np.nan_to_num(low), atol=1e-12)
    np.testing.assert_allclose(counts + up, high)
    variances = counts * 0.09
    down, up = garwood(0.3 * counts, variances)
    low, high = poisson_interval(0.3 * counts[1:], variances[1:])
    np.testing.assert_allclose((0.3 * counts + up)[1:], high)
    np.testing.assert_allclose((0.3 * counts - down)[1:], low)
    assert down[0] == up[0] == 0


def test_names_of_axes():
    assert per_bin("Candidates", np.linspace(0, 40, 41), "GeV") == "Candidates / 1 GeV"
    assert per_bin("Candidates", np.linspace(0, 1, 21), "") == "Candidates / 0.05"
    assert per_bin("Events", np.linspace(-0.5, 9.5, 11), "") == "Events"
    assert per_bin("Events", np.array([0.0, 50, 100, 500]), "GeV") == "Events / bin"
    assert per_bin("Events", np.geomspace(1, 10, 5), "GeV") == "Events / bin"
    assert is_logarithmic(np.geomspace(1, 10, 5))
    assert not is_logarithmic(np.linspace(1, 10, 5))


def test_the_style_does_not_leak(rng):
    before = {name: mpl.rcParams[name] for name in mplhep.style.CMS}
    draw_mass(filled(mass_axis(), masses(rng)), HEADING, label="$m$")
    assert {name: mpl.rcParams[name] for name in mplhep.style.CMS} == before


def test_the_same_figure_is_the_same_file(tmp_path):
    for name in ("a", "b"):
        figure = draw_cutflow(rows(9, 8, 7), HEADING, requirements={})
        save(figure, tmp_path, name, ("png", "pdf"))
    for suffix in ("png", "pdf"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def run_histogram(axis, contents, categories=("all",)):
    histogram = hist.Hist(
        hist.axis.StrCategory(list(contents), name="dataset"),
        hist.axis.StrCategory(list(categories), name="category"),
        hist.axis.StrCategory([NOMINAL], name="variation"),
        axis,
        storage=hist.storage.Weight(),
    )
    for dataset, values in contents.items():
        for part, category in enumerate(categories):
            histogram.fill(dataset, category, NOMINAL, values[part :: len(categories)])
    return histogram


@pytest.fixture
def run(rng, tmp_path):
    datasets = {"data_B": DATA_B, "data_C": DATA_C, "mc": SIMULATED}
    pt = hist.axis.Regular(20, 0, 40, name="pt", label="$p_T$ [GeV]")
    log = hist.axis.Regular(
        100, 0.25, 300, name="mass", transform=hist.axis.transform.log, label="$m$ [GeV]"
    )
    histograms = {
        "mass": run_histogram(mass_axis(), {name: masses(rng) for name in datasets}),
        "pt": run_histogram(pt, {name: rng.gamma(3, 3, 500) for name in datasets}, ("A", "B")),
        "nminus1_pt": run_histogram(pt, {name: rng.gamma(3, 3, 500) for name in datasets}),
        "nminus1_region_pt": run_histogram(
            pt, {name: rng.gamma(3, 3, 500) for name in datasets}, ("soft", "hard")
        ),
        "spectrum": run_histogram(log, {name: rng.lognormal(1, 1, 5000) for name in datasets}),
    }
    write_histograms(tmp_path, histograms, {})
    about = {"variable": "pt", "label": "$p_T$", "unit": "GeV", "log_y": False}
    analysis = {
        "name": "toy",
        "title": "Toy analysis",
        "cuts": [{"name": "hlt", "requirements": ["HLT_Mu_v*"]}],
        "histograms": {
            "pt": {**about, "n_minus_1": None, "bounds": []},
            "nminus1_pt": {**about, "n_minus_1": "acceptance", "bounds": [3.5]},
            "nminus1_region_pt": {
                **about,
                "n_minus_1": "",
                "regions": {"soft": [20.0], "hard": [10.0, 30.0]},
            },
            "spectrum": {"variable": "mass", "log_y": True, "resonances": RESONANCES},
        },
        "fit": MODEL.model_dump(mode="json"),
    }
    cutflow = {"data_B": rows(10, 8, 5), "data_C": rows(20, 9, 5), "mc": rows(9, 8, 7)[:2]}
    files = {
        "ledger": {"complete": True, "expected_events": 10, "processed_events": 10},
        "provenance": {"datasets": datasets},
        "analysis": analysis,
        "cutflow": cutflow,
    }
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return RunFolder(tmp_path)


def test_every_figure_of_a_run_is_written(run):
    run.write("fit.json", fit_mass(run, by="era").as_json())
    paths = plot_run(run, FigureOptions(pdf=True))
    names = {path.name for path in paths}
    expected = ("cutflow_data", "cutflow_dsphipi", "mass", "mass_2017B", "mass_2017C")
    expected += ("pt", "pt_A", "pt_B", "nminus1_pt", "spectrum")
    expected += ("nminus1_region_pt_soft", "nminus1_region_pt_hard")
    assert names == {f"{name}.{suffix}" for name in expected for suffix in ("png", "pdf")}
    for path in paths:
        assert path.parent == run.path / "figures"
        assert path.stat().st_size > 5000


def test_each_category_has_a_figure_of_its_own_candidates(rng, tmp_path):
    parts = {name: filled(mass_axis(), masses(rng)) for name in ("A", "B")}
    made = write_run(tmp_path, {"data": parts}, {"data": DATA_B}, MODEL)
    shown = RunHistogram(
        "mass",
        made.histograms()["mass"],
        None,
        made.analysis.histograms["mass"],
        made.datasets,
    )
    drawn = dict(mass_figures(shown, fit_mass(made, by="category")))
    assert list(drawn) == ["mass", "mass_A", "mass_B"]
    for name, histogram in parts.items():
        figure = drawn[f"mass_{name}"]()
        (points,) = figure.axes[0].containers
        np.testing.assert_allclose(points.lines[0].get_ydata(), histogram.values())
        assert f"\n{name}\n" in texts(figure)


def test_n_minus_1_of_regions_shows_the_bounds_of_each(run):
    figures = dict(figures_of_run(LabelledRun(run)))
    for region, bounds in (("soft", [20]), ("hard", [10, 30])):
        figure = figures[f"nminus1_region_pt_{region}"]
        lines = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"][1:]
        assert [line.get_xdata()[0] for line in lines] == bounds
        assert f"Without requirement of region '{region}'" in texts(figure)


def test_the_mass_of_a_run_without_fit_is_drawn(run):
    assert not (run.path / "fit.json").exists()
    assert (run.path / "figures" / "mass.png") in plot_run(run)


def test_fit_json_holds_the_drawn_fit(run):
    content = fit_mass(run).as_json()
    assert content["entries"] == MassFit.from_json(content).entries
