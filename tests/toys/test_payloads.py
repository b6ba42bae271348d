"""Correction files of the toy: their interfaces, their numbers, and the copies that are shipped."""

import gzip
import json
import math
import subprocess
import sys
import tomllib
from pathlib import Path

import correctionlib
import numpy as np
import pytest
from correctionlib import schemav2

from bphcoffea.toys import TOYS
from bphcoffea.toys.ds_phipi import DsPhiPiToy

DATASETS = Path(__file__).parents[2] / "datasets"
SHIPPED = DATASETS / "corrections"
PAYLOADS = ("muon_JPsi.json.gz", "muon_JPsi_v1.json.gz", "puWeights.json.gz", "trigger.json.gz")
MUON_TABLES = {
    "NUM_LooseID_DEN_TrackerMuons": (0.945, 0.995),
    "NUM_SoftID_DEN_TrackerMuons": (0.90, 0.955),
    "NUM_TrackerMuons_DEN_genTracks": (0.97, 0.998),
}
#: In each bin of the tables, and within the acceptance of the selection; pT in GeV.
ETAS = (-2.399, -1.5, -1.0, -0.3, 0.0, 0.3, 1.0, 1.5, 2.399)
PTS = (2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 25.0, 100.0)


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return TOYS["ds_phipi"](tmp_path_factory.mktemp("toy"), 500, seed=5).parent


def loaded(name: str) -> correctionlib.CorrectionSet:
    return correctionlib.CorrectionSet.from_file(str(SHIPPED / name))


def unpacked(path: Path) -> tuple[bytes, bytes]:
    """Return the gzip header and the content, since builds of zlib compress to different bytes."""
    content = path.read_bytes()
    return content[:10], gzip.decompress(content)


@pytest.mark.parametrize("name", PAYLOADS)
def test_shipped_payloads_are_those_of_the_toy(toy, name):
    assert unpacked(toy / name) == unpacked(SHIPPED / name)


def test_payloads_depend_on_neither_seed_nor_events(toy, tmp_path):
    other = TOYS["ds_phipi"](tmp_path, 50, seed=6).parent
    for name in PAYLOADS:
        assert (toy / name).read_bytes() == (other / name).read_bytes(), name


def test_shipped_payloads_are_made_by_the_command_of_the_readme(tmp_path):
    readme = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert "python -m bphcoffea.toys datasets/corrections" in readme
    subprocess.run([sys.executable, "-m", "bphcoffea.toys", tmp_path], check=True)
    assert {path.name for path in tmp_path.iterdir()} == {*PAYLOADS, "toys.toml"}
    assert all(unpacked(tmp_path / name) == unpacked(SHIPPED / name) for name in PAYLOADS)
    assert (tmp_path / "toys.toml").read_bytes() == (SHIPPED / "toys.toml").read_bytes()


def test_the_toml_names_files_that_are_there(toy):
    written, shipped = (
        tomllib.loads(path.read_text(encoding="utf-8"))
        for path in (toy / "corrections.toml", SHIPPED / "toys.toml")
    )
    for folder, content in ((toy, written), (SHIPPED, shipped)):
        for section in ("pileup", "muon_id", "muon_reconstruction"):
            asked = content[section]
            assert asked["name"] in set(
                correctionlib.CorrectionSet.from_file(str(folder / asked["file"]))
            )
    luminosity = written.pop("luminosity")
    assert (toy / luminosity.pop("table")).is_file()
    assert luminosity == shipped.pop("luminosity")
    assert written == shipped


def test_the_shipped_fileset_is_that_of_the_demo():
    expected = DsPhiPiToy().fileset(200_000)
    for entry in expected.values():
        entry["files"] = {f"../demo/toys/{name}": tree for name, tree in entry["files"].items()}
    shipped = json.loads((DATASETS / "toys_ds_phipi.json").read_text(encoding="utf-8"))
    assert shipped == expected
    assert list(shipped) == list(expected)


@pytest.mark.parametrize("name", PAYLOADS)
def test_payloads_say_that_they_are_synthetic_but_not_when_they_were_made(name):
    content = (SHIPPED / name).read_bytes()
    assert content[4:8] == bytes(4)  # the time, in gzip's header
    corrections = schemav2.CorrectionSet.model_validate_json(gzip.decompress(content))
    assert corrections.schema_version == 2
    for correction in corrections.corrections:
        assert "synthetic" in correction.description.lower()
        assert correction.version == 1


