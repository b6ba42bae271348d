"""Data that an analysis declares to be blind are in no figure, and the figure says so."""

import json

import hist
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bphcoffea.physics.windows import WINDOW
from bphcoffea.presentation import FigureOptions, plot_run, run_figures
from bphcoffea.presentation.hidden_data import blinded_in
from bphcoffea.presentation.run_figures import figures_of_run
from bphcoffea.results.folder import RunFolder
from bphcoffea.results.histogram_files import write_histograms
from bphcoffea.statistics import Search, blind_windows
from bphcoffea.statistics.blindness import StillBlindError

DATA = {"is_mc": False, "era": "2018D", "luminosity": 1.0}
SIGNAL = {"is_mc": True, "era": "2018D", "kind": "signal", "process": "n", "mass": 1.0}
BACKGROUND = {"is_mc": True, "era": "2018D", "kind": "background", "process": "b"}
#: Histograms of the blind variable, and those of another.
BLIND, OTHERS = ("m", "m_fine", "nminus1_m"), ("pt",)


def filled(contents, bins, categories):
    histogram = hist.Hist(
        hist.axis.StrCategory(list(contents), name="dataset"),
        hist.axis.StrCategory(list(categories), name="category"),
        hist.axis.StrCategory(["nominal"], name="variation"),
        hist.axis.Regular(bins, 0, 2, name="x"),
        storage=hist.storage.Weight(),
    )
    for dataset, values in contents.items():
        for part, category in enumerate(categories):
            histogram.fill(dataset, category, "nominal", values[part :: len(categories)])
    return histogram


