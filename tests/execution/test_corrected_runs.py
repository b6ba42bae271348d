"""What a run with corrections needs and records."""

import hashlib
import shutil

import numpy as np
import pytest
import uproot


@pytest.fixture(scope="module")
def toys(ds_phipi_toys):
    return ds_phipi_toys


@pytest.fixture(scope="module")
def whole(ds_phipi_run):
    """A run over everything."""
    return ds_phipi_run


def test_eras_without_corrections_are_told_before_anything_is_read(
    ds_phipi, toys, tmp_path, bphcoffea
):
    toys = shutil.copytree(toys, tmp_path / "toys")
    text = (toys / "corrections.toml").read_text()
    (toys / "only.toml").write_text(text.replace('"2017*", "2018*"', '"2018*"'))
    status, _, err = bphcoffea(
        *("run", "ds_phipi", toys / "fileset.json", "-o", tmp_path / "run"),
        *("--corrections", toys / "only.toml", "--executor", "iterative"),
    )
    assert status == 2
    assert "dataset 'toy_2017': no corrections for the era 2017D" in "".join(err)
    assert "'toys' for 2018*" in "".join(err)
    assert not (tmp_path / "run" / "ledger.json").exists()


def test_provenance_knows_the_corrections(whole, toys):
    (known,) = whole.read("provenance.json")["corrections"]
    assert known["muon_id"]["name"] == "NUM_LooseID_DEN_TrackerMuons"
    assert known["muon_id"]["version"] == 1
    for section, file in {"muon_id": "muon_JPsi.json.gz", "pileup": "puWeights.json.gz"}.items():
        assert known[section]["sha256"] == hashlib.sha256((toys / file).read_bytes()).hexdigest()
    assert known["luminosity"]["table"]["file"] == str(toys / "luminosity.csv")


def test_files_of_a_run_hold_every_variation(whole):
    variations = whole.analysis.variations
    assert variations["toy_2017"] == ()
    assert "pileupUp" in variations["toy_ds_phipi_mc"]
    mass = whole.histograms()["mass"]
    assert set(variations["toy_ds_phipi_mc"]) <= set(mass.axes["variation"])
    assert mass["toy_2017", "all", "pileupUp", sum].value == 0
    with uproot.open(whole.path / "histograms.root") as file:
        names = {name.split(";")[0] for name in file.keys(recursive=True)}
        values = file["toy_ds_phipi_mc/mass_muon_scaleUp"].values()
    assert "toy_2017/mass_pileupUp" not in names
    for dataset, own in variations.items():
        stored = {name for name in names if name.startswith(f"{dataset}/mass_")}
        of_dataset = {name: mass[dataset, "all", name, :] for name in ("nominal", *own)}
        changed = [name for name in own if of_dataset[name] != of_dataset["nominal"]]
        assert stored == {f"{dataset}/mass_{name}" for name in changed}
    assert "toy_2017/mass" in names
    np.testing.assert_array_equal(
        values, mass["toy_ds_phipi_mc", "all", "muon_scaleUp", :].values()
    )
