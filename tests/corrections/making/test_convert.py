"""Converted corrections evaluate to the content of the histogram at the centre of each bin."""

import gzip
import itertools
import json
import math
from functools import partial

import correctionlib
import hist
import numpy as np
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.corrections.making import (
    from_histogram,
    pileup_from_histograms,
    pileup_from_profiles,
    write,
)
from bphcoffea.errors import InputError

PT = [2.0, 2.5, 3.0, 4.5, 10.0]
ABSETA = [0.0, 0.9, 1.2, 2.4]


def histogram(values, *edges, errors=None):
    """Histogram of weights with errors, as ROOT's with Sumw2."""
    axes = [hist.axis.Variable(of_axis) for of_axis in edges]
    made = hist.Hist(*axes, storage=hist.storage.Weight())
    made.view().value = values
    made.view().variance = np.square(np.zeros_like(values) if errors is None else errors)
    return made


def counts(values, low=0, high=None):
    """Profile in bins of equal width, as pileupCalc makes it."""
    high = len(values) + low if high is None else high
    return np.asarray(values, dtype=float), np.linspace(low, high, len(values) + 1)


def stored(path, **histograms):
    with uproot.recreate(path) as file:
        for name, content in histograms.items():
            file[name.replace("__", "/")] = content
    return path


def fault(function, *arguments, **named):
    with pytest.raises(InputError) as raised:
        function(*arguments, **named)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.fixture
def maps(tmp_path):
    """ROOT file with scale factors in one and two variables."""
    generator = np.random.default_rng(3)
    two = generator.uniform(0.9, 1.1, (4, 3))
    errors = generator.uniform(0.001, 0.01, (4, 3))
    return stored(
        tmp_path / "sf.root",
        one=histogram([0.9, 0.0, 1.1, 1.2], PT, errors=[0.1, 0.2, 0.3, 0.4]),
        muons__id=histogram(two, PT, ABSETA, errors=errors),
        counts=(np.array([4.0, 9.0]), np.array([0.0, 1.0, 2.0])),
        three=histogram(np.ones((1, 1, 1)), *[[0, 1]] * 3),
    )


def centres(edges):
    return [(low + high) / 2 for low, high in itertools.pairwise(edges)]


def test_one_variable(maps):
    converted = from_histogram(f"{maps}:one", "id", ["pt"])
    assert converted.notes == ("1 of 4 bins are 0: pt [2.5, 3)",)
    evaluator = converted.correction.to_evaluator()
    assert [variable.name for variable in evaluator.inputs] == ["pt", "scale_factors"]
    with uproot.open(maps) as file:
        values, errors = file["one"].values(), file["one"].errors()
    assert evaluator.evaluate(np.array(centres(PT)), "nominal").tolist() == values.tolist()
    assert evaluator.evaluate(np.array(centres(PT)), "stat").tolist() == errors.tolist()
    # as in ROOT, the lower edge belongs to a bin
    assert evaluator.evaluate(4.5, "nominal") == values[3]


def test_two_variables_x_first(maps):
    converted = from_histogram(f"{maps}:muons/id", "id", ["pt", "abseta"])
    assert converted.notes == ()
    evaluator = converted.correction.to_evaluator()
    with uproot.open(maps) as file:
        values, errors = file["muons/id"].values(), file["muons/id"].errors()
    for (i, pt), (j, abseta) in itertools.product(
        enumerate(centres(PT)), enumerate(centres(ABSETA))
    ):
        # correctionlib's reader of JSON may miss the last binary digit
        exactly = partial(pytest.approx, rel=2**-52, abs=0)
        assert evaluator.evaluate(pt, abseta, "nominal") == exactly(values[i, j])
        assert evaluator.evaluate(pt, abseta, "stat") == exactly(errors[i, j])


def test_counts_have_the_errors_of_poisson(maps):
    evaluator = from_histogram(f"{maps}:counts", "id", ["x"]).correction.to_evaluator()
    assert [evaluator.evaluate(x, "stat") for x in (0.5, 1.5)] == [2.0, 3.0]


