"""Payloads agree with correctionlib, and report values outside the bins."""

import gzip
import itertools
import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from correction_files import (
    binning,
    category,
    correction,
    digits,
    evaluator,
    formula,
    multibinning,
    stored,
    transform,
    written,
)
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.corrections.correction_set import read_correction_set
from bphcoffea.corrections.payload import Payload
from bphcoffea.errors import InputError

SHIPPED = Path(__file__).parents[2] / "datasets" / "corrections"
PT = {"pt": "real"}
ETA_PT = {"eta": "real", "pt": "real"}


def fault(function, *arguments):
    with pytest.raises(InputError) as raised:
        function(*arguments)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.fixture
def payload(tmp_path):
    """Return a payload with given data, by default a function of pt."""

    def payload(data, inputs=PT, **more):
        return Payload(stored(tmp_path / "c.json", correction("sf", inputs, data, **more)), "sf")

    return payload


def evaluate(payload, policy="clamp", texts=None, **numbers):
    arrays = {name: np.asarray(values) for name, values in numbers.items()}
    return payload.evaluate(arrays, texts or {}, policy)


def loop(payload, texts=None, **numbers):
    """Evaluate the file number by number; None if correctionlib finds no bin."""
    oracle = evaluator(payload.path, payload.name)
    values = []
    for row in zip(*numbers.values(), strict=True):
        given = dict(zip(numbers, row, strict=True)) | (texts or {})
        try:
            values.append(oracle.evaluate(*(given[name] for name in payload.inputs)))
        except RuntimeError:
            values.append(None)
    return values


@pytest.mark.parametrize("file", ["muon_JPsi.json.gz", "muon_JPsi_v1.json.gz"])
def test_shipped_scale_factors_to_the_last_bit(file):
    random = np.random.default_rng(11)
    for name in read_correction_set(SHIPPED / file).corrections:
        payload = Payload(SHIPPED / file, name)
        eta = next(variable for variable in payload.inputs if variable.endswith("eta"))
        kind = list(payload.inputs)[-1]
        fixed = {"year": "2018_UL"} if "year" in payload.inputs else {}
        numbers = {
            eta: random.uniform(0 if eta == "abseta" else -2.4, 2.4, 500),
            "pt": np.concatenate([random.uniform(1.5, 60, 490), [1.5, 2.5, 3.5, 4.5, 6] * 2]),
        }
        keys = payload.keys(kind)
        assert keys[1:] == ("stat", "syst", "systup", "systdown")
        for key in keys:
            texts = fixed | {kind: key}
            found = evaluate(payload, "error", texts, **numbers)
            assert found.values.tolist() == loop(payload, texts, **numbers)
            assert not found.outside.any()


def decimals(first, least, most):
    """Decimals of many digits, which correctionlib rounds otherwise than Python."""
    tails = st.text("0123456789", min_size=least, max_size=most)
    return tails.map(lambda tail: digits(f"{first}.{tail}1"))


@st.composite
def binned_in_pt(draw, flow):
    edges = [draw(decimals(base, 0, 19)) for base in (2, 3, 5, 40)]
    if draw(st.booleans()):
        edges.append(draw(st.sampled_from([math.inf, "inf"])))
    content = [draw(decimals(draw(st.integers(0, 9)), 16, 19)) for _ in edges[1:]]
    return binning("pt", edges, content, flow)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("payloads")


@given(data=st.data(), flow=st.sampled_from(["error", "clamp", 1.0, 0.0]))
def test_any_bins_to_the_last_bit(folder, data, flow):
    node = data.draw(binned_in_pt(flow))
    strict = stored(folder / "strict.json", correction("sf", PT, node | {"flow": "error"}))
    clamping = stored(folder / "clamp.json", correction("sf", PT, node | {"flow": "clamp"}))
    edges = [float(str(edge).strip("#")) for edge in node["edges"]]
    at_edges = st.sampled_from(edges).flatmap(
        lambda edge: st.sampled_from([edge, np.nextafter(edge, 0), np.nextafter(edge, 1e9)])
    )
    values = st.floats(0.1, 100) | at_edges.filter(math.isfinite)
    pt = data.draw(st.lists(values, min_size=1, max_size=20))
    inside = [value is not None for value in loop(Payload(strict, "sf"), pt=pt)]
    payload = Payload(stored(folder / "c.json", correction("sf", PT, node)), "sf")
    found = evaluate(payload, "clamp", pt=pt)
    assert found.values.tolist() == loop(Payload(clamping, "sf"), pt=pt)
    assert found.outside.tolist() == [not is_inside for is_inside in inside]
    if all(inside):
        assert evaluate(payload, "error", pt=pt).values.tolist() == found.values.tolist()
    else:
        with pytest.raises(InputError, match="correction 'sf'"):
            evaluate(payload, "error", pt=pt)


