"""Toy samples of Ds → φ(μμ)π: files, fileset and truth."""

import json
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from bphcoffea.physics.constants import DPLUS_MASS, DS_MASS, MUON_MASS, PHI_MASS, PION_MASS
from bphcoffea.toys import TOYS, decay
from bphcoffea.toys.ds_phipi import SAMPLES, DsPhiPiToy
from bphcoffea.toys.ds_phipi.truth import find
from bphcoffea.toys.reconstruction import PADDING

EVENTS = 6_000
SHARES = {sample.name: sample.share for sample in SAMPLES}
#: Share of the number of data events that MC of each background has.
BACKGROUNDS = {"phi_track": 0.30, "dimuon_track": 0.06}
STEPS = [
    "all",
    "hlt",
    "l1",
    "vertex",
    "candidate",
    "acceptance",
    "delta_r",
    "muon_id",
    "track_ip",
    "phi_window",
    "trigger_match",
]


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return TOYS["ds_phipi"](tmp_path_factory.mktemp("toy") / "new", EVENTS, seed=4)


@pytest.fixture(scope="module")
def fileset(toy) -> dict[str, Any]:
    return json.loads(toy.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def truth(toy) -> dict[str, Any]:
    return json.loads((toy.parent / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def arrays(toy, fileset) -> dict[str, ak.Array]:
    return {
        dataset: ak.concatenate([read(toy.parent / name) for name in entry["files"]])
        for dataset, entry in fileset.items()
    }


def entries(path: Path) -> int:
    with uproot.open(path) as file:
        return int(file[DsPhiPiToy.tree].num_entries)


def read(path: Path) -> ak.Array:
    with uproot.open(path) as file:
        return file[DsPhiPiToy.tree].arrays()


def test_the_fileset_names_what_was_written(toy, fileset, arrays):
    simulated = [f"toy_{name}_mc" for name in ("ds_phipi", "dplus_phipi", *BACKGROUNDS)]
    assert list(fileset) == ["toy_2017", "toy_2018", *simulated]
    assert {path.name for path in toy.parent.glob("*.root")} == {
        name for entry in fileset.values() for name in entry["files"]
    }
    for entry in fileset.values():
        assert len(entry["files"]) == 2
        assert set(entry["files"].values()) == {DsPhiPiToy.tree}
        assert not any(Path(name).is_absolute() for name in entry["files"])
    data = [fileset[name] for name in ("toy_2017", "toy_2018")]
    assert [entry["metadata"]["era"] for entry in data] == ["2017D", "2018D"]
    assert not any(entry["metadata"]["is_mc"] for entry in data)
    assert len(arrays["toy_2017"]) + len(arrays["toy_2018"]) == EVENTS
    for name, mass in (("toy_ds_phipi_mc", DS_MASS), ("toy_dplus_phipi_mc", DPLUS_MASS)):
        metadata = fileset[name]["metadata"]
        assert metadata["is_mc"]
        assert metadata["kind"] == "signal"
        assert metadata["mass"] == mass
        assert metadata["processed_events"] == len(arrays[name]) == EVENTS // 10
        assert f"toy_{metadata['process']}_mc" == name
    for process, share in BACKGROUNDS.items():
        metadata = fileset[f"toy_{process}_mc"]["metadata"]
        assert metadata["is_mc"]
        assert metadata["kind"] == "background"
        assert metadata["process"] == process
        assert metadata["era"] == "2017D"
        assert metadata["processed_events"] == len(arrays[f"toy_{process}_mc"]) == share * EVENTS


def test_the_mc_is_normalised_to_the_data(fileset, truth):
    luminosity = sum(fileset[name]["metadata"]["luminosity"] for name in ("toy_2017", "toy_2018"))
    for process in ("ds_phipi", "dplus_phipi", *BACKGROUNDS):
        metadata = fileset[f"toy_{process}_mc"]["metadata"]
        fb_per_pb = 1e3
        expected = (
            metadata["cross_section"] * metadata["filter_efficiency"] * luminosity * fb_per_pb
        )
        generated = sum(truth[name]["generated"][process] for name in ("toy_2017", "toy_2018"))
        assert generated == pytest.approx(expected, abs=5 * np.sqrt(expected))


def test_types_are_those_of_the_ntuple(arrays):
    for dataset, events in arrays.items():
        types = dict(zip(events.fields, map(str, events.type.content.contents), strict=True))
        expected = {"evt": "uint32", "run": "uint32", "lumi": "uint32"}
        expected |= dict.fromkeys(("MuonPt", "MuonEta", "MuonPhi"), "var * float32")
        expected |= {"MuonCollectionSize": "int32"}
        expected |= dict.fromkeys(("Trigger_hltname", "Trigger_l1name"), "var * string")
        expected |= dict.fromkeys(("Trigger_hltdecision", "Trigger_l1decision"), "var * int32")
        if dataset.endswith("_mc"):
            expected["nPileUpInt"] = "uint32"
        assert {name: types.pop(name) for name in expected} == expected
        assert set(types.values()) == {"var * float64"}


def test_collections_have_one_length(arrays):
    for events in arrays.values():
        candidate = [n for n in events.fields if n.startswith(("Triplet", "Mu0", "Tr_", "RefT"))]
        candidate += [n for n in events.fields if "dRtriggerMatch" in n or n.startswith("FlightD")]
        for names in (
            candidate,
            [n for n in events.fields if n.startswith("Muon") and n != "MuonCollectionSize"],
            [n for n in events.fields if n.startswith("Track_")],
            ["Trigger_hltname", "Trigger_hltdecision"],
            ["Trigger_l1name", "Trigger_l1decision"],
        ):
            counts = [ak.to_numpy(ak.num(events[name])) for name in names]
            assert all(np.array_equal(counts[0], other) for other in counts)
            assert counts[0].min() == 0
        assert ak.all(ak.num(events.MuonPt) == events.MuonCollectionSize)
        assert set(ak.num(events.Triplet2_Mass)) >= {0, 1, 2}


def test_each_era_has_its_own_branches(arrays):
    assert "Mu1_dRtriggerMatch_2017" in arrays["toy_2017"].fields
    assert "Mu1_dRtriggerMatch" not in arrays["toy_2017"].fields
    assert "Mu1_dRtriggerMatch" in arrays["toy_2018"].fields
    assert "Mu1_dRtriggerMatch_2017" not in arrays["toy_2018"].fields
    assert "GenParticle_Pt" not in arrays["toy_2018"].fields


def test_events_are_numbered_once_and_with_all_bits(arrays):
    for events in arrays.values():
        assert len(np.unique(events.evt)) == len(events)
        assert ak.max(events.evt) > 2**31
        assert ak.min(events.lumi) >= 1
    assert ak.min(arrays["toy_2017"].run) >= 302_031
    assert ak.max(arrays["toy_2017"].run) <= 302_663


def test_candidates_refer_to_muons_and_tracks_by_value(arrays):
    for events in arrays.values():
        for leg, objects, precision in (
            ("Mu01_Pt", "MuonPt", np.float32),
            ("Mu02_Pt", "MuonPt", np.float32),
            ("Tr_Pt", "Track_pt", np.float64),
        ):
            pt = ak.values_astype(events[leg], precision)
            pairs = ak.cartesian([pt, events[objects]], nested=True)
            found = ak.sum(pairs["0"] == pairs["1"], axis=-1)
            assert ak.all(found == ak.where(events[leg] == PADDING, 0, 1))


def test_padding_stands_in_all_branches_and_in_some(arrays):
    events = arrays["toy_2017"]
    prefixes = ("Mu01_", "Tr_", "RefTrack", "Triplet2_", "TripletVtx2_", "RefittedPV2_", "FlightD")
    padded = [
        ak.to_numpy(ak.flatten(events[name])) == PADDING
        for name in events.fields
        if name.startswith(prefixes)
    ]
    number = np.sum(padded, axis=0)
    assert np.any(number == len(padded))
    assert np.any((number > 0) & (number < len(padded)))
    assert np.mean(number == 0) > 0.9


def test_the_triplet_mass_is_that_of_the_refitted_tracks(arrays):
    for events in arrays.values():
        flat = {
            name: ak.to_numpy(ak.flatten(events[name])) for name in events.fields if "2_" in name
        }
        legs = []
        for leg, mass in (
            ("RefTrack1", MUON_MASS),
            ("RefTrack2", MUON_MASS),
            ("RefTrack3", PION_MASS),
        ):
            coordinates = [
                ak.to_numpy(ak.flatten(events[f"{leg}_{x}"])) for x in ("Pt", "Eta", "Phi")
            ]
            good = coordinates[0] > 0
            legs.append(decay.four_momentum(*(np.where(good, x, 1.0) for x in coordinates), mass))
        fitted = (flat["Triplet2_Mass"] > 0) & good
        mass = decay.mass(legs[0] + legs[1] + legs[2])
        np.testing.assert_allclose(mass[fitted], flat["Triplet2_Mass"][fitted], rtol=1e-9)


def test_generated_particles_have_the_masses_of_their_mothers(arrays):
    for dataset, number, meson_mass in (
        ("toy_ds_phipi_mc", 431, DS_MASS),
        ("toy_dplus_phipi_mc", 411, DPLUS_MASS),
    ):
        events = arrays[dataset]
        pdg = ak.to_numpy(events.GenParticle_PdgId)
        sign = np.sign(pdg[:, 0])
        assert set(sign) == {-1, 1}
        np.testing.assert_array_equal(abs(pdg), np.tile([number, 333, 13, 13, 211], (len(pdg), 1)))
        np.testing.assert_array_equal(pdg[:, 4], 211 * sign)
        np.testing.assert_array_equal(pdg[:, 2] + pdg[:, 3], 0)
        mother = ak.to_numpy(events.GenParticle_MotherPdgId)
        np.testing.assert_array_equal(mother[:, 1:], pdg[:, [0, 1, 1, 0]])
        pt, eta, phi = (ak.to_numpy(events[f"GenParticle_{x}"]) for x in ("Pt", "Eta", "Phi"))
        minus, plus, pion = (
            decay.four_momentum(pt[:, i], eta[:, i], phi[:, i], mass)
            for i, mass in ((2, MUON_MASS), (3, MUON_MASS), (4, PION_MASS))
        )
        # η, φ and pT in doubles: no more than rounding is lost
        np.testing.assert_allclose(decay.mass(minus + plus + pion), meson_mass, rtol=1e-9)
        assert np.median(decay.mass(minus + plus)) == pytest.approx(PHI_MASS, abs=1e-3)


@pytest.mark.parametrize(
    ("process", "particles", "mothers"),
    [
        ("phi_track", [333, 13, 13, 211], [3, 333, 333, 113]),
        ("dimuon_track", [13, 13, 211], [511, 511, 113]),
    ],
)
def test_generated_particles_of_backgrounds_have_no_common_mother(
    arrays, process, particles, mothers
):
    events = arrays[f"toy_{process}_mc"]
    pdg = ak.to_numpy(events.GenParticle_PdgId)
    np.testing.assert_array_equal(abs(pdg), np.tile(particles, (len(pdg), 1)))
    np.testing.assert_array_equal(
        ak.to_numpy(events.GenParticle_MotherPdgId), np.tile(mothers, (len(pdg), 1))
    )
    pt, eta, phi = (ak.to_numpy(events[f"GenParticle_{x}"]) for x in ("Pt", "Eta", "Phi"))
    minus, plus = (decay.four_momentum(pt[:, i], eta[:, i], phi[:, i], MUON_MASS) for i in (-3, -2))
    near = np.mean(abs(decay.mass(minus + plus) - PHI_MASS) < 0.005)
    # a Breit-Wigner of that width has three quarters of its area there; the smooth spectrum 1 %
    assert near > 0.6 if process == "phi_track" else near < 0.05


def test_trigger_names_that_share_a_beginning_are_there(arrays):
    names = ak.flatten(arrays["toy_2017"].Trigger_hltname)
    decisions = ak.flatten(arrays["toy_2017"].Trigger_hltdecision)
    for begin in ("HLT_DoubleMu3_Trk_Tau3mu_v", "HLT_DoubleMu3_Trk_Tau3mu_NoL1Mass_v"):
        assert set(decisions[ak.str.starts_with(names, begin)]) == {0, 1}


def test_the_truth_is_consistent(truth):
    for numbers in truth.values():
        cutflow = numbers["cutflow"]
        assert [step["step"] for step in cutflow] == STEPS
        assert cutflow[0]["events"] == numbers["events"] == sum(numbers["generated"].values())
        for column in ("events", "candidates"):
            counts = [step[column] for step in cutflow]
            assert counts == sorted(counts, reverse=True)
        # after the steps of the event alone: all, hlt, l1
        assert all(step["candidates"] >= step["events"] for step in cutflow[3:])
        selected = dict(numbers["selected"])
        assert selected.pop("all") == cutflow[-1]["events"] == sum(selected.values())
        in_range = numbers["selected_in_fit_range"]
        assert all(in_range[name] <= number for name, number in numbers["selected"].items())


def test_the_selection_keeps_what_it_should(truth):
    events = sum(truth[name]["events"] for name in ("toy_2017", "toy_2018"))
    selected = [truth[name]["selected"] for name in ("toy_2017", "toy_2018")]
    assert 0.06 < sum(s["all"] for s in selected) / events < 0.10
    processes = ("ds_phipi", "dplus_phipi", *BACKGROUNDS)
    for process in processes:
        pure = truth[f"toy_{process}_mc"]["selected"]
        assert sum(pure[other] for other in processes) == pure[process]
        if process not in BACKGROUNDS:
            assert pure[process] > 0.9 * pure["all"]


def test_the_peaks_are_where_the_mesons_are():
    for sample, mass in ((SAMPLES[2], DS_MASS), (SAMPLES[3], DPLUS_MASS)):
        files = DsPhiPiToy().files(sample, 100_000, seed=2)
        truth = reduce(add, (find(file.events) for file in files))
        true = truth.mass[truth.species >= 0]
        # the median of a thousand candidates of 11 MeV, and some radiation
        assert np.median(true) == pytest.approx(mass, abs=0.002)
        width = np.diff(np.percentile(true, [15.87, 84.13]))[0] / 2
        assert 0.008 < width < 0.012


def test_the_same_seed_gives_the_same_events():
    first, again = (list(DsPhiPiToy().files(SAMPLES[0], 2_000, seed=9)) for _ in range(2))
    assert [file.name for file in first] == [file.name for file in again]
    for one, other in zip(first, again, strict=True):
        assert list(one.events.branches) == list(other.events.branches)
        for name, values in one.events.branches.items():
            expected = other.events.branches[name]
            assert ak.array_equal(values, expected, dtype_exact=True), name


def test_files_and_seeds_differ():
    masses = {
        tuple(file.events.candidates["Triplet2_Mass"])
        for sample in SAMPLES[:2]
        for seed in (1, 2)
        for file in DsPhiPiToy().files(sample, 500, seed)
    }
    assert len(masses) == 8


@pytest.mark.parametrize("events", [1, 50, 130])
def test_small_toys_are_whole(tmp_path, events):
    path = TOYS["ds_phipi"](tmp_path, events, 3)
    assert path == tmp_path / "fileset.json"
    fileset = json.loads(path.read_text(encoding="utf-8"))
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    for dataset, entry in fileset.items():
        found = sum(entries(tmp_path / name) for name in entry["files"])
        assert found == truth[dataset]["events"] == max(1, round(SHARES[dataset] * events))
        if events == 1:  # to read all branches takes most of the time
            assert sum(len(read(tmp_path / name)) for name in entry["files"]) == found
