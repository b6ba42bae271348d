"""Scores of models as variables: of events, candidates and objects, as the libraries give them."""

import hashlib
import math
import pickle
from functools import partial

import awkward as ak
import cloudpickle
import numpy as np
import pytest

from bphcoffea.analysis import (
    OPAQUE,
    Analysis,
    Cut,
    Objects,
    Selection,
    Variable,
    nth,
    quantity,
    score,
)
from bphcoffea.analysis import models as models_module
from bphcoffea.analysis.model_scores import scores_in
from bphcoffea.errors import DeclarationError, InputError
from bphcoffea.execution import load_analysis
from bphcoffea.execution.checkpoints import fingerprint
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.processing import Processor

xgboost = pytest.importorskip(
    "xgboost", reason="evaluates models of XGBoost (pip install 'bphcoffea[ml]')"
)
NEEDS_ONNX = "evaluates models of ONNX (pip install 'bphcoffea[ml]')"
#: Coefficients and constant of logistic0.onnx, see tests/data/make_onnx.py.
LOGISTIC = (-0.3, 2.0, -1.0)
pt, eta = quantity("pt"), quantity("eta")
met = Variable("met", lambda events: events.MET.pt)
jet_pt = Variable("jet_pt", lambda events: events.Jet.pt)
METADATA = {"dataset": "made", "is_mc": True, "era": "2018", "hlt": ()}


def trained(path, names=("pt", "eta"), objective="binary:logistic", seed=1):
    rng = np.random.default_rng(seed)
    x = rng.exponential(20, (500, len(names)))
    y = (x[:, 0] > 20).astype(float) * (1 if "logistic" in objective else 50)
    matrix = xgboost.DMatrix(x, label=y, feature_names=list(names))
    xgboost.train({"objective": objective, "max_depth": 3, "nthread": 1}, matrix, 5).save_model(
        path
    )
    return path


def by_hand(path, names, row):
    matrix = xgboost.DMatrix(np.array([row], np.float32), feature_names=list(names))
    return float(xgboost.Booster(model_file=path).predict(matrix)[0])


@pytest.fixture
def events():
    jets = ak.zip(
        {
            "pt": ak.Array([[], [50.0, 31.5, 10.0], [], [25.25]]),
            "eta": ak.Array([[], [0.5, -1.0, 2.0], [], [-2.5]]),
        }
    )
    met = ak.zip({"pt": np.array([10.0, 200.0, 3.5, 0.0])})
    return ak.zip({"Jet": jets, "MET": met}, depth_limit=1)


@pytest.mark.parametrize("objective", ["binary:logistic", "reg:squarederror"])
def test_each_object_has_the_score_that_the_library_gives(events, tmp_path, objective):
    path = trained(tmp_path / "jet.json", objective=objective)
    found = score("bdt", path, (pt, eta))(events.Jet)
    expected = [[by_hand(path, ("pt", "eta"), (j.pt, j.eta)) for j in jets] for jets in events.Jet]
    assert found.to_list() == expected
    assert len({number for jets in expected for number in jets}) > 1
    assert score("bdt", path, (pt, eta))(events.Jet[:1]).to_list() == [[]]


def test_numbers_of_events_are_repeated_for_each_candidate(events, tmp_path):
    names = ("met", "jet_pt")
    path = trained(tmp_path / "mixed.json", names)
    found = score("bdt", path, (met, jet_pt))(events)
    assert found.to_list() == [
        [by_hand(path, names, (event.MET.pt, jet.pt)) for jet in event.Jet] for event in events
    ]


def test_events_have_one_score_each(events, data):
    pytest.importorskip("onnxruntime", reason=NEEDS_ONNX)
    n_jets = Variable("n", lambda events: ak.num(events.Jet))
    variable = score("logistic", data / "logistic0.onnx", (met, n_jets))
    a, b, c = LOGISTIC
    assert variable(events).to_list() == pytest.approx(
        [1 / (1 + math.exp(-(a * e.MET.pt + b * len(e.Jet) + c))) for e in events], rel=1e-5
    )
    assert ak.to_numpy(variable(events[:0])).shape == (0,)
    missing = Variable("missing", lambda events: ak.where(events.MET.pt > 5, events.MET.pt, np.nan))
    with pytest.raises(
        InputError, match=r"model 'logistic0.onnx': input 'missing' is NaN, .* 2 of 4"
    ):
        score("logistic", data / "logistic0.onnx", (missing, n_jets))(events)


def test_a_missing_value_is_one_of_xgboost(events, tmp_path):
    path = trained(tmp_path / "jet.json")
    leading = Variable("pt", lambda events: ak.firsts(events.Jet.pt))
    found = score("bdt", path, (leading, Variable("eta", lambda events: events.MET.pt)))(events)
    assert found[0] == by_hand(path, ("pt", "eta"), (np.nan, 10.0))
    assert found[1] == by_hand(path, ("pt", "eta"), (50.0, 200.0))


