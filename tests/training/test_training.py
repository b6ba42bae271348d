"""Training on the tables of a run: which candidates, which folds, which bins."""

import itertools
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import ks_2samp, spearmanr

from bphcoffea.analysis import load_classifier
from bphcoffea.errors import InputError
from bphcoffea.results import RunFolder
from bphcoffea.training import folds as folds_module
from bphcoffea.training import train_run
from bphcoffea.training.edges import FEWEST, best_bins, given_bins
from bphcoffea.training.folds import balanced
from bphcoffea.training.metrics import (
    Scores,
    area_under_curve,
    kolmogorov_smirnov,
    rank_correlation,
    roc_curve,
)
from bphcoffea.training.sample import read_sample

pytest.importorskip("xgboost", reason="trains classifiers (pip install 'bphcoffea[ml]')")
WINDOWS = {"A": [[1.76, 1.79]], "B": [[1.74, 1.82]]}
SIGNAL, DATA = "signal", "data"


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    """The number of trees changes no rule that is tested here."""
    monkeypatch.setattr(folds_module, "TREES", 40)


def candidates(size, seed, *, signal, separation=1.5):
    """A table of candidates; data in the windows of their category have impossible inputs."""
    rng = np.random.default_rng(seed)
    category = rng.choice(["A", "B"], size)
    mass = rng.normal(1.777, 0.01, size) if signal else rng.uniform(1.62, 2.0, size)
    chi2 = rng.normal(separation if signal else 0, 1, size)
    if not signal:
        half = np.where(category == "A", 0.015, 0.04)
        centre = np.where(category == "A", 1.775, 1.78)
        chi2[np.abs(mass - centre) <= half] = np.inf
    return {
        "run": np.ones(size, np.int64),
        "lumi": np.ones(size, np.int64),
        "event": rng.permutation(10 * size)[:size].astype(np.uint64),
        "mass": mass,
        "mass_resolution": rng.uniform(0.005, 0.012, size),
        "chi2": chi2,
        "pt": rng.exponential(5, size).astype(np.float32),
        "tilted": mass + rng.normal(0, 0.02, size),
        "category": category,
        "weight": rng.uniform(0.5, 1.5, size) if signal else np.ones(size),
        "weight_pileup": np.ones(size),
    }


def made(folder, tables, *, kind="signal", scale=2.0, **about):
    """A run's folder that holds what training reads."""
    analysis = {
        "name": "search",
        "categories": {"A": "A", "B": "B"},
        "classifier": None,
        "blind": {
            "histogram": "mass",
            "variable": "mass",
            "unit": "GeV",
            "windows": [[1.74, 1.82]],
            "hidden": [],
            "by_category": WINDOWS,
            "masses": [],
        },
    }
    metadata = {name: {"is_mc": name != DATA, "era": "2018D"} for name in tables}
    for name in tables:
        if name != DATA:
            metadata[name]["kind"] = kind
    files = {
        "analysis.json": analysis | about,
        "provenance.json": {"datasets": metadata},
        "normalisation.json": {
            name: {
                "cross_section": None,
                "filter_efficiency": 1.0,
                "skim_efficiency": 1.0,
                "luminosity": None,
                "generator_sumw": 1.0,
                "scale": scale,
                "data": [],
                "uncertainties": {"luminosity": 0.0, "cross_section": 0.0},
                "notes": [],
            }
            for name in tables
            if name != DATA
        },
        "ledger.json": {"complete": True, "partial": False, "datasets": {}},
    }
    (folder / "candidates").mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / "candidates" / f"{name}.parquet")
    return RunFolder(folder)


@pytest.fixture(scope="module")
def tables():
    return {
        SIGNAL: candidates(1500, 1, signal=True),
        DATA: candidates(2500, 2, signal=False),
    }


@pytest.fixture(scope="module")
def searched(tables, tmp_path_factory):
    return made(tmp_path_factory.mktemp("searched") / "run", tables)


