"""Toy samples of τ → 3μ: files, fileset, truth and mass resolution."""

import json
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from loops import fired
from tau3mu_loop import HLT, HLT_2018, STEPS, run_loop

from bphcoffea.physics.constants import MUON_MASS
from bphcoffea.toys import TOYS, decay
from bphcoffea.toys.ds_phipi import DsPhiPiToy
from bphcoffea.toys.ds_phipi.generation import Species as DsPhiPi
from bphcoffea.toys.ds_phipi.samples import DATA_FRACTIONS, FILTER_EFFICIENCY
from bphcoffea.toys.tau3mu import SAMPLES, Tau3MuToy
from bphcoffea.toys.tau3mu.generation import Species
from bphcoffea.toys.tau3mu.truth import category, find, mass_resolution
from bphcoffea.toys.tree3mu import Events

TREE = "Tree3Mu/ntuple"
EVENTS = 2_500
#: Far above any limit, so that few events hold signal in each category.
BRANCHING = 4e-6
TAU_MASS = 1.77693
DATA = ["toy_tau3mu_2017", "toy_tau3mu_2018"]
SIGNAL = [f"toy_tau3mu_{origin}_{year}_mc" for origin in "db" for year in (2017, 2018)]


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return Tau3MuToy(BRANCHING)(tmp_path_factory.mktemp("toy") / "new", EVENTS, 4)


