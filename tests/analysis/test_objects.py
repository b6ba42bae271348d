"""Objects, events, regions and histograms of any dimension, against loops over made events."""

import math

import awkward as ak
import hist
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Blind,
    Cut,
    Hidden,
    Histogram,
    Objects,
    PathFired,
    Region,
    Selection,
    Shift,
    Variable,
    crossed,
    each,
    flag,
    nth,
    number_of,
    quantity,
)
from bphcoffea.errors import DeclarationError
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.processing import Processor, branch_needs, empty_result
from bphcoffea.processing.preparation import Preparation

pt = quantity("pt", unit="GeV", axis=Axis(10, 0, 100))
eta = quantity("eta")
met = Variable("met", lambda events: events.MET.pt, unit="GeV", axis=Axis(20, 0, 100))
jets, muons = number_of("jet"), number_of("muon")
JET_PT, MET = (0, 30, 50, 100), (0, 20, 100)
METADATA = {"dataset": "made", "is_mc": True, "era": "2018", "hlt": ()}


class Toy(Analysis):
    """Events with objects, for a loop."""

    schema = ReducedNanoAODSchema
    objects = (
        Objects("muon", "Muon", (pt > 20, eta.magnitude() < 2.4, flag("tight"))),
        Objects("jet", "Jet", (pt > 30,), away_from={"muon": 0.4}),
        Objects("hard_jet", "jet", (pt > 60,)),
    )
    selection = Selection(Cut("met", met > 10), Cut("muon", muons >= 1))
    regions = (
        Region("central", nth("muon", 1, eta).between(-1, 1)),
        *crossed(
            [Region("no_jet", jets.equals(0)), Region("jets", jets >= 1)],
            [Region("soft", met < 40), Region("hard", met >= 30)],
        ),
    )
    histograms = (
        Histogram("met", met, Axis(10, 0, 100)),
        Histogram("jets_pt", each("jet", pt), hist.axis.Variable(JET_PT)),
        Histogram("second_jet", nth("jet", 2, pt), Axis(10, 0, 100)),
        Histogram(
            "jets_met",
            (each("jet", pt), met),
            (hist.axis.Variable(JET_PT), hist.axis.Variable(MET)),
        ),
    )
    columns = (met, jets)


def number(low, high):
    return st.floats(low, high, width=32)


particle = st.fixed_dictionaries(
    {"pt": number(0, 100), "eta": number(-3, 3), "phi": number(-3, 3), "tight": st.booleans()}
)
event = st.fixed_dictionaries(
    {
        "Muon": st.lists(particle, max_size=3),
        "Jet": st.lists(particle, max_size=3),
        "met": number(0, 100),
        "weight": st.sampled_from([-1.0, 0.5, 2.0]),
    }
)


def events_of(made, is_mc=True):
    """Eager events of made ones."""

    def collection(name):
        fields = ("pt", "eta", "phi", "tight")
        counts = [len(one[name]) for one in made]
        flat = [particle for one in made for particle in one[name]]
        kinds = {"tight": np.bool_}
        columns = {f: np.array([p[f] for p in flat], kinds.get(f, np.float32)) for f in fields}
        return ak.unflatten(ak.zip(columns), counts)

    array = ak.zip(
        {
            "Muon": collection("Muon"),
            "Jet": collection("Jet"),
            "MET": ak.zip({"pt": np.array([one["met"] for one in made], np.float32)}),
            "genWeight": np.array([one["weight"] for one in made]),
        },
        depth_limit=1,
    )
    record = ak.Array(
        array.layout, with_name="NanoEvents", behavior=ReducedNanoAODSchema.behavior()
    )
    return ak.with_parameter(record, "metadata", METADATA | {"is_mc": is_mc})


def distance(a, b):
    dphi = math.remainder(float(np.float32(a["phi"]) - np.float32(b["phi"])), math.tau)
    return math.hypot(float(np.float32(a["eta"]) - np.float32(b["eta"])), dphi)


