"""A blind run of τ → 3μ holds nothing of the data in the window of each category."""

import json
import struct

import lz4.frame
import pytest
from blind_runs import assert_files_agree, assert_skims_agree, drawn, three_runs

from bphcoffea.datasets import Fileset
from bphcoffea.execution import Options, blinded, run
from bphcoffea.execution.checkpoints import Checkpoints, _unsealed, fingerprint
from bphcoffea.toys.tau3mu import SAMPLES, Tau3MuToy

DATA = "toy_tau3mu_2017"
HALF = {"A": 0.024, "B": 0.038, "C": 0.050}


@pytest.fixture(scope="module")
def fileset(tmp_path_factory):
    """A file of data, without simulation."""
    made = tuple(sample for sample in SAMPLES if sample.name == DATA)
    place = Tau3MuToy(samples=made)(tmp_path_factory.mktemp("toys"), 40_000, 3)
    known = json.loads(place.read_text())[DATA]
    path, tree = next(iter(known["files"].items()))
    return Fileset.model_validate({DATA: known | {"files": {str(place.with_name(path)): tree}}})


@pytest.fixture(scope="module")
def runs(tau3mu, fileset, tmp_path_factory):
    return three_runs(tau3mu, fileset, DATA, tmp_path_factory.mktemp("runs"), hidden_rows)


def hidden_rows(opened, _):
    return {
        (row["run"], row["lumi"], row["event"])
        for row in opened.candidates(DATA).to_pylist()
        if abs(row["mass"] - 1.777) <= HALF[row["category"]]
    }


def test_no_file_depends_on_the_hidden_events(runs):
    assert len(runs["hidden"]) > 10
    rows = runs["blind"].candidates(DATA).to_pylist()
    # the window of C is hidden in C alone
    beside = [row for row in rows if abs(row["mass"] - 1.777) < 0.050]
    assert {row["category"] for row in beside} == {"A", "B"}
    assert_files_agree(runs, DATA)
    assert_skims_agree(runs, DATA)


def test_no_figure_shows_hidden_events(runs):
    figures = [dict(drawn(runs[name])) for name in ("blind", "without")]
    assert {"mass", "mass_A", "mass_C", "nminus1_mass"} <= set(figures[0])
    for name, figure in figures[0].items():
        if not name.startswith("cutflow_data"):  # its first row counts every event
            assert figure == figures[1][name], name
    for name, text in (("mass_A", "1.75–1.81"), ("mass", "1.72–1.83")):
        assert f"Data blinded in {text} GeV" in "\n".join(figures[0][name]["texts"])


def test_figures_of_an_unblinded_run_hide_the_windows_as_well(runs):
    opened, blind = (dict(drawn(runs[name])) for name in ("opened", "blind"))
    for name in ("mass", "mass_A", "mass_B", "mass_C"):
        assert opened[name]["texts"] == blind[name]["texts"]
    assert opened["mass_C"] == blind["mass_C"]


def test_no_checkpoint_holds_hidden_events(runs, tau3mu, fileset, tmp_path, monkeypatch):
    monkeypatch.setattr(Checkpoints, "clear", lambda _: None)  # as if the run had been cut off
    place = str(tmp_path / "kept")
    run(tau3mu, fileset, tmp_path / "run", Options("iterative", checkpoints=place))
    kept = [path.read_bytes() for path in (tmp_path / "kept").rglob("*.lz4")]
    content = b"".join(lz4.frame.decompress(_unsealed(each)) for each in kept)
    rows = runs["opened"].candidates(DATA).to_pylist()
    numbers = {(row["run"], row["lumi"], row["event"]): row["mass"] for row in rows}
    for event, mass in numbers.items():
        assert (struct.pack("<d", mass) in content) == (event not in runs["hidden"])


def test_checkpoints_know_the_windows(tau3mu, fileset):
    both = (blinded(tau3mu, fileset), blinded(tau3mu, fileset, unblind=True))
    assert len({fingerprint(each) for each in both}) == 2