class TestedSearch(Search):
    """A search whose limit is of some windows."""

    __test__ = False

    def __init__(self, windows):
        self._windows = windows

    def limit(self, run, normalisation, **options):
        raise NotImplementedError

    def record(self, run):
        raise NotImplementedError

    def windows(self, run):
        return self._windows


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Make the folder of a run of a search; 20 000 data make every bin of 0.05 GeV full."""

    def write(datasets, windows=(), *, stacked=False, limit=(), columns=("mass",), fit=None):
        rng = np.random.default_rng(3)
        values = {
            name: rng.normal(1.0, 0.02, 500)
            if known.get("kind") == "signal"
            else rng.uniform(0, 2, 20_000)
            for name, known in datasets.items()
        }
        about = {"label": "$m$", "unit": "GeV", "n_minus_1": None, "bounds": []}
        declared = {
            "m": {**about, "variable": "mass"},
            "m_fine": {**about, "variable": "mass"},
            "nminus1_m": {**about, "variable": "mass", "n_minus_1": "mass"},
            "pt": {**about, "variable": "pt"},
        }
        write_histograms(
            tmp_path,
            {
                "m": filled(values, 40, ("A", "B")),
                "m_fine": filled(values, 80, ("A", "B")),
                "nminus1_m": filled(values, 40, ("all",)),
                "pt": filled(values, 40, ("A", "B")),
            },
            {},
        )
        (tmp_path / "candidates").mkdir()
        for name, known in datasets.items():
            if known.get("kind") == "signal":
                table = pa.table(dict.fromkeys(columns, values[name]))
                pq.write_table(table, tmp_path / "candidates" / f"{name}.parquet")
        files = {
            "ledger": {"complete": True, "datasets": {}},
            "provenance": {"datasets": datasets},
            "cutflow": {},
            "analysis": {
                "name": "search",
                "search": "tested" if limit else None,
                "blind": {"histogram": "m", "windows": [list(window) for window in windows]},
                "histograms": declared,
                "overlay_signal": True,
                "fit": fit,
            },
        }
        if stacked:
            rates = {"luminosity": 0.0, "cross_section": 0.0}
            files["normalisation"] = {
                name: {
                    "scale": 1.0,
                    "generator_sumw": 1.0,
                    "uncertainties": rates,
                    "notes": [],
                    "cross_section": 1.0,
                    "filter_efficiency": 1.0,
                    "skim_efficiency": 1.0,
                    "luminosity": 1.0,
                    "data": ["data"],
                }
                for name, known in datasets.items()
                if known["is_mc"]
            }
        for name, content in files.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        run = RunFolder(tmp_path)
        if limit:
            found = {"tested": TestedSearch(limit)}
            monkeypatch.setattr("bphcoffea.statistics.search.searches", lambda: found)
            run.write("limit.json", {})
        return run

    return write


def drawn(run, **options):
    """Figures by their names; without those of cutflows and limits."""
    return dict(figures_of_run(run, FigureOptions(**options)))


def positions(figure):
    """Where data are drawn: in the first panel as points, in the second as ratios."""
    found = [np.asarray(figure.axes[0].containers[0].lines[0].get_xdata(), dtype=float)]
    found += [np.asarray(line.get_xdata()) for line in figure.axes[-1].lines if line.get_marker()]
    return np.concatenate([x for x in found if len(x) > 2 or not len(x)])


def words(figure):
    return "\n".join(t.get_text() for axes in figure.axes for t in axes.texts)


def is_blind(name):
    return name.startswith(("m", "nminus1_m"))


def test_without_windows_or_signal_all_data_are_hidden(write):
    run = write({"data": DATA, "bkg": BACKGROUND})
    assert blind_windows(run) is None
    figures = drawn(run)
    assert {"m", "m_A", "m_B", "m_fine", "m_fine_A", "nminus1_m", "pt"} <= set(figures)
    for name, figure in figures.items():
        assert (len(positions(figure)) > 0) == (not is_blind(name)), name
        assert ("Data blinded in 0–2 GeV" in words(figure)) == is_blind(name)


def test_data_are_hidden_only_where_a_search_is_blind(write):
    run = write({"data": DATA, "bkg": BACKGROUND})
    for figure in drawn(run, unblind=True).values():
        assert len(positions(figure)) >= 40
        assert "blinded" not in words(figure)


def test_simulation_is_not_hidden(write):
    figures = drawn(write({"bkg": BACKGROUND, "signal": SIGNAL}))
    for figure in figures.values():
        assert "blinded" not in words(figure)
        heights = [
            p.get_data().values.sum() for p in figure.axes[0].patches if p.get_fill() is False
        ]
        assert all(height > 0 for height in heights)


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("shapes", [False, True])
def test_declared_windows_are_hidden_in_every_figure_of_the_variable(write, stacked, shapes):
    run = write(
        {"data": DATA, "bkg": BACKGROUND, "signal": SIGNAL}, [(0.31, 0.42)], stacked=stacked
    )
    for name, figure in drawn(run, shapes=shapes).items():
        x = positions(figure)
        low, high = (0.3, 0.425) if name.startswith("m_fine") else (0.3, 0.45)
        inside = (x > low) & (x < high)
        assert np.any(inside) == (not is_blind(name)), name
        assert len(x[~inside]) > 20
        assert (f"Data blinded in {low:g}–{high:g} GeV" in words(figure)) == is_blind(name)
        # what is searched for is not what is declared, and stays visible
        assert np.any((x > 0.95) & (x < 1.05))


def test_windows_are_those_of_the_signals_and_of_every_mass_that_was_tested(write):
    other = {**SIGNAL, "mass": 0.5}
    run = write({"data": DATA, "signal": SIGNAL, "other": other}, limit=[(1.2, 1.3), (1.6, 1.7)])
    windows = blind_windows(run)
    # the width of 500 candidates is known to about 4%
    assert windows[0] == pytest.approx((1 - WINDOW * 0.02, 1 + WINDOW * 0.02), abs=0.01)
    assert np.mean(windows[1]) == pytest.approx(0.5)
    assert windows[2:] == [(1.2, 1.3), (1.6, 1.7)]


def test_masses_of_a_limit_are_hidden_without_simulated_signal(write):
    run = write({"data": DATA}, limit=[(1.2, 1.3)])
    assert blind_windows(run) == [(1.2, 1.3)]


@pytest.mark.parametrize("known", [{"mass": None}, {}])
def test_all_data_are_hidden_if_a_signal_has_no_known_window(write, known):
    columns = ("mass",) if known else ("other",)
    run = write({"data": DATA, "signal": {**SIGNAL, **known}}, limit=[(1.2, 1.3)], columns=columns)
    assert blind_windows(run) is None


def test_a_fit_of_blind_data_is_not_drawn(write):
    """Its curve and its pulls tell what is hidden."""
    from bphcoffea.analysis import MassModel, Peak
    from bphcoffea.statistics import fit_mass

    peak = Peak(name="n", label="N", mass=1.0, width=0.02)
    model = MassModel(histogram="m", peaks=(peak,)).model_dump(mode="json")
    run = write({"data": DATA}, [(0.9, 1.1)], fit=model)
    run.write("fit.json", fit_mass(run).as_json())
    hidden, opened = drawn(run)["m"], drawn(run, unblind=True)["m"]
    assert (len(hidden.axes), len(opened.axes)) == (1, 2)
    assert "N(N)" in words(opened)
    assert "N(N)" not in words(hidden)
    assert "Data blinded in 0.9–1.1 GeV" in words(hidden)


def test_areas_are_compared_where_data_are_seen(write):
    """A third of the background is hidden: what is left of it has the area of the data."""
    run = write({"data": DATA, "bkg": BACKGROUND}, [(0.0, 0.65)])
    figure = drawn(run)["m"]
    (line,) = [p.get_data().values for p in figure.axes[0].patches if hasattr(p, "get_data")]
    data = figure.axes[0].containers[0].lines[0].get_ydata()
    assert line[13:].sum() == pytest.approx(np.sum(data), rel=1e-12)
    # about as many are hidden as in each other bin
    assert line[:13].mean() == pytest.approx(500, rel=0.1)


def test_hidden_ranges_blinded_in():
    assert blinded_in([(0.95, 1.05), (1.4, 1.6)], "GeV") == (
        "Data blinded in 0.95–1.05 and 1.4–1.6 GeV"
    )
    assert blinded_in([], "GeV") == ""


def test_what_a_run_hides_is_hidden_and_can_t_be_drawn(write):
    run = write({"data": DATA, "signal": SIGNAL})
    content = run.read("analysis.json")
    content["blind"] |= {"variable": "mass", "unit": "GeV", "hidden": [[0.31, 0.42]], "masses": []}
    run.write("analysis.json", content)
    assert blind_windows(run) == ((0.31, 0.42),)
    for name, figure in drawn(run).items():
        here = "Data blinded in 0.3–0.4" if is_blind(name) else "Without data of mass in 0.31–0.42"
        assert here in words(figure), name
    with pytest.raises(StillBlindError, match=r"no data in 0.31–0.42 GeV; run again unblinded"):
        plot_run(run, FigureOptions(unblind=True))


def test_figures_that_are_not_drawn_any_more_are_removed(write, monkeypatch):
    run = write({"data": DATA})
    others = run.path / "figures" / "mine.png"
    others.parent.mkdir()
    others.write_text("")
    figures = [(name, lambda of=figure: of) for name, figure in drawn(run).items()][:2]
    monkeypatch.setattr(run_figures, "jobs_of_run", lambda *_: iter([figures]))
    first = plot_run(run)
    monkeypatch.setattr(run_figures, "jobs_of_run", lambda *_: iter([figures[:1]]))
    second = plot_run(run)
    assert set(second) < set(first)
    there = {path for path in others.parent.iterdir() if path.suffix in (".png", ".pdf")}
    assert there == {*second, others}

    # also if drawing fails half way
    def fail():
        raise ValueError

    failing = [[figures[1], ("bad", fail)]]
    monkeypatch.setattr(run_figures, "jobs_of_run", lambda *_: iter(failing))
    with pytest.raises(ValueError, match=r"^$"):
        plot_run(run)
    monkeypatch.setattr(run_figures, "jobs_of_run", lambda *_: iter([figures[:1]]))
    assert set(plot_run(run)) | {others} == {
        path for path in others.parent.iterdir() if path.suffix in (".png", ".pdf")
    }