def rounded_otherwise(make, fits):
    """Texts of decimals for which correctionlib has another number than Python."""
    random = np.random.default_rng(5)
    texts = ("2." + "".join(map(str, random.integers(0, 10, 19))) for _ in range(400))
    found = [text for text in texts if fits(make(text), float(text))]
    # about a third of them
    assert len(found) > 20
    return found


def test_edges_are_those_of_the_file(payload):
    # what lies between the two roundings of an edge is neither inside nor outside, else

    def make(text):
        return payload(binning("pt", [1.0, digits(text)], [0.9]))

    def higher(made, edge):
        return loop(made, pt=[edge]) == [0.9]

    for text in rounded_otherwise(make, higher):
        edge = float(text)
        assert evaluate(make(text), "error", pt=[edge]).values.tolist() == [0.9]
        flowing = payload(binning("pt", [1.0, digits(text)], [0.9], flow=0.0))
        assert evaluate(flowing, "error", pt=[edge]).values.tolist() == [0.9]


def test_clamped_values_are_those_of_the_file(payload):
    def make(text):
        return payload(binning("pt", [1.0, 2.0], [digits(text)]))

    def another(made, number):
        return loop(made, pt=[1.5]) != [number]

    for text in rounded_otherwise(make, another):
        found = evaluate(make(text), "clamp", pt=[1.5, 3.0]).values
        assert found[0] == found[1]


@pytest.mark.parametrize("flow", ["error", "clamp", 0.0, 1.0, formula("x*0+5", "pt")])
def test_bins_have_their_lower_edge(payload, flow):
    bins = payload(binning("pt", [2.0, 4.0, 8.0], [0.5, 0.75], flow))
    pt = [2.0, np.nextafter(4.0, 0), 4.0, np.nextafter(8.0, 0), 8.0, 1e300, 1.0, 5e-324, -99.0]
    found = evaluate(bins, pt=pt)
    assert found.values.tolist() == [0.5, 0.5, 0.75, 0.75, 0.75, 0.75, 0.5, 0.5, 0.5]
    assert found.outside.tolist() == [False] * 4 + [True] * 5
    assert evaluate(bins, "error", pt=pt[:4]).values.tolist() == [0.5, 0.5, 0.75, 0.75]
    for value, text in zip(pt[4:], ["8", "1e+300", "1", "4.94065646e-324", "-99"], strict=True):
        message = fault(lambda value=value: evaluate(bins, "error", pt=[3.0, value]))
        assert message == (
            "correction 'sf': 1 of 2 values outside its bins, the first at pt = "
            f'{text}; say out_of_range = "clamp" to take the nearest bin, or cut them away'
        )


def test_single_precision_is_told(payload):
    # of NanoAOD, whose 2.4 lies above 2.4
    bins = payload(binning("eta", [0.0, 2.4], [1.0]), {"eta": "real"})
    eta = np.array([2.4], dtype=np.float32)
    assert "eta = 2.4000001;" in fault(lambda: evaluate(bins, "error", eta=eta))


