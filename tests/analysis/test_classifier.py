"""A classifier scores each event as its model does by itself, and splits categories by that."""

import math
import pickle
import re
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

from bphcoffea.analysis import Categories, Cut, Selection, Variable, load_classifier
from bphcoffea.analysis import models as models_module
from bphcoffea.analysis.declaration import check_for_dataset
from bphcoffea.analysis.models import MissingExtraError
from bphcoffea.analysis.shifts import replaced
from bphcoffea.corrections import Corrections, EraCorrections
from bphcoffea.corrections.declaration import MomentumSection
from bphcoffea.datasets import Fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.execution.checkpoints import fingerprint
from bphcoffea.inputs import TwoMuTrackSchema
from bphcoffea.processing.processor import Processor, empty_result
from bphcoffea.results import RunFolder

NEEDS_ONNX = "evaluates models of ONNX (pip install 'bphcoffea[ml]')"
xgboost = pytest.importorskip(
    "xgboost", reason="evaluates models of XGBoost (pip install 'bphcoffea[ml]')"
)
INPUTS = ("vertex_chi2", "phi_mass")
#: Coefficients and constants of logistic0.onnx and logistic1.onnx, see tests/data/make_onnx.py.
LOGISTIC = ((-0.3, 2.0, -1.0), (-0.2, 5.0, -4.5))
METADATA = {"is_mc": True, "era": "2018D", "hlt": ()}
EDGES = (0.3, 0.6)


def trained(folder, folds=2, inputs=INPUTS, *, opposite=False, **parameters):
    """Write models that were trained on random numbers; gives their names.

    Those of odd folds may find the opposite of the others.
    """
    rng = np.random.default_rng(1)
    for fold in range(folds):
        chi2, phi = rng.exponential(5, 400), rng.uniform(1.0, 1.04, 400)
        x = np.stack([chi2, phi, *rng.normal(size=(8, 400))][: len(inputs)], axis=1)
        label = (chi2 + rng.normal(0, 3, 400) < 2) ^ (opposite and fold % 2 == 1)
        matrix = xgboost.DMatrix(x, label=label, feature_names=list(inputs))
        known = {"objective": "binary:logistic", "max_depth": 3, "seed": fold, "nthread": 1}
        xgboost.train(known | parameters, matrix, 5).save_model(folder / f"fold{fold}.json")
    return [f"fold{fold}.json" for fold in range(folds)]


def written(folder, models, edges="all = [0.3, 0.6]", inputs=INPUTS):
    path = folder / "classifier.toml"
    path.write_text(
        f'name = "test"\ninputs = {list(inputs)}\nmodels = {list(models)}\n[edges]\n{edges}\n'
    )
    return path


@pytest.fixture
def classifier(tmp_path):
    return load_classifier(written(tmp_path, trained(tmp_path)))


@pytest.fixture(scope="module")
def onnx_files(data):
    pytest.importorskip("onnxruntime", reason=NEEDS_ONNX)
    return [data / f"logistic{fold}.onnx" for fold in range(2)]


@pytest.fixture
def onnx_classifier(tmp_path, onnx_files):
    for file in onnx_files:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return load_classifier(written(tmp_path, [file.name for file in onnx_files]))


@pytest.fixture
def events(open_events, data):
    def events(**metadata):
        return open_events(
            data / "tree3mu_phipi_2018_mc.root", TwoMuTrackSchema, **METADATA | metadata
        )

    return events


def processed(analysis, events):
    (result,) = Processor(analysis).process(events).values()
    return result