def outside(mass, category):
    return not any(low <= mass <= high for low, high in WINDOWS[category])


def test_sample_holds_signal_and_the_sidebands_of_each_category(searched, tables):
    sample = read_sample(searched)
    assert sample.inputs == ("chi2", "pt")
    assert any("'tilted' (+0." in note for note in sample.notes)
    data = tables[DATA]
    wanted = [
        (event, x, y)
        for event, mass, category, x, y in zip(
            *(data[n] for n in ("event", "mass", "category", "chi2", "pt")), strict=True
        )
        if outside(mass, category)
    ]
    sidebands = ~sample.signal
    got = zip(sample.events[sidebands], *sample.values[sidebands].T, strict=True)
    assert list(got) == wanted
    assert np.all(np.isfinite(sample.values))
    # some of A lie in the window of B, which is wider
    assert any(1.74 <= m <= 1.82 for m in sample.mass[sidebands])
    np.testing.assert_array_equal(sample.weights[sample.signal], 2 * tables[SIGNAL]["weight"])
    np.testing.assert_array_equal(sample.weights[sidebands], 1)


def test_windows_of_all_hold_where_none_are_declared_by_category(tables, tmp_path):
    blind = {"histogram": "mass", "variable": "mass", "unit": "GeV", "masses": []}
    for name, windows in (("windows", [[1.7, 1.85]]), ("hidden", [[1.6, 1.82]])):
        about = {"windows": [], "hidden": []} | {name: windows}
        folder = made(tmp_path / name, tables, blind=blind | about)
        sample = read_sample(folder)
        ((low, high),) = windows
        mass = sample.mass[~sample.signal]
        assert len(mass) > 0
        assert not np.any((mass >= low) & (mass <= high))


def test_each_candidate_is_scored_by_the_model_that_has_not_seen_it(searched):
    training = train_run(searched, folds=3, seed=4)
    folds, sample = training.folds, training.sample
    assert len(folds.models) == 3
    for place in range(0, len(sample.events), 97):
        number = int(sample.events[place]) % 3
        (score,) = folds.models[number].scores(sample.values[place : place + 1])
        assert folds.held_out[place] == score


def test_labels_of_noise_are_learned_and_not_found_again(tmp_path):
    """Signal and sidebands are alike: what a model has seen separates, the rest does not."""
    tables = {
        SIGNAL: candidates(600, 5, signal=True, separation=0),
        DATA: candidates(800, 6, signal=False),
    }
    record = train_run(made(tmp_path / "run", tables), seed=1).as_json()
    assert record["auc"]["train"] > 0.65
    # 600 against about 650: the standard deviation is 0.016, and folds share candidates
    assert abs(record["auc"]["test"] - 0.5) < 0.06
    assert all(fold["auc_train"] > fold["auc_test"] for fold in record["folds"])


def test_written_classifier_scores_as_the_training_did(searched, tmp_path):
    training = train_run(searched, folds=2, seed=4)
    classifier = training.write(tmp_path / "bdt")
    assert classifier == load_classifier(tmp_path / "bdt" / "classifier.toml")
    assert classifier.name == "bdt"
    sample = training.sample
    inputs = dict(zip(sample.inputs, sample.values.T, strict=True))
    np.testing.assert_array_equal(classifier.score(inputs, sample.events), training.folds.held_out)
    for name, bins in training.bins.items():
        assert classifier.edges[name] == bins.edges
        assert len(bins.edges) == 2
        assert min(bins.sidebands) >= FEWEST
        assert bins.merit > 1
    record = json.loads((tmp_path / "bdt" / "training.json").read_text())
    assert record["auc"]["test"] > 0.8
    assert set(record["correlation_with_mass"]) == {"all", "A", "B"}
    assert sum(record["importances"].values()) == pytest.approx(1)
    assert record["importances"]["chi2"] > record["importances"]["pt"]
    again = train_run(searched, folds=2, seed=4)
    assert again.folds.models == training.folds.models
    other = train_run(searched, folds=2, seed=5)
    assert other.folds.models != training.folds.models