def test_an_opaque_input_is_no_number(events, tmp_path):
    variable = score("bdt", trained(tmp_path / "jet.json"), (pt, eta))
    opaque = ak.with_field(events.Jet, ak.zip({OPAQUE: events.Jet.pt}), "pt")
    both = ak.with_field(opaque, ak.zip({OPAQUE: events.Jet.eta}), "eta")
    for jets in (opaque, both):
        with pytest.raises((TypeError, ValueError)):
            variable(jets)


ANALYSIS = """
from pathlib import Path
from bphcoffea.analysis import (
    Analysis, Axis, Cut, Histogram, Objects, Selection, number_of, quantity, score
)
from bphcoffea.inputs import ReducedNanoAODSchema

bdt = score("bdt", Path(__file__).parent / "jet.json", (quantity("pt"), quantity("eta")))

class Tagged(Analysis):
    schema = ReducedNanoAODSchema
    objects = (Objects("tagged", "Jet", (bdt > 0.5,)),)
    selection = Selection(Cut("tagged", number_of("tagged") >= 1))
    histograms = (Histogram("n", number_of("tagged"), Axis(5, 0, 5)),)
"""


def test_an_analysis_travels_with_the_models_of_its_variables(events, tmp_path):
    (tmp_path / "tagged.py").write_text(ANALYSIS)
    path = trained(tmp_path / "jet.json")
    analysis = load_analysis(str(tmp_path / "tagged.py"))
    sent = cloudpickle.dumps(analysis)
    keys = {fingerprint(analysis), fingerprint(load_analysis(str(tmp_path / "tagged.py")))}
    trained(path, seed=2)
    keys.add(fingerprint(load_analysis(str(tmp_path / "tagged.py"))))
    assert len(keys) == 2
    path.unlink()
    models_module._opened.cache_clear()
    nano = ak.Array(events.layout, with_name="NanoEvents", behavior=ReducedNanoAODSchema.behavior())
    nano = ak.with_parameter(nano, "metadata", METADATA)
    (result,) = Processor(pickle.loads(sent)).process(nano).values()
    (bdt,) = analysis.objects[0].where[0].variables()
    expected = np.sum(ak.to_numpy(ak.any(bdt(events.Jet) > 0.5, axis=1)))
    assert result.cutflow.rows()[-1]["events"] == expected > 0


def test_analysis_json_names_all_models(tmp_path):
    """Those of variables that are declared, and of those that functions and other models use."""
    paths = [trained(tmp_path / f"{name}.json", seed=number) for number, name in enumerate("abcd")]
    inner, outer, used, unused = (score(f"of_{path.stem}", path, (pt, eta)) for path in paths)
    stacked = trained(tmp_path / "stacked.json", ("of_b", "pt"))

    def hardest(events):
        return ak.max((lambda jets: used(jets))(events.Jet), axis=1)

    class Scored(Analysis):
        schema = ReducedNanoAODSchema
        objects = (Objects("good", "Jet", (inner.magnitude() > 0.5,)),)
        selection = Selection(Cut("hardest", Variable("hardest", hardest) > 0.5))
        columns = (nth("good", 1, score("stacked", stacked, (outer, pt))),)

    records = {record.name: record for record in Scored().describe().scores}
    assert set(records) == {"of_a", "of_b", "of_c", "stacked"}
    assert records["stacked"].model_dump() == {
        "name": "stacked",
        "file": "stacked.json",
        "sha256": hashlib.sha256(stacked.read_bytes()).hexdigest(),
        "library": "xgboost",
        "inputs": ("of_b", "pt"),
    }
    assert unused.name == "of_d"


def test_scores_that_reach_a_function_in_another_way_are_found(tmp_path):
    """In a default, in a partial function, and in a name that is assigned after the function."""
    path = trained(tmp_path / "jet.json")

    def later(events):
        return assigned(events)

    assert scores_in(later) == ()
    names = ("assigned", "default", "keyword", "bound")
    assigned, default, keyword, bound = (score(name, path, (pt, eta)) for name in names)
    functions = (
        later,
        lambda events, model=default: model(events),
        lambda events, *, model=keyword: model(events),
        partial(lambda model, events: model(events), bound),
    )
    assert [found.name for function in functions for found in scores_in(function)] == [*names]


def test_what_is_no_model_of_the_inputs_is_refused(tmp_path):
    path = trained(tmp_path / "jet.json")
    (tmp_path / "broken.json").write_text("{}")
    faults = {
        (
            tmp_path / "none.json",
            (pt, eta),
        ): "none.json: cannot be read (No such file",
        (tmp_path / "broken.json", (pt, eta)): "broken.json: not a model of XGBoost",
        (path, (pt,)): "jet.json: takes 2 inputs, but 1 are declared",
        (
            path,
            (eta, pt),
        ): "was trained with the inputs pt, eta; declare the same",
        (path, ()): "no inputs of the model are given",
        (path, ("pt", eta)): "its input 'pt' is not a Variable",
    }
    for (file, inputs), fault in faults.items():
        with pytest.raises(DeclarationError) as caught:
            score("bdt", file, inputs)
        assert str(caught.value).startswith("variable 'bdt': ")
        assert fault in str(caught.value)
