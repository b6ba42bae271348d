"""b tagging against loops that ask correctionlib for one jet at a time."""

import functools
import math
import pickle

import awkward as ak
import numpy as np
import pytest
from builders import fileset_of, write_nano
from correction_files import binning, category, correction, evaluator, formula, stored
from hypothesis import example, given
from hypothesis import strategies as st

from bphcoffea.analysis import (
    Analysis,
    Axis,
    BTag,
    BTagShape,
    Cut,
    Histogram,
    Objects,
    Selection,
    WeightContext,
    number_of,
    quantity,
)
from bphcoffea.corrections import load_corrections
from bphcoffea.errors import CorrectionsError, DeclarationError
from bphcoffea.execution import Options, run
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.processing import Processor
from bphcoffea.processing.candidates import values_of_events

random = np.random.default_rng(5)
PT, ETA = [20.0, 60.0, 1000.0], [0.0, 1.2, 2.5]
SCORES = [0.0, 0.3, 0.7, 1.0]
POINTS = {"T": 0.8, "L": 0.1, "M": 0.5}
SPLIT = ("correlated", "uncorrelated")
SYSTEMATICS = ("central", *(f"{side}_{part}" for part in SPLIT for side in ("up", "down")))
#: Flavours for which the file has each uncertainty of the shape.
OF_FLAVOURS = {
    "hf": (0,),
    "lf": (5,),
    "hfstats1": (5,),
    "lfstats1": (0,),
    "cferr1": (4,),
    "jes": (0, 5),
}


def fixed(name, flavours, systematics=SYSTEMATICS, points=POINTS):
    """Scale factors of working points, as formulae of pT in bins as CMS has them."""

    def content(spread):
        return binning(
            "abseta",
            ETA,
            [
                binning(
                    "pt",
                    PT,
                    [
                        formula(f"{random.uniform(0.9 - spread, 1.0):.6f}+0.0001*x", "pt")
                        for _ in PT[1:]
                    ],
                    "clamp",
                )
                for _ in ETA[1:]
            ],
        )

    return correction(
        name,
        {
            "systematic": "string",
            "working_point": "string",
            "flavor": "int",
            "abseta": "real",
            "pt": "real",
        },
        category(
            "systematic",
            {
                key: category(
                    "working_point",
                    {
                        point: category("flavor", {f: content(0.1) for f in flavours})
                        for point in points
                    },
                )
                for key in systematics
            },
        ),
    )


def efficiencies(name, numbers):
    """Efficiencies by working point and flavour, a bit different in each bin."""
    return correction(
        name,
        {"working_point": "string", "flavor": "int", "abseta": "real", "pt": "real"},
        category(
            "working_point",
            {
                point: category(
                    "flavor",
                    {
                        flavour: binning(
                            "abseta",
                            ETA,
                            [
                                binning("pt", PT, (value * random.uniform(0.9, 1, 2)).tolist())
                                for _ in ETA[1:]
                            ],
                        )
                        for flavour, value in of_flavours.items()
                    },
                )
                for point, of_flavours in numbers.items()
            },
        ),
    )


EFFICIENCIES = {
    "L": {0: 0.1, 4: 0.4, 5: 0.9},
    "M": {0: 0.02, 4: 0.2, 5: 0.75},
    "T": {0: 0.001, 4: 0.05, 5: 0.5},
}


