"""What is wrong with a file is said in a line, whatever it is; a sound file is sound."""

import os
import subprocess
import sys

import numpy as np
import pytest
import services
import uproot
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bphcoffea.analysis.branch_needs import BranchNeeds
from bphcoffea.datasets import FileEntry, Fileset
from bphcoffea.datasets import file_check as check
from bphcoffea.datasets.file_check import FileToOpen
from bphcoffea.storage.servers import ONCE

TREE = "Tree3Mu/ntuple"
HELD = "trees in the file: Tree3Mu/ntuple"


def inspected(path, tree=TREE, **expected):
    (report,) = check.inspect(ONCE, FileToOpen("D", str(path), tree, **expected))
    assert all(problem and "\n" not in problem for problem in report.wrong)
    return report


def problem_of(path, tree=TREE, **expected):
    (problem,) = inspected(path, tree, **expected).wrong
    return problem


@pytest.fixture(scope="module")
def sound(tmp_path_factory, write_root):
    return write_root(tmp_path_factory.mktemp("sound") / "a.root")


@pytest.mark.parametrize("rntuple", [False, True], ids=["TTree", "RNTuple"])
@pytest.mark.parametrize("entries", [0, 1, 1000])
def test_a_sound_file_has_its_entries_and_no_problem(entries, rntuple, tmp_path, write_root):
    path = write_root(tmp_path / "a.root", entries, rntuple)
    report = inspected(path, branches=("evt", "pt"), entries=entries)
    assert (report.entries, report.wrong, report.lines()) == (entries, (), [])
    with uproot.open(path) as root:
        assert report.uuid == root.file.uuid.bytes


def test_the_fixtures_with_vectors_are_sound(data):
    report = inspected(data / "tree3mu_3mu.root", branches=("Triplet_Mass", "Trigger_hltname"))
    assert (report.entries, report.wrong) == (150, ())


@pytest.mark.parametrize(
    "name", ["a:b.root", "a.root:b.root", "x.root:Tree3Mu", "with blank [1] ü.root", "no suffix"]
)
def test_names_may_hold_any_character(name, tmp_path, write_root):
    assert inspected(write_root(tmp_path / name)).wrong == ()


def test_a_file_that_is_not_there(tmp_path):
    assert problem_of(tmp_path / "none.root") == "no such file"


def test_a_folder_is_no_file(tmp_path):
    assert problem_of(tmp_path) == "is a folder, not a file"


def test_a_path_below_a_file(sound):
    assert problem_of(sound / "a.root") == "no such file"


def test_a_file_that_may_not_be_read(monkeypatch, tmp_path):
    # root may read everything
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.root").touch()
    monkeypatch.setattr(uproot, "open", refuse)
    assert problem_of(tmp_path / "a.root") == "may not be read (permission denied)"


@pytest.mark.parametrize(
    "tree", ["ntuple", "Tree3Mu/other", "Other/ntuple", "Tree3Mu/ntuple/evt/x"]
)
def test_a_tree_that_is_not_there_names_those_that_are(tree, sound):
    assert problem_of(sound, tree) == f"no tree '{tree}'; {HELD}"


def test_a_file_without_trees_says_so(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as root:
        root["counts"] = np.histogram([1.0])
    assert problem_of(tmp_path / "a.root") == f"no tree '{TREE}'; trees in the file: none"


def test_all_trees_of_a_file_are_named(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as root:
        root.mktree("one/t", {"x": "f8"})
        root.mkdir("two").mkrntuple("n", {"x": np.zeros(2)})
    assert problem_of(tmp_path / "a.root") == f"no tree '{TREE}'; trees in the file: one/t, two/n"


@pytest.mark.parametrize(
    ("tree", "kind"),
    [("Tree3Mu", "folder"), ("counts", "TH1D"), ("Tree3Mu/ntuple/pt", "TBranch")],
)
def test_another_thing_than_a_tree_is_told(tree, kind, sound):
    problem = problem_of(sound, tree)
    assert problem.startswith(f"'{tree}' is a {kind}, not a tree")
    assert problem.endswith(HELD)


def test_a_field_of_an_rntuple_is_no_tree(tmp_path, write_root):
    path = write_root(tmp_path / "a.root", rntuple=True)
    assert HELD in problem_of(path, f"{TREE}/pt")


@pytest.mark.parametrize("rntuple", [False, True], ids=["TTree", "RNTuple"])
def test_all_missing_branches_are_named(rntuple, tmp_path, write_root):
    path = write_root(tmp_path / "a.root", rntuple=rntuple)
    assert problem_of(path, branches=("evt", "mass", "pt", "eta")) == (
        "tree 'Tree3Mu/ntuple' lacks the branches mass, eta"
    )


def test_other_entries_than_the_fileset_says_are_a_problem(sound):
    assert problem_of(sound, entries=11) == (
        "tree 'Tree3Mu/ntuple' has 10 entries, but 11 in the fileset; was the file replaced?"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not a ROOT file: it is empty (0 bytes)"),
        (b"x", "not a ROOT file: it begins with b'x'"),
        (b"a.root b.root\n", "not a ROOT file: it begins with b'a.ro'"),
        (b"<html>" + 10_000 * b"Please log in. ", "not a ROOT file: it begins with b'<htm'"),
        (b"\0" * 5000, "not a ROOT file: it begins with b'\\x00\\x00\\x00\\x00'"),
        (b"root", "truncated or corrupt; copy or make it again ("),
        (b"root" + b"\xff" * 5000, "truncated or corrupt; copy or make it again ("),
    ],
    ids=["0 bytes", "1 byte", "text", "HTML", "zeros", "4 bytes", "0xff"],
)
def test_what_is_no_root_file_is_told(content, problem, tmp_path):
    path = tmp_path / "a.root"
    path.write_bytes(content)
    assert problem_of(path).startswith(problem)


def damaged(folder, content):
    path = folder / "damaged.root"
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module", params=["vectors", "RNTuple"])
def content(request, data, tmp_path_factory, write_root):
    if request.param == "vectors":
        return (data / "tree3mu_3mu.root").read_bytes()
    return write_root(tmp_path_factory.mktemp("x") / "a.root", rntuple=True).read_bytes()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(part=0.5)
@example(part=0.999_99)
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_file_that_was_cut_is_never_sound(part, content, tmp_path):
    report = inspected(damaged(tmp_path, content[: int(part * len(content))]))
    assert len(report.wrong) == 1


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), more=st.binary())
def test_damage_never_raises(place, byte, more, content, tmp_path):
    at = int(place * len(content))
    written = bytes([byte]) + more
    report = inspected(damaged(tmp_path, content[:at] + written + content[at + len(written) :]))
    assert report.wrong or report.entries is not None