@pytest.mark.parametrize("policy", ["error", "clamp"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(payload, policy, value):
    bins = payload(binning("pt", [0.0, math.inf], [0.5], "clamp"))
    message = fault(lambda: evaluate(bins, policy, pt=[3.0, value, 4.0]))
    assert message == (
        f"correction 'sf': pt is {value} for 1 of 3 values; "
        "it was applied to values that were not measured"
    )


def test_infinite_edges(payload):
    for infinity in (math.inf, "inf"):
        bins = payload(binning("pt", [15.0, 120.0, infinity], [0.5, 0.75]))
        assert evaluate(bins, "error", pt=[15.0, 1e300]).values.tolist() == [0.5, 0.75]
        assert bins.ranges("pt") == ("15 to inf",)


def test_no_values(payload):
    bins = payload(binning("pt", [0.0, 1.0], [0.5]))
    for policy in ("error", "clamp"):
        assert evaluate(bins, policy, pt=np.zeros(0)).values.shape == (0,)


UNIFORM = {"n": 4, "low": 0.0, "high": 2.0}


@pytest.mark.parametrize("flow", ["error", "clamp", 1.5])
def test_equal_bins(payload, flow):
    bins = payload(binning("pt", UNIFORM, [0.1, 0.2, 0.3, 0.4], flow))
    pt = [0.0, 0.49, 0.5, 1.99, 2.0, -0.1]
    found = evaluate(bins, pt=pt)
    assert found.values.tolist() == [0.1, 0.1, 0.2, 0.4, 0.4, 0.1]
    assert found.outside.tolist() == [False] * 4 + [True] * 2
    assert bins.ranges("pt") == ("0 to 2",)


@pytest.mark.parametrize("flow", ["error", "clamp", 1.5])
def test_bins_of_two_inputs(payload, flow):
    content = [0.1, 0.2, 0.3, 0.4]
    bins = payload(
        multibinning(["eta", "pt"], [[-1.0, 0.0, 1.0], UNIFORM | {"n": 2}], content, flow), ETA_PT
    )
    eta, pt = np.array(list(itertools.product([-2.0, -0.5, 0.5, 1.0], [-1.0, 0.5, 1.5, 9.0]))).T
    found = evaluate(bins, eta=eta, pt=pt)
    # the bin that a loop finds, whose index ends at the last one
    expected = [
        content[2 * min(max(math.floor(x) + 1, 0), 1) + min(max(math.floor(y), 0), 1)]
        for x, y in zip(eta, pt, strict=True)
    ]
    assert found.values.tolist() == expected
    inside = (eta >= -1) & (eta < 1) & (pt >= 0) & (pt < 2)
    assert found.outside.tolist() == (~inside).tolist()
    assert (bins.ranges("eta"), bins.ranges("pt")) == (("-1 to 1",), ("0 to 2",))


def test_bins_of_pt_that_differ_between_those_of_eta(payload):
    bins = payload(
        binning(
            "eta",
            [-1.0, 0.0, 1.0],
            [binning("pt", [2.0, 4.0], [0.5]), binning("pt", [3.0, 5.0, 9.0], [0.6, 0.7], 1.0)],
            "clamp",
        ),
        ETA_PT,
    )
    eta, pt = [-0.5, -0.5, 0.5, 0.5, 0.5, -7.0, -7.0], [2.0, 4.5, 2.0, 4.5, 9.0, 3.0, 1.0]
    found = evaluate(bins, eta=eta, pt=pt)
    assert found.values.tolist() == [0.5, 0.5, 0.6, 0.6, 0.7, 0.5, 0.5]
    assert found.outside.tolist() == [False, True, True, False, True, True, True]
    assert bins.ranges("pt") == ("2 to 4", "3 to 9")


def test_flow_that_wraps_stays(payload):
    bins = payload(binning("pt", [0.0, 1.0, 2.0], [0.5, 0.6], "wrap"))
    pt = [0.5, 2.5, 3.5, -0.5]
    for policy in ("error", "clamp"):
        found = evaluate(bins, policy, pt=pt)
        assert found.values.tolist() == [0.5, 0.5, 0.6, 0.6] == loop(bins, pt=pt)
        assert not found.outside.any()
    inner = binning("pt", [0.0, 1.0, 2.0], [0.5, 0.6], "wrap")
    mixed = payload(binning("eta", [0.0, 1.0], [inner]), ETA_PT)
    found = evaluate(mixed, eta=[0.5, 2.0], pt=[2.5, 3.5])
    assert found.values.tolist() == [0.5, 0.6]
    assert found.outside.tolist() == [False, True]


def test_formulas(payload):
    data = binning("pt", [1.0, 2.0, 3.0], [formula("0.1*x", "pt"), 0.6], 7.0)
    pt = [1.0, 1.7, 2.5]
    assert evaluate(payload(data), "error", pt=pt).values.tolist() == loop(payload(data), pt=pt)
    clamping = payload(data | {"flow": "clamp"})
    pt = [0.5, 1.2, 9.0]
    expected = loop(clamping, pt=pt)
    found = evaluate(payload(data), pt=pt)
    assert found.values.tolist() == expected
    assert found.outside.tolist() == [True, False, True]


def test_formulas_that_are_shared(payload):
    general = {"nodetype": "formula", "expression": "[0]*x", "parser": "TFormula"}
    data = binning(
        "pt",
        [1.0, 2.0, 3.0],
        [{"nodetype": "formularef", "index": 0, "parameters": [i]} for i in (2.0, 3.0)],
    )
    shared = payload(data, generic_formulas=[general | {"variables": ["pt"]}])
    assert evaluate(shared, "clamp", pt=[1.5, 2.5, 4.0]).values.tolist() == [3.0, 7.5, 12.0]


@pytest.mark.parametrize("kind", ["real", "int"])
def test_transforms(payload, kind):
    # the rule has bins as well, and what lies outside must not come to the content
    rule = binning("n", [0.0, 2.0, 4.0], [10.0, 20.0], 3.0)
    content = formula("x/100", "n")
    inners = [binning("n", [5.0, 15.0, 25.0], [0.1, 0.2], 0.0)]
    for inner in inners if kind == "int" else [*inners, content]:
        data = transform("n", rule, inner)
        made = payload(data, {"n": kind})
        assert evaluate(made, "error", n=[0, 1, 3]).values.tolist() == [0.1, 0.1, 0.2]
        found = evaluate(made, n=[1, 9, -5, 3])
        assert found.values.tolist() == [0.1, 0.2, 0.1, 0.2]
        assert found.outside.tolist() == [False, True, True, False]
        assert "n = 9;" in fault(lambda made=made: evaluate(made, "error", n=[1, 9]))
    beyond = payload(transform("n", rule, binning("n", [5.0, 15.0], [0.1])), {"n": kind})
    assert evaluate(beyond, n=[1, 3]).outside.tolist() == [False, True]


def test_integers(payload):
    charges = payload(category("charge", {1: 0.5, -1: 0.6}), {"charge": "int"})
    assert charges.keys("charge") == ("1", "-1")
    assert evaluate(charges, "error", charge=[1.0, -1.0, 1.0]).values.tolist() == [0.5, 0.6, 0.5]
    for policy in ("error", "clamp"):
        message = fault(lambda policy=policy: evaluate(charges, policy, charge=[1, 2]))
        assert message.startswith("correction 'sf': Index not available in Category for input")
        # NaN has no integer, and numpy warns of what it makes of it
        message = fault(lambda policy=policy: evaluate(charges, policy, charge=[math.nan]))
        assert message.startswith("correction 'sf': charge is nan for 1 of 1 values")


def test_keys_are_those_of_every_bin(payload):
    data = category(
        "year",
        {
            "2017": category("kind", {"sf": 1.0, "stat": 0.1}),
            "2018": category("kind", {"systup": 1.1, "sf": 1.0, "systdown": 0.9}),
        },
    )
    made = payload(binning("pt", [0.0, 1.0], [data]), PT | {"year": "string", "kind": "string"})
    assert made.keys("year") == ("2017", "2018")
    assert made.keys("kind") == ("sf",)
    assert made.keys("kind", {"year": "2017"}) == ("sf", "stat")
    assert made.keys("kind", {"year": "2018"}) == ("systup", "sf", "systdown")
    assert made.inputs == {"pt": "real", "year": "string", "kind": "string"}


def test_a_default_is_no_key(payload):
    data = category("year", {"a": 1.0}, default=binning("pt", [0.0, 1.0], [2.0]))
    made = payload(data, PT | {"year": "string"})
    assert made.keys("year") == ("a",)
    assert evaluate(made, texts={"year": "b"}, pt=[5.0]).outside.tolist() == [True]


@pytest.mark.parametrize("module", [pickle, cloudpickle])
def test_payloads_can_be_pickled(payload, module):
    made = payload(binning("pt", [1.0, 2.0], [digits("0.12345678901234567891")]))
    before = evaluate(made, pt=[1.5, 3.0])
    again = module.loads(module.dumps(made))
    after = evaluate(again, pt=[1.5, 3.0])
    assert after.values.tolist() == before.values.tolist()
    assert (again.version, again.sha256, again.inputs) == (1, made.sha256, made.inputs)
    # evaluating does not change the pickle
    assert module.dumps(Payload(made.path, "sf")) == module.dumps(made)


BINS = binning("pt", [1.0, 2.0], [0.5])
SOUND = written(correction("sf", PT, BINS))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "not a correctionlib file (it is empty); make one of an older JSON, or of"),
        (b" \n", "not a correctionlib file (it is empty)"),
        (b"<!DOCTYPE html><html>404</html>", "not a correctionlib file (expected an object)"),
        (b"[1, 2]", "not a correctionlib file (expected an object)"),
        (b"{}", "not a correctionlib file (it has no schema_version, or no corrections)"),
        (b'{"corrections": []}', "not a correctionlib file (it has no schema_version, or no corr"),
        (b'{"schema_version": 2}', "not a correctionlib file (it has no schema_version, or no co"),
        (b'{"schema_version": "2", "corrections": []}', "not a correctionlib file (it has no sch"),
        (b'{"schema_version": 2, "corrections": {}}', "not a correctionlib file (corrections: ex"),
        (b'{"schema_version": 2, "corrections": [1]}', "not a correctionlib file (a correction h"),
        (b'{"schema_version": 2, "corrections": [{"name": 5}]}', "not a correctionlib file (a co"),
        (b'{"schema_version" 2}', "not a correctionlib file (expected a colon after 'schema_vers"),
        (b'{"a": 1} {"b"', "not a correctionlib file (something follows its end)"),
        (b'{"a": ' + b"[" * 100_000, "not a correctionlib file (maximum recursion depth"),
        (SOUND[:-20].encode(), "not a correctionlib file ("),
        (SOUND[:-1].encode(), "not a correctionlib file (it ends early)"),
        (b"\x93NUMPY\xff\xfe", "not a correctionlib file ('utf-8' codec can't decode"),
        (
            gzip.compress(SOUND.encode())[:-12],
            "truncated or corrupt gzip (Compressed file ended",
        ),
        (gzip.compress(SOUND.encode())[:40] + bytes(80), "truncated or corrupt gzip ("),
        (b"\x1f\x8bno gzip", "truncated or corrupt gzip ("),
        (b'{"schema_version": 3, "corrections": []}', "schema version 3 of correctionlib, which "),
    ],
)
def test_what_is_no_correctionlib_file(tmp_path, content, text):
    path = tmp_path / "sf.json.gz"
    path.write_bytes(content)
    assert fault(Payload, path, "sf").startswith(f"{path}: {text}")


