"""Shape variations against the slow way: shift everything, and select from the beginning."""

from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.nanoevents import NanoAODSchema
from coffea.nanoevents.methods import base, vector
from scipy.stats import kstest

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Candidates,
    Categories,
    Condition,
    Cut,
    Histogram,
    MomentumShift,
    Selection,
    Shift,
    Variable,
)
from bphcoffea.analysis.shifts import noise, replaced
from bphcoffea.corrections import Corrections, EraCorrections, load_corrections
from bphcoffea.corrections.declaration import MomentumSection
from bphcoffea.errors import DeclarationError
from bphcoffea.inputs import TwoMuTrackSchema
from bphcoffea.processing.processor import Processor
from bphcoffea.processing.shape_variations import UnaffectedVariables
from bphcoffea.processing.tracing import branch_needs

# so large that best candidates, selections and masses change for many
SIZES = {
    "muon": MomentumSection(scale=0.03, resolution=0.05),
    "track": MomentumSection(scale=0.1, resolution=0.2),
}


@pytest.fixture(scope="module")
def toys(shared_folders):
    return shared_folders.toys("ds_phipi", 4000, 3)


@pytest.fixture(scope="module")
def corrections(tmp_path_factory):
    path = tmp_path_factory.mktemp("toml") / "x.toml"
    path.write_text('name = "x"\neras = ["*"]\n')
    return Corrections([EraCorrections("x", ("*",), path, "", momentum=SIZES)])


def slowly(analysis, open_events, corrections):
    """Each variation: all events shifted, and nothing else known of them."""
    for shift in analysis.shifts:
        events = open_events()
        known = corrections.for_era("2017D")
        for name, amounts in shift.variations(events.metadata, known).items():
            everywhere = [np.full(len(events), amount) for amount in amounts]
            moved = replaced(events, shift.shifted(events, everywhere))
            (result,) = Processor(analysis).process(moved).values()
            yield name, result


@pytest.mark.parametrize("source", ["toys", "fixture"])
def test_variations_are_what_selecting_shifted_events_from_the_beginning_gives(
    ds_phipi, toys, data, corrections, open_events, source
):
    file, era = {
        "toys": (toys / "toy_ds_phipi_mc_0.root", "2017D"),
        "fixture": (data / "tree3mu_phipi_2018_mc.root", "2018D"),
    }[source]

    def events():
        return open_events(file, TwoMuTrackSchema, is_mc=True, era=era)

    (result,) = Processor(ds_phipi.corrected(corrections)).process(events()).values()
    names = []
    for name, slow in slowly(ds_phipi, events, corrections):
        names.append(name)
        for histogram, contents in result.histograms.items():
            if not histogram.startswith("nminus1"):
                got = contents["all", name, :].view(flow=True)
                expected = slow.histograms[histogram]["all", "nominal", :].view(flow=True)
                np.testing.assert_array_equal(got, expected)
    assert names == [
        *("muon_scaleUp", "muon_scaleDown", "muon_resolutionUp"),
        *("track_scaleUp", "track_scaleDown", "track_resolutionUp"),
    ]
    mass = result.histograms["mass"]
    assert list(mass.axes["variation"]) == ["nominal", *names]
    if source == "toys":
        nominal = mass["all", "nominal", :].values()
        for name in names:
            assert not np.array_equal(mass["all", name, :].values(), nominal)


def test_the_nominal_result_is_the_same_with_shifts_as_without(
    ds_phipi, toys, corrections, open_events
):
    results = []
    for analysis in (ds_phipi, ds_phipi.corrected(corrections)):
        file = toys / "toy_ds_phipi_mc_0.root"
        events = open_events(file, TwoMuTrackSchema, is_mc=True, era="2017D")
        results.append(Processor(analysis).process(events)["test"])
    without, with_shifts = results
    assert without.cutflow.rows() == with_shifts.cutflow.rows()
    table, other = without.candidates.arrays(), with_shifts.candidates.arrays()
    assert {name: values.tolist() for name, values in table.items()} == {
        name: values.tolist() for name, values in other.items()
    }
    for name, histogram in without.histograms.items():
        np.testing.assert_array_equal(
            histogram["all", "nominal", :].view(flow=True),
            with_shifts.histograms[name]["all", "nominal", :].view(flow=True),
        )


def test_data_are_not_shifted(ds_phipi, toys, corrections, open_events):
    events = open_events(toys / "toy_2017_0.root", TwoMuTrackSchema, era="2017D")
    (result,) = Processor(ds_phipi.corrected(corrections)).process(events).values()
    assert list(result.histograms["mass"].axes["variation"]) == ["nominal"]


