"""What is declared wrongly is refused when the analysis is defined, in one line."""

import math
import pickle

import cloudpickle
import numpy as np
import pytest

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Candidates,
    Categories,
    Condition,
    Cut,
    Histogram,
    LifetimeWeight,
    MassModel,
    MomentumShift,
    MuonWeight,
    Objects,
    Peak,
    PileupWeight,
    Selection,
    TemplateFit,
    Variable,
    leg_pt,
)
from bphcoffea.analysis.declaration import check_for_dataset
from bphcoffea.errors import DeclarationError, InputError
from bphcoffea.inputs import TwoMuTrackSchema

AXIS = Axis(10, 0, 10)


def variable(name, axis=None):
    return Variable(name, lambda events: events.Triplet.mass, axis=axis)


MASS = variable("mass")
CHI2 = variable("chi2", AXIS)
PEAK = Peak(name="ds", label="$D_s$", mass=1.97, width=0.01)
SHIFT = MomentumShift("muon", (), {})


class Sound(Analysis):
    """The control: each case below differs from it in one declaration."""

    schema = TwoMuTrackSchema
    candidates = Candidates("Triplet", best=CHI2)
    selection = Selection(Cut("vertex", CHI2 > 0), Cut("mass", MASS.between(1, 2)))
    cuts_on_best = (Cut("gen_best", Condition("HLT/any", lambda events: events.Triplet.mass > 0)),)
    histograms = (Histogram("mass", MASS, AXIS), Histogram("mass_fine", MASS, Axis(99, 0, 10)))
    columns = (MASS, CHI2)
    weights = (PileupWeight(MASS), MuonWeight("muon_id", (), after="gen_best"))
    shifts = (SHIFT,)
    mass_fit = MassModel(histogram="mass", peaks=(PEAK,))


HISTOGRAM = Sound.histograms[0]


def histogram(name, variable=MASS):
    return Histogram(name, variable, AXIS)


