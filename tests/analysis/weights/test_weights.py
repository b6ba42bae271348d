"""Weights of candidates against a loop that evaluates correctionlib muon by muon."""

import gzip
import json
import math
import textwrap
from collections import defaultdict

import correctionlib
import numpy as np
import pytest

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Candidates,
    Cut,
    Histogram,
    LifetimeWeight,
    MuonWeight,
    Selection,
    TriggerWeight,
    Variable,
    Weight,
    leg_eta,
    leg_pt,
)
from bphcoffea.corrections import Factor, load_corrections
from bphcoffea.datasets import load_fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, run
from bphcoffea.inputs import TwoMuTrackSchema
from bphcoffea.processing.processor import Processor
from bphcoffea.toys import TOYS

MUONS = ("mu1", "mu2")
MOMENTA = tuple((leg_pt("Triplet", muon), leg_eta("Triplet", muon)) for muon in MUONS)


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys")
    TOYS["ds_phipi"](folder, 20_000, 5)
    return folder


@pytest.fixture(scope="module")
def corrections(toys):
    return load_corrections([toys / "corrections.toml"])


@pytest.fixture(scope="module")
def with_momenta(ds_phipi):
    """Ds → φπ whose table has what the weights depend on."""

    class WithMomenta(type(ds_phipi)):
        interactions = Variable("interactions", lambda events: events.nPileUpInt)
        columns = (
            *type(ds_phipi).columns,
            *(variable for pair in MOMENTA for variable in pair),
            interactions,
        )

    return WithMomenta()


@pytest.fixture(scope="module")
def result(with_momenta, corrections, toys, open_events):
    events = open_events(
        toys / "toy_phi_track_mc_0.root", TwoMuTrackSchema, is_mc=True, era="2017D"
    )
    (result,) = Processor(with_momenta.corrected(corrections)).process(events).values()
    return result


def oracle(toys, table):
    """Factors of each candidate under each variation, one call of correctionlib at a time."""
    muons = correctionlib.CorrectionSet.from_file(str(toys / "muon_JPsi.json.gz"))
    pileup = correctionlib.CorrectionSet.from_file(str(toys / "puWeights.json.gz"))
    (pileup,) = pileup.values()
    names = {
        "muon_id": "NUM_LooseID_DEN_TrackerMuons",
        "muon_reconstruction": "NUM_TrackerMuons_DEN_genTracks",
    }
    for row in range(len(table["mass"])):
        factors = {"generator": 1.0}
        varied = {}
        n = float(table["interactions"][row])
        factors["pileup"] = pileup.evaluate(n, "nominal")
        varied["pileupUp"] = pileup.evaluate(n, "up") / factors["pileup"]
        varied["pileupDown"] = pileup.evaluate(n, "down") / factors["pileup"]
        for name, correction in names.items():
            nominal = 1.0
            shifted = defaultdict(lambda: 1.0)
            for muon in MUONS:
                eta, pt = float(table[f"{muon}_eta"][row]), float(table[f"{muon}_pt"][row])
                value = muons[correction].evaluate(eta, pt, "nominal")
                nominal *= value
                for part in ("stat", "syst"):
                    error = muons[correction].evaluate(eta, pt, part)
                    shifted[f"{name}_{part}Up"] *= value + error
                    shifted[f"{name}_{part}Down"] *= value - error
            factors[name] = nominal
            varied |= {variation: each / nominal for variation, each in shifted.items()}
        yield factors, varied


def test_weights_are_those_of_a_loop_over_muons(toys, result):
    table = result.candidates.arrays()
    assert len(table["mass"]) > 200
    for row, (factors, _) in enumerate(oracle(toys, table)):
        for name, factor in factors.items():
            assert table[f"weight_{name}"][row] == factor  # to the last bit
        assert table["weight"][row] == pytest.approx(math.prod(factors.values()), rel=1e-14)