@pytest.fixture(scope="module")
def fileset(toy) -> dict[str, Any]:
    return json.loads(toy.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def truth(toy) -> dict[str, Any]:
    return json.loads((toy.parent / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def arrays(toy, fileset) -> dict[str, ak.Array]:
    return {
        name: ak.concatenate([read(toy.parent / file) for file in entry["files"]])
        for name, entry in fileset.items()
    }


@pytest.fixture(scope="module")
def signal() -> list[Events]:
    """Simulation of charm and beauty, 8,000 events each."""
    return [next(Tau3MuToy().files(SAMPLES[i], 80_000, seed=2)).events for i in (2, 4)]


def read(path: Path) -> ak.Array:
    with uproot.open(path) as file:
        return file[TREE].arrays()


def flat(array: ak.Array) -> np.ndarray:
    return ak.to_numpy(ak.flatten(array))


def test_the_fileset_names_what_was_written(toy, fileset, arrays):
    assert list(fileset) == [*DATA, *SIGNAL]
    assert {path.name for path in toy.parent.glob("*.root")} == {
        name for entry in fileset.values() for name in entry["files"]
    }
    for name, entry in fileset.items():
        metadata = entry["metadata"]
        assert metadata["era"] == ("2017D" if "2017" in name else "2018D")
        assert metadata["kind"] == ("data" if name in DATA else "signal")
        if name in SIGNAL:
            assert metadata["is_mc"]
            assert metadata["processed_events"] == len(arrays[name]) == EVENTS // 10
            assert name.startswith(f"toy_{metadata['process']}_")


def test_the_data_are_those_of_ds_phipi(fileset):
    other = DsPhiPiToy().fileset(EVENTS)
    for year in (2017, 2018):
        mine, its = (f[f"toy{infix}_{year}"] for f, infix in ((fileset, "_tau3mu"), (other, "")))
        for name in ("luminosity", "era"):
            assert mine["metadata"][name] == its["metadata"][name]


def test_signal_is_normalised_to_ds_phipi(fileset):
    """Cross sections have the specified numbers at a branching fraction of 1e-7."""
    ds_for_each_pb = DATA_FRACTIONS[DsPhiPi.DS] * 20_000 / FILTER_EFFICIENCY / 1_000
    expected = {
        "tau3mu_d": ds_for_each_pb * 5.32e-2 / 1.3e-5 * 1.04 * 1e-7,
        "tau3mu_b": ds_for_each_pb * 0.25 * 3.34e-2 / (0.083 * 1.3e-5) * 1.12 * 1e-7,
    }
    for name in SIGNAL:
        metadata = fileset[name]["metadata"]
        assert metadata["cross_section"] == pytest.approx(expected[metadata["process"]], rel=1e-12)


def test_the_data_hold_the_branching_fraction_that_was_asked_for(fileset, truth):
    for data in DATA:
        assert truth[data]["branching"] == BRANCHING
        for process in ("tau3mu_d", "tau3mu_b"):
            metadata = fileset[f"toy_{process}_{data[-4:]}_mc"]["metadata"]
            visible = metadata["cross_section"] * metadata["filter_efficiency"] * 1_000
            luminosity = fileset[data]["metadata"]["luminosity"]
            mean = visible * luminosity * BRANCHING / 1e-7
            # five standard deviations of a Poisson number; the seed is fixed
            assert truth[data]["generated"][process] == pytest.approx(mean, abs=5 * mean**0.5)
    assert sum(truth[data]["generated"]["tau3mu_d"] for data in DATA) > 10
    assert all("branching" not in truth[name] for name in SIGNAL)


def test_a_loop_over_the_files_finds_the_truth(arrays, fileset, truth):
    """The loop looks up muons by pT and takes the triggers from their names."""
    for name, events in arrays.items():
        rows, selected = run_loop(events.to_list(), fileset[name]["metadata"]["era"])
        expected = truth[name]
        without_weights = [{k: v for k, v in row.items() if k != "sumw"} for row in rows]
        assert without_weights == expected["cutflow"]
        categories = [category for *_, category in selected]
        assert {c: categories.count(c) for c in "ABC"} == expected["categories"]
        assert len(selected) == expected["selected"]["all"]


def test_the_truth_is_consistent(truth):
    for numbers in truth.values():
        assert [row["step"] for row in numbers["cutflow"]] == list(STEPS)
        assert sum(numbers["generated"].values()) == numbers["events"]
        for name, number in numbers["categories"].items():
            parts = dict(numbers["composition"][name])
            assert parts.pop("all") == number == sum(parts.values())
        assert sum(numbers["categories"].values()) == numbers["selected"]["all"]


def test_each_step_but_delta_r_loses_events_of_data(truth):
    lost = [0] * (len(STEPS) - 1)
    for data in DATA:
        events = [row["events"] for row in truth[data]["cutflow"]]
        lost = [n + a - b for n, a, b in zip(lost, events[:-1], events[1:], strict=True)]
    by_step = dict(zip(STEPS[1:], lost, strict=True))
    # muons of a mass below 2.2 GeV and of such pT are never far from each other
    assert by_step.pop("delta_r") == 0
    assert min(by_step.values()) > 0


def test_events_without_candidates_are_triggered(arrays):
    for name, path in zip(DATA, (HLT, HLT_2018), strict=True):
        events = arrays[name]
        empty = events[ak.num(events.Triplet_Mass) == 0]
        assert len(empty) > 0.2 * len(events)
        triggered = [
            fired(event["Trigger_hltname"], event["Trigger_hltdecision"], [path])
            for event in empty.to_list()
        ]
        assert np.mean(triggered) > 0.8
        assert set(ak.num(events.Triplet_Mass)) >= {0, 1, 2}


def test_each_era_has_its_own_branches_and_trigger(arrays):
    for name, events in arrays.items():
        suffix, other = ("_2017", "") if "2017" in name else ("", "_2017")
        for leg in (1, 2, 3):
            assert f"Mu{leg}_dRtriggerMatch{suffix}" in events.fields
            assert f"Mu{leg}_dRtriggerMatch{other}" not in events.fields
        assert ("GenParticle_Pt" in events.fields) == (name in SIGNAL)


def test_types_and_lengths_are_those_of_the_ntuple(arrays):
    for name, events in arrays.items():
        types = dict(zip(events.fields, map(str, events.type.content.contents), strict=True))
        expected = dict.fromkeys(("evt", "run", "lumi"), "uint32")
        expected |= dict.fromkeys(("MuonPt", "MuonEta", "MuonPhi"), "var * float32")
        expected |= {"MuonCollectionSize": "int32"}
        expected |= dict.fromkeys(("Trigger_hltname", "Trigger_l1name"), "var * string")
        expected |= dict.fromkeys(("Trigger_hltdecision", "Trigger_l1decision"), "var * int32")
        if name in SIGNAL:
            expected["nPileUpInt"] = "uint32"
        assert {branch: types.pop(branch) for branch in expected} == expected
        assert set(types.values()) == {"var * float64"}
        for first, prefixes in (
            ("Triplet_Mass", ("Triplet", "Mu1_", "Mu2_", "Mu3_", "RefittedPV", "FlightDist")),
            ("MuonPt", ("MuonE", "MuonPhi", "MuonCharge", "Muon_")),
            ("Track_pt", ("Track_",)),
        ):
            lengths = ak.num(events[first])
            for branch in (b for b in events.fields if b.startswith(prefixes)):
                assert ak.all(ak.num(events[branch]) == lengths), branch


def test_candidates_are_made_of_muons_that_are_tracks(arrays):
    for events in arrays.values():
        for leg in (1, 2, 3):
            pt = events[f"Mu{leg}_Pt"]
            for values, objects in (
                (ak.values_astype(pt, np.float32), events.MuonPt),
                (pt, events.Track_pt),
            ):
                pairs = ak.cartesian([values, objects], nested=True)
                found = ak.sum(pairs["0"] == pairs["1"], axis=-1)
                assert ak.all(found == (pt != -99))


def test_the_mass_is_that_of_the_measured_muons(arrays):
    for events in arrays.values():
        legs = [[flat(events[f"Mu{i}_{x}"]) for x in ("Pt", "Eta", "Phi")] for i in (1, 2, 3)]
        stored = flat(events.Triplet_Mass)
        fine = np.all([stored > 0, *(leg[0] > 0 for leg in legs)], axis=0)
        total = sum(decay.four_momentum(*(x[fine] for x in leg), MUON_MASS) for leg in legs)
        np.testing.assert_allclose(decay.mass(total), stored[fine], rtol=1e-9)
        assert 0.02 < np.mean(stored == -99) < 0.08


def test_data_hold_triplets_of_one_charge(arrays):
    events = arrays["toy_tau3mu_2018"]
    charge = flat(events.Triplet_Charge)
    assert set(charge) == {-99, -3, -1, 1, 3}
    assert 0.05 < np.mean(abs(charge) == 3) < 0.25


@pytest.mark.parametrize("origin", [0, 1], ids=["charm", "beauty"])
def test_muons_are_measured_with_the_errors_that_are_stored(signal, origin):
    muons = signal[origin].muons
    pt, eta, phi = decay.pt_eta_phi(muons.true)
    for name, true in (("Pt", pt), ("Eta", eta), ("Phi", phi)):
        error = muons.branches[f"Muon_BestTrack{name}Err"]
        residual = getattr(muons.measured, name.lower()) - true
        if name == "Phi":
            residual = (residual + np.pi) % (2 * np.pi) - np.pi
        pull = residual / error
        # 20,000 muons: five standard deviations of a width and of a mean are 0.025 and 0.035
        assert np.std(pull) == pytest.approx(1, abs=0.025)
        assert np.mean(pull) == pytest.approx(0, abs=0.035)
    error = muons.branches["Muon_BestTrackPtErr"] / muons.measured.pt
    forward = abs(muons.measured.eta) > 1.8
    assert np.mean(error[forward]) > 1.8 * np.mean(error[abs(muons.measured.eta) < 0.9])


@pytest.mark.parametrize("origin", [0, 1], ids=["charm", "beauty"])
def test_the_mass_resolves_as_each_category_should(signal, origin):
    events = signal[origin]
    resolution = mass_resolution(events)
    mass = events.candidates["Triplet_Mass"]
    true = (events.rows.species >= 0) & (mass > 0)
    for number, (low, high) in enumerate([(0.0055, 0.0068), (0.0078, 0.0095), (0.0115, 0.0140)]):
        in_category = true & (category(resolution) == number)
        assert np.mean(in_category[true]) > 0.15
        assert low < np.mean(resolution[in_category]) < high
        pull = (mass[in_category] - TAU_MASS) / (mass[in_category] * resolution[in_category])
        # half of the range that holds 68 %: a muon in a hundred radiates
        assert 0.9 < np.diff(np.percentile(pull, [15.87, 84.13]))[0] / 2 < 1.1
        assert abs(np.mean(pull)) < 0.15


def test_signal_is_displaced_and_more_so_from_beauty(signal):
    distances = []
    for events in signal:
        bs = events.candidates["FlightDistBS_SV"][events.rows.species >= 0]
        distances.append(np.median(bs[bs > 0]))
    assert 0.05 < distances[0] < distances[1]


def test_background_looks_worse_than_signal(signal):
    """Each input of a classifier differs between signal and background."""
    background = next(Tau3MuToy().files(SAMPLES[1], 6_000, seed=2)).events
    values = [discriminants(events) for events in (signal[0], background)]
    for name, of_signal in values[0].items():
        other = values[1][name]
        # probability that a random one of background is on the wrong side
        rank = np.searchsorted(np.sort(other), of_signal) / len(other)
        area = np.mean(rank)
        assert max(area, 1 - area) > 0.6, name


def discriminants(events: Events) -> dict[str, np.ndarray]:
    c = events.candidates
    fine = np.all([values != -99 for values in c.values()], axis=0) & (events.rows.species != -1)
    c = {name: values[fine] for name, values in c.items()}
    flight = np.stack([c[f"TripletVtx_{x}"] - c[f"RefittedPV_{x}"] for x in "xyz"])
    pt, eta, phi = c["Triplet_Pt"], c["Triplet_Eta"], c["Triplet_Phi"]
    momentum = pt * np.array([np.cos(phi), np.sin(phi), np.sinh(eta)])
    norms = np.linalg.norm(flight, axis=0) * np.linalg.norm(momentum, axis=0)
    tracks = events.branches["Track_pt"]
    soft = events.muons.branches["Muon_isSoft"][events.rows.muon_rows[fine]]
    rng = np.random.default_rng(1)
    spread = rng.random(len(soft))  # equal numbers are ordered by chance
    return {
        "vertex": c["TripletVtx_Chi2"],
        "pointing": np.sum(flight * momentum, axis=0) / norms,
        "flight": c["FlightDistPVSV_Significance"],
        "tracks": ak.to_numpy(ak.num(tracks))[events.rows.event[fine]] + spread,
        "soft": np.sum(soft, axis=1) + spread,
    }


def test_generated_muons_have_the_mass_of_the_tau(arrays):
    for name, mothers in ((SIGNAL[0], {431, 411}), (SIGNAL[2], {511})):
        events = arrays[name]
        pdg = ak.to_numpy(events.GenParticle_PdgId)
        np.testing.assert_array_equal(abs(pdg), np.tile([15, 13, 13, 13], (len(pdg), 1)))
        assert set(abs(events.GenParticle_MotherPdgId[:, 0])) == mothers
        # charges add up: an antilepton has a negative number, as its mother has
        np.testing.assert_array_equal(np.sum(np.sign(pdg[:, 1:]), axis=1), np.sign(pdg[:, 0]))
        columns = [ak.to_numpy(events[f"GenParticle_{x}"])[:, 1:].T for x in ("Pt", "Eta", "Phi")]
        legs = [decay.four_momentum(*leg, MUON_MASS) for leg in zip(*columns, strict=True)]
        np.testing.assert_allclose(decay.mass(sum(legs)), TAU_MASS, rtol=1e-9)


def test_the_selection_leaves_what_a_limit_needs(signal, truth):
    """At 10 fb⁻¹ and 1e-7, about ten signal events are left."""
    assert 0.005 < sum(truth[d]["selected"]["three_muons"] for d in DATA) / EVENTS < 0.02
    visible = 10 * 1_000 * 0.1
    selected = 0.0
    for sample, events in zip((SAMPLES[2], SAMPLES[4]), signal, strict=True):
        found = find(events)
        efficiency = len(found.mass) / found.events
        selected += sample.metadata["cross_section"] * visible * efficiency
    assert 10 < selected < 40


def test_the_same_seed_gives_the_same_events():
    first, again = (list(Tau3MuToy(BRANCHING).files(SAMPLES[0], 400, 9)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert one.name == other.name
        for name, values in one.events.branches.items():
            assert ak.array_equal(values, other.events.branches[name], dtype_exact=True), name
    masses = {
        tuple(file.events.candidates["Triplet_Mass"])
        for sample in SAMPLES[:2]
        for seed in (1, 2)
        for file in Tau3MuToy().files(sample, 200, seed)
    }
    assert len(masses) == 8


def test_small_toys_are_whole():
    for sample in SAMPLES:
        events = [len(file.events.hlt) for file in Tau3MuToy().files(sample, 2, 3)]
        assert len(events) == sample.files
        assert sum(events) == 1


def test_signal_in_the_data_is_a_toy_of_its_own():
    assert TOYS["tau3mu_signal"] == Tau3MuToy(branching=4e-7)


def test_without_a_branching_fraction_the_data_hold_no_signal():
    assert TOYS["tau3mu"] == Tau3MuToy()
    for file in Tau3MuToy().files(SAMPLES[0], 500, 9):
        assert not np.any(np.isin(file.events.generated, (Species.TAU_D, Species.TAU_B)))
