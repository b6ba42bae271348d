"""The dimuon spectrum on real NanoAOD, against a loop over pairs; and on made-up muons."""

import itertools
import json
import math
from pathlib import Path

import awkward as ak
import correctionlib
import numpy as np
import pytest
import samples
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st
from selecting import select

from bphcoffea.corrections import load_corrections
from bphcoffea.datasets import Fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, run
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.processing.processor import Processor
from bphcoffea.statistics import fit_mass

ROOT = Path(__file__).parents[2]
PATH = "HLT_DoubleMu4_3_Jpsi"
BRANCHES = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_mass", "Muon_charge"]


def pair_masses(tree):
    """Masses of the opposite-sign pairs in the acceptance, event by event."""
    masses = []
    for event in tree.arrays(BRANCHES).to_list():
        muons = [
            dict(zip(BRANCHES, values, strict=True)) for values in zip(*event.values(), strict=True)
        ]
        for first, second in itertools.combinations(muons, 2):
            if first["Muon_charge"] + second["Muon_charge"] != 0:
                continue
            if all(abs(m["Muon_eta"]) < 2.4 and m["Muon_pt"] > 3 for m in (first, second)):
                masses.append(mass_of(first, second))
    return masses


def mass_of(*muons):
    px = sum(m["Muon_pt"] * math.cos(m["Muon_phi"]) for m in muons)
    py = sum(m["Muon_pt"] * math.sin(m["Muon_phi"]) for m in muons)
    pz = sum(m["Muon_pt"] * math.sinh(m["Muon_eta"]) for m in muons)
    energy = sum(
        math.sqrt((m["Muon_pt"] * math.cosh(m["Muon_eta"])) ** 2 + m["Muon_mass"] ** 2)
        for m in muons
    )
    return math.sqrt(energy**2 - px**2 - py**2 - pz**2)


def fileset(path, **metadata):
    known = {"is_mc": False, "era": "2018"} | metadata
    return Fileset.model_validate({"nano": {"files": {str(path): "Events"}, "metadata": known}})


@pytest.fixture(scope="module")
def slim(nanoaod, tmp_path_factory):
    """Folder of copies of samples with muons, weights and two triggers alone."""
    folder = tmp_path_factory.mktemp("slim")
    for name in ("nano_dimuon.root", "nano_dy.root", "missing_luminosityBlock.root"):
        alike = ("LHEScaleWeight", PATH, "HLT_IsoMu24")
        samples.write_slim(nanoaod / name, folder / name, collections=("Muon",), alike=alike)
    return folder


@pytest.fixture(scope="module")
def runs(nanoaod, slim, dimuon, tmp_path_factory):
    """Runs over one file each, by its name; those of data are whole."""
    top = tmp_path_factory.mktemp("runs")
    paths = [nanoaod / "nano_dimuon.root", nanoaod / "nano_dimuon_rntuple.root"]
    return {
        path.name: run(dimuon, fileset(path), top / path.name, Options("iterative"))
        for path in (*paths, slim / "nano_dy.root")
    }


@pytest.mark.samples
@pytest.mark.parametrize("name", ["nano_dimuon.root", "nano_dy.root"])
def test_agrees_with_the_loop(name, slim, runs):
    folder = runs[name]
    with uproot.open(slim / name) as file:
        masses = pair_masses(file["Events"])
    assert masses
    spectrum = folder.histograms()["spectrum"]["nano", "all", "nominal", :]
    expected, _ = np.histogram(masses, spectrum.axes[0].edges)
    np.testing.assert_array_equal(spectrum.values(), expected)
    last = folder.cutflow["nano"][-1]
    assert (last["step"], last["candidates"]) == ("acceptance", len(masses))


@pytest.mark.samples
def test_tree_and_rntuple_give_the_same(runs):
    assert runs["nano_dimuon.root"].cutflow == runs["nano_dimuon_rntuple.root"].cutflow


@pytest.mark.samples
def test_only_muons_and_numbers_are_read(runs):
    assert runs["nano_dimuon.root"].read("metrics.json")["columns"] == sorted(
        [*BRANCHES, "nMuon", "run", "luminosityBlock", "event"]
    )


@pytest.mark.samples
def test_luminosity_sections_are_recorded_for_data(slim, runs):
    folder = runs["nano_dimuon.root"]
    with uproot.open(slim / "nano_dimuon.root") as file:
        arrays = file["Events"].arrays(["run", "luminosityBlock"], library="np")
    pairs = set(zip(arrays["run"].tolist(), arrays["luminosityBlock"].tolist(), strict=True))
    ranges = folder.read("lumis.json")["nano"]
    got = {(int(r), s) for r, spans in ranges.items() for a, b in spans for s in range(a, b + 1)}
    assert got == pairs