def test_older_schema(tmp_path):
    path = tmp_path / "old.json"
    path.write_text('{"schema_version": 1, "corrections": [{"name": "sf"}]}')
    assert fault(Payload, path, "sf") == (
        f"{path}: schema version 1 of correctionlib, which reads version 2 only; "
        f"make one with: bphcoffea corrections convert {path} -o NEW.json.gz"
    )


def test_a_name_that_stands_twice(tmp_path):
    path = stored(tmp_path / "c.json", correction("sf", PT, BINS), correction("sf", PT, BINS))
    assert "(two corrections are called 'sf')" in fault(Payload, path, "sf")


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    assert fault(Payload, tmp_path, "sf") == f"{tmp_path}: cannot be read (Is a directory)"
    path = tmp_path / "sf.json"
    assert fault(Payload, path, "sf") == f"{path}: no such correction file"
    stored(tmp_path / "other.json", correction("sf", PT, BINS))
    (tmp_path / "sf.root").touch()
    assert fault(Payload, path, "sf").endswith("no such correction file; beside it: other.json")
    nowhere = tmp_path / "none" / "sf.json"
    assert fault(Payload, nowhere, "sf").endswith(f"; nor is there a folder {nowhere.parent}")

    def denied(path, *_, **__):
        raise PermissionError(13, "Permission denied")

    path.touch()
    # tests may run as root, who may read all
    monkeypatch.setattr("pathlib.Path.open", denied)
    assert fault(Payload, path, "sf") == f"{path}: cannot be read (Permission denied)"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (correction("sf", PT, binning("pt", [1, 2], [0.5])), "Invalid edge type"),
        (correction("sf", PT, binning("pt", [2.0, 1.0], [0.5])), "not monotone"),
        (correction("sf", PT, binning("eta", [1.0, 2.0], [0.5])), "could not find variable eta"),
        (correction("sf", PT, {"nodetype": "graph"}), "nodetype"),
        (correction("sf", PT, None), "Content"),
        ({"name": "sf"}, "missing required attribute"),
    ],
)
def test_what_correctionlib_cannot_read(tmp_path, broken, reason):
    path = stored(tmp_path / "c.json", broken, correction("sound", PT, BINS))
    message = fault(Payload, path, "sf")
    assert message.startswith(f"{path}: correctionlib cannot read the correction 'sf' (")
    assert reason in message
    assert evaluate(Payload(path, "sound"), pt=[1.5]).values.tolist() == [0.5]