WRONG = {
    "two histograms": (
        {"histograms": (HISTOGRAM, histogram("mass"))},
        "two histograms are named 'mass'; give each its own name",
    ),
    "case": (
        {"histograms": (HISTOGRAM, histogram("Mass"))},
        "the histograms mass, Mass differ only in case",
    ),
    "N-1": (
        {"histograms": (HISTOGRAM, histogram("nminus1_chi2"))},
        "histogram 'nminus1_chi2' has the name of an N-1 histogram",
    ),
    "category": (
        {
            "categories": Categories(("mass", "b"), MASS),
        },
        "a histogram and a category are named 'mass'; rename one of them",
    ),
    "N-1 and category": (
        {"categories": Categories(("nminus1_chi2", "b"), MASS)},
        "a histogram and a category are named 'nminus1_chi2'",
    ),
    "variable of the selection": (
        {"columns": (MASS, variable("chi2"))},
        "different variables are named 'chi2' (in the selection and columns)",
    ),
    "variable of a histogram": (
        {"histograms": (histogram("mass", variable("mass")),), "columns": ()},
        "different variables are named 'mass' (in the selection and histograms)",
    ),
    "variables of two histograms": (
        {"histograms": (*Sound.histograms, *(histogram(n, variable("x")) for n in "ab"))},
        "different variables are named 'x' (in histograms); define it once",
    ),
    "two columns": (
        {"columns": (variable("x"), variable("x"))},
        "different variables are named 'x' (in columns); define it once",
    ),
    **{
        f"column {name}": (
            {"columns": (variable(name),)},
            f"column '{name}' has the name of a column that every table of candidates has",
        )
        for name in ("run", "lumi", "event", "category", "weight", "weight_muon_id")
    },
    "cut of the best": (
        {"cuts_on_best": (Cut("vertex", MASS > 0), *Sound.cuts_on_best)},
        "two cuts are named 'vertex'",
    ),
    "cut of the best named all": (
        {"cuts_on_best": (Cut("all", MASS > 0), *Sound.cuts_on_best)},
        "a cut is named 'all'",
    ),
    "golden": (
        {"cuts_on_best": (Cut("golden_json", MASS > 0), *Sound.cuts_on_best)},
        "a cut is named 'golden_json'",
    ),
    "two weights": (
        {"weights": (PileupWeight(MASS), PileupWeight(CHI2))},
        "two weights are named 'pileup'; give each its own name",
    ),
    "generator": (
        {"weights": (LifetimeWeight(MASS, lambda x: (), name="generator"),)},
        "a weight is named 'generator'",
    ),
    "weight's name": (
        {"weights": (LifetimeWeight(MASS, lambda x: (), name="a/b"),)},
        "weight 'a/b': its name holds '/'",
    ),
    "weight after nothing": (
        {"weights": (MuonWeight("muon_id", (), after="vertx"),)},
        "no cut is named 'vertx'; did you mean 'vertex'? There are: vertex, mass, gen_best",
    ),
    "two shifts": (
        {"shifts": (SHIFT, MomentumShift("muon", (), {}))},
        "two variations of shifts are named muon_scaleUp, muon_scaleDown, muon_resolutionUp",
    ),
    "measurements": (
        {"measurements": (TemplateFit(histogram="mass", regions="all"),) * 2},
        "two measurements are named 'model'; give each its own name",
    ),
    "histogram of a measurement": (
        {"measurements": (TemplateFit(histogram="mas", regions="all"),)},
        "measurement 'model' is of the histogram 'mas', which is not declared; did you mean 'mass'",
    ),
    "region of a measurement": (
        {"measurements": (TemplateFit(histogram="mass", regions="sr"),)},
        "measurement 'model' has the region 'sr', which is not declared; there are: all",
    ),
    "fit": (
        {"mass_fit": MassModel(histogram="mas", peaks=(PEAK,))},
        "mass_fit is of the histogram 'mas', which is not declared; did you mean 'mass'",
    ),
    "column's name": (
        {"columns": (variable("a/b"),)},
        "column 'a/b': its name holds '/'",
    ),
    "name of an N-1 variable": (
        {"selection": Selection(Cut("a", variable("a/b", AXIS) > 0)), "weights": ()},
        "variable 'a/b': its name holds '/'",
    ),
    "N-1 histograms of one name": (
        {
            "objects": (
                Objects("a", "Muon", (variable("b_c", AXIS) > 0,)),
                Objects("a_b", "Muon", (variable("c", AXIS) > 0,)),
            )
        },
        "two N-1 histograms would be named 'nminus1_a_b_c'; rename a variable or objects",
    ),
    "forgotten comma": (
        {"histograms": HISTOGRAM},
        "histograms is a single Histogram, not a tuple; write histograms = (…,)",
    ),
    "one column": ({"columns": MASS}, "columns is a single Variable, not a tuple"),
    "one key": ({"metadata": "kind"}, "metadata is a single string, not a tuple"),
    "a set": ({"columns": {MASS}}, "columns is {Variable("),
    "histogram as column": (
        {"columns": (HISTOGRAM,)},
        "columns holds Histogram 'mass', which is not a Variable",
    ),
    "best": (
        {"best": CHI2},
        "best is declared by itself; write candidates = Candidates(collection, best=…)",
    ),
    "candidates": (
        {"candidates": "Triplet"},
        "candidates is 'Triplet', but must be a Candidates",
    ),
    "selection": (
        {"selection": (Cut("a", MASS > 0),)},
        "selection is (a: mass > 0,), but must be a Selection",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_declaration_is_refused_when_the_class_is_made(case):
    changes, message = WRONG[case]
    with pytest.raises(DeclarationError) as raised:
        type("Wrong", (Sound,), changes)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"Wrong: {message}") or message in line
    assert isinstance(raised.value, InputError)
    assert isinstance(raised.value, ValueError)


def test_every_fault_has_a_line():
    with pytest.raises(DeclarationError) as raised:
        type("Wrong", (Sound,), {"columns": (variable("run"), variable("event"))})
    assert len(str(raised.value).splitlines()) == 2


def test_what_an_instance_declares_is_checked_before_its_events():
    class OfInstance(Sound):
        def __init__(self):
            self.histograms = (HISTOGRAM, histogram("mass"))

        def columns_for(self, metadata):
            more = ("weight_x", "chi2") if metadata["is_mc"] else ()
            return (*self.columns, *map(variable, more))

    class OfDataset(OfInstance):
        def __init__(self):
            pass

    data, simulation = ({"is_mc": is_mc, "era": "2018"} for is_mc in (False, True))
    with pytest.raises(DeclarationError, match="two histograms are named 'mass'"):
        check_for_dataset(OfInstance(), data)
    check_for_dataset(OfDataset(), data)
    with pytest.raises(DeclarationError) as raised:
        check_for_dataset(OfDataset(), simulation)
    twice, taken = str(raised.value).splitlines()
    assert "two columns are named 'chi2'" in twice
    assert "column 'weight_x' has the name of a column" in taken


def test_the_same_leg_is_the_same_variable():
    pt = leg_pt("Triplet", "mu1")
    cut = Cut("pt", leg_pt("Triplet", "mu1") > 3)
    changes = {"selection": Selection(cut), "weights": (), "columns": (pt,)}
    type("Right", (Sound,), changes)


def test_a_class_travels_by_value():
    assert pickle.loads(cloudpickle.dumps(Sound))().describe() == Sound().describe()


def test_an_analysis_without_a_title_and_with_an_infinite_bound_is_described():
    class Bare(Sound):
        """ """

        selection = Selection(Cut("x", -math.inf < CHI2, CHI2 < 5))
        weights = ()

    described = Bare().describe()
    assert described.title == "test_declaration"
    assert described.histograms["nminus1_chi2"].bounds == (5,)


NAMES = {
    "": "is empty",
    " a": "begins or ends with a space",
    ".a": "begins with a dot",
    "a/b": "holds '/'",
    "a;1": "holds ';'",
    "a:b": "holds ':'",
    "a\\b": "holds '\\'",
    "a\nb": "holds a control character",
    "a\x00b": "holds a control character",
    "a\u2028b": "holds a control character",
    "a\ud800": "holds a control character",
    "µ" * 41: "has 82 bytes, more than 80",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("cut", lambda name: Cut(name, MASS > 0)),
        ("histogram", histogram),
        ("category", lambda name: Categories(("a", name), MASS)),
    ],
)
def test_a_name_that_no_file_or_key_can_have(name, kind, make):
    with pytest.raises(DeclarationError) as raised:
        make(name)
    assert str(raised.value).startswith(f"{kind} {name!r}: its name {NAMES[name]}")
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["m(µµ) [GeV]", "a.b", "a b", "$p_T$", "a%b", "µ" * 40])
def test_a_name_that_can_be_held(name):
    Cut(name, MASS > 0)
    histogram(name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((62, 2.01, 1.65), "the range must begin below its end"),
        ((62, 1.65, 1.65), "the range must begin below its end"),
        ((0, 0, 1), "whole number above 0"),
        ((-1, 0, 1), "whole number above 0"),
        ((1.5, 0, 1), "whole number above 0"),
        ((True, 0, 1), "whole number above 0"),
        (("10", 0, 1), "whole number above 0"),
        ((10, math.nan, 1), "two finite numbers"),
        ((10, 0, math.inf), "two finite numbers"),
        ((10, "0", 1), "two finite numbers"),
        ((10, 0, 1, True), "a logarithmic axis must begin above 0"),
        ((10, -1, 1, True), "a logarithmic axis must begin above 0"),
    ],
)
def test_an_axis_without_bins(arguments, message):
    with pytest.raises(DeclarationError, match=message):
        Axis(*arguments)