@pytest.mark.samples
def test_generator_weights_are_summed_before_any_cut(slim, dimuon, tmp_path):
    files = fileset(slim / "nano_dy.root", is_mc=True)
    folder = run(dimuon, files, tmp_path, Options("iterative", chunksize=14))
    with uproot.open(slim / "nano_dy.root") as file:
        expected = math.fsum(file["Events/genWeight"].array().to_list())
    assert folder.cutflow["nano"][0]["sumw"] == pytest.approx(expected, rel=1e-12)
    assert folder.cutflow["nano"][0]["events"] == 40
    assert folder.read("lumis.json") == {}


@pytest.mark.samples
def test_trigger_paths_of_the_metadata_are_required(slim, dimuon, tmp_path):
    files = fileset(slim / "nano_dimuon.root", hlt=[PATH, "HLT_IsoMu24"])
    folder = run(dimuon, files, tmp_path, Options("iterative"))
    with uproot.open(slim / "nano_dimuon.root") as file:
        arrays = file["Events"].arrays([PATH, "HLT_IsoMu24", "nMuon"])
    fired = (arrays[PATH] | arrays.HLT_IsoMu24) & (arrays.nMuon >= 2)
    rows = {row["step"]: row for row in folder.cutflow["nano"]}
    assert rows["hlt"]["events"] == int(ak.sum(fired))
    assert list(rows) == ["all", "hlt", "opposite_sign", "acceptance"]


@pytest.mark.samples
def test_unknown_trigger_path_is_named(slim, dimuon, tmp_path):
    files = fileset(slim / "nano_dimuon.root", hlt=["HLT_NoSuchPath"])
    with pytest.raises(InputError, match=r"dataset 'nano': no file has .*NoSuchPath"):
        run(dimuon, files, tmp_path, Options("iterative"))


@pytest.mark.samples
@pytest.mark.parametrize("name", ["nano_dy_empty.root", "missing_luminosityBlock.root"])
def test_files_without_events_or_without_lumis_are_fine(name, nanoaod, slim, dimuon, tmp_path):
    path = (nanoaod if name == "nano_dy_empty.root" else slim) / name
    folder = run(dimuon, fileset(path), tmp_path, Options("iterative"))
    assert folder.complete
    assert folder.read("lumis.json") == {}
    with uproot.open(path) as file:
        assert folder.cutflow["nano"][0]["events"] == file["Events"].num_entries


MUONS = st.lists(
    st.tuples(
        st.sampled_from([2.9, 3.0, 3.1, 10.0, 45.0]),
        st.sampled_from([-2.5, -2.4, 0.0, 1.0, 2.39]),
        st.floats(-3.1, 3.1),
        st.sampled_from([-1, 1]),
    ),
    max_size=5,
)


def reduced_file(path, events):
    """A file of muons alone, as the reduced open data."""
    counts = np.array([len(event) for event in events])
    flat = np.array([muon for event in events for muon in event]).reshape(-1, 4)
    muons = {
        "pt": flat[:, 0].astype(np.float32),
        "eta": flat[:, 1].astype(np.float32),
        "phi": flat[:, 2].astype(np.float32),
        "mass": np.full(len(flat), 0.10565837, dtype=np.float32),
        "charge": flat[:, 3].astype(np.int32),
    }
    with uproot.recreate(path) as file:
        lists = ak.unflatten(ak.zip(muons), counts)
        file.mktree("Events", {"Muon": lists.type.content}).extend({"Muon": lists})
    return path


@settings(max_examples=10, deadline=None)
@given(events=st.lists(MUONS, min_size=1, max_size=25))
def test_reduced_files_agree_with_the_loop(events, dimuon, open_events, tmp_path_factory):
    path = reduced_file(tmp_path_factory.mktemp("reduced") / "muons.root", events)
    result = Processor(dimuon).process(
        open_events(path, ReducedNanoAODSchema, "Events", era="2012")
    )["test"]
    with uproot.open(path) as file:
        expected = pair_masses(file["Events"])
    assert result.cutflow.candidates[-1] == len(expected)
    spectrum = result.histograms["spectrum"]["all", "nominal", :]
    counts, _ = np.histogram(expected, spectrum.axes[0].edges)
    np.testing.assert_array_equal(spectrum.values(), counts)
    assert len(result.lumis.pairs()) == 0