def test_both_classes_weigh_the_same():
    weights = np.array([1.0, 3.0, 1.0, 1.0, 2.0])
    signal = np.array([True, True, False, False, False])
    scaled = balanced(weights, signal)
    assert scaled[signal].sum() == scaled[~signal].sum() == 2
    assert scaled[1] == 3 * scaled[0]


def test_given_edges_are_taken(searched):
    training = train_run(searched, folds=2, edges={"A": (0.1, 0.5, 0.9)})
    assert training.bins["A"].edges == (0.1, 0.5, 0.9)
    assert len(training.bins["B"].edges) == 2
    with pytest.raises(InputError, match="has no category 'C'; there are: A, B"):
        train_run(searched, folds=2, edges={"C": (0.1,)})


@pytest.mark.parametrize(
    ("inputs", "fault"),
    [
        (("chi2", "mass"), "'mass' can't be an input: the score would depend on the mass"),
        (("weight_pileup",), "'weight_pileup' can't be an input"),
        (("event",), "'event' can't be an input"),
        (("tilted", "pt"), r"strongly correlated with the mass in the sidebands: 'tilted' \(\+0"),
        (("isolation",), "'signal' has no column 'isolation'; there are: chi2, pt, tilted"),
    ],
)
def test_bad_inputs_are_told(searched, inputs, fault):
    with pytest.raises(InputError, match=fault):
        read_sample(searched, inputs)


def test_runs_that_do_not_serve_are_told(tables, tmp_path):
    few = {name: {key: v[:40] for key, v in table.items()} for name, table in tables.items()}
    negative = {SIGNAL: tables[SIGNAL] | {"weight": -tables[SIGNAL]["weight"]}, DATA: tables[DATA]}
    for number, (held, about, fault) in enumerate(
        [
            (
                tables,
                {
                    "classifier": {
                        "name": "x",
                        "file": "x.toml",
                        "sha256": "",
                        "library": "",
                        "models": [],
                        "inputs": [],
                        "edges": {},
                    }
                },
                "was made with a classifier",
            ),
            (tables, {"blind": None}, "no windows of a blind mass are known"),
            (tables, {"kind": "background"}, 'holds no simulation of kind "signal"'),
            ({SIGNAL: tables[SIGNAL]}, {}, "holds no data"),
            (few, {}, r"too few candidates of simulated signal: 40 in all and \d in one of 5"),
            (negative, {}, "1500 candidates have negative weights"),
        ]
    ):
        folder = made(tmp_path / str(number), held, **about)
        with pytest.raises(InputError, match=fault):
            train_run(folder)


def test_infinite_inputs_are_told(tables, tmp_path):
    infinite = tables[SIGNAL] | {"chi2": np.full(1500, np.inf)}
    folder = made(tmp_path / "run", {SIGNAL: infinite, DATA: tables[DATA]})
    with pytest.raises(InputError, match="inputs are infinite for some candidates: chi2"):
        train_run(folder)


def test_command_writes_classifier_record_and_figures(bphcoffea, searched, tmp_path):
    where = tmp_path / "bdt"
    status, out, err = bphcoffea(
        "train", searched.path, "-o", where, "--folds", 2, "--input", "chi2", "--edges", "A=0.2,0.7"
    )
    assert (status, err) == (0, [])
    assert "AUC 0.8" in out
    written = {path.relative_to(where).as_posix() for path in where.rglob("*") if path.is_file()}
    figures = {"figures/roc.png", "figures/overtraining.png"}
    models = {"classifier.toml", "fold0.json", "fold1.json", "training.json"}
    assert written == {*figures, *models, "written.json"}
    assert load_classifier(where / "classifier.toml").edges["A"] == (0.2, 0.7)
    status, _, (line,) = bphcoffea("train", searched.path, "-o", where, "--edges", "A=0.7,0.2")
    assert status == 2
    assert line.startswith("bphcoffea: error: --edges A=0.7,0.2: write CATEGORY=LOW,...")


