"""Ds → μN, N → μπ of the toy: kinematics, lifetimes, layout of the files, reproducibility."""

import json
import tomllib
from collections.abc import Iterator
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from scipy.stats import chi2, kstest

from bphcoffea.physics.constants import DS_MASS, MUON_MASS, PION_MASS
from bphcoffea.toys import TOYS, decay
from bphcoffea.toys.hnl import SAMPLES, HnlToy, Injection
from bphcoffea.toys.hnl.decays import (
    BACKGROUND_RANGE,
    background_decays,
    filter_efficiency,
    mean_proper_length,
    random_tracks,
    signal_decays,
)
from bphcoffea.toys.hnl.truth import CATEGORIES, find

EVENTS = 4_000
DATA, SIGNAL = SAMPLES[0], SAMPLES[1:]
POINTS = [(mass, ctau) for mass in (1.0, 1.5) for ctau in (10.0, 100.0, 1000.0)]
#: What branches of single precision keep of a number.
SINGLE = 1e-6
#: A p-value that right samples miss once in a thousand. The seed is fixed, and so is the outcome.
AGREES = 1e-3


@pytest.fixture(scope="module")
def toy(shared_folders) -> Path:
    return shared_folders.toys("hnl", EVENTS, 4) / "fileset.json"


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


def read(path: Path) -> ak.Array:
    with uproot.open(path) as file:
        return file[HnlToy.tree].arrays()


def entries(path: Path) -> int:
    with uproot.open(path) as file:
        return int(file[HnlToy.tree].num_entries)


def flat(events: ak.Array, branch: str) -> np.ndarray:
    return ak.to_numpy(ak.flatten(events[branch])).astype(float)


def momentum(events: ak.Array, leg: str, mass: float) -> decay.Floats:
    return decay.four_momentum(*(flat(events, f"C_{leg}_{x}") for x in ("pt", "eta", "phi")), mass)


@pytest.mark.parametrize("mass", [1.0, 1.5])
def test_decays_conserve_momentum_with_every_particle_on_shell(mass):
    decays = signal_decays(5_000, mass, 10.0, np.random.default_rng(1))
    assert len(decays) == 5_000
    # rounding, on the scale of the energy
    energy = decays.hnl[:, :1] + decays.mu_ds[:, :1]
    np.testing.assert_allclose((decays.mu_hnl + decays.pi - decays.hnl) / energy, 0, atol=1e-12)
    for particle, expected in (
        (decays.hnl + decays.mu_ds, DS_MASS),
        (decays.hnl, mass),
        (decays.mu_hnl, MUON_MASS),
        (decays.mu_ds, MUON_MASS),
        (decays.pi, PION_MASS),
    ):
        square = particle[:, 0] ** 2 - np.sum(particle[:, 1:] ** 2, axis=1)
        np.testing.assert_allclose((square - expected**2) / particle[:, 0] ** 2, 0, atol=1e-12)


def test_the_filter_keeps_what_a_trigger_may_see():
    for decays in (
        signal_decays(2_000, 1.0, 10.0, np.random.default_rng(2)),
        background_decays(2_000, np.random.default_rng(2)),
    ):
        seen = np.zeros(2_000, dtype=bool)
        for muon in (decays.mu_hnl, decays.mu_ds):
            pt, eta, _ = decay.pt_eta_phi(muon)
            assert np.all(pt > 3.0)
            assert np.all(abs(eta) < 2.4)
            seen |= (pt > 7.2) & (abs(eta) < 1.5)
        assert np.all(seen)


@pytest.mark.parametrize("sample", SIGNAL[::3], ids=lambda sample: sample.name)
def test_the_filter_efficiency_is_the_fraction_of_the_decays_that_pass(sample):
    n, rng = 100_000, np.random.default_rng(3)
    found = filter_efficiency(n, sample.metadata["mass"], rng)
    # of a tenth of all Ds, within four standard deviations
    expected = sample.metadata["filter_efficiency"] / 0.1
    assert found == pytest.approx(expected, abs=4 * np.sqrt(expected / n))