def test_names_that_are_not_there(tmp_path):
    compound = {
        "name": "L1L2",
        "inputs": [{"name": "pt", "type": "real"}],
        "output": {"name": "weight", "type": "real"},
        "inputs_update": [],
        "input_op": "*",
        "output_op": "*",
        "stack": ["L1", "L2"],
    }
    corrections = [correction(name, PT, BINS) for name in ("L1", "L2")]
    path = stored(tmp_path / "c.json", *corrections, compound_corrections=[compound])
    assert fault(Payload, path, "L3") == f"{path}: no correction 'L3'; the file holds: L1, L2"
    assert fault(Payload, path, "L1L2") == (
        f"{path}: 'L1L2' is a compound correction, which only energies may have; "
        "the others are: L1, L2"
    )
    assert json.loads(read_correction_set(path).compound["L1L2"]) == compound
    empty = stored(tmp_path / "empty.json")
    assert fault(Payload, empty, "L1").endswith("no correction 'L1'; the file holds: none")
    nothing = stored(tmp_path / "null.json", *corrections, compound_corrections=None)
    assert Payload(nothing, "L1").version == 1


def test_spaces_and_a_byte_order_mark_do_no_harm(tmp_path):
    path = tmp_path / "c.json"
    content = json.loads(SOUND) | {"description": 'with "corrections": [] in it', "other": [{}]}
    path.write_text("\ufeff" + json.dumps(content, indent=4) + "\n\n", encoding="utf-8")
    assert evaluate(Payload(path, "sf"), pt=[1.5]).values.tolist() == [0.5]