def test_each_column_is_read_once_for_all_variations(ds_phipi, toys, corrections, open_events):
    read = []
    file = toys / "toy_ds_phipi_mc_0.root"
    events = open_events(file, TwoMuTrackSchema, is_mc=True, era="2017D", log=read)
    (result,) = Processor(ds_phipi.corrected(corrections)).process(events).values()
    assert len(result.histograms["mass"].axes["variation"]) == 7
    columns = [str(column) for column in read]
    assert "Mu01_Pt" in {column.branch for column in read}
    assert len(columns) == len(set(columns))


def tried(events, *paths):
    return UnaffectedVariables(events, paths, np.flatnonzero(ak.num(events.Triplet)))


def test_what_a_shift_can_not_change_is_found_out(ds_phipi, toys, open_events):
    file = toys / "toy_ds_phipi_mc_0.root"
    events = open_events(file, TwoMuTrackSchema, is_mc=True, era="2017D")
    conditions = [
        requirement._variable
        for cut in ds_phipi.selection
        for requirement in cut.requirements
        if isinstance(requirement, Condition)
    ]
    variables = [*ds_phipi.selection.variables(), *conditions]
    moved = {
        shift.particle: {v.name for v in variables if v not in tried(events, *shift.paths)}
        for shift in ds_phipi.shifts
    }
    assert moved == {
        "muon": {"mass", "mu1_pt", "mu2_pt", "phi_mass"},
        "track": {"mass", "track_pt"},
    }


def STEEP(pt):  # noqa: N802 - a name that the lambdas below find
    return 1.0 if pt > 3 else 2.0


def by_hand(triplets, value):
    """A loop over candidates: where there are none it looks at nothing."""
    lists = [[value(triplet.mu1) for triplet in event] for event in triplets]
    return ak.unflatten([x for numbers in lists for x in numbers], ak.num(triplets))


@pytest.mark.parametrize(
    "function",
    [
        lambda t: t.mu1.pt,
        lambda t: t.mu1.pt + 1,
        lambda t: t.mu1.pt > 3,
        lambda t: abs(t.mu1.pt),
        lambda t: np.sqrt(t.mu1.pt),
        lambda t: ak.where(t.mu1.pt > 3, 1.0, 2.0),
        lambda t: ak.values_astype(t.mu1.pt, np.float32),
        lambda t: ak.unflatten(ak.to_numpy(ak.flatten(t.mu1.pt)) * 2, ak.num(t)),
        lambda t: ak.fill_none(ak.mask(t.mu1.eta, t.mu1.pt > 3), 0),
        lambda t: t.mu1.px,
        lambda t: (t.mu1 + t.mu2).mass,
        lambda t: ak.from_numpy(np.asarray(ak.max(t.mu1.pt, axis=1))),
        lambda t: ak.argsort(t.mu1.pt),
        lambda t: ak.unflatten([float(x) for x in ak.flatten(t.mu1.pt)], ak.num(t)),
        lambda t: by_hand(t, lambda mu: float(mu.pt)),
        lambda t: by_hand(t, lambda mu: float(mu.pt) if abs(mu.eta) > 1.2 else 0.0),
        lambda t: ak.unflatten(np.vectorize(STEEP, [float])(ak.flatten(t.mu1.pt)), ak.num(t)),
    ],
)
def test_whatever_looks_at_a_shifted_field_is_evaluated_again(toys, open_events, function):
    file = toys / "toy_ds_phipi_mc_0.root"
    events = open_events(file, TwoMuTrackSchema, is_mc=True, era="2017D")
    unaffected = tried(events, ("Triplet", "mu1", "pt"))
    assert Variable("x", lambda e: function(e.Triplet)) not in unaffected
    assert Variable("y", lambda e: e.Triplet.mu1.eta) in unaffected
    assert Variable("z", lambda e: e.Triplet.mu2.pt + e.Triplet.mu1.matching_pt) in unaffected