@pytest.mark.parametrize(("mass", "ctau"), POINTS)
def test_proper_lengths_are_exponential(mass, ctau):
    decays = signal_decays(5_000, mass, ctau, np.random.default_rng(3))
    assert kstest(decays.proper_length, "expon", args=(0, ctau)).pvalue > AGREES
    # and know nothing of the momentum that the filter looked at
    pt = np.hypot(decays.hnl[:, 1], decays.hnl[:, 2])
    correlation = np.corrcoef(pt, decays.proper_length)[0, 1]
    assert abs(correlation) < 5 / np.sqrt(len(decays))


def test_flight_is_the_boosted_proper_length():
    decays = signal_decays(1_000, 1.5, 100.0, np.random.default_rng(4))
    p = np.linalg.norm(decays.hnl[:, 1:], axis=1)
    length = np.linalg.norm(decays.flight, axis=1)
    np.testing.assert_allclose(length * 10 * 1.5 / p, decays.proper_length)
    np.testing.assert_allclose(decays.flight / length[:, None], decays.hnl[:, 1:] / p[:, None])
    # the Ds flies as long as it lives, 0.15 mm
    of_ds = decays.hnl + decays.mu_ds
    proper = np.linalg.norm(decays.ds_flight, axis=1) * DS_MASS
    proper /= np.linalg.norm(of_ds[:, 1:], axis=1)
    assert kstest(proper, "expon", args=(0, 0.01503)).pvalue > AGREES


def test_lifetimes_are_those_of_the_couplings():
    # values of the formulas with 10.95 channels, and the channels of arXiv:1805.08567
    for mass, mixing, ctau, channels in (
        (1.0, 3.942884e-2, 10, 7.6),
        (1.5, 5.192276e-4, 100, 7.8),
        (1.8, 2.086659e-5, 1000, 7.8),
    ):
        majorana = mean_proper_length(mass, mixing)
        assert majorana == pytest.approx(ctau * 10.95 / channels, rel=1e-6)
        assert mean_proper_length(mass, mixing, majorana=False) == pytest.approx(2 * majorana)


def test_a_dirac_n_keeps_the_lepton_number():
    decays = signal_decays(1_000, 1.0, 10.0, np.random.default_rng(5), majorana=False)
    assert np.all(decays.charge_hnl == -decays.charge_ds)
    assert np.all(decays.charge_pi == decays.charge_ds)
    assert 0 < np.count_nonzero(decays.charge_ds > 0) < 1_000


def test_a_majorana_n_is_its_own_antiparticle():
    decays = signal_decays(20_000, 1.0, 10.0, np.random.default_rng(5))
    assert np.all(decays.charge_hnl + decays.charge_pi == 0)
    for charges in (decays.charge_ds, decays.charge_hnl, decays.charge_ds * decays.charge_hnl):
        assert abs(np.mean(charges)) < 5 / np.sqrt(len(decays))


def test_random_tracks_have_the_masses_that_were_drawn():
    muon = signal_decays(5_000, 1.0, 10.0, np.random.default_rng(6)).mu_hnl
    pi, flight = random_tracks(muon, np.random.default_rng(7))
    # rounding of energies of 100 GeV squared over the mass of a pion
    np.testing.assert_allclose(decay.mass(pi), PION_MASS, atol=1e-6)
    masses = decay.mass(muon + pi)
    assert masses.min() > BACKGROUND_RANGE[0] - 1e-6
    assert masses.max() < BACKGROUND_RANGE[1] + 1e-6
    assert np.all(np.linalg.norm(flight, axis=1) > 0)