def test_values_beyond_the_bins_are_an_error_or_clamped(maps):
    strict = from_histogram(f"{maps}:muons/id", "id", ["pt", "abseta"]).correction.to_evaluator()
    for pt, abseta in ((1.0, 1.0), (10.0, 1.0), (3.0, 2.4)):
        with pytest.raises((IndexError, RuntimeError)):
            strict.evaluate(pt, abseta, "nominal")
    arguments = (f"{maps}:muons/id", "id", ["pt", "abseta"])
    clamped = from_histogram(*arguments, flow="clamp").correction.to_evaluator()
    assert clamped.evaluate(99.0, 5.0, "nominal") == clamped.evaluate(9.0, 2.0, "nominal")
    assert clamped.evaluate(0.0, 1.0, "nominal") == clamped.evaluate(2.1, 1.0, "nominal")
    one = from_histogram(f"{maps}:one", "id", ["pt"], flow="clamp").correction.to_evaluator()
    assert one.evaluate(0.1, "nominal") == 0.9


@pytest.mark.parametrize(
    ("name", "inputs", "edges"),
    [
        ("pt", ["pt"], ([2.0, 2.5, 3.0, 4.0, 6.0, 10.0],)),
        ("pt_abseta", ["pt", "abseta"], ([2.0, 4.0, 10.0], ABSETA)),
    ],
)
def test_efficiencies_are_those_of_root(data, name, inputs, edges):
    converted = from_histogram(f"{data / 'efficiencies.root'}:{name}", "trigger", inputs)
    evaluator = converted.correction.to_evaluator()
    expected = json.loads((data / "efficiencies.json").read_text())[name]
    bins = list(itertools.product(*map(centres, edges)))
    assert len(bins) == len(expected)
    for centre, of_root in zip(bins, expected, strict=True):
        found = {key: evaluator.evaluate(*centre, key) for key in ("nominal", "down", "up")}
        # ROOT's confidence level has twelve digits
        assert found == pytest.approx(of_root, rel=1e-9, abs=1e-12)
        half = (found["up"] - found["down"]) / 2
        assert evaluator.evaluate(*centre, "stat") == pytest.approx(half, rel=1e-12)


def test_efficiencies_without_events_are_noted(data):
    converted = from_histogram(f"{data / 'efficiencies.root'}:pt", "trigger", ["pt"])
    assert converted.notes == ("2 of 5 bins are 0: pt [2.5, 3), pt [4, 6)",)


def test_efficiencies_of_weighted_events_are_refused(data):
    message = fault(from_histogram, f"{data / 'efficiencies.root'}:weighted", "trigger", ["pt"])
    assert "is filled with weights" in message


def test_many_bins_of_0_are_told_in_part(tmp_path):
    path = stored(tmp_path / "sf.root", sf=counts([1] + [0] * 40))
    (note,) = from_histogram(f"{path}:sf", "id", ["x"]).notes
    assert note.startswith("40 of 41 bins are 0: x [1, 2), ")
    assert note.endswith("x [5, 6), …")


@pytest.mark.parametrize(
    ("values", "errors", "text"),
    [
        ([1.0, math.nan], None, "1 of 2 bins are negative or not finite (nan)"),
        ([math.inf, 1.0], None, "1 of 2 bins are negative or not finite (inf)"),
        ([-0.5, -1.0], None, "2 of 2 bins are negative or not finite (-0.5)"),
        ([0.0, 0.0], None, "all of its bins are 0"),
        ([1.0, 1.0], [math.nan, 0.0], "1 of 2 errors, squared, are negative or not finite (nan)"),
    ],
)
def test_contents_that_are_no_scale_factors(tmp_path, values, errors, text):
    path = stored(tmp_path / "sf.root", sf=histogram(values, [0, 1, 2], errors=errors))
    assert text in fault(from_histogram, f"{path}:sf", "id", ["pt"])


