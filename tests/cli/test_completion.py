"""What the shell completes, in bash itself and for each kind of name."""

import json
import os
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


#: Lines and what completes their last words.
LINES = {
    "run ds_phipi fs.json --executor f": "futures",
    "run ds_phipi fs.json --dataset=toy": "--dataset=toy_a",
    "run ds_phipi --scheduler=tcp://a:1 --output=f": "--output=fs.json",
}
#: What completes `LINES` in each shell, given the script that users evaluate. bash and zsh complete
#: only while they edit a line, thus in a terminal.
SHELLS = {
    # reads the lines as if they were typed, each followed by the tabulator and Ctrl-T
    "bash": (
        ("bash", "--rcfile", "script", "-i"),
        r"""
        eval "$(bphcoffea completion bash)"
        keep() {
            words=($READLINE_LINE)
            echo "${words[-1]}" >> completed
            READLINE_LINE=
        }
        bind -x '"\C-t": keep'
        """,
    ),
    "fish": (
        ("fish", "--no-config", "script"),
        """
        eval "$(bphcoffea completion fish)"
        while read -l line
            complete -C $line >> completed
        end < lines
        """,
    ),
    "zsh": (
        ("zsh", "-i"),
        """
        eval "$(bphcoffea completion zsh)"
        zle-line-init() {
            while read -r line; do
                BUFFER=$line CURSOR=$#line
                zle complete-word
                print -r -- ${${(z)BUFFER}[-1]} >> completed
            done < lines
            exit
        }
        zle -N zle-line-init
        """,
    ),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_complete(shell, tmp_path, monkeypatch):
    """A choice, a name that is read from a file on the line, and a file."""
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    command, script = SHELLS[shell]
    program = tmp_path / "bphcoffea"
    program.write_text(f"#!{sys.executable}\nfrom bphcoffea import cli\ncli.main()\n")
    program.chmod(0o755)
    lines = [f"bphcoffea {line}" for line in LINES]
    (tmp_path / "lines").write_text("\n".join((*lines, "")))
    (tmp_path / "fs.json").write_text('{"toy_a": {}, "b": {}}')
    for name in ("script", ".zshrc"):
        (tmp_path / name).write_text(script)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("ZDOTDIR", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", f"import pty; pty.spawn({command})"],
        cwd=tmp_path,
        input="".join(f"{line}\t\x14" for line in lines) + "exit\r",
        capture_output=True,
        text=True,
        timeout=60,
    )
    completed = (tmp_path / "completed").read_text().splitlines()
    assert completed == list(LINES.values()), done


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


def test_names_of_a_run(complete, ds_phipi_run, ds_phipi_toys, tmp_path, monkeypatch):
    run, data = ds_phipi_run.path, ["toy_2017", "toy_2018"]
    assert complete("fit", run, "--dataset", "toy_20") == data
    assert set(complete("plot", run, "--histogram", "")) == set(ds_phipi_run.analysis.histograms)
    monkeypatch.setenv("HOME", str(run.parent))
    assert complete("fit", f"~/{run.name}", "--dataset", "toy_20") == data
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