def test_the_fileset_names_what_was_written(toy, fileset, arrays):
    names = [
        f"DsToNMu_NToMuPi_mN{mass}_ctau{ctau}p0mm_incl"
        for mass in ("1p0", "1p5")
        for ctau in (10, 100, 1000)
    ]
    assert list(fileset) == ["hnl_data_2018D", *names]
    assert {path.name for path in toy.parent.glob("*.root")} == {
        name for entry in fileset.values() for name in entry["files"]
    }
    for entry in fileset.values():
        assert set(entry["files"].values()) == {HnlToy.tree}
        assert entry["metadata"]["era"] == "2018D"
    data = fileset["hnl_data_2018D"]
    assert len(data["files"]) == 4
    assert data["metadata"]["kind"] == "data"
    assert not data["metadata"]["is_mc"]
    assert data["metadata"]["luminosity"] == EVENTS / 20_000
    assert len(arrays["hnl_data_2018D"]) == EVENTS
    for name, (mass, ctau) in zip(names, POINTS, strict=True):
        metadata = fileset[name]["metadata"]
        assert metadata["is_mc"]
        assert (metadata["kind"], metadata["process"]) == ("signal", "hnl")
        assert (metadata["mass"], metadata["ctau"]) == (mass, ctau)
        assert metadata["cross_section"] > 0
        assert 0 < metadata["filter_efficiency"] < 1
        assert metadata["processed_events"] == len(arrays[name]) == EVENTS // 10


def test_the_corrections_name_files_that_are_there(toy):
    content = tomllib.loads((toy.parent / "corrections.toml").read_text(encoding="utf-8"))
    assert content["muon_id"]["name"] == "NUM_SoftID_DEN_TrackerMuons"
    assert content["muon_reconstruction"]["name"] == "NUM_TrackerMuons_DEN_genTracks"
    sections = [content[name] for name in ("pileup", "muon_id", "muon_reconstruction")]
    sections += content["trigger"].values()
    assert set(content["trigger"]) == {"data", "simulation"}
    for section in sections:
        assert (toy.parent / section["file"]).is_file()
    assert (toy.parent / content["luminosity"]["table"]).is_file()


def test_types_are_those_of_the_ntuple(arrays):
    for dataset, events in arrays.items():
        types = dict(zip(events.fields, map(str, events.type.content.contents), strict=True))
        expected = dict.fromkeys(("run", "event", "nPV", "nCand"), "int32") | {"lumi": "float32"}
        if dataset.startswith("DsToNMu"):
            expected["nPU_trueInt"] = "int32"
        assert {name: types.pop(name) for name in expected} == expected
        for name, found in types.items():
            kind = "float32"
            if name.endswith("charge"):
                kind = "int32"
            elif name.endswith("idx"):
                kind = "uint32"
            elif name.endswith("matched") or "_is" in name:
                kind = "int16"
            assert found == f"var * {kind}", name


def test_collections_have_one_length(arrays):
    for events in arrays.values():
        for prefix in ("C_", "HLT_"):
            names = [name for name in events.fields if name.startswith(prefix)]
            counts = [ak.to_numpy(ak.num(events[name])) for name in names]
            assert all(np.array_equal(counts[0], other) for other in counts)
            assert set(counts[0]) >= {0, 1, 2}
        assert ak.all(ak.num(events.C_Hnl_mass) == events.nCand)


def test_data_know_nothing_of_what_was_generated(arrays):
    data = arrays["hnl_data_2018D"]
    assert not [name for name in data.fields if "gen" in name or "HnlDaughter" in name]
    assert "nPU_trueInt" not in data.fields
    assert ak.min(data.run) >= 320_500
    assert ak.max(data.run) <= 325_175
    numbers = ak.to_numpy(data.event).view(np.uint32)
    assert len(np.unique(numbers)) == len(data)
    assert ak.min(data.lumi) >= 1