def test_what_a_cut_file_still_holds_is_read_right(tmp_path):
    path = tmp_path / "a.root"
    with uproot.recreate(path) as root:
        root.mktree(TREE, {"x": np.arange(1000)})
        # after the tree, so that the file can be cut behind it
        root["large"] = np.histogram(np.arange(3.0), bins=5000)
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2):
        damaged(tmp_path, whole[:size])
        report = inspected(tmp_path / "damaged.root")
        assert len(report.wrong) == 1
        if report.entries is not None:
            assert report.wrong == (
                f"truncated: {size} of {len(whole)} bytes; copy or make it again",
            )
            assert report.entries == 1000


def test_lines_name_the_dataset_and_the_file(sound):
    report = inspected(sound, branches=("mass",), entries=3)
    assert len(report.lines()) == 2
    assert all(line.startswith(f"dataset 'D', {sound}: tree '{TREE}' ") for line in report.lines())


def test_files_of_a_fileset_come_with_what_their_dataset_needs():
    metadata = {"is_mc": False, "era": "2018"}
    entry = FileEntry(object_path="u", num_entries=7, uuid="x")
    files = {"/a.root": "t", "/b.root": entry}
    fileset = Fileset.model_validate(
        {
            "D": {"files": files, "metadata": metadata},
            "E": {"files": {"/a.root": "t"}, "metadata": metadata},
        }
    )
    needs = BranchNeeds(("pt",), ("HLT_A",), ("genWeight",), ("LHEScaleWeight",))
    looked_for = ("HLT_A", "genWeight", "LHEScaleWeight")
    assert check.files_of(fileset, {"D": needs}) == [
        FileToOpen("D", "/a.root", "t", ("pt",), looked_for=looked_for),
        FileToOpen("D", "/b.root", "u", ("pt",), 7, uuid="x", looked_for=looked_for),
        FileToOpen("E", "/a.root", "t"),
    ]


@pytest.mark.xrootd
@pytest.mark.parametrize("name", ["a.root", "with blank.root", "p+q#%20.root", "x[1].root"])
def test_a_file_on_a_server_is_sound(name, url):
    report = inspected(url(name), branches=("evt",))
    assert (report.entries, report.wrong) == (10, ())


@pytest.mark.xrootd
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("none.root", "no such file"),
        ("2017B", "is a folder, not a file"),
        ("list.txt", "not a ROOT file: it begins with b'a.ro'"),
        ("cut.root", "truncated"),
    ],
)
def test_what_is_wrong_with_a_file_on_a_server_is_told(name, problem, url):
    assert problem_of(url(name)).startswith(problem)


def test_a_server_that_is_not_there_is_one_line():
    url = f"root://127.0.0.1:{services.free_port()}//a.root"
    code = (
        "import sys; from bphcoffea.datasets.file_check import FileToOpen, inspect; "
        "from bphcoffea.storage.servers import ONCE; "
        "print(*inspect(ONCE, FileToOpen('D', sys.argv[1], 't'))[0].lines(), sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, url],
        # the client waits for minutes by default
        env=os.environ | {"XRD_CONNECTIONWINDOW": "1", "XRD_CONNECTIONRETRY": "1"},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stdout == (
        f"dataset 'D', {url}: the server does not answer; "
        "is its address right, and is it up? (Connection error)\n"
    )
    assert done.stderr == ""


def test_a_file_that_was_not_closed_can_not_be_read(data, tmp_path):
    """ROOT would recover what it finds: less than was written, and nobody would know."""
    sound = data / "tree3mu_phipi_2017.root"
    content = bytearray(sound.read_bytes())
    with uproot.open(sound) as root:
        free_segments = root.file.fSeekFree.to_bytes(4, "big")
    # the list of free segments is written when a file is closed
    place = content.index(free_segments)
    content[place : place + 4] = bytes(4)
    path = tmp_path / "a.root"
    path.write_bytes(content)
    report = inspected(path, "Tree3Mu/ntuple")
    assert report.unreadable.startswith("was not closed: the program that wrote it ended early")
    assert report.problems == ()