def test_a_missing_histogram_is_reported_with_those_of_the_file(maps):
    holds = "the file holds one (TH1D), muons/id (TH2D), counts (TH1D), three (TH3D)"
    message = fault(from_histogram, f"{maps}:none", "id", ["pt"])
    assert message == f"{maps}: no histogram 'none'; {holds}"
    assert "no histogram 'muons'" in fault(from_histogram, f"{maps}:muons", "id", ["pt"])
    message = fault(from_histogram, f"{maps}:three", "id", ["pt"])
    assert message == f"{maps}:three: is a TH3D, not a TH1, TH2 or TEfficiency; {holds}"


def test_files_that_hold_no_histogram(tmp_path):
    with uproot.recreate(tmp_path / "tree.root") as file:
        file.mktree("Events", {"pt": "f4"})
    message = fault(from_histogram, f"{tmp_path / 'tree.root'}:sf", "id", ["pt"])
    assert message.endswith("the file holds no histograms")
    message = fault(from_histogram, f"{tmp_path / 'tree.root'}:Events", "id", ["pt"])
    assert "is a TTree, not a TH1" in message


def test_files_that_cannot_be_read(tmp_path, maps):
    message = fault(from_histogram, f"{tmp_path / 'none.root'}:sf", "id", ["pt"])
    assert message == f"{tmp_path / 'none.root'}: no such file"
    bad = tmp_path / "bad.root"
    bad.write_bytes(b"no ROOT file" * 100)
    assert "cannot be read (not a ROOT file" in fault(from_histogram, f"{bad}:sf", "id", ["pt"])
    bad.write_bytes(maps.read_bytes()[:700])
    assert "cannot be read" in fault(from_histogram, f"{bad}:one", "id", ["pt"])


@pytest.mark.parametrize(
    "source", ["sf.root", "sf.root:", ":sf", "root://host//sf.root", "root://host:1094//sf.root"]
)
def test_sources_that_name_no_histogram(source):
    message = fault(from_histogram, source, "id", ["pt"])
    assert message.endswith("names no histogram; write it as file.root:path/of/histogram")


def test_paths_may_hold_colons(tmp_path, maps):
    path = tmp_path / "a:b.root"
    path.write_bytes(maps.read_bytes())
    assert from_histogram(f"{path}:one", "id", ["pt"]).correction.name == "id"


def test_names_of_inputs_fit_the_axes(maps):
    message = fault(from_histogram, f"{maps}:muons/id", "id", ["pt"])
    assert "has 2 axes, but 1 names of inputs were given (pt)" in message
    for inputs in (["pt", "pt"], ["pt", "scale_factors"]):
        assert "must differ" in fault(from_histogram, f"{maps}:muons/id", "id", inputs)


def test_pileup_weights_have_the_structure_of_the_luminosity_group(tmp_path):
    path = stored(
        tmp_path / "pu.root",
        nominal=counts([0.5, 1.5, 0.0]),
        up=counts([0.25, 1.5, 1.0]),
        down=counts([0.75, 1.5, 0.0]),
    )
    sources = [f"{path}:{name}" for name in ("nominal", "up", "down")]
    converted = pileup_from_histograms(sources[0], "Collisions18", sources[1], sources[2])
    assert converted.notes == ()
    evaluator = converted.correction.to_evaluator()
    assert [(v.name, v.type) for v in evaluator.inputs] == [
        ("NumTrueInteractions", "real"),
        ("weights", "string"),
    ]
    assert evaluator.evaluate(np.array([0.0, 1.0, 2.0]), "up").tolist() == [0.25, 1.5, 1.0]
    # values outside the bins get the nearest one
    assert evaluator.evaluate(np.array([-1.0, 0.5, 99.0]), "down").tolist() == [0.75, 0.75, 0.0]
    assert converted.correction.data.nodetype == "category"
    assert {item.value.flow for item in converted.correction.data.content} == {"clamp"}


