"""Mistakes in a user's analysis: its file and line first, in one screen."""

import ast
import re
import shutil
import textwrap
from pathlib import Path

import pytest
from builders import write_fileset

from bphcoffea import errors
from bphcoffea.results import RunFolder
from bphcoffea.shipped import shipped_analyses

HEAD = """
    from bphcoffea.analysis import Analysis, Candidates, Cut, MuonWeight, Selection, Variable
    from bphcoffea.inputs import TwoMuTrackSchema

    mass = Variable("mass", lambda events: events.Triplet.mass)
    chi2 = Variable("chi2", lambda events: events.Triplet.vertex.chi2)

"""
CLASS = """
    class Mine(Analysis):
        schema = TwoMuTrackSchema
        candidates = Candidates("Triplet", best=chi2)
        selection = Selection(CUTS)
        BODY
"""
#: What is wrong, the line on which that is found, and the message.
DECLARED = {
    "doubled": ('Cut("a", chi2 > 0), Cut("a", mass > 1)', "", 12, "cut names must differ"),
    "doubled later": ("CUT", 'cuts_on_best = (Cut("a", mass > 1),)', 9, "two cuts are named 'a'"),
    "empty": ('Cut("a")', "", 12, "cut 'a' requires nothing"),
    "chained": ('Cut("a", 1 < mass < 2)', "", 12, "write x.between(a, b) for a < x < b"),
    "joined": ('Cut("a", mass > 1 and chi2 > 0)', "", 12, "has no truth value"),
    "equal": ('Cut("a", mass == 2)', "", 12, "write mass.equals(2)"),
    "unequal": ('Cut("a", mass != 2)', "", 12, "write mass.equals(2)"),
    "no cut": ("mass > 1", "", 12, "the requirement 'mass > 1' is not a Cut"),
    "columns": ("CUT", "columns = (mass)", 9, "columns is a single Variable, not a tuple"),
    "after": (
        "CUT",
        'weights = (MuonWeight("muon_id", (), after="b"),)',
        9,
        "applies after 'b', but no cut is named 'b'; there are: a",
    ),
}
#: Bugs that Python finds when it reads the file, or the line of the template's only event.
RAISED = {
    "name": ('Cut("a", mas > 1)', "", 12, "NameError: name 'mas' is not defined"),
    "module": ("CUT", "import nothing_there", 13, "ModuleNotFoundError: No module named 'nothing"),
    "field": (
        'Cut("a", Variable("x", lambda events: events.Triplet.chi3) > 1)',
        "",
        12,
        "AttributeError: no field named 'chi3'",
    ),
}


@pytest.fixture
def mine(tmp_path):
    """Write a user's analysis."""

    def mine(cuts, body):
        path = tmp_path / "mine.py"
        text = textwrap.dedent(HEAD) + textwrap.dedent(CLASS).replace("BODY", body)
        path.write_text(text.replace("CUTS", cuts).replace("CUT", 'Cut("a", chi2 >= 0)'))
        return path

    return mine


@pytest.fixture
def fileset(tmp_path, data):
    return write_fileset(tmp_path / "fileset.json", {"D": [data / "tree3mu_phipi_2017.root"]})


@pytest.fixture
def run(bphcoffea, fileset, tmp_path):
    def run(analysis, *options):
        words = ("run", analysis, fileset, "-o", tmp_path / "run", "--executor", "iterative")
        return bphcoffea(*options, *words)

    return run


@pytest.mark.parametrize("case", DECLARED)
def test_what_is_declared_wrongly_is_one_line(case, mine, run):
    cuts, body, line, message = DECLARED[case]
    path = mine(cuts, body)
    status, _, errors = run(path)
    assert status == 2
    assert len(errors) == 1
    assert errors[0].startswith(f"bphcoffea: error: {path}, line {line}: ")
    assert message in errors[0]


def test_a_requirement_as_a_condition_of_prepare_is_one_line(mine, run):
    path = mine("CUT", "def prepare(self, events): return mass > 1 or super().prepare(events)")
    status, _, errors = run(path)
    assert status == 2
    assert len(errors) == 1
    assert errors[0].startswith(f"bphcoffea: error: {path}, line 13: the requirement 'mass > 1' ")