def test_histograms_of_weight_variations_are_those_of_a_loop(toys, result):
    table = result.candidates.arrays()
    mass = result.histograms["mass"]
    edges = mass.axes[-1].edges
    expected = defaultdict(lambda: np.zeros(len(edges) - 1))
    variances = defaultdict(lambda: np.zeros(len(edges) - 1))
    for row, (factors, varied) in enumerate(oracle(toys, table)):
        place = np.searchsorted(edges, table["mass"][row], side="right") - 1
        if not 0 <= place < len(edges) - 1:
            continue
        nominal = math.prod(factors.values())
        for variation, relative in {"nominal": 1.0, **varied}.items():
            expected[variation][place] += nominal * relative
            variances[variation][place] += (nominal * relative) ** 2
    weights = [name for name in mass.axes["variation"] if "momentum" not in name]
    assert set(expected) <= set(weights)
    assert len(expected) == 11
    for variation, contents in expected.items():
        got = mass["all", variation, :]
        # sums of a few hundred numbers in another order
        np.testing.assert_allclose(got.values(), contents, rtol=1e-12)
        np.testing.assert_allclose(got.variances(), variances[variation], rtol=1e-12)
    total = {variation: contents.sum() for variation, contents in expected.items()}
    for part in ("muon_id_stat", "muon_id_syst", "muon_reconstruction_stat"):
        assert total[f"{part}Down"] < total["nominal"] < total[f"{part}Up"]


def test_the_cutflow_ends_with_the_weights_of_the_table(result):
    table = result.candidates.arrays()
    rows = {row["step"]: row for row in result.cutflow.rows()}
    # before any muon is corrected the weights are pile-up's, whose mean over the profile is 1
    assert rows["all"]["sumw"] == pytest.approx(rows["all"]["events"], rel=0.03)
    assert rows["all"]["sumw"] != rows["all"]["events"]
    assert rows["trigger_match"]["sumw"] == pytest.approx(table["weight"].sum(), rel=1e-12)
    assert result.generator_sumw == rows["all"]["events"]


def test_data_have_weight_one_and_no_variation(with_momenta, corrections, toys, open_events):
    class OfData(type(with_momenta)):
        columns = type(with_momenta).columns[:-1]

    events = open_events(toys / "toy_2017_0.root", TwoMuTrackSchema, era="2017D")
    (result,) = Processor(OfData().corrected(corrections)).process(events).values()
    table = result.candidates.arrays()
    assert set(table["weight"]) == {1.0}
    assert [name for name in table if name.startswith("weight_")] == []
    assert list(result.histograms["mass"].axes["variation"]) == ["nominal"]


def test_without_corrections_simulation_has_the_weight_of_the_generator(
    with_momenta, toys, open_events
):
    file = toys / "toy_ds_phipi_mc_0.root"
    events = open_events(file, TwoMuTrackSchema, is_mc=True, era="2017D")
    (result,) = Processor(with_momenta).process(events).values()
    table = result.candidates.arrays()
    assert [name for name in table if name.startswith("weight_")] == ["weight_generator"]
    assert list(result.histograms["mass"].axes["variation"]) == ["nominal"]


def test_nominal_only_leaves_out_every_variation_and_changes_nothing_else(
    with_momenta, corrections, result, toys, open_events
):
    file = toys / "toy_phi_track_mc_0.root"
    events = open_events(file, TwoMuTrackSchema, is_mc=True, era="2017D")
    nominal = with_momenta.corrected(corrections, nominal_only=True)
    (alone,) = Processor(nominal).process(events).values()
    assert list(alone.histograms["mass"].axes["variation"]) == ["nominal"]
    np.testing.assert_array_equal(
        alone.histograms["mass"]["all", "nominal", :].view(),
        result.histograms["mass"]["all", "nominal", :].view(),
    )
    assert alone.cutflow.rows() == result.cutflow.rows()


class Weighed(Analysis):
    """Candidates with a vertex, weighed by their muons from then on."""

    schema = TwoMuTrackSchema
    chi2 = Variable("chi2", lambda events: events.Triplet.vertex.chi2)
    mass = Variable("mass", lambda events: events.Triplet.mass)
    candidates = Candidates("Triplet", best=chi2)
    selection = Selection(Cut("any", chi2 > -1000), Cut("vertex", chi2 >= 0), Cut("mass", mass > 1))
    histograms = (Histogram("chi2", chi2, Axis(10, 0, 10)),)
    weights = (MuonWeight("muon_id", MOMENTA, after="vertex"),)


def toml(folder, section="muon_id", policy="error", name="NUM_LooseID_DEN_TrackerMuons"):
    path = folder / "mine.toml"
    file = {"muon_id": "muon_JPsi.json.gz", "pileup": "puWeights.json.gz"}[section]
    path.write_text(
        textwrap.dedent(f"""
        name = "mine"
        eras = ["2017*"]
        [{section}]
        file = "{file}"
        name = "{name}"
        out_of_range = "{policy}"
        """)
    )
    return load_corrections([path])