def test_pileup_weights_may_be_nominal_alone_but_not_half(tmp_path):
    path = stored(tmp_path / "pu.root", nominal=counts([0.5, 1.5]))
    source = f"{path}:nominal"
    converted = pileup_from_histograms(source, "pu")
    assert [item.key for item in converted.correction.data.content] == ["nominal"]
    assert "go together" in fault(pileup_from_histograms, source, "pu", up=source)
    assert "go together" in fault(pileup_from_profiles, source, source, "pu", data_down=source)


def test_pileup_has_one_axis(maps):
    message = fault(pileup_from_histograms, f"{maps}:muons/id", "pu")
    assert message.endswith("is a TH2; pile-up has one axis, so give a TH1")


def evaluated(converted, values, key="nominal"):
    return converted.correction.to_evaluator().evaluate(np.asarray(values, dtype=float), key)


PROFILE = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pileup")


@given(PROFILE, PROFILE)
def test_weights_are_the_ratio_that_a_loop_finds_and_average_to_1(folder, data, simulation):
    data = data[: len(simulation)]
    path = stored(folder / "pu.root", data=counts(data), mc=counts(simulation))
    converted = pileup_from_profiles(f"{path}:data", f"{path}:mc", "pu")
    weights = evaluated(converted, np.arange(len(simulation)) + 0.5)
    total = 0.0
    for i, simulated in enumerate(simulation):
        part = data[i] / sum(data) if i < len(data) else 0.0
        assert weights[i] == pytest.approx(part / (simulated / sum(simulation)), rel=1e-12)
        total += weights[i] * simulated / sum(simulation)
    # sums of at most 12 terms
    assert total == pytest.approx(1, rel=1e-13)
    assert converted.notes == ()


def test_profiles_of_which_one_reaches_further(tmp_path):
    path = stored(
        tmp_path / "pu.root", data=counts([1, 2, 1], low=2), mc=counts([1, 1, 1, 1, 1, 1, 2])
    )
    converted = pileup_from_profiles(f"{path}:data", f"{path}:mc", "pu")
    expected = [0, 0, 0.25 * 8, 0.5 * 8, 0.25 * 8, 0, 0]
    assert evaluated(converted, np.arange(7) + 0.5).tolist() == expected


def test_what_is_not_simulated_is_noted_for_each_variation(tmp_path):
    path = stored(
        tmp_path / "pu.root",
        data=counts([500, 497, 3]),
        up=counts([500, 492, 8]),
        down=counts([500, 500]),
        mc=counts([30, 70]),
    )
    sources = [f"{path}:{name}" for name in ("data", "up", "down")]
    converted = pileup_from_profiles(sources[0], f"{path}:mc", "pu", sources[1], sources[2])
    loss = "of the data's profile has no simulated events"
    assert converted.notes == (f"0.3% {loss}", f"up: 0.8% {loss}")
    weights = evaluated(converted, [0.5, 1.5, 2.5])
    assert weights[2] == 0
    # the mean weight of simulated events is the fraction of data that is left
    assert 0.3 * weights[0] + 0.7 * weights[1] == pytest.approx(0.997, rel=1e-14)


