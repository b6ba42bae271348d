"""Terminals that know only ASCII, or another encoding, show everything."""

import io
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from rich.table import Table

from bphcoffea import cli
from bphcoffea.streams import SPELLED, PlainConsole, spelled

ANALYSIS = """
    from bphcoffea.analysis import Analysis, Axis, Candidates, Cut, Histogram, Selection, Variable
    from bphcoffea.inputs import TwoMuTrackSchema

    chi2 = Variable("χ²", lambda events: events.Triplet.vertex.chi2, "τ → 3μ ± 1", "fb⁻¹")

    class Greek(Analysis):
        title = "τ → 3μ"
        schema = TwoMuTrackSchema
        candidates = Candidates("Triplet", best=chi2)
        selection = Selection(Cut("φ(μμ)π ≥ 0", chi2 >= 0))
        histograms = (Histogram("χ²", chi2, Axis(5, 0, 20)),)
        columns = (chi2,)
"""
#: Runs several command lines in one process, since starting one takes seconds.
COMMANDS = """
    import json, sys
    from bphcoffea import cli

    for words in json.loads(sys.argv[1]):
        sys.argv = ["bphcoffea", *words]
        try:
            cli.main()
        except SystemExit as left:
            print("status", left.code)
"""


def test_commands_in_ascii(tmp_path, data):
    (tmp_path / "greek.py").write_text(textwrap.dedent(ANALYSIS), encoding="utf-8")
    (tmp_path / "bug.py").write_text("raise ValueError('χ² ± 1')\n", encoding="utf-8")
    files = {str(data / "tree3mu_phipi_2017.root"): "Tree3Mu/ntuple"}
    known = {"is_mc": False, "era": "2017D", "luminosity": 1.0}
    content = {"τ → 3μ": {"files": files, "metadata": known}}
    (tmp_path / "fileset.json").write_text(json.dumps(content))
    run = ("run", "greek.py", "fileset.json", "-o", "out", "--executor", "iterative")
    commands = [
        run,
        ("status", "out", "--cutflow"),
        ("plot", "out"),
        ("lumi", "out"),
        ("limit", "--help"),
    ]
    commands += [("fit", "τ/±"), ("run", "bug.py", "fileset.json", "-o", "out"), ("run", "ψ.py")]
    commands += [("fileset", "check", "fileset.json", "--dataset", "ψ"), ("status", "\udcff")]
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(COMMANDS), json.dumps(commands)],
        cwd=tmp_path,
        env=os.environ
        | ascii_only
        | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(cli.__file__).parents[2])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    out, errors = done.stdout.decode("ascii"), done.stderr.decode("ascii")
    statuses = [line for line in out.splitlines() if line.startswith("status")]
    assert statuses == [f"status {n}" for n in (0, 0, 0, 0, 0, 2, 1, 2, 2, 2)], errors
    assert "tau -> 3mu" in out
    assert "phi(mumu)pi >= 0" in out
    assert "fb^-1" in out
    assert "UnicodeEncodeError" not in errors
    assert "ValueError: chi^2 +- 1" in errors
    assert "no dataset matches 'psi'; the fileset has: tau -> 3mu" in errors


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("B(τ → 3μ) < 2 × 10⁻⁸ ± 1σ, 36 fb⁻¹", "B(tau -> 3mu) < 2 x 10^-8 +- 1sigma, 36 fb^-1"),
        ("χ² ≤ 3 – Γ √Δ…", "chi^2 <= 3 - Gamma sqrtDelta..."),
        ("é ₁ 中 \udcff", "e 1 \\u4e2d \\udcff"),
    ],
)
def test_spelled(text, shown):
    assert spelled(text) == shown
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii", errors=SPELLED)
    stream.write(text)
    stream.flush()
    assert raw.getvalue().decode("ascii") == shown


def test_a_secret_is_hidden_before_a_line_is_broken():
    stream = io.StringIO()
    PlainConsole(file=stream, width=30).print(f"root://me:{'secret' * 9}@host//a?token={'s' * 40}")
    assert "".join(stream.getvalue().split()) == "root://***@host//a?token=***"


def test_columns_stay_aligned():
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", errors=SPELLED)
    table = Table("Σw", "φ ± 1", title="χ²")
    table.add_row("τ", "1 fb⁻¹")
    PlainConsole(file=stream, width=60).print(table)
    stream.seek(0)
    _, *lines = stream.read().splitlines()
    assert len({len(line) for line in lines}) == 1