@pytest.mark.parametrize("first", ["none", "candidates"])
def test_first_events_without_candidates_hide_no_shift(
    ds_phipi, toys, corrections, open_events, first
):
    """A variable with a loop over candidates is evaluated again whatever event comes first."""

    class Looping(type(ds_phipi)):
        momentum = Variable("momentum", lambda e: by_hand(e.Triplet, lambda mu: float(mu.pt)))
        histograms = (Histogram("momentum", momentum, Axis(50, 0, 25)),)
        candidates = Candidates("Triplet", best=momentum)
        selection = Selection(Cut("steep", momentum > 6))
        columns = ()
        weights = ()
        mass_fit = None

    file = toys / "toy_ds_phipi_mc_0.root"

    def events():
        whole = open_events(file, TwoMuTrackSchema, is_mc=True, era="2017D")
        counts = ak.to_numpy(ak.num(whole.Triplet))
        order = np.argsort(counts > 0 if first == "none" else counts == 0, kind="stable")
        assert (counts[order[0]] == 0) == (first == "none")
        return whole[order[np.r_[0:60, -60:0]]]

    looping = Looping().corrected(corrections)
    (result,) = Processor(looping).process(events()).values()
    contents = result.histograms["momentum"]
    for name, slow in slowly(Looping(), events, corrections):
        expected = slow.histograms["momentum"]["all", "nominal", :].view(flow=True)
        np.testing.assert_array_equal(contents["all", name, :].view(flow=True), expected)
    nominal = contents["all", "nominal", :].values()
    assert not np.array_equal(contents["all", "muon_scaleUp", :].values(), nominal)


def test_a_chunk_without_candidates_has_all_variations(ds_phipi, toys, corrections, open_events):
    events = open_events(toys / "toy_ds_phipi_mc_0.root", TwoMuTrackSchema, is_mc=True, era="2017D")
    none = events[ak.num(events.Triplet) == 0]
    (result,) = Processor(ds_phipi.corrected(corrections)).process(none).values()
    (whole,) = Processor(ds_phipi.corrected(corrections)).process(events).values()
    assert (result + whole).histograms["mass"] == whole.histograms["mass"]


def test_smearing_is_normal_and_the_same_wherever_a_particle_is_met(toys, open_events):
    file = toys / "toy_2017_0.root"
    muons = open_events(file, TwoMuTrackSchema, era="2017D").Triplet.mu1
    numbers = noise(muons)
    flat = ak.to_numpy(ak.flatten(numbers[muons.pt > 0]))
    # candidates of one event share their muons
    distinct = np.unique(flat)
    assert 500 < len(distinct) < len(flat)
    assert kstest(distinct, "norm").pvalue > 1e-3
    part = noise(muons[100:200])
    assert ak.to_list(part) == ak.to_list(numbers[100:200])
    both = noise(open_events(file, TwoMuTrackSchema, era="2017D").Triplet.mu2)
    assert abs(np.corrcoef(flat, ak.to_numpy(ak.flatten(both[muons.pt > 0])))[0, 1]) < 0.1


@dataclass(frozen=True)
class Shifted(Shift):
    """Muons of NanoAOD with more or less momentum."""

    @property
    def paths(self):
        return (("Muon", "pt"),)

    def variations(self, metadata, corrections):
        return {"scaleUp": (1.5,), "scaleDown": (0.5,)}

    def shifted(self, events: Any, amounts):
        return {("Muon", "pt"): events.Muon.pt * amounts[0]}


class Pairs(Analysis):
    """Pairs of the muons above a threshold, made by the analysis: shifted, there are others."""

    schema = NanoAODSchema
    mass = Variable("mass", lambda e: (e.Pair.first + e.Pair.second).mass)
    leading = Variable("leading", lambda e: e.Pair.first.pt)
    side = Variable("side", lambda e: ak.values_astype(e.Pair.first.eta > 0, np.int64))
    candidates = Candidates("Pair", best=mass)
    selection = Selection(Cut("leading", leading > 10))
    categories = Categories(("backward", "forward"), side)
    histograms = (Histogram("mass", mass, Axis(20, 0, 100)),)
    columns = (mass,)
    shifts = (Shifted(),)

    def prepare(self, events):
        muons = events.Muon[events.Muon.pt > 5]
        pairs = ak.combinations(muons, 2, fields=["first", "second"])
        return ak.with_field(events, pairs, "Pair")


def nano(seed=1, n=400):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(2, n)
    flat = {
        "pt": rng.exponential(10, counts.sum()),
        "eta": rng.normal(0, 1, counts.sum()),
        "phi": rng.uniform(-3, 3, counts.sum()),
        "mass": np.full(counts.sum(), 0.105),
        "charge": rng.choice([-1, 1], counts.sum()),
    }
    muons = ak.zip(
        {name: ak.unflatten(values, counts) for name, values in flat.items()},
        with_name="PtEtaPhiMLorentzVector",
    )
    metadata = {"dataset": "nano", "is_mc": True, "era": "2022", "hlt": ()}
    return ak.zip({"Muon": muons}, depth_limit=1), metadata