@pytest.mark.parametrize(("name", "allowed"), MUON_TABLES.items())
def test_scale_factors_cover_the_acceptance_and_have_uncertainties(name, allowed):
    correction = loaded("muon_JPsi.json.gz")[name]
    assert [(i.name, i.type) for i in correction.inputs] == [
        ("eta", "real"),
        ("pt", "real"),
        ("scale_factors", "string"),
    ]
    values = []
    for eta in ETAS:
        for pt in PTS:
            nominal, stat, syst, up, down = (
                correction.evaluate(eta, pt, key)
                for key in ("nominal", "stat", "syst", "systup", "systdown")
            )
            assert 0 < stat < 0.02
            assert 0 < syst < 0.02
            assert up - nominal == pytest.approx(math.sqrt(stat**2 + syst**2), abs=1e-8)
            assert nominal - down == pytest.approx(math.sqrt(stat**2 + syst**2), abs=1e-8)
            values.append(nominal)
    assert allowed[0] <= min(values) < max(values) <= allowed[1]
    assert len(set(values)) > 20
    for eta, pt in ((2.41, 5.0), (-2.41, 5.0), (0.0, 1.0), (0.0, 1e4)):
        with pytest.raises(RuntimeError, match="bounds"):
            correction.evaluate(eta, pt, "nominal")


@pytest.mark.parametrize("name", ["NUM_LooseID_DEN_TrackerMuons", "NUM_TrackerMuons_DEN_genTracks"])
def test_the_sign_of_eta_matters(name):
    correction = loaded("muon_JPsi.json.gz")[name]
    assert correction.evaluate(1.5, 5.0, "nominal") != correction.evaluate(-1.5, 5.0, "nominal")


@pytest.mark.parametrize("name", MUON_TABLES)
def test_the_older_interface_has_the_mean_of_both_signs(name):
    new, old = (loaded(f"muon_JPsi{version}.json.gz")[name] for version in ("", "_v1"))
    assert [(i.name, i.type) for i in old.inputs] == [
        ("year", "string"),
        ("abseta", "real"),
        ("pt", "real"),
        ("ValType", "string"),
    ]
    for eta in (0.3, 1.0, 1.5, 2.399):
        for pt in PTS:
            both = [new.evaluate(sign * eta, pt, "nominal") for sign in (1, -1)]
            value, stat, syst, up, down = (
                old.evaluate("2018_UL", eta, pt, key)
                for key in ("sf", "stat", "syst", "systup", "systdown")
            )
            assert value == pytest.approx(np.mean(both), abs=1e-8)
            assert up - value == pytest.approx(math.hypot(stat, syst), abs=1e-8)
            assert value - down == pytest.approx(math.hypot(stat, syst), abs=1e-8)
    # no end in pT
    assert old.evaluate("2018_UL", 0.3, 1e6, "sf") == old.evaluate("2018_UL", 0.3, 100.0, "sf")
    with pytest.raises(IndexError):
        old.evaluate("2017_UL", 0.3, 5.0, "sf")


def test_pileup_weights_are_the_ratio_of_two_bells():
    correction = loaded("puWeights.json.gz")["Collisions_toys_goldenJSON"]
    assert [(i.name, i.type) for i in correction.inputs] == [
        ("NumTrueInteractions", "real"),
        ("weights", "string"),
    ]
    for key, mean, width in (
        ("nominal", 32, 12),
        ("up", 32 * 1.046, 12 * 1.046),
        ("down", 32 * 0.954, 12 * 0.954),
    ):
        data, mc = (
            [math.exp(-((n - m) ** 2) / (2 * w**2)) for n in range(100)]
            for m, w in ((mean, width), (38, 15))
        )
        ratio = [x / sum(data) / (y / sum(mc)) for x, y in zip(data, mc, strict=True)]
        got = [correction.evaluate(float(n), key) for n in range(100)]
        np.testing.assert_allclose(got, ratio, atol=1e-8)
        assert max(got) < 5
        assert correction.evaluate(250.0, key) == got[-1]  # clamped


@pytest.mark.parametrize("name", ["efficiency_data", "efficiency_simulation"])
def test_trigger_efficiencies_rise(name):
    correction = loaded("trigger.json.gz")[name]
    assert [(i.name, i.type) for i in correction.inputs] == [
        ("pt", "real"),
        ("ips_xy", "real"),
        ("scale_factors", "string"),
    ]
    pts, significances = (3.0, 6.5, 7.5, 9.5, 11.0, 99.0), (0.0, 3.2, 4.5, 7.0, 15.0, 499.0)
    table = np.array(
        [[correction.evaluate(pt, ip, "nominal") for ip in significances] for pt in pts]
    )
    assert np.all(np.diff(table, axis=0) >= 0)
    assert np.all(np.diff(table, axis=1) >= 0)
    assert table[0, 0] == pytest.approx(0.1, abs=0.02)
    assert table[-1, -1] == pytest.approx(0.95, abs=0.03)
    assert 0 < correction.evaluate(10.0, 5.0, "stat") < 0.05
    for pt, ip in ((100.0, 5.0), (2.0, 5.0), (10.0, 500.0)):
        with pytest.raises(RuntimeError, match="bounds"):
            correction.evaluate(pt, ip, "nominal")