def test_masses_are_those_of_the_legs(arrays):
    for events in arrays.values():
        mu_hnl = momentum(events, "mu_Hnl", MUON_MASS)
        hnl = mu_hnl + momentum(events, "pi", PION_MASS)
        ds = hnl + momentum(events, "mu_Ds", MUON_MASS)
        both = mu_hnl + momentum(events, "mu_Ds", MUON_MASS)
        # single precision, of energies squared: the relative error is that of the mass times (E/m)²
        for found, total in (("C_Hnl", hnl), ("C_Ds", ds)):
            for i, x in enumerate(("px", "py", "pz"), start=1):
                np.testing.assert_allclose(
                    flat(events, f"{found}_{x}"), total[:, i], rtol=1e-4, atol=1e-4
                )
            error = 10 * SINGLE * (total[:, 0] / decay.mass(total)) ** 2
            assert np.all(abs(flat(events, f"{found}_mass") / decay.mass(total) - 1) < error)
            np.testing.assert_allclose(
                flat(events, f"{found}_pt"), np.hypot(total[:, 1], total[:, 2]), rtol=1e-5
            )
        error = 10 * SINGLE * (both[:, 0] / decay.mass(both)) ** 2
        assert np.all(abs(flat(events, "C_mu1mu2_mass") / decay.mass(both) - 1) < error)


def test_distances_errors_and_significances_agree(arrays):
    for events in arrays.values():
        for meson in ("Hnl", "Ds"):
            for origin in ("BS", "PV"):
                two, three = (flat(events, f"C_{meson}_vertex_{d}DDist_{origin}") for d in (2, 3))
                assert np.all(two <= three * (1 + SINGLE))
                for d in (2, 3):
                    stem = f"C_{meson}_vertex_{d}D{{}}_{origin}"
                    distance, error, significance = (
                        flat(events, stem.format(x)) for x in ("Dist", "Err", "Sig")
                    )
                    assert np.all(error > 0)
                    np.testing.assert_allclose(significance, distance / error, rtol=SINGLE)
            cosines = [flat(events, f"C_{meson}_vertex_cos{d}D") for d in (2, 3)]
            assert np.all(np.abs(cosines) <= 1 + SINGLE)
            prob = flat(events, f"C_{meson}_vertex_prob")
            assert np.all((prob >= 0) & (prob <= 1))


def test_signal_vertices_are_where_n_decays():
    events = next(HnlToy().files(SIGNAL[0], 100_000, seed=5)).events
    c, true = events.candidates, events.true
    event = events.event[true]
    flight = (events.decays.ds_flight + events.decays.flight)[event]
    # to the beam spot, around which the primary vertices are: transverse, so that z does not matter
    transverse = np.hypot(flight[:, 0], flight[:, 1])
    pulls = (c["C_Hnl_vertex_2DDist_BS"][true] - transverse) / c["C_Hnl_vertex_2DErr_BS"][true]
    far = transverse > 1
    # pulls of the distance are normal where it is far larger than its error
    assert np.mean(pulls[far]) == pytest.approx(0, abs=5 / np.sqrt(np.sum(far)))
    assert np.std(pulls[far]) == pytest.approx(1, abs=0.05)
    lengths = np.linalg.norm(flight, axis=1)
    pulls = (c["C_Hnl_vertex_3DDist_PV"][true] - lengths) / c["C_Hnl_vertex_3DErr_PV"][true]
    assert np.std(pulls[far]) == pytest.approx(1, abs=0.1)
    assert np.mean(c["C_Hnl_vertex_cos2D"][true][far] > 0.999) > 0.99
    # what the proper length is estimated from, in cm; that the Ds flew, too, matters less far away
    proper = c["C_Hnl_vertex_3DDist_PV"] * c["C_Hnl_mass"] / np.hypot(c["C_Hnl_pt"], c["C_Hnl_pz"])
    far = transverse > 20
    ratio = 10 * proper[true][far] / c["C_Hnl_gen_l_prop"][true][far]
    assert np.median(ratio) == pytest.approx(1, abs=0.01)