def events_of(ntuple, open_events, one_candidate, candidates):
    """One event with candidates (chi2, pt of the first muon)."""
    event = one_candidate()
    lists = {name: value for name, value in event.items() if name not in ("evt", "run", "lumi")}
    of_candidates = [name for name in lists if name.startswith(("Triplet", "Mu0", "Tr_", "Ref"))]
    of_candidates += [name for name in lists if name.startswith(("Flight", "Mu1_", "Mu2_", "Mu3_"))]
    for name in of_candidates:
        event[name] = lists[name] * len(candidates)
    event["TripletVtx2_Chi2"] = [chi2 for chi2, _ in candidates]
    event["Mu01_Pt"] = [pt for _, pt in candidates]
    return open_events(ntuple([event]), TwoMuTrackSchema, is_mc=True, era="2017B")


def test_an_event_weighs_what_its_best_surviving_candidate_does(
    toys, ntuple, open_events, one_candidate
):
    candidates = [(-99.0, -99.0), (7.0, 4.2), (3.0, 9.9), (5.0, 21.0)]
    events = events_of(ntuple, open_events, one_candidate, candidates)
    corrections = toml(toys)
    (result,) = Processor(Weighed().corrected(corrections)).process(events).values()
    muon = correctionlib.CorrectionSet.from_file(str(toys / "muon_JPsi.json.gz"))
    muon = muon["NUM_LooseID_DEN_TrackerMuons"]
    arrays = {name: float(events.Triplet.mu2[name][0][0]) for name in ("eta", "pt")}
    second = muon.evaluate(arrays["eta"], arrays["pt"], "nominal")
    first = muon.evaluate(float(events.Triplet.mu1.eta[0][0]), 9.9, "nominal")
    rows = {row["step"]: row for row in result.cutflow.rows()}
    # the padded candidate has no weight, and needs none, before the cut that rejects it
    assert (rows["any"]["candidates"], rows["any"]["sumw"]) == (4, 1.0)
    assert (rows["vertex"]["candidates"], rows["vertex"]["sumw"]) == (3, first * second)
    assert result.candidates.arrays()["weight"].tolist() == [first * second]


@pytest.mark.parametrize("pt", [-99.0, 0.0, float("nan"), 0.2, 1e6])
def test_what_can_not_be_weighed_is_refused(toys, ntuple, open_events, one_candidate, pt):
    events = events_of(ntuple, open_events, one_candidate, [(3.0, pt)])
    with pytest.raises(InputError, match=r"NUM_LooseID_DEN_TrackerMuons.*pt"):
        Processor(Weighed().corrected(toml(toys))).process(events)


@pytest.mark.parametrize("pt", [0.2, 1e6])
def test_values_outside_the_bins_are_clamped_and_counted(
    toys, ntuple, open_events, one_candidate, pt
):
    events = events_of(ntuple, open_events, one_candidate, [(3.0, pt)])
    (result,) = Processor(Weighed().corrected(toml(toys, policy="clamp"))).process(events).values()
    assert result.clamped == {"muon_id": 1}
    assert 0.9 < result.candidates.arrays()["weight"][0] < 1


@pytest.mark.parametrize("pt", [-99.0, 0.0, float("nan")])
def test_padding_is_not_clamped(toys, ntuple, open_events, one_candidate, pt):
    events = events_of(ntuple, open_events, one_candidate, [(3.0, pt)])
    with pytest.raises(InputError, match=r"NUM_LooseID_DEN_TrackerMuons.*pt"):
        Processor(Weighed().corrected(toml(toys, policy="clamp"))).process(events)


