"""Luminosity of the processed data of whole runs."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import uproot
from correction_files import recorded_in

from bphcoffea.corrections import load_corrections
from bphcoffea.datasets import Fileset, load_fileset
from bphcoffea.execution import Options, run
from bphcoffea.luminosity import to_ranges


@pytest.fixture(scope="module")
def toys(ds_phipi_toys):
    return ds_phipi_toys


@pytest.fixture(scope="module")
def corrected(ds_phipi, toys):
    corrections = load_corrections([toys / "corrections.toml"])
    return ds_phipi.corrected(corrections, nominal_only=True)


@pytest.fixture(scope="module")
def whole(ds_phipi_run):
    """A run over everything."""
    return ds_phipi_run


def lacking(toys, name, path):
    """All data and one simulation of the toy, without one file of a dataset."""
    fileset = load_fileset(toys / "fileset.json")
    fileset = fileset.select(["toy_2017", "toy_2018", "toy_ds_phipi_mc"])
    dataset = fileset[name]
    files = {key: entry for key, entry in dataset.files.items() if key != path}
    return Fileset(fileset.root | {name: dataset.model_copy(update={"files": files})})


def sections_in(path):
    """Luminosity sections of a file."""
    with uproot.open(path) as file:
        arrays = file["Tree3Mu/ntuple"].arrays(["run", "lumi"], library="np")
    pairs = np.stack([arrays["run"], arrays["lumi"]], axis=1).astype(np.int64)
    return np.unique(pairs, axis=0)


def test_the_luminosity_is_that_of_the_sections_that_were_read(whole, toys):
    luminosity = whole.read("luminosity.json")
    for name in ("toy_2017", "toy_2018"):
        files = sorted(toys.glob(f"{name}_*.root"))
        sections = np.concatenate([sections_in(path) for path in files])
        known = luminosity["datasets"][name]
        assert known["sections"] == len(np.unique(sections, axis=0))
        expected = recorded_in(toys / "luminosity.csv", sections)
        assert known["luminosity"] == pytest.approx(expected, rel=1e-12)
        # the toy's sections have events, nearly all of them
        share = load_fileset(toys / "fileset.json")[name].metadata.luminosity
        assert known["luminosity"] == pytest.approx(share, rel=1e-3)
    parts = [known["luminosity"] for known in luminosity["datasets"].values()]
    assert luminosity["luminosity"] == pytest.approx(sum(parts), rel=1e-12)


@pytest.mark.slow
def test_without_one_file_of_data_exactly_its_sections_are_missing(
    whole, corrected, toys, tmp_path
):
    lost = toys / "toy_2018_1.root"
    part = run(
        corrected, lacking(toys, "toy_2018", str(lost)), tmp_path / "part", Options("iterative")
    )
    before, after = (each.read("luminosity.json")["datasets"] for each in (whole, part))
    sections = sections_in(lost)
    assert before["toy_2018"]["sections"] - after["toy_2018"]["sections"] == len(sections)
    difference = before["toy_2018"]["luminosity"] - after["toy_2018"]["luminosity"]
    assert difference == pytest.approx(recorded_in(toys / "luminosity.csv", sections), rel=1e-9)
    assert after["toy_2017"] == before["toy_2017"]
    # the normalisation of simulation follows
    scales = [each.read("normalisation.json")["toy_ds_phipi_mc"] for each in (whole, part)]
    assert scales[0]["luminosity"] - scales[1]["luminosity"] == pytest.approx(difference, rel=1e-9)
    ratio = scales[1]["scale"] / scales[0]["scale"]
    assert ratio == pytest.approx(scales[1]["luminosity"] / scales[0]["luminosity"], rel=1e-12)
    assert part.datasets["toy_2018"].luminosity == after["toy_2018"]["luminosity"]


@pytest.mark.slow
def test_a_file_that_can_not_be_read_is_missing_from_the_luminosity(corrected, toys, tmp_path):
    """The same when the run is incomplete: the file is asked for, but broken."""
    broken = tmp_path / "toys"
    shutil.copytree(toys, broken)
    lost = broken / "toy_2017_0.root"
    sections = sections_in(lost)
    lost.write_bytes(b"no ROOT file" * 100)
    fileset = load_fileset(broken / "fileset.json").select(["toy_2017", "toy_ds_phipi_mc"])
    folder = run(corrected, fileset, tmp_path / "run", Options("iterative"))
    assert not folder.complete
    known = folder.read("luminosity.json")["datasets"]["toy_2017"]
    other = sections_in(broken / "toy_2017_1.root")
    assert known["sections"] == len(other)
    assert known["luminosity"] == pytest.approx(
        recorded_in(broken / "luminosity.csv", other), rel=1e-12
    )
    assert not set(map(tuple, sections.tolist())) & set(map(tuple, other.tolist()))


@pytest.mark.slow
def test_without_one_file_of_simulation_the_yield_stays(whole, corrected, toys, tmp_path):
    lost = str(toys / "toy_ds_phipi_mc_0.root")
    fileset = lacking(toys, "toy_ds_phipi_mc", lost)
    part = run(corrected, fileset, tmp_path / "part", Options("iterative"))
    yields, errors, scales = [], [], []
    for each in (whole, part):
        mass = each.normalised_histograms()["mass"]["toy_ds_phipi_mc", "all", "nominal", :]
        yields.append(mass.values().sum())
        errors.append(np.sqrt(mass.variances().sum()))
        scales.append(each.read("normalisation.json")["toy_ds_phipi_mc"]["scale"])
    # one sample holds the other: the difference has the difference of the variances
    error = np.sqrt(errors[1] ** 2 - errors[0] ** 2)
    assert abs(yields[1] - yields[0]) < 4 * error
    assert scales[1] == pytest.approx(2 * scales[0], rel=0.01)
    assert abs(yields[1] / 2 - yields[0]) > 4 * error
    # the fileset says more processed events than its files hold, and does not say why
    (note,) = (
        note
        for note in part.read("normalisation.json")["toy_ds_phipi_mc"]["notes"]
        if "skim_efficiency" in note
    )
    assert "4,000 processed events, its files hold 2,000" in note


def test_sections_of_a_run_are_ranges(whole, toys):
    sections = sections_in(toys / "toy_2017_0.root")
    ranges = whole.read("lumis.json")["toy_2017"]
    assert to_ranges(sections).items() <= ranges.items()


def test_a_golden_json_is_a_step_of_the_cutflow_of_data(ds_phipi, toys, tmp_path):
    toys = shutil.copytree(toys, tmp_path / "toys")
    golden = json.loads((toys / "golden.json").read_text())
    runs = sorted(golden)[::2]
    (toys / "half.json").write_text(json.dumps({run: golden[run] for run in runs}))
    text = (toys / "corrections.toml").read_text()
    (toys / "half.toml").write_text(
        text.replace("[luminosity]\n", '[luminosity]\ngolden = "half.json"\n')
    )
    fileset = load_fileset(toys / "fileset.json").select(["toy_2017", "toy_ds_phipi_mc"])
    analysis = ds_phipi.corrected(load_corrections([toys / "half.toml"]), nominal_only=True)
    folder = run(analysis, fileset, tmp_path / "run", Options("iterative"))
    assert [row["step"] for row in folder.cutflow["toy_2017"]][:3] == ["all", "golden_json", "hlt"]
    assert [row["step"] for row in folder.cutflow["toy_ds_phipi_mc"]][:2] == ["all", "hlt"]
    selected = folder.candidates("toy_2017").to_pydict()
    assert {str(run) for run in selected["run"]} <= set(runs)
    known = folder.read("luminosity.json")["datasets"]["toy_2017"]
    assert 0 < known["certified"] < known["sections"]
    (used,) = folder.read("provenance.json")["corrections"]
    digest = hashlib.sha256((toys / "half.json").read_bytes()).hexdigest()
    assert used["luminosity"]["golden"]["sha256"] == digest
    # all that was read is still known
    assert folder.read("lumis.json")["toy_2017"].keys() > set(runs) & {
        str(run) for run in folder.read("lumis.json")["toy_2017"]
    }