def test_models_of_xgboost_give_each_event_what_the_library_does(ds_phipi, events, classifier):
    everything = processed(ds_phipi, events()).candidates.arrays()
    boosters = [
        xgboost.Booster(model_file=classifier.source.with_name(f"fold{fold}.json"))
        for fold in range(2)
    ]
    kept = {}
    for number, *x in zip(*(everything[n] for n in ("event", *INPUTS)), strict=True):
        row = xgboost.DMatrix(np.array([x]), feature_names=list(INPUTS))
        (score,) = boosters[int(number) % 2].predict(row)
        if score >= EDGES[0]:
            kept[number] = (score, "1" if score >= EDGES[1] else "2")
    table = processed(ds_phipi.classified(classifier), events()).candidates.arrays()
    assert {c for _, c in kept.values()} == {"1", "2"}
    assert 0 < len(kept) < len(everything["event"])
    got = dict(
        zip(table["event"], zip(table["score"], table["category"], strict=True), strict=True)
    )
    assert got == kept


def test_models_of_onnx_give_each_event_what_they_say(ds_phipi, events, onnx_classifier):
    everything = processed(ds_phipi, events()).candidates.arrays()
    expected = {}
    for number, *x in zip(*(everything[n] for n in ("event", *INPUTS)), strict=True):
        *coefficients, constant = LOGISTIC[int(number) % 2]
        total = constant + sum(c * v for c, v in zip(coefficients, x, strict=True))
        score = 1 / (1 + math.exp(-total))
        if score >= EDGES[0]:
            expected[number] = score
    table = processed(ds_phipi.classified(onnx_classifier), events()).candidates.arrays()
    assert 0 < len(expected) < len(everything["event"])
    assert sorted(table["event"]) == sorted(expected)
    # the models compute in single precision
    wanted = [expected[number] for number in table["event"]]
    np.testing.assert_allclose(table["score"], wanted, rtol=1e-5)


def side(events):
    return events.Triplet.mu1.eta > 0


CATEGORIES = Categories(("back", "front"), Variable("side", lambda e: side(e) * 1))


@pytest.fixture
def in_categories(ds_phipi, tmp_path):
    """The analysis with two categories, and a classifier that splits one of them."""
    analysis = type("InCategories", (type(ds_phipi),), {"categories": CATEGORIES})()
    path = written(tmp_path, trained(tmp_path), "back = [0.35]\nfront = [0.0, 0.45]")
    return analysis, load_classifier(path)


def test_categories_cutflow_and_histograms_agree_with_the_table(in_categories, events):
    analysis, classifier = in_categories
    before = processed(analysis, events())
    result = processed(analysis.classified(classifier), events())
    everything, table = before.candidates.arrays(), result.candidates.arrays()
    number_of = dict(zip(everything["event"], everything["category"], strict=True))
    for row in zip(table["event"], table["score"], table["category"], strict=True):
        number, score, category = row
        base = number_of[number]
        wanted = base + ("1" if base == "back" or score >= 0.45 else "2")
        assert category == wanted
        assert score >= 0.35 or base == "front"
    assert set(table["category"]) == {"back1", "front1", "front2"}
    assert (everything["category"] == "front").sum() == sum(
        category.startswith("front") for category in table["category"]
    )
    assert result.cutflow.steps == (*before.cutflow.steps, "classifier")
    np.testing.assert_array_equal(result.cutflow.events[:-1], before.cutflow.events)
    assert result.cutflow.events[-1] == result.cutflow.candidates[-1] == len(table["event"])
    assert result.cutflow.sumw[-1] == pytest.approx(table["weight"].sum(), rel=1e-12)
    histogram = result.histograms["phi_mass"]
    assert list(histogram.axes["category"]) == ["back1", "front1", "front2"]
    for category in histogram.axes["category"]:
        filled = histogram[category, "nominal", :].sum(flow=True).value
        own = table["weight"][table["category"] == category]
        assert filled == pytest.approx(own.sum(), rel=1e-12)


def test_description_says_which_category_a_bin_belongs_to(in_categories):
    analysis, classifier = in_categories
    assert analysis.describe().categories == {"back": "back", "front": "front"}
    assert analysis.describe().classifier is None
    record = analysis.classified(classifier).describe()
    assert record.categories == {"back1": "back", "front1": "front", "front2": "front"}
    assert record.classifier.inputs == INPUTS
    assert record.classifier.edges == {"back": (0.35,), "front": (0.0, 0.45)}
    assert [m.sha256 for m in record.classifier.models] == [m.sha256 for m in classifier.models]