def chosen(one):
    """Objects of an event, sorted."""
    muons = [m for m in one["Muon"] if m["pt"] > 20 and abs(m["eta"]) < 2.4 and m["tight"]]
    jets = [j for j in one["Jet"] if j["pt"] > 30 and all(distance(j, m) >= 0.4 for m in muons)]
    by_pt = [sorted(of, key=lambda p: -p["pt"]) for of in (muons, jets)]
    return *by_pt, [j for j in by_pt[1] if j["pt"] > 60]


def regions_of(muons, jets, met):
    """Names of the regions of a selected event, with the one of all events."""
    jet_region = "jets" if jets else "no_jet"
    yield "all"
    if -1 < muons[0]["eta"] < 1:
        yield "central"
    if met < 40:
        yield f"{jet_region}_soft"
    if met >= 30:
        yield f"{jet_region}_hard"


def with_muons(*momenta):
    """Return an event with muons at a distance of 0.3 from a jet."""
    place = {"phi": 0.0, "tight": True}
    muons = [{"pt": momentum, "eta": 0.3, **place} for momentum in momenta]
    return {"Muon": muons, "Jet": [{"pt": 50.0, "eta": 0.0, **place}], "met": 0.0, "weight": 1.0}


@settings(max_examples=10)
@given(st.lists(event, min_size=1, max_size=8))
@example([with_muons(), with_muons(20.0, 38.0, 39.0, 60.0)])
def test_n_minus_1_of_objects_agrees_with_a_loop(made):
    result = Processor(Toy()).process(events_of(made))["made"]
    expected = {name: np.zeros(10) for name in ("muon_pt", "jet_pt", "hard_jet_pt")}
    for one in made:
        muons, jets, _ = chosen(one)
        other = {
            "muon_pt": [m for m in one["Muon"] if abs(m["eta"]) < 2.4 and m["tight"]],
            "jet_pt": [j for j in one["Jet"] if all(distance(j, m) >= 0.4 for m in muons)],
            "hard_jet_pt": jets,
        }
        for name, objects in other.items():
            for momentum in (particle["pt"] for particle in objects if particle["pt"] < 100):
                expected[name][int(momentum // 10)] += one["weight"]
    for name, content in expected.items():
        found = result.histograms[f"nminus1_{name}"].values()[0, 0]
        np.testing.assert_allclose(found, content, atol=1e-12, err_msg=name)
    record = Toy().describe().histograms["nminus1_muon_pt"]
    assert (record.n_minus_1, record.bounds, record.counted) == ("muon", (20,), "Objects")
    assert set(empty_result(Toy(), METADATA).histograms) == set(result.histograms)


second = nth("jet", 2, pt)


class InRegions(Toy):
    regions = (
        Region("soft", met < 40, jets >= 1),
        Region("window", met.between(30, 80), met > 35, second > 40),
        Region("without", met > 50, n_minus_1=False),
        *crossed([Region("no_jet", jets.equals(0))], [Region("hard", met >= 30)]),
    )


@settings(max_examples=10)
@given(st.lists(event, min_size=1, max_size=8))
@example([with_muons(), with_muons(20.0, 38.0, 39.0, 60.0)])
def test_n_minus_1_of_regions_agrees_with_a_loop(made):
    result = Processor(InRegions()).process(events_of(made))["made"]
    expected = {
        "met": {"soft": np.zeros(20), "window": np.zeros(20)},
        "n_jet": {"soft": np.zeros(10)},
        "jet2_pt": {"window": np.zeros(10)},
    }
    for one in made:
        muons, found, _ = chosen(one)
        if not one["met"] > 10 or not muons:
            continue
        met_bin, second_pt = int(one["met"] // 5), found[1]["pt"] if len(found) > 1 else None
        if met_bin < 20 and found:
            expected["met"]["soft"][met_bin] += one["weight"]
        if met_bin < 20 and second_pt is not None and second_pt > 40:
            expected["met"]["window"][met_bin] += one["weight"]
        if one["met"] < 40:
            expected["n_jet"]["soft"][len(found)] += one["weight"]
        if 35 < one["met"] < 80 and second_pt is not None and second_pt < 100:
            expected["jet2_pt"]["window"][int(second_pt // 10)] += one["weight"]
    of_regions = {name for name in result.histograms if name.startswith("nminus1_region")}
    assert of_regions == {f"nminus1_region_{name}" for name in expected}
    records = InRegions().describe().histograms
    for name, by_region in expected.items():
        histogram = result.histograms[f"nminus1_region_{name}"]
        assert list(histogram.axes["category"]) == list(by_region)
        for region, content in by_region.items():
            found = histogram[region, "nominal", :].values()
            np.testing.assert_allclose(found, content, atol=1e-12, err_msg=f"{name}, {region}")
    record = records["nminus1_region_met"]
    assert record.regions == {"soft": (40,), "window": (30, 35, 80)}
    assert record.of_region("window").left_out == "requirement of region 'window'"
    assert set(empty_result(InRegions(), METADATA).histograms) == set(result.histograms)


@settings(max_examples=10)
@given(st.lists(event, min_size=1, max_size=8))
@example([with_muons(), with_muons(20.0, 38.0, 39.0, 60.0)])
def test_a_distance_may_depend_on_the_object(made):
    def radius(muons):
        return np.minimum(0.4, 0.04 + 10 / ak.values_astype(muons.pt, np.float64))

    cone = Variable("cone", radius)
    apart = Objects("apart", "Muon", (pt > 1,), away_from={"Jet": cone})
    expected = [
        sum(
            all(distance(muon, jet) >= min(0.4, 0.04 + 10 / muon["pt"]) for jet in one["Jet"])
            for muon in one["Muon"]
            if muon["pt"] > 1
        )
        for one in made
    ]
    with np.errstate(divide="ignore"):
        assert ak.num(apart.select(events_of(made))).to_list() == expected
    assert apart.steps == ("pt > 1 GeV", "ΔR(Jet) ≥ cone")


@settings(max_examples=12)
@given(st.lists(event, min_size=1, max_size=20))
def test_agrees_with_a_loop(made):
    result = Processor(Toy()).process(events_of(made))["made"]
    names = list(result.histograms["met"].axes["category"])
    assert names == ["all", "central", "no_jet_soft", "no_jet_hard", "jets_soft", "jets_hard"]
    expected = {
        "met": np.zeros((6, 10)),
        "jets_pt": np.zeros((6, 3)),
        "second_jet": np.zeros((6, 10)),
        "jets_met": np.zeros((6, 3, 2)),
    }
    counts = {"all": len(made), "met": 0, "muon": 0}
    selected, passed = [], []
    for one in made:
        muons, jets, _ = chosen(one)
        if not one["met"] > 10:
            continue
        counts["met"] += 1
        if not muons:
            continue
        counts["muon"] += 1
        selected.append((one["met"], len(jets)))
        passed.append((one, one["weight"], list(regions_of(muons, jets, one["met"]))))
        for region in regions_of(muons, jets, one["met"]):
            row, weight = names.index(region), one["weight"]
            met_bin = min(int(one["met"] // 10), 10)
            if met_bin < 10:
                expected["met"][row, met_bin] += weight
            if len(jets) > 1 and jets[1]["pt"] < 100:
                expected["second_jet"][row, int(jets[1]["pt"] // 10)] += weight
            for jet in (jet for jet in jets if jet["pt"] < 100):
                column = int(np.searchsorted(JET_PT, jet["pt"], side="right")) - 1
                expected["jets_pt"][row, column] += weight
                if one["met"] < 100:
                    line = int(one["met"] >= MET[1])
                    expected["jets_met"][row, column, line] += weight
    for name, content in expected.items():
        found = result.histograms[name].values()[:, 0]
        np.testing.assert_allclose(found, content, atol=1e-12, err_msg=name)
    steps = {row["step"]: row["events"] for row in result.cutflow.rows()}
    assert steps == counts
    for region in names[1:]:
        inside = [one for one in passed if region in one[2]]
        last = result.regions[region].rows()[-1]
        assert (last["events"], last["candidates"]) == (len(inside), len(inside))
        assert last["sumw"] == pytest.approx(sum(one[1] for one in inside))
        assert result.regions[region].rows()[0]["events"] == len(passed)
    table = result.candidates.arrays()
    assert list(zip(table["met"].tolist(), table["n_jet"].tolist(), strict=True)) == selected
    central = [
        -1 < chosen(one)[0][0]["eta"] < 1 for one in made if one["met"] > 10 and chosen(one)[0]
    ]
    assert table["in_central"].tolist() == central


@settings(max_examples=12)
@given(st.lists(event, min_size=1, max_size=20))
def test_objects_are_counted_after_each_requirement(made):
    objects = Processor(Toy()).process(events_of(made))["made"].objects
    assert {name: list(counts.steps) for name, counts in objects.items()} == {
        "muon": ["all", "pt > 20 GeV", "abs_eta < 2.4", "tight"],
        "jet": ["all", "pt > 30 GeV", "ΔR(muon) ≥ 0.4"],
        "hard_jet": ["all", "pt > 60 GeV"],
    }
    of_events = [chosen(one) for one in made]
    for position, name in enumerate(("muon", "jet", "hard_jet")):
        lists = [objects[position] for objects in of_events]
        last = objects[name].rows()[-1]
        assert last["candidates"] == sum(map(len, lists))
        assert last["events"] == sum(map(bool, lists))
        weights = [one["weight"] for one, of in zip(made, lists, strict=True) if of]
        assert last["sumw"] == pytest.approx(sum(weights))
    assert objects["muon"].rows()[0]["candidates"] == sum(len(one["Muon"]) for one in made)


@settings(max_examples=12)
@given(st.lists(event, min_size=1, max_size=12))
def test_objects_are_sorted_and_are_those_of_the_loop(made):
    events = Preparation(Toy())(events_of(made))
    for name, position in (("muon", 0), ("jet", 1), ("hard_jet", 2)):
        expected = [[np.float32(p["pt"]) for p in chosen(one)[position]] for one in made]
        assert ak.to_list(events[name].pt) == expected


def test_a_sum_of_parts_is_the_whole():
    made = [
        {
            "Muon": [{"pt": 30.0 + n, "eta": 0.1, "phi": 0.0, "tight": True}],
            "Jet": [{"pt": 20.0 * n, "eta": 1.0, "phi": 2.0, "tight": True}] * (n % 3),
            "met": 12.0 * n,
            "weight": 1.0,
        }
        for n in range(8)
    ]
    process = Processor(Toy()).process
    whole = process(events_of(made))["made"]
    parts = [process(events_of(part))["made"] for part in (made[:3], made[3:])]
    total = parts[0] + parts[1]
    assert total.histograms == whole.histograms
    assert {n: c.rows() for n, c in total.objects.items()} == {
        n: c.rows() for n, c in whole.objects.items()
    }


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"regions": (Region("all", jets >= 1),)}, "a region is named 'all'"),
        ({"regions": (Region("a"), Region("a"))}, "two regions are named 'a'"),
        ({"regions": (Region("met"),)}, "a histogram and a region are named 'met'"),
        ({"objects": (Objects("a", "Jet"), Objects("a", "Jet"))}, "two objects are named 'a'"),
        ({"objects": Objects("a", "Jet")}, "objects is a single Objects, not a tuple"),
        ({"columns": (each("jet", pt),)}, "'jet_pt' is a list per event"),
        ({"selection": Selection(Cut("jets", each("jet", pt) > 1))}, "is a list per event"),
    ],
)
def test_wrong_declarations_are_told_when_the_class_is_made(declared, message):
    with pytest.raises(DeclarationError, match=message):
        type("Wrong", (Toy,), declared)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Objects("x", "Jet", where=pt), "must be a tuple"),
        (lambda: Objects("x", "Jet", where=(pt,)), "is not a requirement"),
        (lambda: Objects("x", "Jet", away_from={"muon": -1}), "must be a number above 0"),
        (lambda: Objects("x", "Jet", away_from={"muon": pt > 1}), "or a variable of the object"),
        (lambda: Region("x", jets), "is not a requirement"),
        (lambda: Histogram("x", (met, jets), Axis(1, 0, 1)), "has 1 axes for 2 variables"),
        (lambda: Histogram("x", (met, met), (Axis(1, 0, 1),) * 2), "two axes of 'met'"),
        (lambda: Histogram("x", met, [1, 2]), "must be an Axis or one of hist"),
    ],
)
def test_wrong_parts_are_told_in_one_line(make, message):
    with pytest.raises(DeclarationError, match=message):
        make()


class Moved(Shift):
    """Jets of more or less momentum."""

    @property
    def paths(self):
        return (("Jet", "pt"),)

    def variations(self, metadata, corrections):
        return {"jetUp": (1.5,), "jetDown": (0.6,)} if metadata["is_mc"] else {}

    def shifted(self, events, amounts):
        return {("Jet", "pt"): events.Jet.pt * amounts[0]}


class Shadowing(Toy):
    """Collections that depend on jets have the names of collections of the input."""

    objects = (
        Objects("hard", "Jet", (pt > 40,)),
        Objects("Muon", "Muon", (pt > 5,), away_from={"hard": 0.8}),
        Objects("muon", "Muon"),
        Objects("jet", "Jet", (pt > 30,)),
    )
    shifts = (Moved(),)

    def prepare(self, events):
        """Replace the missing momentum by one that depends on the jets."""
        changed = events.MET.pt + 0.2 * ak.sum(events.jet.pt, axis=1)
        return ak.with_field(events, ak.zip({"pt": changed}), "MET")


class Unshifted(Shadowing):
    shifts = ()


MUON = {"pt": 30.0, "eta": 0.1, "phi": 0.0, "tight": True}


#: Counts as missing momentum or not, as a muon near it does, by its momentum.
JET = MUON | {"pt": 35.0, "phi": 0.5}
AWAY = JET | {"phi": 2.5}


@settings(max_examples=6)
@given(st.lists(event, min_size=1, max_size=12))
@example([{"Muon": [MUON], "Jet": [JET], "met": 50.0, "weight": 1.0}])
@example([{"Muon": [MUON], "Jet": [AWAY], "met": 8.0, "weight": 1.0}])
def test_what_replaces_a_collection_varies_with_what_it_is_made_of(made):
    histograms = Processor(Shadowing()).process(events_of(made))["made"].histograms
    for name, factor in (("jetUp", 1.5), ("jetDown", 0.6)):
        events = events_of(made)
        moved = ak.with_field(events, events.Jet.pt * factor, ["Jet", "pt"])
        moved = ak.with_parameter(moved, "metadata", events.metadata)
        again = Processor(Unshifted()).process(moved)["made"].histograms
        for histogram in ("met", "jets_pt", "jets_met"):
            shifted = histograms[histogram][:, name, ...]
            assert shifted == again[histogram][:, "nominal", ...], (histogram, name)


def test_objects_of_hidden_events_are_counted_in_no_step_but_the_first():
    class Hiding(Toy):
        blind = Blind("met", ((20, 30),))

    made = [{"Muon": [MUON], "Jet": [], "met": met, "weight": 1.0} for met in (15.0, 25.0, 35.0)]
    analysis = Hiding().hiding(Hidden(((20, 30),)))
    counts = Processor(analysis).process(events_of(made, is_mc=False))["made"].objects["muon"]
    assert [row["candidates"] for row in counts.rows()] == [3, 2, 2, 2]


def test_paths_of_regions_may_be_missing_in_some_files():
    class Triggered(Toy):
        regions = (Region("isolated", PathFired("IsoMu24")),)

    metadata = {"is_mc": True, "era": "2018", "hlt": ()}
    assert branch_needs(Triggered(), {"made": metadata})["made"].in_some_file == ("HLT_IsoMu24",)