def shape():
    def content():
        return binning(
            "abseta",
            ETA,
            [
                binning(
                    "pt",
                    PT,
                    [
                        binning("discriminant", SCORES, random.uniform(0.8, 1.2, 3).tolist())
                        for _ in PT[1:]
                    ],
                )
                for _ in ETA[1:]
            ],
        )

    keys = {f"{side}_{n}": f for n, f in OF_FLAVOURS.items() for side in ("up", "down")}
    return correction(
        "deepJet_shape",
        {
            "systematic": "string",
            "flavor": "int",
            "abseta": "real",
            "pt": "real",
            "discriminant": "real",
        },
        category(
            "systematic",
            {
                key: category("flavor", {flavour: content() for flavour in flavours})
                for key, flavours in {"central": (0, 4, 5), **keys}.items()
            },
        ),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("btag")
    stored(
        folder / "btagging.json.gz",
        fixed("deepJet_comb", (4, 5)),
        fixed("deepJet_light", (0,)),
        fixed("whole", (0,), ("central", "up", "down")),
        fixed("only_loose", (4, 5), points=("L",)),
        shape(),
    )
    stored(
        folder / "efficiencies.json",
        efficiencies("efficiency", EFFICIENCIES),
        efficiencies("efficiency_tt", EFFICIENCIES),
        efficiencies("full", {"L": dict.fromkeys((0, 4, 5), 1.25)}),
        correction("one", {"pt": "real"}, binning("pt", PT, [1, 1])),
    )
    return folder


def section(**changed):
    """Lines of the section of working points."""
    entries = {
        "file": '"btagging.json.gz"',
        "heavy": '"deepJet_comb"',
        "light": '"deepJet_light"',
        "efficiency_file": '"efficiencies.json"',
        "efficiencies": '"efficiency"',
        "out_of_range": '"clamp"',
    } | changed
    lines = (f"{name} = {value}\n" for name, value in entries.items() if value is not None)
    return "[btag.bjet]\n" + "".join(lines)


SHAPE = '[btag.bjet]\nfile = "btagging.json.gz"\nshape = "deepJet_shape"\nout_of_range = "clamp"\n'


@functools.cache
def loaded(folder, lines):
    path = folder / "era.toml"
    path.write_text(f'name = "2018UL"\neras = ["2018*"]\n{lines}')
    return load_corrections([path])


def real(low, high):
    return st.floats(low, high, width=32)


made_jet = st.fixed_dictionaries(
    {
        "pt": real(20, 900),
        "eta": real(-2.25, 2.25),
        "hadronFlavour": st.sampled_from([0, 4, 5]),
        "score": st.one_of(real(0, 0.9375), st.sampled_from([0.125, 0.5, 0.75])),
    }
)
JET = {"pt": 30.0, "eta": 0.5, "hadronFlavour": 5, "score": 0.625}
LIGHT = JET | {"hadronFlavour": 0}


def events_of(lists, **metadata):
    flat = [item for one in lists for item in one]
    columns = {
        name: np.array([item[name] for item in flat], np.uint8 if "Fl" in name else np.float32)
        for name in JET
    }
    jets = ak.unflatten(ak.zip(columns), np.array([len(one) for one in lists], dtype=np.int64))
    array = ak.zip({"Jet": jets, "genWeight": np.ones(len(lists))}, depth_limit=1)
    record = ak.Array(
        array.layout, with_name="NanoEvents", behavior=ReducedNanoAODSchema.behavior()
    )
    known = {"dataset": "made", "is_mc": True, "era": "2018", "hlt": ()} | metadata
    return ak.with_parameter(record, "metadata", known)


def evaluated(weight, events, corrections, shifted=True):
    context = WeightContext(corrections.for_era("2018"), events.metadata, shifted)
    return weight.evaluate(lambda variable: values_of_events(variable, events), context)


def tagging(points):
    return BTag("bjet", over="Jet", score="score", working_points=points)


class Oracle:
    """Weights of single jets, from the method's description."""

    def __init__(self, folder, points, process="efficiency"):
        self.sf = {
            kind: evaluator(folder / "btagging.json.gz", name)
            for kind, name in (("heavy", "deepJet_comb"), ("light", "deepJet_light"))
        }
        self.efficiency = evaluator(folder / "efficiencies.json", process)
        self.points = sorted(points.items(), key=lambda item: item[1])

    def weight(self, jet, shifted_kind="", key="central"):
        flavour = jet["hadronFlavour"]
        kind = "heavy" if flavour in (4, 5) else "light"
        key = key if kind == shifted_kind else "central"
        place = flavour, abs(jet["eta"]), jet["pt"]
        # fraction of jets that pass each working point, in data and in simulation
        passing = [(1.0, 1.0)]
        for name, _ in self.points:
            efficiency = self.efficiency.evaluate(name, *place)
            scale = self.sf[kind].evaluate(key, name, *place)
            passing.append((scale * efficiency, efficiency))
        passing.append((0.0, 0.0))
        # in single precision, as a cut on the score compares
        number = sum(np.float32(jet["score"]) > np.float32(score) for _, score in self.points)
        above, below = passing[number], passing[number + 1]
        if number == len(self.points):
            return self.sf[kind].evaluate(key, self.points[-1][0], *place)
        return (above[0] - below[0]) / (above[1] - below[1])

    def products(self, lists, *shifted):
        return [math.prod(self.weight(jet, *shifted) for jet in one) for one in lists]


@pytest.mark.parametrize("names", ["M", "LM", "LMT"])
@given(lists=st.lists(st.lists(made_jet, max_size=4), min_size=1, max_size=5))
@example(lists=[[], [JET, LIGHT, JET | {"score": 0.0}], [JET | {"score": 0.8125}]])
@example(lists=[[]])
def test_weights_are_those_of_a_loop_over_jets(folder, names, lists):
    points = {name: POINTS[name] for name in names}
    factor = evaluated(tagging(points), events_of(lists), loaded(folder, section()))
    oracle = Oracle(folder, points)
    assert factor.nominal.tolist() == oracle.products(lists)  # to the last bit
    assert set(factor.shifts) == {
        f"{kind}_{part}"
        for kind in ("heavy", "light")
        for part in ("correlated", "uncorrelated_2018UL")
    }
    for kind in ("heavy", "light"):
        for part in SPLIT:
            name = f"{kind}_{part}" + ("_2018UL" if part == "uncorrelated" else "")
            for side, values in zip(("up", "down"), factor.shifts[name], strict=True):
                assert values.tolist() == oracle.products(lists, kind, f"{side}_{part}")


def test_a_single_working_point_has_the_formula_of_the_textbook(folder):
    tagged, not_tagged = JET, LIGHT | {"score": 0.25}
    factor = evaluated(
        tagging({"M": 0.5}), events_of([[tagged], [not_tagged]]), loaded(folder, section())
    )
    heavy = evaluator(folder / "btagging.json.gz", "deepJet_comb")
    light = evaluator(folder / "btagging.json.gz", "deepJet_light")
    efficiency = evaluator(folder / "efficiencies.json", "efficiency").evaluate("M", 0, 0.5, 30.0)
    scale = light.evaluate("central", "M", 0, 0.5, 30.0)
    assert factor.nominal.tolist() == [
        heavy.evaluate("central", "M", 5, 0.5, 30.0),
        (1 - scale * efficiency) / (1 - efficiency),
    ]


def test_weighted_fractions_of_tagged_jets_are_those_of_data(folder):
    """Jets of simulation with the efficiencies of the file, weighted to those of data."""
    rng = np.random.default_rng(2)
    count = 60_000
    # one bin, so that each flavour has one efficiency and a scale factor
    pt, eta = 30.0, 0.5
    flavours = rng.choice([0, 4, 5], count)
    map_ = evaluator(folder / "efficiencies.json", "efficiency")
    lists = []
    ordered = sorted(POINTS, key=POINTS.get)
    passing = {f: [map_.evaluate(p, f, eta, pt) for p in ordered] for f in (0, 4, 5)}
    between = [0.0, *(POINTS[p] + 0.05 for p in ordered)]
    for flavour, drawn in zip(flavours.tolist(), rng.random(count), strict=True):
        passed = sum(drawn < efficiency for efficiency in passing[flavour])
        lists.append([JET | {"hadronFlavour": flavour, "score": between[passed]}])
    weights = evaluated(tagging(POINTS), events_of(lists), loaded(folder, section())).nominal
    scores = np.array([one[0]["score"] for one in lists])
    for flavour, name in ((0, "deepJet_light"), (4, "deepJet_comb"), (5, "deepJet_comb")):
        mask = flavours == flavour
        assert weights[mask].mean() == pytest.approx(1, abs=0.01)
        for point, efficiency in zip(ordered, passing[flavour], strict=True):
            scale = evaluator(folder / "btagging.json.gz", name).evaluate(
                "central", point, flavour, eta, pt
            )
            found = weights[mask][scores[mask] > POINTS[point]].sum() / weights[mask].sum()
            # five standard deviations of a binomial
            width = 5 * math.sqrt(efficiency * (1 - efficiency) / mask.sum())
            assert found == pytest.approx(scale * efficiency, abs=width)


def test_efficiencies_may_depend_on_the_process(folder):
    lists = [[LIGHT | {"score": 0.0}, JET]]
    names = '{ ttbar = "efficiency_tt", default = "efficiency" }'
    corrections = loaded(folder, section(efficiencies=names))
    for process, correction_name in (("ttbar", "efficiency_tt"), ("dy", "efficiency")):
        events = events_of(lists, process=process)
        found = evaluated(tagging({"M": 0.5}), events, corrections).nominal
        assert found.tolist() == Oracle(folder, {"M": 0.5}, correction_name).products(lists)


def test_uncertainties_without_parts_and_of_one_era(folder):
    lists = [[LIGHT, LIGHT | {"score": 0.0}]]
    for lines, names in (
        ({"light": '"whole"'}, {"heavy_correlated", "heavy_uncorrelated_2018UL", "light"}),
        (
            {"light": '"whole"', "decorrelated": "true"},
            {"heavy_correlated_2018UL", "heavy_uncorrelated_2018UL", "light_2018UL"},
        ),
    ):
        factor = evaluated(tagging({"M": 0.5}), events_of(lists), loaded(folder, section(**lines)))
        assert set(factor.shifts) == names
        up, down = factor.shifts["light" if "light" in names else "light_2018UL"]
        sf = evaluator(folder / "btagging.json.gz", "whole")
        efficiency = evaluator(folder / "efficiencies.json", "efficiency").evaluate(
            "M", 0, 0.5, 30.0
        )
        for side, values in (("up", up), ("down", down)):
            scale = sf.evaluate(side, "M", 0, 0.5, 30.0)
            assert values[0] == scale * ((1 - scale * efficiency) / (1 - efficiency))


@given(lists=st.lists(st.lists(made_jet, max_size=4), min_size=1, max_size=5))
@example(lists=[[], [JET, LIGHT, JET | {"hadronFlavour": 4}]])
def test_shapes_are_those_of_a_loop_over_jets(folder, lists):
    weight = BTagShape("bjet", over="Jet", score="score")
    factor = evaluated(weight, events_of(lists), loaded(folder, SHAPE))
    oracle = evaluator(folder / "btagging.json.gz", "deepJet_shape")

    def products(name="central", flavours=()):
        found = []
        for one in lists:
            product = 1.0
            for jet in one:
                key = name if jet["hadronFlavour"] in flavours else "central"
                place = jet["hadronFlavour"], abs(jet["eta"]), jet["pt"], jet["score"]
                product *= oracle.evaluate(key, *place)
            found.append(product)
        return found

    assert factor.nominal.tolist() == products()
    of_jets = {name: f for name, f in OF_FLAVOURS.items() if name != "jes"}
    ending = {name: "_2018UL" if "stats" in name else "" for name in of_jets}
    assert set(factor.shifts) == {f"{name}{ending[name]}" for name in of_jets}
    for name, flavours in of_jets.items():
        up, down = factor.shifts[f"{name}{ending[name]}"]
        assert up.tolist() == products(f"up_{name}", flavours)
        assert down.tolist() == products(f"down_{name}", flavours)


score, pt = quantity("score"), quantity("pt", unit="GeV")
bjets = number_of("bjet")


class Tagged(Analysis):
    """Events with jets, by the number of b jets."""

    schema = ReducedNanoAODSchema
    objects = (Objects("jet", "Jet", (pt > 25,)), Objects("bjet", "jet", (score > 0.5,)))
    selection = Selection(Cut("jets", number_of("jet") >= 1))
    histograms = (Histogram("n", bjets, Axis(5, -0.5, 4.5)),)
    columns = (bjets,)
    weights = (BTag("bjet", "jet", "score", {"M": 0.5}, after="jets"),)


def test_variations_of_a_whole_analysis(folder):
    rng = np.random.default_rng(8)
    lists = [
        [
            {
                "pt": float(np.float32(rng.uniform(20, 200))),
                "eta": float(np.float32(rng.uniform(-2, 2))),
                "hadronFlavour": int(rng.choice([0, 4, 5])),
                "score": float(np.float32(rng.random())),
            }
            for _ in range(rng.integers(0, 5))
        ]
        for _ in range(100)
    ]
    corrections = loaded(folder, section())
    found = Processor(Tagged().corrected(corrections)).process(events_of([[], *lists]))["made"]
    oracle = Oracle(folder, {"M": 0.5})
    selected = [[j for j in one if j["pt"] > 25] for one in lists]
    selected = [one for one in selected if one]
    cases = {"nominal": ()}
    for kind in ("heavy", "light"):
        for part, name in (("correlated", ""), ("uncorrelated", "_2018UL")):
            for side in ("Up", "Down"):
                variation = f"bjet_{kind}_{part}{name}{side}"
                cases[variation] = (kind, f"{side.lower()}_{part}")
    assert set(found.histograms["n"].axes["variation"]) == set(cases)
    for variation, shifted in cases.items():
        sums = [0.0] * 5
        for one, weight in zip(selected, oracle.products(selected, *shifted), strict=True):
            sums[sum(jet["score"] > 0.5 for jet in one)] += weight
        contents = found.histograms["n"]["all", variation, :].values()
        np.testing.assert_allclose(contents, sums, rtol=1e-13)  # jets in another order


def fault(folder, lines, error=CorrectionsError):
    with pytest.raises(error) as raised:
        loaded(folder, lines)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{folder / 'era.toml'}: ")


def test_mistakes_in_the_toml_are_one_line(folder):
    place = folder / "btagging.json.gz"
    assert fault(folder, section(efficiencies=None)) == "btag.bjet.efficiencies: is missing"
    assert fault(folder, SHAPE + 'heavy = "x"\n') == "btag.bjet.heavy: is not known here"
    message = fault(folder, section(heavy='"deepJet_mujets"'))
    assert message.startswith(f"[btag.bjet] {place}: no correction 'deepJet_mujets'; ")
    message = fault(folder, section(efficiencies='"one"'))
    assert message == (
        f"[btag.bjet] {folder / 'efficiencies.json'}: correction 'one' takes pt (real), but must "
        "take abseta, flavor, pt, working_point"
    )
    message = fault(folder, section() + "[btag.bjet.fields]\nphi = 'phi'\n")
    assert message == (
        "[btag.bjet] btag.bjet.fields: there is no input 'phi'; there are: flavor, abseta, pt"
    )
    stored(
        folder / "no_nominal.json",
        fixed("sf", (4, 5), ("up", "down")),
        fixed("light", (0,), ("central",)),
    )
    message = fault(folder, section(file='"no_nominal.json"', heavy='"sf"', light='"light"'))
    assert message.endswith("has no nominal value: systematic has no key 'central'")
    path = folder / "named.toml"
    path.write_text(f'name = "2018 UL"\neras = ["*"]\n{section()}')
    with pytest.raises(CorrectionsError, match="names of variations end with the name of the era"):
        load_corrections([path])


def faults(folder, lines, weight, **metadata):
    era = loaded(folder, lines).for_era("2018")
    return list(weight.faults(WeightContext(era, metadata)))


def test_mistakes_of_an_analysis_are_one_line(folder):
    (line,) = faults(
        folder, section(efficiencies='{ ttbar = "efficiency" }'), tagging({"M": 0.5}), process="dy"
    )
    assert line == (
        "weight 'bjet': [btag.bjet] of '2018UL' has no efficiencies of the process 'dy'; there "
        "are: ttbar; add it, or 'default' for all others"
    )
    (line,) = faults(folder, section(heavy='"only_loose"'), tagging({"L": 0.1, "M": 0.5}))
    assert line == (
        "weight 'bjet': [btag.bjet] of '2018UL': correction 'only_loose' of "
        f"{folder / 'btagging.json.gz'} has no working point 'M'; there are: L"
    )
    (line,) = faults(folder, SHAPE, tagging({"M": 0.5}))
    assert line.endswith("is of the shape of the score, for which BTagShape is the weight")
    (line,) = faults(folder, section(), BTagShape("bjet", "Jet", "score"))
    assert line.endswith("is of working points, for which BTag is the weight")
    assert not faults(folder, section(), tagging({"M": 0.5}))
    for points in ({}, {"M": "0.5"}, {"L": 0.5, "M": 0.5}, "M"):
        with pytest.raises(DeclarationError, match=r"working_points is .*, but must be a mapping"):
            tagging(points)


def test_a_run_is_refused_before_a_file_is_read(folder, tmp_path):
    path = write_nano(tmp_path / "nano.root", 3)
    fileset = fileset_of({path: "Events"}, tree="Events", is_mc=True, era="2018")
    corrections = loaded(folder, section(heavy='"only_loose"'))
    with pytest.raises(DeclarationError, match="has no working point 'M'; there are: L"):
        run(Tagged().corrected(corrections), fileset, tmp_path / "run", Options("iterative"))


def test_jets_that_cannot_be_weighted_are_one_line(folder):
    corrections = loaded(folder, section())
    cases = [
        (JET | {"pt": -1.0}, "correction 'efficiency': pt is -1 for 1 of 1 jets; cut these"),
        (JET | {"hadronFlavour": 7}, "correction 'efficiency': "),
    ]
    for jet, text in cases:
        with pytest.raises(CorrectionsError) as raised:
            evaluated(tagging({"M": 0.5}), events_of([[jet]]), corrections)
        assert str(raised.value).startswith(text)
        assert len(str(raised.value).splitlines()) == 1
    with pytest.raises(CorrectionsError, match=r"is no efficiency of 'L'"):
        evaluated(
            tagging({"L": 0.1}), events_of([[JET]]), loaded(folder, section(efficiencies='"full"'))
        )
    stored(
        folder / "always.json",
        correction(
            "always",
            {"working_point": "string", "flavor": "int", "abseta": "real", "pt": "real"},
            category("working_point", {"M": category("flavor", {5: 1.0})}),
        ),
    )
    lines = section(efficiency_file='"always.json"', efficiencies='"always"')
    with pytest.raises(CorrectionsError) as raised:
        evaluated(tagging({"M": 0.5}), events_of([[JET | {"score": 0.0}]]), loaded(folder, lines))
    assert str(raised.value) == (
        "correction 'always': no jet should fail the next tighter working point, but 1 of 1 jets "
        "do; merge bins of the efficiencies"
    )


def test_factors_travel_to_workers_and_are_described(folder):
    for lines, weight in (
        (section(), tagging({"M": 0.5})),
        (SHAPE, BTagShape("bjet", "Jet", "score")),
    ):
        corrections = loaded(folder, lines)
        again = pickle.loads(pickle.dumps(corrections))
        events = events_of([[JET, LIGHT], [LIGHT]])
        first, second = (
            evaluated(weight, events, of).nominal.tolist() for of in (corrections, again)
        )
        assert first == second
        (era,) = corrections
        assert era.declared() == ("btag.bjet",)
        described = era.describe()["btag"]["bjet"]
        assert len(described["uncertainties"]) == (4 if "heavy" in lines else 5)