def test_far_decays_are_lost():
    found, made = np.zeros(4), np.zeros(4)
    edges = [0, 5, 20, 60, 1e9]
    for file in HnlToy().files(SIGNAL[1], 100_000, seed=6):
        decays = file.events.decays
        radius = np.hypot(*(decays.ds_flight + decays.flight)[:, :2].T)
        made += np.histogram(radius, edges)[0]
        found += np.histogram(radius[file.events.event[file.events.true]], edges)[0]
        z = decays.flight[:, 2]
        assert np.all(abs(z[file.events.event[file.events.true]]) < 220)
    efficiency = found / made
    assert efficiency[0] > 0.7
    assert np.all(np.diff(efficiency) < 0)
    assert efficiency[3] < 1e-3  # the primary vertices' spread, at the edge


@pytest.mark.parametrize("sample", SIGNAL, ids=lambda sample: sample.name)
def test_the_mass_is_resolved_to_one_percent(sample):
    truth = reduce(add, (find(f.events, True) for f in HnlToy().files(sample, 100_000, seed=7)))
    low, middle, high = np.percentile(truth.mass, [15.87, 50, 84.13])
    # at cτ = 1 m some 50 events are left
    mass = sample.metadata["mass"]
    assert middle == pytest.approx(mass, abs=5 * 0.01 * mass / len(truth.mass) ** 0.5)
    assert 0.006 < (high - low) / 2 / mass < 0.013


def test_every_candidate_of_signal_has_the_generated_length(arrays):
    for sample in SIGNAL:
        events = arrays[sample.name]
        lengths = events.C_Hnl_gen_l_prop
        assert ak.all(ak.all(lengths == ak.firsts(lengths), axis=1))
        assert ak.all(lengths > 0)


def test_gen_flags_tell_the_decay_from_other_candidates():
    events = next(HnlToy().files(SIGNAL[0], 20_000, seed=8)).events
    flags = [
        events.candidates[name] > 0
        for name in ("C_mu_Hnl_isHnlDaughter", "C_mu_Ds_isHnlBrother", "C_pi_isHnlDaughter")
    ]
    matched = np.logical_and.reduce(flags)
    assert np.all(events.true[matched])
    assert 0.9 < np.mean(matched[events.true]) < 1
    assert 0.6 < np.mean(events.true) < 0.95
    for flag in flags:
        assert np.any(flag & ~matched)


def test_candidates_of_an_event_share_their_muons(arrays):
    for events in arrays.values():
        assert ak.all(events.C_mu_Hnl_idx != events.C_mu_Ds_idx)
        several = events[events.nCand > 1]
        keys = []
        for leg in ("Hnl", "Ds"):
            index, pt = several[f"C_mu_{leg}_idx"], several[f"C_mu_{leg}_pt"]
            keys += [
                set(zip(i, p, strict=True))
                for i, p in zip(index.tolist(), pt.tolist(), strict=True)
            ]
        half = len(keys) // 2
        assert all(len(a | b) == 2 for a, b in zip(keys[:half], keys[half:], strict=True))


def test_exchanged_muons_give_candidates_of_exactly_the_same_mass(arrays):
    ties = 0
    for masses in arrays["hnl_data_2018D"].C_Ds_mass.tolist():
        ties += len(masses) - len(set(masses))
    assert ties > 0.02 * EVENTS


def test_both_signs_of_charges_and_impact_parameters_occur(arrays):
    events = arrays["hnl_data_2018D"]
    for leg in ("mu_Hnl", "mu_Ds", "pi"):
        assert set(flat(events, f"C_{leg}_charge")) == {-1, 1}
    assert 0.4 < np.mean(flat(events, "C_pi_BS_ip_xy") > 0) < 0.6
    for leg in ("mu_Hnl", "mu_Ds"):
        for quantity in ("BS_ip_xy", "BS_ips_xy", "PV_ip_xy", "PV_ips_xy"):
            assert np.all(flat(events, f"C_{leg}_{quantity}") >= 0)