def test_simulation_of_other_collisions_is_refused(tmp_path):
    path = stored(tmp_path / "pu.root", data=counts([50, 40, 10]), mc=counts([30, 70]))
    message = fault(pileup_from_profiles, f"{path}:data", f"{path}:mc", "pu")
    assert message.startswith(f"{path}:data: 10% of the data's profile has no simulated events in")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mc.json", "[0.25, 0.5, 0.25]"),
        ("mc.txt", "0.25 0.5\n0.25\n"),
        ("mc.csv", "0.25,0.5,0.25"),
        ("mc.dat", "# probabilities\n0.25 # of none\n0.5\n\n0.25"),
    ],
)
def test_simulation_as_list_of_probabilities(tmp_path, name, text):
    path = stored(tmp_path / "pu.root", data=counts([1, 1, 2, 0]))
    (tmp_path / name).write_text(text)
    converted = pileup_from_profiles(f"{path}:data", str(tmp_path / name), "pu")
    # a number of interactions lies at the lower edge of its bin
    assert evaluated(converted, [0, 1, 2, 3]).tolist() == [1, 0.5, 2, 0]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("mc.json", "{}", "not a list of numbers"),
        ("mc.json", "[[1, 2]]", "not a list of numbers"),
        ("mc.json", "[true]", "not a list of numbers"),
        ("mc.json", "[null]", "not a list of numbers"),
        ("mc.json", "[1,", "not a JSON file"),
        ("mc.json", "[NaN, 1]", "1 of 2 numbers are negative or not finite (nan)"),
        ("mc.txt", "0.1 x", "not a list of numbers"),
        ("mc.txt", "0.1 -0.2", "1 of 2 numbers are negative or not finite (-0.2)"),
        ("mc.txt", "", "all numbers are 0"),
        ("mc.txt", "0 0", "all numbers are 0"),
    ],
)
def test_lists_that_are_no_probabilities(tmp_path, name, text, reason):
    path = stored(tmp_path / "pu.root", data=counts([1, 1]))
    (tmp_path / name).write_text(text)
    message = fault(pileup_from_profiles, f"{path}:data", str(tmp_path / name), "pu")
    assert message.startswith(f"{tmp_path / name}: {reason}")


@pytest.mark.parametrize(
    "bins",
    [
        counts([1, 1, 1, 1], 0, 2),
        counts([1, 1, 1], -0.5, 2.5),
        counts([1] * 100, 0, 99),
        (np.array([1.0, 1.0]), np.array([0.0, 1.0, 3.0])),
    ],
    ids=["finer", "shifted", "a little wider", "of different width"],
)
def test_bins_that_do_not_fit(tmp_path, bins):
    path = stored(tmp_path / "pu.root", data=bins, mc=counts([1] * 100))
    message = fault(pileup_from_profiles, f"{path}:data", f"{path}:mc", "pu")
    assert "differ in width" in message or "don't fit on those of" in message


def test_files_are_read_by_correctionlib_and_always_the_same(tmp_path, maps):
    corrections = [
        from_histogram(f"{maps}:one", "one", ["pt"]).correction,
        from_histogram(f"{maps}:muons/id", "two", ["pt", "abseta"]).correction,
    ]
    contents = []
    for name in ("new/sf.json", "sf.json.gz", "other.json.gz"):
        path = write(corrections, tmp_path / name, "scale factors")
        assert path == tmp_path / name
        read = correctionlib.CorrectionSet.from_file(str(path))
        assert set(read) == {"one", "two"}
        assert read["one"].evaluate(2.1, "nominal") == 0.9
        contents.append(path.read_bytes())
    assert json.loads(contents[0])["description"] == "scale factors"
    assert contents[1] == contents[2]
    assert gzip.decompress(contents[1]) == contents[0]
    assert contents[1][4:8] == bytes(4)  # the time of compression
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_files_are_written_whole_or_not_at_all(tmp_path, maps, monkeypatch):
    correction = from_histogram(f"{maps}:one", "one", ["pt"]).correction
    target = write([correction], tmp_path / "sf.json", "old")
    before = target.read_bytes()

    def full(path, content):
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        message = fault(write, [correction], target, "new")
    assert message == f"{target}: cannot be written (No space left on device)"
    assert target.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"sf.json", "sf.root"}


def test_what_cannot_be_written(tmp_path, maps):
    correction = from_histogram(f"{maps}:one", "one", ["pt"]).correction
    assert "must end with .json" in fault(write, [correction], tmp_path / "sf.root", "")
    assert "no correction" in fault(write, [], tmp_path / "sf.json", "")
    assert "same name (one)" in fault(write, [correction] * 2, tmp_path / "sf.json", "")
    (tmp_path / "folder.json").mkdir()
    assert "cannot be written" in fault(write, [correction], tmp_path / "folder.json", "")
    assert "cannot be written" in fault(write, [correction], maps / "sf.json", "")