def test_numbers_of_numpy_make_an_axis():
    made = Histogram("x", MASS, Axis(np.int64(3), np.float32(0), np.int32(1))).empty()
    assert made.axes[-1].edges.tolist() == [0, 1 / 3, 2 / 3, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Variable("x", len, label=1), "variable 'x': its label is 1, but must be a string"),
        (lambda: Variable("x", len, unit=None), "variable 'x': its unit is None"),
        (lambda: Variable("x", len, "x", "GeV", (10, 0, 1)), "must be an Axis"),
        (lambda: Variable("x", 5), "variable 'x': 5 is not a function"),
        (lambda: Variable(5, len), "variable 5: its name must be a string"),
        (lambda: Histogram("x", AXIS, MASS), "histogram 'x': its variable is Axis"),
        (lambda: Histogram("x", MASS, (1, 2, 3)), "must be an Axis"),
        (lambda: Histogram("x", MASS, AXIS, "$m$"), "log_y is '$m$', but must be True or False"),
        (lambda: Histogram("x", MASS, AXIS, resonances=("Z", 91)), "'Z' is not a resonance"),
        (lambda: Histogram("x", MASS, AXIS, resonances=(("Z", math.nan),)), "is not a resonance"),
        (lambda: histogram("x", variable("category")), "its variable is named 'category'"),
        (lambda: Histogram(7, MASS, AXIS), "histogram 7: its name must be a string"),
        (lambda: Cut("x", MASS), "cut 'x': variable 'mass' is not a requirement"),
        (lambda: Cut("x", "mass > 1"), "cut 'x': 'mass > 1' is not a requirement"),
        (
            lambda: Cut("x", MASS > 1, MASS == 2),
            "by == or !=, which tell variables apart; write mass",
        ),
        (lambda: Cut(MASS > 1), "cut mass > 1: its name must be a string"),
        (
            lambda: Selection("Triplet", Cut("x", MASS > 1)),
            "name the collection of candidates with candidates = Candidates('Triplet')",
        ),
        (
            lambda: Candidates("Triplet", best=CHI2 > 0),
            "best is the requirement 'chi2 > 0', but must be a Variable",
        ),
        (lambda: Selection(MASS > 1), "is not a Cut; write Cut(name, …)"),
        (lambda: MASS > "1", "variable 'mass' is compared with '1', but must be compared with a n"),
        (lambda: MASS.equals("1"), "variable 'mass' is compared with '1'"),
        (lambda: math.nan > MASS, "variable 'mass' is compared with nan"),
        (lambda: MASS > CHI2, "but must be compared with a number"),
        (lambda: MASS.between(2, 1), "variable 'mass': nothing lies between 2 and 1"),
        (
            lambda: (MASS > 1) & True,
            "True is not a requirement; put both sides of & in parentheses",
        ),
        (lambda: (MASS > 1) | 5, "5 is not a requirement; put both sides of | in parentheses"),
        (lambda: 1 < MASS < 2, "has no truth value"),
        (lambda: Categories("ab", MASS), "give the names as a tuple of strings"),
        (lambda: Categories((), MASS), "give the names as a tuple of strings"),
        (lambda: Categories(("a", "a"), MASS), "two categories are named 'a'"),
        (lambda: Categories(("a", "all"), MASS), "a category is named 'all'"),
        (lambda: Categories(("a", "b"), "x"), "'x' is not a Variable"),
    ],
)
def test_a_part_of_the_wrong_kind(make, message):
    with pytest.raises(DeclarationError) as raised:
        make()
    assert message in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