def test_the_background_is_smooth_in_every_category():
    """A quadratic describes each spectrum, but at its ends."""
    truth = reduce(add, (find(f.events, False) for f in HnlToy().files(DATA, 100_000, seed=1)))
    assert not np.any(truth.true)
    edges = np.linspace(0.45, 2.0, 32)
    middle = (edges[1:] + edges[:-1]) / 2
    for number, name in enumerate(CATEGORIES):
        masses = truth.mass[truth.category == number]
        assert 100 < len(masses) < 1500, name
        counts = np.histogram(masses, edges)[0]
        expected = np.full(len(counts), np.mean(counts))
        for _ in range(4):
            weights = 1 / np.sqrt(expected)
            expected = np.maximum(np.polyval(np.polyfit(middle, counts, 2, w=weights), middle), 1)
        statistic = np.sum((counts - expected) ** 2 / expected)
        assert chi2.sf(statistic, len(counts) - 3) > AGREES, name


def reasons(events: Any) -> Iterator[set[str]]:
    """Yield the failed conditions of each candidate that fails the trigger by one condition."""
    by_event: dict[int, list[int]] = {}
    for row, event in enumerate(events.trigger_event.tolist()):
        by_event.setdefault(event, []).append(row)
    t, c = events.triggers, events.candidates
    paths = [name.removesuffix("_matched") for name in t if name.endswith("_matched")]
    for row, event in enumerate(events.event.tolist()):
        failing: list[set[str]] = []
        for thing in by_event.get(event, []):
            for path in paths:
                online = float(t[f"{path}_pt"][thing])
                for muon in ("C_mu_Ds", "C_mu_Hnl"):
                    pt = float(c[f"{muon}_pt"][row])
                    conditions = {
                        "matched": t[f"{path}_matched"][thing] > 0,
                        "idx": t["HLT_mu_trig_idx"][thing] == c[f"{muon}_idx"][row],
                        "dr": t[f"{path}_dr"][thing] < 0.05,
                        "pt": abs(online - pt) / pt < 0.1,
                        "threshold": online > 7.5,
                        "eta": abs(t[f"{path}_eta"][thing]) < 1.45,
                    }
                    failing.append({name for name, met in conditions.items() if not met})
        if not failing:
            yield {"no object"}
        elif all(failing):
            yield {next(iter(which)) for which in failing if len(which) == 1}


@pytest.mark.parametrize("sample", [DATA, SIGNAL[3]], ids=lambda sample: sample.name)
def test_the_trigger_fails_for_every_single_reason(sample):
    events = next(HnlToy().files(sample, 12_000 if sample is DATA else 30_000, seed=9)).events
    found = {reason for which in reasons(events) if len(which) == 1 for reason in which}
    assert found == {"matched", "idx", "dr", "pt", "threshold", "eta", "no object"}


def test_the_trigger_passes_for_most(truth):
    for sample in (DATA, *SIGNAL[3:]):
        steps = {step["step"]: step["candidates"] for step in truth[sample.name]["cutflow"]}
        assert steps["trigger"] > 0.45 * steps.get("gen_match", steps["all"])
        assert steps["trigger"] < 0.95 * steps.get("gen_match", steps["all"])


def test_the_truth_is_consistent(truth, arrays):
    for sample in SAMPLES:
        numbers = truth[sample.name]
        steps = ["all", "trigger", "soft_id", "hnl_charge", "category"]
        if sample.is_mc:
            steps = ["all", "gen_match", *steps[1:], "gen_best"]
        assert [step["step"] for step in numbers["cutflow"]] == steps
        assert numbers["cutflow"][0]["events"] == numbers["events"] == len(arrays[sample.name])
        assert numbers["cutflow"][0]["candidates"] == ak.sum(arrays[sample.name].nCand)
        for column in ("events", "candidates"):
            counts = [step[column] for step in numbers["cutflow"]]
            assert counts == sorted(counts, reverse=True)
        assert list(numbers["categories"]) == list(CATEGORIES)
        assert sum(numbers["categories"].values()) == numbers["cutflow"][-1]["events"]
        signal = numbers["signal"]
        assert signal["generated"] == (numbers["events"] if sample.is_mc else 0)
        assert signal["selected"] == sum(signal["categories"].values())
        assert "injected" not in numbers


