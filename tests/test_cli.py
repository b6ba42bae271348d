"""The commands as a user types them, from toys to figures."""

import errno
import json
import logging
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from builders import write_fileset

from bphcoffea import cli
from bphcoffea.cli.fit import yields_in_words
from bphcoffea.results import RunFolder
from bphcoffea.rounding import rounded
from bphcoffea.statistics import FitRecord
from bphcoffea.storage import UnwritableError
from bphcoffea.toys import TOYS


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """What ``bphcoffea demo`` leaves: the demo that CI has just made, or a small one."""
    folder = tmp_path_factory.mktemp("demo")
    if "BPHCOFFEA_DEMO" in os.environ:
        return Path(shutil.copytree(os.environ["BPHCOFFEA_DEMO"], folder / "copy"))
    with pytest.MonkeyPatch.context() as patch:
        words = ["bphcoffea", "demo", "-o", str(folder), "--events", "40000"]
        patch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    assert not stopped.value.code
    return folder


@pytest.mark.slow
def test_demo_finds_the_yields_it_was_made_with(demo):
    fit = json.loads((demo / "run" / "fit.json").read_text())
    assert fit["valid"], fit["problems"]
    truth = json.loads((demo / "toys" / "truth.json").read_text())
    for peak, process in (("ds", "ds_phipi"), ("dplus", "dplus_phipi")):
        true = sum(
            truth[name]["selected_in_fit_range"][process] for name in ("toy_2017", "toy_2018")
        )
        fitted = fit["parameters"][f"n_{peak}"]
        # the error holds the Poisson fluctuation that the truth shares: leave it out
        error = math.sqrt(fitted["error"] ** 2 - true)
        assert abs(fitted["value"] - true) < 4 * error, peak
    assert fit["goodness"]["p_value"] > 1e-3
    assert fit["datasets"] == ["toy_2017", "toy_2018"]
    cutflow = RunFolder(demo / "run").cutflow
    events = cutflow["toy_2017"][0]["events"] + cutflow["toy_2018"][0]["events"]
    assert fit["luminosity"] == pytest.approx(events / 20_000)
    # the last lines of the command
    words = yields_in_words(FitRecord.of_run(RunFolder(demo / "run")))
    found = [fit["parameters"][f"n_{name}"] for name in ("ds", "dplus", "background")]
    yields = [" ± ".join(rounded(each["value"], each["error"])) for each in found]
    assert re.findall(r"n_(\w+) = ([^,]*), ", words) == list(
        zip(("ds", "dplus", "background"), yields, strict=True)
    )
    assert words.endswith(f", p-value {fit['goodness']['p_value']:.2g}")


@pytest.mark.slow
def test_demo_selects_what_the_toy_was_made_to_pass(demo):
    truth = json.loads((demo / "toys" / "truth.json").read_text())
    for dataset, rows in RunFolder(demo / "run").cutflow.items():
        assert [{k: v for k, v in row.items() if k != "sumw"} for row in rows] == truth[dataset][
            "cutflow"
        ]


@pytest.mark.slow
def test_demo_draws_what_it_found(demo):
    names = {path.name for path in (demo / "run" / "figures").iterdir()}
    expected = {"mass.png", "cutflow_data.png", "phi_mass.png", "nminus1_mass.png"}
    assert expected <= names


@pytest.mark.slow
def test_fit_of_each_era(demo, bphcoffea):
    status, out, _ = bphcoffea("fit", demo / "run", "--by", "era")
    assert status == 0
    assert "n_ds" in out
    assert "p-value" in out
    assert (
        "note: tail constrained to that of simulation (toy_dplus_phipi_mc, toy_ds_phipi_mc)" in out
    )
    fit = json.loads((demo / "run" / "fit.json").read_text())
    assert set(fit["by"]) == {"2017D", "2018D"}
    parts = sum(part["parameters"]["n_ds"]["value"] for part in fit["by"].values())
    assert parts == pytest.approx(fit["parameters"]["n_ds"]["value"], rel=0.05)


@pytest.mark.slow
def test_fit_of_one_dataset(demo, bphcoffea):
    before = (demo / "run" / "fit.json").read_bytes()
    words = ("--peak", "gaussian", "--background", "bernstein2", "--sweights")
    status, out, _ = bphcoffea("fit", demo / "run", "--dataset", "toy_2017", *words)
    place = demo / "run" / "fit-toy_2017.json"
    assert (status, f"fit: {place}" in out) == (0, True)
    fit = json.loads(place.read_text())
    assert fit["datasets"] == ["toy_2017"]
    assert (fit["model"]["shape"], fit["model"]["background"]) == ("gaussian", "bernstein2")
    # values and errors end at the same digit
    found = fit["parameters"]["n_ds"]
    assert [*rounded(found["value"], found["error"])] == next(
        line.split()[1:3] for line in out.splitlines() if line.startswith("n_ds ")
    )
    weighted = demo / "run" / "sweights-toy_2017" / "toy_2017.parquet"
    assert f"sWeights: {weighted}\n" in out
    total = np.sum(pq.read_table(weighted)["sweight_ds"].to_numpy())
    assert total == pytest.approx(found["value"], rel=1e-3)
    assert (demo / "run" / "fit.json").read_bytes() == before, "that of all data stays"
    status, _, err = bphcoffea("fit", demo / "run", "--dataset", "2016*")
    assert status == 2
    assert err[0].startswith("bphcoffea: error: no dataset matches '2016*'; there are: ")


