"""Luminosity of a finished run, recomputed."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from correction_files import recorded_in

from bphcoffea.errors import InputError
from bphcoffea.results import RunFolder
from bphcoffea.results.renormalisation import renormalise


@pytest.fixture(scope="module")
def toys(ds_phipi_toys):
    return ds_phipi_toys


@pytest.fixture(scope="module")
def whole(ds_phipi_run):
    """A run over everything."""
    return ds_phipi_run


@pytest.fixture
def copied(whole, tmp_path):
    return RunFolder(shutil.copytree(whole.path, tmp_path / "run"))


def test_lumi_tells_what_a_run_has_processed(copied, bphcoffea):
    status, out, _ = bphcoffea("lumi", copied.path)
    assert status == 0
    luminosity = copied.read("luminosity.json")["luminosity"]
    assert f"{luminosity:.6g}" in out
    assert "simulation of 2017D stands for data of 2018D" in out


def test_lumi_looks_up_another_table_and_simulation_follows(copied, toys, tmp_path, bphcoffea):
    before = copied.read("normalisation.json")["toy_ds_phipi_mc"]["scale"]
    lines = (toys / "luminosity.csv").read_text().splitlines()
    doubled = [
        line
        if line.startswith("#")
        else ",".join([*(f := line.split(","))[:6], str(2 * float(f[6])), *f[7:]])
        for line in lines
    ]
    (tmp_path / "doubled.csv").write_text("\n".join(doubled))
    status, *_ = bphcoffea("lumi", copied.path, "--table", tmp_path / "doubled.csv")
    assert status == 0
    after = copied.read("normalisation.json")["toy_ds_phipi_mc"]
    assert after["scale"] == pytest.approx(2 * before, rel=1e-9)
    # what was not asked to change has not
    assert after["uncertainties"]["luminosity"] == 0.025


def test_lumi_refuses_sections_that_the_data_were_not_selected_with(
    copied, toys, tmp_path, bphcoffea
):
    golden = json.loads((toys / "golden.json").read_text())
    given = tmp_path / "golden.json"
    given.write_text(json.dumps({min(golden): [[1, 2]]}))
    before = [copied.read(name) for name in ("luminosity.json", "normalisation.json")]
    ended = bphcoffea("lumi", copied.path, "--golden", given)
    assert ended.status == 2
    assert ended.err == (
        f"bphcoffea: error: {given}: the data of 2017D were selected without certified sections; "
        'set golden = "golden.json" in [luminosity] of the corrections of that era, '
        "and run again with them\n"
    )
    given.unlink()
    ended = bphcoffea("lumi", copied.path, "--golden", given)
    assert (ended.status, ended.err) == (2, f"bphcoffea: error: {given}: no such file\n")
    assert [copied.read(name) for name in ("luminosity.json", "normalisation.json")] == before


def test_certified_sections_of_lumi_are_those_of_the_run(copied, toys, tmp_path):
    """They are compared by their content: the file may have moved, but not changed."""
    golden = json.loads((toys / "golden.json").read_text())
    first, other = tmp_path / "first.json", tmp_path / "other.json"
    first.write_text(json.dumps({min(golden): [[1, 2]]}))
    other.write_text(json.dumps({min(golden): [[1, 3]]}))
    provenance = copied.read("provenance.json")
    (known,) = provenance["corrections"]
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    known["luminosity"]["golden"] = {"file": str(first), "sha256": digest}
    copied.write("provenance.json", provenance)
    moved = shutil.copy(first, tmp_path / "moved.json")
    for given in (None, moved):
        renormalise(copied, given)
        known = copied.read("luminosity.json")["datasets"]
        assert (known["toy_2017"]["certified"], known["toy_2018"]["certified"]) == (2, 0)
        sections = np.array([[int(min(golden)), 1], [int(min(golden)), 2]])
        expected = recorded_in(toys / "luminosity.csv", sections)
        assert copied.read("luminosity.json")["luminosity"] == pytest.approx(expected)
    with pytest.raises(InputError, match=r"other.json: .* selected with other certified sections"):
        renormalise(copied, other)
    first.write_text(other.read_text())
    with pytest.raises(InputError, match=r"first.json: has changed since the data of 2017D"):
        renormalise(copied)