def test_signal_is_injected_into_the_data_alone(tmp_path, truth):
    injected = Injection(mass=1.2, mixing=2e-3, decays=400)
    HnlToy(injected)(tmp_path, EVENTS, 4)
    found = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    data = found.pop("hnl_data_2018D")
    assert data["events"] == EVENTS + 400
    ctau = mean_proper_length(1.2, 2e-3)
    assert data["injected"] == {
        "mass": 1.2,
        "mixing": 2e-3,
        "ctau": ctau,
        "decays": 400,
        "neutrino": "majorana",
    }
    assert data["signal"]["generated"] == 400
    assert 20 < data["signal"]["selected"] < 400
    assert found == {name: truth[name] for name in found}
    fileset = json.loads((tmp_path / "fileset.json").read_text(encoding="utf-8"))
    assert fileset["hnl_data_2018D"]["metadata"]["luminosity"] == EVENTS / 20_000
    events = ak.concatenate([read(path) for path in tmp_path.glob("hnl_data*.root")])
    assert len(events) == EVENTS + 400
    assert "C_Hnl_gen_l_prop" not in events.fields


def test_injected_decays_have_the_lifetime_of_the_coupling():
    injected = Injection(mass=1.5, mixing=7.289156e-4, decays=4_000)
    assert injected.ctau == pytest.approx(100)
    lengths = np.concatenate(
        [
            file.events.decays.proper_length[file.events.decays.signal]
            for file in HnlToy(injected).files(DATA, 400, 1)
        ]
    )
    assert len(lengths) == 4_000
    assert kstest(lengths, "expon", args=(0, 100)).pvalue > AGREES


@pytest.mark.parametrize("sample", [DATA, SIGNAL[0]], ids=lambda sample: sample.name)
def test_the_same_seed_gives_the_same_events(sample):
    first, again, other = (list(HnlToy().files(sample, 3_000, seed)) for seed in (9, 9, 10))
    assert [file.name for file in first] == [file.name for file in again]
    for one, same, different in zip(first, again, other, strict=True):
        assert list(one.events.branches) == list(same.events.branches)
        for name, values in one.events.branches.items():
            assert ak.array_equal(values, same.events.branches[name], dtype_exact=True), name
        masses = (file.events.candidates["C_Hnl_mass"] for file in (one, different))
        assert not np.array_equal(*masses)


def test_files_differ():
    masses = {
        tuple(file.events.candidates["C_Hnl_mass"])
        for sample in SAMPLES[:3]
        for file in HnlToy().files(sample, 1_000, 1)
    }
    assert len(masses) == 6


@pytest.mark.parametrize(("name", "events"), [("hnl_signal", 1), ("hnl", 7), ("hnl_signal", 130)])
def test_small_toys_are_whole(tmp_path, name, events):
    path = TOYS[name](tmp_path, events, 3)
    assert path == tmp_path / "fileset.json"
    fileset = json.loads(path.read_text(encoding="utf-8"))
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    for dataset, entry in fileset.items():
        found = [entries(tmp_path / file) for file in entry["files"]]
        assert sum(found) == truth[dataset]["events"]
        if events == 1:  # to read all branches takes most of the time
            assert sum(len(read(tmp_path / file)) for file in entry["files"]) == sum(found)
    if name == "hnl_signal":
        assert truth["hnl_data_2018D"]["injected"]["decays"] == round(events / 100)