def test_what_was_clamped_is_told_in_the_metrics(toys, with_momenta, tmp_path):
    """Scale factors that end at 5 GeV, for muons that go on."""
    content = json.loads(gzip.decompress((toys / "muon_JPsi.json.gz").read_bytes()))
    for correction in content["corrections"]:
        for of_eta in correction["data"]["content"]:
            bins = sum(edge < 5 for edge in of_eta["edges"][1:])
            of_eta["edges"] = [*of_eta["edges"][: bins + 1], 5.0]
            of_eta["content"] = of_eta["content"][: bins + 1]
    (toys / "short.json").write_text(json.dumps(content))
    text = (toys / "corrections.toml").read_text().replace('"error"', '"clamp"')
    (toys / "clamping.toml").write_text(text.replace("muon_JPsi.json.gz", "short.json"))
    fileset = load_fileset(toys / "fileset.json").select(["toy_ds_phipi_mc"])
    corrected = with_momenta.corrected(load_corrections([toys / "clamping.toml"]))
    folder = run(corrected, fileset, tmp_path, Options("iterative", chunksize=500))
    table = folder.candidates("toy_ds_phipi_mc").to_pydict()
    beyond = sum(pt >= 5 for muon in MUONS for pt in table[f"{muon}_pt"])
    assert beyond > 50
    assert folder.read("metrics.json")["clamped"] == {
        "toy_ds_phipi_mc": {"muon_id": beyond, "muon_reconstruction": beyond}
    }


def test_a_weight_after_a_cut_that_is_none_is_a_mistake_of_the_analysis():
    with pytest.raises(ValueError, match="no cut is named 'vertx'; did you mean 'vertex'"):

        class Wrong(Weighed):
            weights = (MuonWeight("muon_id", MOMENTA, after="vertx"),)


def test_a_weight_of_a_cut_that_a_dataset_lacks_counts_from_the_next(
    toys, ntuple, open_events, one_candidate
):
    class Lacking(Weighed):
        selection = Selection(
            Cut("vertex", Weighed.chi2 >= 0),
            Cut("absent", Weighed.chi2 >= 0, when=lambda known: False),
            Cut("mass", Weighed.mass > 1),
        )
        weights = (MuonWeight("muon_id", MOMENTA, after="absent"),)

    events = events_of(ntuple, open_events, one_candidate, [(3.0, 5.0)])
    (result,) = Processor(Lacking().corrected(toml(toys))).process(events).values()
    steps = [(row["step"], row["sumw"] < 1) for row in result.cutflow.rows()]
    assert steps == [("all", False), ("vertex", False), ("mass", True)]


def test_lifetimes_are_variations_of_datasets_that_have_one(
    ntuple, open_events, one_candidate, toys
):
    class Long(Weighed):
        length = Variable("length", lambda events: events.Triplet.mass * 100)
        weights = (
            LifetimeWeight(length, lambda generated: (generated, 2 * generated), after="vertex"),
        )

    event = ntuple([one_candidate()])
    plain = open_events(event, TwoMuTrackSchema, is_mc=True, era="2017B")
    (result,) = Processor(Long()).process(plain).values()
    assert list(result.histograms["chi2"].axes["variation"]) == ["nominal"]
    signal = open_events(event, TwoMuTrackSchema, is_mc=True, era="2017B", ctau=100.0)
    (result,) = Processor(Long()).process(signal).values()
    chi2 = result.histograms["chi2"]
    assert list(chi2.axes["variation"]) == ["nominal", "ctau_100", "ctau_200"]
    # w = (c₀/c₁) exp[l (1/c₀ - 1/c₁)] with l = 196.8 mm
    assert chi2["all", "ctau_100", sum].value == pytest.approx(1, rel=1e-12)
    expected = 0.5 * math.exp(196.8 * (1 / 100 - 1 / 200))
    assert chi2["all", "ctau_200", sum].value == pytest.approx(expected, rel=1e-12)


def test_the_trigger_weighs_either_muon(toys, ntuple, open_events, one_candidate):
    path = toys / "trigger.toml"
    path.write_text(
        textwrap.dedent("""
        name = "trigger"
        eras = ["2017*"]
        [trigger.data]
        file = "trigger.json.gz"
        name = "efficiency_data"
        out_of_range = "clamp"
        [trigger.simulation]
        file = "trigger.json.gz"
        name = "efficiency_simulation"
        out_of_range = "clamp"
        """)
    )
    significance = Variable("ips_xy", lambda events: events.Triplet.flight_bs.significance)

    class Triggered(Weighed):
        weights = (
            TriggerWeight(
                tuple({"pt": pt, "ips_xy": significance} for pt, _ in MOMENTA), after="vertex"
            ),
        )

    events = events_of(ntuple, open_events, one_candidate, [(3.0, 11.0)])
    (result,) = Processor(Triggered().corrected(load_corrections([path]))).process(events).values()
    maps = correctionlib.CorrectionSet.from_file(str(toys / "trigger.json.gz"))
    ips = float(events.Triplet.flight_bs.significance[0][0])
    pts = [11.0, float(events.Triplet.mu2.pt[0][0])]
    either = {}
    for side in ("data", "simulation"):
        first, second = (maps[f"efficiency_{side}"].evaluate(pt, ips, "nominal") for pt in pts)
        either[side] = first + second - first * second
    (weight,) = result.candidates.arrays()["weight_trigger"]
    assert weight == either["data"] / either["simulation"]
    variations = list(result.histograms["chi2"].axes["variation"])
    assert variations == [
        "nominal",
        "trigger_data_statDown",
        "trigger_data_statUp",
        "trigger_simulation_statDown",
        "trigger_simulation_statUp",
    ]
    totals = {name: result.histograms["chi2"]["all", name, sum].value for name in variations}
    for side in ("data", "simulation"):
        down, up = (totals[f"trigger_{side}_stat{way}"] for way in ("Down", "Up"))
        assert down < totals["nominal"] < up