def scores(seed, size, centre):
    """Scores with ties, and weights."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(centre, 0.2, size), 0, 1).round(2), rng.uniform(0, 2, size)


def test_area_under_curve_counts_pairs():
    (s, sw), (b, bw) = scores(1, 60, 0.6), scores(2, 70, 0.4)
    pairs = sum(
        u * v * (1.0 if x > y else 0.5 if x == y else 0.0)
        for x, u in zip(s, sw, strict=True)
        for y, v in zip(b, bw, strict=True)
    )
    wanted = pairs / (sw.sum() * bw.sum())
    assert area_under_curve(Scores(s, sw), Scores(b, bw)) == pytest.approx(wanted, rel=1e-12)
    signal, background = roc_curve(Scores(s, sw), Scores(b, bw))
    assert (signal[0], background[0]) == (0, 0)
    assert (signal[-1], background[-1]) == (1, 1)


def test_kolmogorov_smirnov_without_weights_is_that_of_scipy():
    (x, _), (y, _) = scores(1, 80, 0.5), scores(2, 60, 0.55)
    p_value = kolmogorov_smirnov(Scores(x, np.full(80, 3.0)), Scores(y, np.ones(60)))
    statistic = ks_2samp(x, y).statistic
    # the asymptotic distribution, for the effective number of entries
    series = sum(
        2 * (-1) ** (k - 1) * math.exp(-2 * k**2 * statistic**2 * 80 * 60 / 140)
        for k in range(1, 100)
    )
    assert p_value == pytest.approx(series, rel=1e-9)
    same = Scores(x, np.ones(80))
    assert kolmogorov_smirnov(same, same) == 1


def test_rank_correlation_is_that_of_scipy():
    (x, y), _ = scores(1, 80, 0.5), None
    assert rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic, rel=1e-12)
    assert rank_correlation(np.append(x, np.nan), np.append(y, 1.0)) == rank_correlation(x, y)
    assert rank_correlation(np.ones(5), np.arange(5.0)) == 0


@pytest.mark.parametrize("bins", [1, 2, 3])
def test_best_bins_are_the_best_of_all_that_could_be(bins, monkeypatch):
    (s, sw), (b, _) = scores(3, 400, 0.65), scores(4, 300, 0.4)
    found = best_bins(s, sw, b, bins)

    def merit(edges):
        total = 0.0
        for low, high in itertools.pairwise([*edges, math.inf]):
            count = np.count_nonzero((b >= low) & (b < high))
            if count < FEWEST:
                return -math.inf
            total += sw[(s >= low) & (s < high)].sum() ** 2 / count
        return total

    # scores have two decimals
    tried = np.arange(100) / 100
    best = max(merit(edges) for edges in itertools.combinations(tried[::bins], bins))
    assert len(found.edges) == bins
    assert merit(found.edges) >= best * (1 - 1e-12)
    assert found.merit == pytest.approx(merit(found.edges) / merit((0.0,)), rel=1e-9)
    assert found == given_bins(found.edges, s, sw, b)


def test_few_sidebands_make_fewer_bins():
    (s, sw), (b, _) = scores(3, 400, 0.65), scores(4, 2 * FEWEST + 5, 0.4)
    assert len(best_bins(s, sw, b, 4).edges) == 2
    nearly_none = best_bins(s, sw, b[:3], 2)
    assert (nearly_none.edges, nearly_none.sidebands) == ((0.0,), (3,))
    nothing = best_bins(s[:0], sw[:0], b[:0], 2)
    assert (nothing.edges, nothing.merit) == ((0.0,), None)