def test_fit_finds_the_jpsi(dimuon, tmp_path):
    # pairs of 10 GeV muons whose opening angle gives a mass of 3.0969 ± 0.03 GeV
    rng = np.random.default_rng(1)
    mass = rng.normal(3.0969, 0.03, 4000)
    angle = 2 * np.arcsin(np.sqrt(mass**2 - 4 * 0.10565837**2) / 20)
    events = [[(10.0, 0.0, 0.0, 1), (10.0, 0.0, phi, -1)] for phi in angle]
    path = reduced_file(tmp_path / "muons.root", events)
    folder = run(dimuon, fileset(path), tmp_path / "run", Options("iterative"))
    fit = fit_mass(folder).as_json()
    assert fit["valid"], fit["problems"]
    mean = fit["parameters"]["mean_jpsi"]
    assert mean["value"] == pytest.approx(3.0969, abs=4 * mean["error"])
    assert fit["parameters"]["n_jpsi"]["value"] == pytest.approx(4000, abs=200)
    assert json.dumps(fit, allow_nan=False)


@pytest.mark.samples
def test_simulation_is_weighed_by_what_its_file_and_its_corrections_hold(dimuon, slim, tmp_path):
    """NanoAOD has pile-up and the weights of other scales; the muons' factors are clamped."""
    corrections = ROOT / "datasets" / "corrections"
    (tmp_path / "dimuon.toml").write_text(
        f"""
        name = "dimuon"
        eras = ["*"]
        [pileup]
        file = "{corrections / "puWeights.json.gz"}"
        name = "Collisions_toys_goldenJSON"
        out_of_range = "clamp"
        [muon_reconstruction]
        file = "{corrections / "muon_JPsi_v1.json.gz"}"
        name = "NUM_TrackerMuons_DEN_genTracks"
        out_of_range = "clamp"
        """
    )
    corrected = dimuon.corrected(load_corrections([tmp_path / "dimuon.toml"]))
    files = fileset(slim / "nano_dy.root", is_mc=True)
    folder = run(corrected, files, tmp_path / "run", Options("iterative"))
    with uproot.open(slim / "nano_dy.root") as file:
        events = file["Events"].arrays(
            ["genWeight", "Pileup_nTrueInt", "LHEScaleWeight", "nMuon", *BRANCHES], library="np"
        )
    maps = correctionlib.CorrectionSet.from_file(str(corrections / "muon_JPsi_v1.json.gz"))
    factor = maps["NUM_TrackerMuons_DEN_genTracks"]
    (pileup,) = correctionlib.CorrectionSet.from_file(
        str(corrections / "puWeights.json.gz")
    ).values()
    spectrum = folder.histograms()["spectrum"]
    members = np.zeros((7, spectrum.axes[-1].extent))
    for event in range(len(events["genWeight"])):
        kept = [
            (pt, eta, charge, phi)
            for pt, eta, charge, phi in zip(
                *(events[f"Muon_{name}"][event] for name in ("pt", "eta", "charge", "phi")),
                strict=True,
            )
        ]
        scales = np.delete(events["LHEScaleWeight"][event].astype(np.float64), [2, 4, 6])
        interactions = float(events["Pileup_nTrueInt"][event])
        weight = float(events["genWeight"][event]) * pileup.evaluate(interactions, "nominal")
        for first, second in itertools.combinations(kept, 2):
            if first[2] + second[2] != 0 or min(first[0], second[0]) <= 3:
                continue
            if max(abs(first[1]), abs(second[1])) >= 2.4:
                continue
            of_pair = weight
            for pt, eta, *_ in (first, second):
                of_pair *= factor.evaluate("2018_UL", abs(float(eta)), float(pt), "sf")
            # muons are nearly massless
            angles = math.cosh(first[1] - second[1]) - math.cos(first[3] - second[3])
            place = spectrum.axes[-1].index(math.sqrt(2 * first[0] * second[0] * angles)) + 1
            members[:, place] += of_pair * np.array([1.0, *scales])
    nominal = members[0]
    assert np.any(nominal)
    for variation, contents in {
        "nominal": nominal,
        "generator_scaleUp": members.max(axis=0),
        "generator_scaleDown": members.min(axis=0),
    }.items():
        got = spectrum["nano", "all", variation, :].values(flow=True)
        np.testing.assert_allclose(got, contents, rtol=1e-6)
    assert "muon_reconstruction_systUp" in spectrum.axes["variation"]


def test_events_without_numbers_can_not_be_certified(dimuon, tmp_path):
    (tmp_path / "golden.json").write_text('{"1": [[1, 9]]}')
    (tmp_path / "era.toml").write_text(
        'name = "x"\neras = ["*"]\n[luminosity]\ngolden = "golden.json"\n'
    )
    certified = dimuon.corrected(load_corrections([tmp_path / "era.toml"]))
    selection = certified.for_dataset({"is_mc": False, "era": "2012", "hlt": ()}).selection
    muons = ak.zip({name: [[1.0, 2.0]] for name in ("pt", "eta", "phi", "mass", "charge")})
    events = certified.prepare(ak.zip({"Muon": muons}, depth_limit=1))
    with pytest.raises(InputError, match="no run and luminosity section to be certified"):
        select(selection, events, collection=certified.collection)