@pytest.mark.parametrize(
    ("expression", "value"), [("log(x-100)", "nan"), ("1/(x-10)", "inf"), ("-1/(x-10)", "-inf")]
)
def test_values_that_are_not_finite_are_refused(payload, expression, value):
    data = formula(expression, "pt")
    message = fault(lambda: evaluate(payload(data), pt=[200.0, 10.0, 10.0]))
    assert message == f"correction 'sf' gives {value} for 2 of 3 values, the first at pt = 10"


def test_file_that_expands_too_far_is_refused_in_bounded_memory(tmp_path):
    path = tmp_path / "c.json.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(400):
            file.write(bytes(1_000_000))
    code = """
import resource, sys
from bphcoffea.corrections.correction_set import read_correction_set
from bphcoffea.errors import InputError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_correction_set(__import__("pathlib").Path(sys.argv[1]))
except InputError as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        env=os.environ | {"BPHCOFFEA_MAX_JSON_MB": "20"},
        capture_output=True,
        text=True,
        check=True,
    )
    memory, _, message = done.stdout.partition(" ")
    assert int(memory) < 100
    assert message == (
        f"{path}: holds more than 20 MB; is it the right file? If so, raise BPHCOFFEA_MAX_JSON_MB\n"
    )


def test_file_of_several_gzip_members_is_read_whole(tmp_path):
    path = stored(tmp_path / "c.json", correction("sf", PT, binning("pt", [0, 1], [2.0])))
    content = path.read_bytes()
    packed = gzip.compress(content[:50]) + gzip.compress(content[50:])
    (tmp_path / "c.json.gz").write_bytes(packed)
    assert (
        read_correction_set(tmp_path / "c.json.gz").corrections
        == read_correction_set(path).corrections
    )