def test_invalid_fit_says_why_and_ends_with_2(bphcoffea, tmp_path, ds_phipi, data):
    # the fixture's 20 candidates are too few
    files = {"few": [data / "tree3mu_phipi_2017.root"]}
    fileset = write_fileset(tmp_path / "fileset.json", files)
    words = ("run", "ds_phipi", fileset, "-o", tmp_path / "run", "--executor", "iterative")
    assert bphcoffea(*words)[0] == 0
    status, _, err = bphcoffea("fit", tmp_path / "run")
    assert status == 2
    assert "the fit is not valid: only 17 effective entries" in err[0]
    folder = RunFolder(tmp_path / "run")
    assert folder.read("fit.json")["valid"] is False
    # it is drawn all the same; the figures of other variables are not what is asked
    folder.write("histograms.json", {"mass": folder.read("histograms.json")["mass"]})
    assert bphcoffea("plot", folder.path)[0] == 0
    assert (folder.path / "figures" / "mass.png").is_file()


def test_a_partial_run_says_so_everywhere(bphcoffea, tmp_path, data):
    """A quarter of the events has a quarter of the luminosity; every output is preliminary."""
    fileset = tmp_path / "fileset.json"
    path = data / "tree3mu_phipi_2017.root"
    with uproot.open(path) as file:
        entries = file["Tree3Mu/ntuple"].num_entries
    known = {"is_mc": False, "era": "2017D", "luminosity": 8.0}
    steps = {"object_path": "Tree3Mu/ntuple", "steps": [[0, entries // 4]]}
    fileset.write_text(json.dumps({"data": {"files": {str(path): steps}, "metadata": known}}))
    words = ("run", "ds_phipi", fileset, "-o", tmp_path / "run", "--executor", "iterative")
    status, out, _ = bphcoffea(*words)
    part = f"{entries // 4 / entries:.1%} of the events of its datasets"
    assert status == 0
    assert f"PARTIAL: the run covers {part}; its results are preliminary" in out
    _, out, _ = bphcoffea("lumi", tmp_path / "run")
    assert f"times the {entries // 4 / entries:.2%}" in " ".join(out.split())
    status, out, _ = bphcoffea("status", tmp_path / "run")
    assert status == 0
    assert f"PARTIAL: the run covers {part}" in out
    folder = RunFolder(tmp_path / "run")
    assert folder.partial
    luminosity = folder.read("luminosity.json")["luminosity"]
    assert luminosity == pytest.approx(8.0 * (entries // 4) / entries, rel=1e-12)
    _, out, _ = bphcoffea("fit", tmp_path / "run")
    assert f"note: the run {tmp_path / 'run'} is partial: {part}" in out
    fit = folder.read("fit.json")
    assert (fit["partial"], fit["luminosity"]) == (True, luminosity)


def test_fit_needs_a_run(bphcoffea, tmp_path):
    status, _, err = bphcoffea("fit", tmp_path)
    assert status == 2
    assert err[0].startswith(f"bphcoffea: error: {tmp_path}: no finished run here")


def test_toys_of_an_unknown_analysis(bphcoffea, tmp_path):
    status, _, err = bphcoffea("toys", "nothing", "-o", tmp_path)
    assert status == 2
    there = "ds_phipi, hnl, hnl_signal, tau3mu, tau3mu_signal"
    assert err == [f"bphcoffea: error: no toys for 'nothing'; there are: {there}"]


def test_filesets_are_built_checked_and_imported(bphcoffea, tmp_path, data):
    built = tmp_path / "built.json"
    words = ("fileset", "build", data / "tree3mu_phipi_*.root", "-o", built)
    known = ("--name", "toy", "--era", "2018D", "--meta", "luminosity=4.8")
    status, out, err = bphcoffea(*words, *known)
    assert status == 0, err
    assert "1 dataset, 3 files" in out
    assert json.loads(built.read_text())["toy"]["metadata"]["luminosity"] == 4.8
    status, out, err = bphcoffea("fileset", "check", built)
    assert status == 0, err
    assert "627" in out
    # the ntuple of 2017 lacks the branches of 2018
    status, _, err = bphcoffea("fileset", "check", built, "--analysis", "ds_phipi")
    assert status == 2
    assert "tree3mu_phipi_2017.root" in str(err)
    assert "lacks the branches Mu1_dRtriggerMatch, Mu2_dRtriggerMatch" in str(err)

    source = tmp_path / "samples.json"
    entry = {
        "type": "data",
        "rootpath": "2017B",
        "files": "a.root b.root",
        "era": "2017B",
        "lumi": 4.8,
    }
    source.write_text(json.dumps({"2017B": entry}))
    target = tmp_path / "imported.json"
    words = ("fileset", "import", source, "-o", target, "--prefix", "root://host//store/me")
    assert bphcoffea(*words)[0] == 0
    imported = json.loads(target.read_text())["2017B"]
    assert imported == {
        "files": {
            "root://host//store/me/2017B/a.root": "Tree3Mu/ntuple",
            "root://host//store/me/2017B/b.root": "Tree3Mu/ntuple",
        },
        "metadata": {"is_mc": False, "era": "2017B", "kind": "data", "luminosity": 4.8},
    }


def test_the_log_is_shown_once_in_the_chosen_detail(bphcoffea, monkeypatch, tmp_path):
    def logging_toys(folder, *_, **__):
        log = logging.getLogger("bphcoffea.toys")
        log.debug("3 χ² of %s", "root://me:secret@host//a.root")
        log.info("made [1] file")
        log.warning("few events")
        (folder / "fileset.json").write_text("{}")
        return folder / "fileset.json"

    monkeypatch.setitem(TOYS, "logging", logging_toys)
    shown = ["3 χ² of root://***@host//a.root", "made [1] file", "warning: few events"]
    words = ("toys", "logging", "-o", tmp_path / "toys", "--overwrite")
    options = {(): 1, ("-v",): 0, ("-q",): 2, ("--verbose",): 0, ("--quiet",): 2}
    for option, first in options.items():
        for line in ((*option, *words), (*words, *option)):
            status, out, err = bphcoffea(*line)
            assert (status, err) == (0, shown[first:])
            assert "fileset: " in out
    assert bphcoffea("-q", "-v", *words).status == 2
    assert bphcoffea("-q", *words, "-v").status == 2


#: Starts the program; something happens while it imports typer.
_AT_IMPORT = """
import os, runpy, signal, sys, time
class Finder:
    def find_spec(self, name, *_):
        if name == "typer":
            {}
sys.meta_path.insert(0, Finder())
runpy.run_module("bphcoffea", run_name="__main__", alter_sys=True)
"""


def test_an_interruption_at_the_start_is_no_traceback():
    code = _AT_IMPORT.format("os.kill(os.getpid(), signal.SIGINT)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_the_time_of_a_run_is_that_of_the_command(tmp_path, data):
    """From before the first slow import up to the summary."""
    slow, rounding = 2.0, 0.05
    code = _AT_IMPORT.format(f"time.sleep({slow})")
    fileset = write_fileset(tmp_path / "fileset.json", {"toy": [data / "tree3mu_phipi_2017.root"]})
    words = ("run", "ds_phipi", fileset, "-o", tmp_path / "run", "--executor", "iterative")
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    took = time.perf_counter() - began
    (said,) = re.findall(r"complete: .* events in (\S+) s", done.stdout)
    recorded = RunFolder(tmp_path / "run").read("metrics.json")["run_s"]
    assert slow < recorded <= float(said) + rounding <= took + 2 * rounding


def replaced():
    """Fail as an extension does that is interrupted while it is imported."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt as error:
        raise ImportError("initialization failed") from error


def test_an_interruption_that_an_extension_replaces_is_heeded(bphcoffea, monkeypatch, tmp_path):
    monkeypatch.setitem(TOYS, "interrupted", lambda *_, **__: replaced())
    status, _, errors = bphcoffea("toys", "interrupted", "-o", tmp_path)
    assert (status, errors) == (130, ["bphcoffea: interrupted"])


def test_a_full_disk_for_the_output_is_one_line(bphcoffea, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys.stdout, "write", full)
    status, _, errors = bphcoffea("facility", "list")
    assert status == 2
    assert errors == ["bphcoffea: error: output cannot be written: No space left on device"]


def test_a_terminal_that_does_not_know_its_width_has_a_usual_one(bphcoffea, monkeypatch):
    monkeypatch.setenv("COLUMNS", "0")
    assert bphcoffea("facility", "list").status == 0


def test_a_file_in_place_of_a_folder_is_one_line(bphcoffea, ds_phipi_run, tmp_path):
    file = tmp_path / "file"
    file.touch()
    run = ds_phipi_run.path
    for words in (
        ("new", "mine", "-o", file),
        ("pick", run, "-o", file / "x.csv"),
        ("toys", "ds_phipi", "-o", file),
    ):
        status, _, errors = bphcoffea(*words)
        assert (status, len(errors)) == (2, 1), words
        assert str(file) in errors[0]
    with pytest.raises(UnwritableError, match="a file is in its place"):
        RunFolder(run, file).write("fit.json", {})


@pytest.mark.parametrize("words", [(), ("run",), ("fileset",), ("fileset", "build")])
def test_help_of_a_command(words, bphcoffea):
    ended = bphcoffea(*words, "--help")
    assert ended.status == 0
    assert f"Usage: {' '.join(('bphcoffea', *words))} [OPTIONS]" in ended.out
    assert bphcoffea(*words, "-h") == ended


def test_no_command_gives_the_help(bphcoffea):
    ended = bphcoffea()
    assert ended.status == 2
    assert "Usage" in ended.out + ended.err