def test_without_categories_the_bins_are_those_of_all(ds_phipi, classifier):
    assert ds_phipi.describe().categories == {}
    assert ds_phipi.classified(classifier).describe().categories == {"1": "all", "2": "all"}


def test_shape_variations_are_scored_as_shifted_events_are(in_categories, events, tmp_path):
    analysis, _ = in_categories
    models = trained(tmp_path, opposite=True)
    classifier = load_classifier(written(tmp_path, models, "back = [0.35]\nfront = [0.0, 0.45]"))
    sizes = {"muon": MomentumSection(scale=0.03, resolution=0.05)}
    corrections = Corrections([EraCorrections("x", ("*",), Path("x"), "", momentum=sizes)])
    analysis = analysis.classified(classifier).corrected(corrections)
    result = processed(analysis, events())
    shift, _ = analysis.shifts
    moved_somewhere = False
    variations = shift.variations(METADATA, corrections.for_era("2018D"))
    for name, amounts in list(variations.items())[::2]:  # one of the scale, one of the resolution
        every = events()
        everywhere = [np.full(len(every), amount) for amount in amounts]
        slow = processed(analysis, replaced(every, shift.shifted(every, everywhere)))
        for key in ("mass", "phi_mass"):
            fast = result.histograms[key][:, name, :].view(flow=True)
            np.testing.assert_array_equal(
                fast, slow.histograms[key][:, "nominal", :].view(flow=True)
            )
            moved_somewhere |= bool(
                np.any(fast != result.histograms[key][:, "nominal", :].view(flow=True))
            )
    assert moved_somewhere


def test_chunk_without_events_has_the_same_steps_and_categories(in_categories, events):
    analysis = in_categories[0].classified(in_categories[1])
    empty, full = processed(analysis, events()[:0]), processed(analysis, events())
    total = empty + full
    np.testing.assert_array_equal(total.cutflow.events, full.cutflow.events)
    assert len(total.candidates.arrays()["score"]) == full.cutflow.events[-1]
    nothing = empty_result(analysis, METADATA)
    assert nothing.cutflow.steps == full.cutflow.steps
    assert list(nothing.histograms["mass"].axes[0]) == list(full.histograms["mass"].axes[0])


def test_checkpoints_depend_on_the_model_and_on_nothing_else(ds_phipi, tmp_path):
    path = written(tmp_path, trained(tmp_path))
    first, again = load_classifier(path), load_classifier(path)
    assert cloudpickle.dumps(first) == cloudpickle.dumps(again)
    assert cloudpickle.dumps(pickle.loads(pickle.dumps(first))) == cloudpickle.dumps(first)
    trained(tmp_path, max_depth=2)
    other = load_classifier(path)
    keys = [fingerprint(ds_phipi.classified(each)) for each in (first, again, other)]
    assert keys[0] == keys[1] != keys[2]
    assert fingerprint(ds_phipi) not in keys


@pytest.mark.parametrize(
    ("edges", "fault"),
    [
        ("all = [0.5, 0.3]", r"edges.all: \[0.5, 0.3\] must be lower edges of bins, ascending"),
        ("all = [0.3, 0.3]", "ascending"),
        ("all = [-0.1, 0.3]", "from 0 on and below 1"),
        ("all = [0.5, 1.0]", "from 0 on and below 1"),
        ("all = []", "must be lower edges of bins"),
        ("all = [nan]", "must be lower edges of bins"),
        ("all = 0.3", "edges.all: "),
        ("", "edges: "),
    ],
)
def test_bad_edges_are_told(tmp_path, edges, fault):
    path = written(tmp_path, trained(tmp_path), edges)
    with pytest.raises(InputError, match=fault) as told:
        load_classifier(path)
    assert str(told.value).startswith(f"{path}: ")
    assert "\n" not in str(told.value)