@pytest.mark.parametrize("case", RAISED)
def test_a_bug_shows_its_line(case, mine, run):
    cuts, body, line, message = RAISED[case]
    path = mine(cuts, body)
    status, _, errors = run(path)
    assert status == 1
    place, source, raised, hint = errors
    assert place.startswith(f"bphcoffea: error: {path}, line {line}, in ")
    assert source.strip() == path.read_text().splitlines()[line - 1].strip()
    assert raised.startswith(message)
    assert hint.startswith("bphcoffea: this is a bug in the analysis; for the traceback: ")


def test_a_bug_in_a_chunk_names_it_and_the_traceback_is_shown_on_request(
    mine, run, data, monkeypatch
):
    body = "def prepare(self, events): return super().prepare(events)['D']['x'].y"
    path = mine("CUT", body)
    # without entries of a chunk, as when branches are searched for, all is well
    path.write_text(path.read_text().replace("['D']['x'].y", " if FREE else 1 / 0"))
    path.write_text(path.read_text().replace("FREE", "'entrystart' not in events.metadata"))
    status, _, errors = run(path)
    assert status == 1
    assert errors[-4].strip().startswith("def prepare")
    assert errors[-3] == "ZeroDivisionError: division by zero"
    file = data / "tree3mu_phipi_2017.root"
    assert errors[-2].startswith(f"while processing dataset 'D', {file}, entries 0-")
    assert "Traceback" not in "".join(errors)
    assert len(errors) < 10
    for words in (("--debug",), ()):
        if not words:
            monkeypatch.setenv("BPHCOFFEA_DEBUG", "1")
        _, _, errors = run(path, *words)
        assert "Traceback" in "".join(errors)
        assert "ZeroDivisionError: division by zero" in errors


def test_numbers_of_the_wrong_length_show_where_the_variable_is_defined(mine, run):
    path = mine('Cut("a", Variable("x", lambda events: events.Triplet.mass[0]) > 1)', "")
    status, _, errors = run(path)
    assert status == 1
    place = f"bphcoffea: error: {path}, line 12, in <lambda>"
    errors = errors[errors.index(place) :]
    assert errors[2].startswith("VariableError: variable 'x' gives a flat array of ")
    assert "a bug in the analysis" in errors[-1]


def test_every_list_of_names_suggests_the_similar_one():
    """Who misses a name is shown all of them by `alternatives`, which also says what was meant."""
    listed = re.compile(r"(there are|there is|it has|available|beside it): ?(\{|$)")
    for path in Path(errors.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                text = ast.unparse(node).strip("f'\"")
                # corrections of eras are listed with the patterns that eras are compared with
                assert not listed.search(text) or path.name == "era.py", (path, node.lineno, text)


def test_a_name_means_the_shipped_analysis(bphcoffea, tmp_path, monkeypatch, fileset):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "processors").mkdir()
    own = tmp_path / "processors" / "ds_phipi.py"
    shutil.copy(shipped_analyses()["ds_phipi"], own)
    words = ("fileset", "check", fileset, "--analysis")
    shipped = f"analysis: ds_phipi (shipped with bphcoffea {bphcoffea('--version')[1].strip()}: "
    _, out, _ = bphcoffea(*words, "ds_phipi")
    first, second, *_ = out.splitlines()
    assert first == f"{shipped}{shipped_analyses()['ds_phipi']})"
    assert "note" not in second
    own.write_text(f"{own.read_text()}\nraise RuntimeError\n")
    (tmp_path / "mine.py").write_text("")
    status, out, _ = bphcoffea(*words, "ds_phipi")
    assert status == 0
    assert out.splitlines()[1] == (
        "note: processors/ds_phipi.py differs from it, and is not run; "
        "to run it, write processors/ds_phipi.py"
    )
    status, out, errors = bphcoffea(*words, "processors/ds_phipi.py")
    assert (status, out.splitlines()[0]) == (1, f"analysis: {own}")
    assert "RuntimeError" in errors
    status, _, (error,) = bphcoffea(*words, "mine")
    assert status == 2
    assert error.endswith("or give the path of a file, mine.py")


def test_provenance_tells_file_and_hash(mine, run, tmp_path):
    path = mine("CUT", "")
    assert run(path)[0] == 0
    known = RunFolder(tmp_path / "run").read("provenance.json")["analysis"]
    assert known["file"] == str(path)
    assert len(known["with_imported_sha256"]) == 64
