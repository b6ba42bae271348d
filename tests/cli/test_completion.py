"""What the shell completes, in bash itself and for each kind of name."""

import json
import shutil
import subprocess
import sys

import pytest

from bphcoffea.facilities import available_facilities
from bphcoffea.shipped import shipped_analyses

#: Imports that take long, and that no completion needs.
HEAVY = ("numpy", "awkward", "coffea", "uproot", "dask", "matplotlib", "hist", "pyhf", "scipy")


@pytest.fixture
def complete(bphcoffea, monkeypatch):
    """Return what follows the words of a line, of which the last is incomplete."""

    def complete(*words):
        monkeypatch.setenv("COMP_WORDS", " ".join(("bphcoffea", *map(str, words))))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        monkeypatch.setenv("_BPHCOFFEA_COMPLETE", "complete_bash")
        return bphcoffea().out.split()

    return complete


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes(tmp_path):
    """The script that users evaluate, called as bash does when Tab is pressed."""
    (tmp_path / "bphcoffea").write_text(
        f"#!{sys.executable}\nfrom bphcoffea import cli\ncli.main()\n"
    )
    (tmp_path / "bphcoffea").chmod(0o755)
    script = f"""
        PATH={tmp_path}:$PATH
        eval "$(bphcoffea completion bash)"
        complete -p bphcoffea
        COMP_WORDS=(bphcoffea show dim) COMP_CWORD=2
        _bphcoffea_completion bphcoffea dim show
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "complete -o default -F _bphcoffea_completion bphcoffea",
        "dimuon",
    ], done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_of_other_shells_ask_the_command(shell, bphcoffea):
    out = bphcoffea("completion", shell).out
    assert f"_BPHCOFFEA_COMPLETE=complete_{shell}" in out


def test_commands_options_and_choices(complete):
    assert set(complete("fi")) == {"fileset", "fit"}
    assert complete("run", "--stage") == ["--stage-out"]
    assert complete("run", "--executor", "") == ["iterative", "futures", "dask"]


def test_names_that_are_shipped(complete):
    assert complete("run", "") == list(shipped_analyses())
    assert "ds_phipi" in complete("fileset", "check", "a.json", "--analysis", "ds")
    assert complete("facility", "show", "") == list(available_facilities())
    assert complete("run", "ds_phipi", "--facility", "slu") == ["slurm"]
    # no name begins like this, so that the shell offers files
    assert complete("run", "my/") == []


def test_names_of_a_run(complete, ds_phipi_run, ds_phipi_toys, tmp_path):
    run, data = ds_phipi_run.path, ["toy_2017", "toy_2018"]
    assert complete("fit", run, "--dataset", "toy_20") == data
    assert set(complete("plot", run, "--histogram", "")) == set(ds_phipi_run.analysis.histograms)
    # an option before the folder, and a complete option behind it
    assert complete("fit", "--by", "year", run, "--peak", "gaussian", "--dataset", "toy_20") == data
    fileset = ds_phipi_toys / "fileset.json"
    assert complete("run", "ds_phipi", fileset, "--dataset", "toy_20") == data
    grouped = {"categories": ["A", "B"], "regions": [{"name": "signal"}], "histograms": {}}
    (tmp_path / "analysis.json").write_text(json.dumps(grouped))
    assert complete("pick", tmp_path, "--region", "") == ["A", "B", "signal"]
    (tmp_path / "analysis.json").write_text("{")
    assert complete("pick", tmp_path, "--region", "") == []


def test_completion_imports_nothing_heavy(tmp_path):
    """A name of each kind is completed in a new process, which tells what it imported."""
    lines = ("run ", "run a --facility ", "fit . --dataset ", "plot . --category ", "run --ex")
    code = f"""
import os, sys
from bphcoffea import cli
os.environ["_BPHCOFFEA_COMPLETE"] = "complete_bash"
sys.argv = ["bphcoffea"]
for line in {lines!r}:
    os.environ["COMP_WORDS"] = "bphcoffea " + line
    os.environ["COMP_CWORD"] = str(len(line.split(" ")))
    try:
        cli.main()
    except SystemExit:
        pass
print(*(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "--executor" in done.stdout
    assert done.stderr.split() == []