def test_candidates_that_an_analysis_makes_itself_are_made_again():
    array, metadata = nano()
    events = with_metadata(array, metadata)
    (result,) = Processor(Pairs()).process(events).values()
    mass = result.histograms["mass"]
    assert list(mass.axes["category"]) == ["backward", "forward"]
    assert list(mass.axes["variation"]) == ["nominal", "scaleUp", "scaleDown"]

    class Alone(Pairs):
        shifts = ()

    for name, factor in {"nominal": 1.0, "scaleUp": 1.5, "scaleDown": 0.5}.items():
        moved = with_metadata(
            ak.with_field(array, array.Muon.pt * factor, ["Muon", "pt"]), metadata
        )
        (expected,) = Processor(Alone()).process(moved).values()
        for category in mass.axes["category"]:
            np.testing.assert_array_equal(
                mass[category, name, :].view(flow=True),
                expected.histograms["mass"][category, "nominal", :].view(flow=True),
            )
    counts = {name: mass[sum, name, sum].value for name in mass.axes["variation"]}
    assert counts["scaleDown"] < counts["nominal"] < counts["scaleUp"]


def test_a_candidate_in_no_category_is_a_mistake_of_the_analysis():
    class Wrong(Pairs):
        categories = Categories(("only",), Pairs.side)

    with pytest.raises(ValueError, match="'side' is 1 for a selected candidate"):
        Processor(Wrong()).process(with_metadata(*nano()))


def test_two_variations_of_one_name_are_a_mistake_of_the_analysis():
    class Twice(Pairs):
        shifts = (Shifted(), Shifted())

    # of a shift whose variations may depend on the dataset, which is known before its events
    metadata = {"is_mc": True, "era": "2022", "hlt": ()}
    with pytest.raises(
        DeclarationError, match="two variations of shifts are named scaleUp, scaleDown"
    ):
        branch_needs(Twice(), {"test": metadata})
    with pytest.raises(ValueError, match="two variations are named"):
        Processor(Twice()).process(with_metadata(*nano()))


def with_metadata(array, metadata):
    """Eager events that know their metadata."""
    behavior = {**base.behavior, **vector.behavior}
    events = ak.with_name(ak.Array(array, behavior=behavior), "NanoEvents")
    return ak.with_parameter(events, "metadata", metadata)


def test_corrections_without_momenta_shift_nothing(ds_phipi, toys, open_events):
    (toys / "none.toml").write_text('name = "none"\neras = ["*"]\n')
    file = toys / "toy_ds_phipi_mc_0.root"
    events = open_events(file, TwoMuTrackSchema, is_mc=True, era="2017D")
    (result,) = (
        Processor(ds_phipi.corrected(load_corrections([toys / "none.toml"])))
        .process(events)
        .values()
    )
    assert list(result.histograms["mass"].axes["variation"]) == ["nominal"]


def test_momentum_shifts_name_what_they_replace(ds_phipi):
    muon = ds_phipi.shifts[0]
    assert isinstance(muon, MomentumShift)
    assert ("Triplet", "mu1", "pt") in muon.paths
    assert ("Triplet", "mass") in muon.paths


def test_a_histogram_is_filled_under_the_variations_that_it_chooses():
    class Chosen(Pairs):
        histograms = (
            *Pairs.histograms,
            Histogram("up", Pairs.mass, Axis(20, 0, 100), variations=("*Up",)),
            Histogram("nominal_only", Pairs.leading, Axis(20, 0, 100), variations=()),
        )

    class Nominal(Chosen):
        histograms = Chosen.histograms[2:]

    events = with_metadata(*nano())
    (result,) = Processor(Chosen()).process(events).values()
    (expected,) = Processor(Pairs()).process(events).values()
    whole, up = expected.histograms["mass"], result.histograms["up"]
    assert result.histograms["mass"] == whole
    assert list(up.axes["variation"]) == ["nominal", "scaleUp"]
    for variation in up.axes["variation"]:
        np.testing.assert_array_equal(
            up[:, variation, :].view(flow=True), whole[:, variation, :].view(flow=True)
        )
    assert list(result.histograms["nominal_only"].axes["variation"]) == ["nominal"]
    # nothing is evaluated for variations that no histogram has
    metadata = {"is_mc": True, "era": "2022", "hlt": ()}
    assert Chosen().for_dataset(metadata).shape_names == ["scaleUp", "scaleDown"]
    assert Nominal().for_dataset(metadata).shape_names == []