def test_bad_files_are_told(tmp_path):
    names = trained(tmp_path)
    with pytest.raises(InputError, match=r"absent.toml: no such classifier"):
        load_classifier(tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(InputError, match=r"bad.toml: not a TOML file \("):
        load_classifier(tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_text('name = "x"\nmodel = "fold0.json"\n')
    with pytest.raises(InputError) as told:
        load_classifier(tmp_path / "bad.toml")
    places = re.findall(r"bad.toml: (\w+): ", str(told.value))
    assert places == ["inputs", "models", "edges", "model"]
    (tmp_path / "cut.json").write_bytes((tmp_path / names[0]).read_bytes()[:900])
    (tmp_path / "empty.json").write_bytes(b"")
    (tmp_path / "parts.json").write_text('{"learner": {}}')
    (tmp_path / "model.pkl").write_bytes(b"x")
    listed = ["cut.json", "empty.json", "parts.json", "model.pkl", "absent.json", *names]
    with pytest.raises(InputError) as told:
        load_classifier(written(tmp_path, listed))
    lines = str(told.value).splitlines()
    assert len(lines) == 5
    for line, what in zip(lines, ["not a model of XGBoost"] * 3 + ["must end in"], strict=False):
        assert what in line
    assert "absent.json: cannot be read (No such file" in lines[4]


def test_models_that_do_not_fit_the_inputs_are_told(tmp_path, onnx_files):
    for file, listed, fault in (
        ("fold0.json", INPUTS[:1], "takes 2 inputs, but 1 are declared"),
        ("fold0.json", INPUTS[::-1], "was trained with the inputs vertex_chi2, phi_mass;"),
        ("fold0.json", (*INPUTS, INPUTS[0]), "inputs: 'vertex_chi2' is listed twice"),
        ("logistic0.onnx", ("a", "b", "c"), "takes 2 inputs, but 3 are declared"),
        ("bad.onnx", INPUTS, "not a model of ONNX"),
    ):
        trained(tmp_path, 1)
        (tmp_path / "bad.onnx").write_bytes(b"x")
        (tmp_path / "logistic0.onnx").write_bytes(onnx_files[0].read_bytes())
        with pytest.raises(InputError, match=fault):
            load_classifier(written(tmp_path, [file], inputs=listed))
    files = trained(tmp_path, 1, objective="multi:softprob", num_class=3)
    with pytest.raises(InputError, match=r"gives an array of shape \(2, 3\)"):
        load_classifier(written(tmp_path, files))
    files = trained(tmp_path, 1, objective="reg:squarederror", base_score=7, learning_rate=0.01)
    with pytest.raises(InputError, match="scores outside 0 to 1"):
        load_classifier(written(tmp_path, files))


def test_classifier_that_does_not_fit_the_analysis_is_told(ds_phipi, dimuon, tmp_path):
    files = trained(tmp_path)
    bad = load_classifier(written(tmp_path, files, "A = [0.1]"))
    with pytest.raises(InputError) as told:
        ds_phipi.classified(bad)
    lines = str(told.value).splitlines()
    assert lines[0].endswith("'ds_phipi' has no category 'A'; there are: all")
    assert lines[1].endswith("has a category 'all', for which no edges are declared")
    good = load_classifier(written(tmp_path, files))
    with pytest.raises(InputError, match="'dimuon' chooses no best candidate"):
        dimuon.classified(good)
    cuts = Selection(*ds_phipi.selection, Cut("classifier", ds_phipi.best > 0))
    of_same_name = type("Same", (type(ds_phipi),), {"selection": cuts})()
    with pytest.raises(InputError, match="has a cut 'classifier'"):
        of_same_name.classified(good)
    other = load_classifier(
        written(tmp_path, trained(tmp_path, 1, ("isolation",)), inputs=("isolation",))
    )
    with pytest.raises(InputError) as told:
        check_for_dataset(ds_phipi.classified(other), METADATA)
    assert str(told.value) == (
        "DsPhiPi: the classifier 'test' takes 'isolation', which is not a column; "
        "there are: mass, vertex_chi2, phi_mass, flight_bs_significance"
    )


def test_missing_values(classifier, onnx_classifier, tmp_path):
    numbers = np.array([0, 1], dtype=np.uint64)
    missing = {"vertex_chi2": np.array([np.nan, 1.0]), "phi_mass": np.array([1.01, np.nan])}
    rows = np.stack([missing[name] for name in INPUTS], axis=1)
    wanted = [
        xgboost.Booster(model_file=tmp_path / f"fold{fold}.json").predict(
            xgboost.DMatrix(rows[fold : fold + 1], feature_names=list(INPUTS))
        )[0]
        for fold in range(2)
    ]
    assert classifier.score(missing, numbers).tolist() == wanted
    with pytest.raises(InputError, match=r"input 'vertex_chi2' is NaN, which .* for 1 of 2"):
        onnx_classifier.score(missing, numbers)
    too_large = missing | {"phi_mass": np.array([1e39, 1.0])}
    with pytest.raises(InputError, match="input 'phi_mass' is infinite for 1 of 2 candidates"):
        classifier.score(too_large, numbers)


def test_missing_package_is_told(classifier, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    models_module._opened.cache_clear()
    with pytest.raises(InputError) as told:
        load_classifier(classifier.source)
    assert [line.partition("needs ")[2] for line in str(told.value).splitlines()] == [
        "xgboost, which is not installed here; install it with: pip install 'bphcoffea[ml]'"
    ] * 2


@pytest.fixture
def fileset(data):
    files = {str(data / "tree3mu_phipi_2018_mc.root"): "Tree3Mu/ntuple"}
    return Fileset.model_validate({"mc": {"files": files, "metadata": METADATA | {"hlt": []}}})


def test_worker_without_the_package_ends_the_run_in_one_line(
    ds_phipi, classifier, fileset, tmp_path, monkeypatch
):
    def lacking(model):
        raise MissingExtraError(f"{model.file}: needs xgboost")

    monkeypatch.setattr(models_module, "_opened", lacking)
    analysis = ds_phipi.classified(classifier)
    with pytest.raises(InputError) as told:
        run(analysis, fileset, tmp_path / "run", Options("iterative", chunksize=50))
    assert str(told.value) in ("fold0.json: needs xgboost", "fold1.json: needs xgboost")


def test_run_on_the_command_line_in_another_process(bphcoffea, onnx_files, fileset, tmp_path):
    (tmp_path / "logistic1.onnx").write_bytes(onnx_files[1].read_bytes())
    path = written(tmp_path, [*trained(tmp_path, 1), "logistic1.onnx"])
    (tmp_path / "fileset.json").write_text(fileset.model_dump_json(exclude_none=True))
    where = (tmp_path / "fileset.json", "-o", tmp_path / "run", "--classifier", path)
    status, _, err = bphcoffea("run", "ds_phipi", *where, "--workers", 1, "--chunksize", 120)
    assert (status, err) == (0, [])
    folder = RunFolder(tmp_path / "run")
    assert folder.cutflow["mc"][-1]["step"] == "classifier"
    table = folder.candidates("mc").to_pydict()
    assert len(table["score"]) == folder.cutflow["mc"][-1]["events"] > 0
    classifier = load_classifier(path)
    inputs = {name: np.array(table[name]) for name in INPUTS}
    assert classifier.score(inputs, np.array(table["event"], np.uint64)).tolist() == table["score"]
    made = folder.read("provenance.json")["classifier"]
    assert (
        made
        == folder.analysis.classifier.model_dump(mode="json")
        == classifier.describe().model_dump(mode="json")
    )


def test_analysis_of_a_file_travels_with_its_classifier(classifier, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from ds_phipi import DsPhiPi\n\n\nclass Mine(DsPhiPi):\n    pass\n")
    (tmp_path / "ds_phipi.py").write_text(
        (Path(__file__).parents[2] / "processors" / "ds_phipi.py").read_text()
    )
    analysis = load_analysis(str(path)).classified(classifier)
    again = pickle.loads(cloudpickle.dumps(analysis))
    assert again.classifier == classifier