def test_a_trigger_efficiency_of_what_the_analysis_does_not_give_is_told(
    toys, ntuple, open_events, one_candidate
):
    test_the_trigger_weighs_either_muon(toys, ntuple, open_events, one_candidate)

    class Without(Weighed):
        weights = (TriggerWeight(tuple({"pt": pt} for pt, _ in MOMENTA), after="vertex"),)

    events = events_of(ntuple, open_events, one_candidate, [(3.0, 11.0)])
    with pytest.raises(InputError, match="takes ips_xy; this analysis gives pt"):
        Processor(Without().corrected(load_corrections([toys / "trigger.toml"]))).process(events)


def test_a_factor_is_what_its_class_says():
    ones = np.ones(2)
    product = Factor(2 * ones, {"a": (3 * ones, ones)}, 1) * Factor(5 * ones, {}, 2)
    assert product.clamped == 3
    assert [side.tolist() for side in product.shifts["a"]] == [[15, 15], [5, 5]]


class Scaled(Weight):
    """A factor of the candidates, as given."""

    def __init__(self, name, values, up=None, down=None, after="vertex"):
        self.__dict__ |= {"name": name, "values": values, "up": up, "down": down, "after": after}

    def applies(self, metadata, corrections):
        return True

    def evaluate(self, values, given):
        chosen = values(Weighed.chi2).astype(int)
        table = [self.values, self.up, self.down]
        nominal, *sides = (np.array(each)[chosen] for each in table if each is not None)
        return Factor(nominal, {"": tuple(sides)} if given.shifted and sides else {})


def test_variations_need_no_nominal_weight(ntuple, open_events, one_candidate):
    """Events whose nominal weight is 0 count under a variation in which it is not."""

    class Zero(Weighed):
        weights = (
            Scaled("first", [0.0, 1.0, 2.0], up=[0.5, 1.0, 2.0], down=[0.0, 0.5, 1.0]),
            Scaled("second", [3.0, 0.0, 1.0], up=[3.0, 4.0, 1.0], down=[1.0, 0.0, 1.0]),
        )

    events = [one_candidate(TripletVtx2_Chi2=[float(chi2)]) for chi2 in range(3)]
    read = open_events(ntuple(events), TwoMuTrackSchema, is_mc=True, era="2017B")
    (result,) = Processor(Zero()).process(read).values()
    contents = result.histograms["chi2"]
    got = {name: contents["all", name, :3j].values() for name in contents.axes["variation"]}
    expected = {
        "nominal": [0, 0, 2],
        "firstUp": [1.5, 0, 2],
        "firstDown": [0, 0, 1],
        "secondUp": [0, 4, 2],
        "secondDown": [0, 0, 2],
    }
    assert {name: values.tolist() for name, values in got.items()} == expected


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", ["values", "up"])
def test_a_weight_that_is_not_finite_is_refused(ntuple, open_events, one_candidate, bad, place):
    sides = {"values": [1.0, 1.0], "up": [1.0, 1.0], "down": [1.0, 1.0]}
    sides[place][1] = bad

    class Broken(Weighed):
        weights = (Scaled("mine", **sides),)

    events = [one_candidate(TripletVtx2_Chi2=[float(chi2)]) for chi2 in (0, 1)]
    read = open_events(ntuple(events), TwoMuTrackSchema, is_mc=True, era="2017B")
    with pytest.raises(InputError, match=r"weight 'mine'.* is (nan|inf) .*in entry 1$"):
        Processor(Broken()).process(read)
