"""What a person gives wrong ends in one line a fault and status 2, and leaves no result behind."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import services
import uproot
from builders import TREE, write_fileset
from damage import made_again

from bphcoffea.datasets import load_fileset
from bphcoffea.facilities import clusters
from bphcoffea.inputs import TwoMuTrackSchema
from bphcoffea.results import RunFolder

PREFIX = "bphcoffea: error: "


@pytest.fixture
def output(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def faults_of_run(bphcoffea, output):
    """The faults that a run names, which has to leave nothing but the empty folder."""

    def faults_of_run(fileset, *options, analysis="ds_phipi", executor="iterative"):
        arguments = ("run", analysis, fileset, "-o", output, "--executor", executor, *options)
        status, _, errors = bphcoffea(*arguments)
        assert status == 2
        assert all(line.startswith(PREFIX) for line in errors), errors
        assert not output.is_dir() or list(output.iterdir()) == []
        return [line.removeprefix(PREFIX) for line in errors]

    return faults_of_run


@pytest.fixture
def sound(data):
    return data / "tree3mu_phipi_2017.root"


@pytest.fixture
def fileset(tmp_path):
    """Write the fileset of some files."""

    def fileset(*files, tree=TREE, **datasets):
        return write_fileset(tmp_path / "fileset.json", datasets or {"D": files}, tree)

    return fileset


@pytest.fixture
def write_ntuple(tmp_path):
    """An RNTuple with all branches but some, of that many events of zeros."""

    def write_ntuple(name, events=2, without=()):
        path = tmp_path / name
        columns = dict.fromkeys(("evt", "run", "lumi"), np.ones(events, np.uint32))
        for branch, kind in TwoMuTrackSchema._known_lists().items():
            filled = ak.Array([[""]] if kind is str else [np.zeros(1, kind)])
            columns[branch] = ak.concatenate([filled] * (events + 1))[:events]
        for branch in without:
            del columns[branch]
        with uproot.recreate(path) as root:
            root.mkdir("Tree3Mu").mkrntuple("ntuple", columns)
        return path

    return write_ntuple


def test_a_fileset_that_is_not_there(faults_of_run, tmp_path):
    assert faults_of_run(tmp_path / "none.json") == [f"{tmp_path}/none.json: no such file"]


def test_every_fault_of_a_malformed_fileset(faults_of_run, tmp_path):
    path = tmp_path / "fileset.json"
    path.write_text('{"D": {"files": {}, "metadata": {"is_mc": false}}}')
    assert faults_of_run(path) == [
        f"{path}: dataset 'D', files: is empty",
        f"{path}: dataset 'D', metadata.era: is missing",
    ]
    path.write_text('{"D": ')
    (line,) = faults_of_run(path)
    assert line.startswith(f"{path}: not a JSON file (")


def test_a_file_that_is_not_there(faults_of_run, fileset, tmp_path):
    file = tmp_path / "none.root"
    assert faults_of_run(fileset(file)) == [f"dataset 'D', {file}: no such file"]


def test_a_tree_that_is_not_there(faults_of_run, fileset, sound):
    assert faults_of_run(fileset(sound, tree="Tree3Mu/other")) == [
        f"dataset 'D', {sound}: no tree 'Tree3Mu/other'; trees in the file: {TREE}"
    ]


def test_branches_that_are_not_there(faults_of_run, fileset, write_ntuple):
    file = write_ntuple("a.root", without=["Track_dz", "Mu01_Pt", "Track_dzError"])
    assert faults_of_run(fileset(file)) == [
        # an error of the track's dz is not read
        f"dataset 'D', {file}: tree '{TREE}' lacks the branches Mu01_Pt, Track_dz"
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not a ROOT file: it is empty (0 bytes)"),
        (b"<html>" + b"Please log in. " * 100, "not a ROOT file: it begins with b'<htm'"),
    ],
    ids=["empty", "HTML"],
)
def test_what_is_no_root_file(content, problem, faults_of_run, fileset, tmp_path):
    (tmp_path / "a.root").write_bytes(content)
    assert faults_of_run(fileset("a.root")) == [f"dataset 'D', {tmp_path}/a.root: {problem}"]


@pytest.mark.parametrize("part", [0.001, 0.3, 0.9, 0.99999])
def test_a_truncated_file(part, faults_of_run, fileset, sound, tmp_path):
    content = sound.read_bytes()
    (tmp_path / "a.root").write_bytes(content[: int(part * len(content))])
    (line,) = faults_of_run(fileset("a.root"))
    assert line.startswith(f"dataset 'D', {tmp_path}/a.root: truncated")


def test_two_bad_files_are_both_named_under_every_executor(
    faults_of_run, fileset, sound, write_ntuple, tmp_path
):
    lacking = write_ntuple("lacking.root", without=["Track_dz"])
    (tmp_path / "text.root").write_text("a.root b.root")
    path = fileset(D=[sound, "text.root"], E=[lacking])
    expected = [
        f"dataset 'D', {tmp_path}/text.root: not a ROOT file: it begins with b'a.ro'",
        f"dataset 'E', {lacking}: tree '{TREE}' lacks the branches Track_dz",
    ]
    assert faults_of_run(path) == expected
    assert faults_of_run(path, "--workers", 1, executor="futures") == expected


NAMES = [
    "a#b?.root",
    "%20 b.root",
    "a:b.root",
    "x.root:tree",
    "[1].root",
    "file:z.root",
    "~$HOME.root",
]


def test_local_files_with_odd_names_are_built_checked_and_run(
    bphcoffea, fileset, sound, output, tmp_path
):
    for name in NAMES:
        (tmp_path / "odd" / name).parent.mkdir(exist_ok=True)
        made_again(sound, tmp_path / "odd" / name)
    made = tmp_path / "made.json.gz"
    arguments = ("-o", made, "--name", "D", "--era", "2017D")
    assert bphcoffea("fileset", "build", tmp_path / "odd", *arguments)[::2] == (0, [])
    built = [Path(file).name for file in load_fileset(made)["D"].files]
    assert built == sorted(name for name in NAMES if name.endswith(".root"))
    path = fileset(*(f"odd/{name}" for name in NAMES))
    assert bphcoffea("fileset", "check", path, "-o", made)[::2] == (0, [])
    assert bphcoffea("run", "ds_phipi", made, "-o", output, "--executor", "iterative")[::2] == (
        0,
        [],
    )
    assert RunFolder(output).read("ledger.json")["processed_events"] == 300 * len(NAMES)


def test_a_local_file_whose_name_is_taken_for_a_chain_is_one_line(
    bphcoffea, faults_of_run, fileset, sound, tmp_path
):
    file = tmp_path / "a::b.root"
    shutil.copy(sound, file)
    problem = f"'{file}' cannot be opened, because '::' separates the parts of a chain of URLs"
    path = fileset(file)
    (line,) = faults_of_run(path)
    assert line.startswith(f"{path}: dataset 'D': {problem}")
    for place in (tmp_path, file):
        arguments = (place, "-o", tmp_path / "made.json", "--name", "D", "--era", "2017D")
        status, _, (line,) = bphcoffea("fileset", "build", *arguments)
        assert status == 2
        assert line.startswith(PREFIX + problem)


def test_a_chain_of_urls_is_run(bphcoffea, fileset, sound, output):
    path = fileset(f"simplecache::file://{sound}")
    arguments = ("run", "ds_phipi", path, "-o", output, "--executor", "iterative")
    assert bphcoffea(*arguments)[::2] == (0, [])


@pytest.mark.parametrize("url", ["srm://host/x.root", "zip://x.root", "reference://x.root"])
def test_a_scheme_that_cannot_be_used_is_one_line(bphcoffea, fileset, sound, output, url):
    bad = fileset(url).rename(output.with_suffix(".json"))
    run = ("run", "ds_phipi", "-o", output)
    dataset = ("--name", "D", "--era", "2017D")
    for words in (
        ("fileset", "build", url, "-o", output, *dataset),
        ("fileset", "check", bad),
        (*run, url),
        (*run, fileset(sound), "--stage-out", url),
        (*run, fileset(sound), "--skim", url),
        (*run, fileset(sound), "--checkpoints", url),
        ("clean", "--checkpoints", url),
    ):
        status, _, errors = bphcoffea(*words)
        assert (status, len(errors)) == (2, 1), (words, errors)
        (line,) = errors
        assert re.search(f"{url[:3]}.*://.* cannot be (used|written to).*give a path", line), line


def test_an_unknown_analysis_is_answered_with_those_there_are(faults_of_run, fileset, sound):
    (line,) = faults_of_run(fileset(sound), analysis="ds_phipy")
    assert line.startswith(
        "unknown analysis 'ds_phipy'; did you mean 'ds_phipi'? Available: dimuon, ds_phipi"
    )


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("none.py", None, "no such analysis file"),
        (
            "broken.py",
            "from bphcoffea import errors\n\ndef process(:\n",
            ", line 3: invalid syntax",
        ),
        ("latin.py", b"x = 1\ny = 'caf\xe9'\n", ", line 2: "),
        ("empty.py", "x = 1\n", "contains no analysis"),
        ("notes.txt", "x = 1\n", "not a Python file"),
    ],
)
def test_a_file_that_is_no_analysis(
    name, content, problem, faults_of_run, fileset, sound, tmp_path
):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (line,) = faults_of_run(fileset(sound), analysis=path)
    assert line.startswith(str(path))
    assert problem in line


DECLARED = """
from bphcoffea.analysis import Analysis, Axis, Candidates, Cut, Histogram, Selection
from bphcoffea.inputs import TwoMuTrackSchema
from variables_beside import chi2

AXIS = Axis(10, 0, 10)

class Mine(Analysis):
    schema = TwoMuTrackSchema
    candidates = Candidates("Triplet")
    selection = Selection(Cut("vertex", chi2 >= 0))
    histograms = (Histogram("chi2", chi2, AXIS), Histogram("fine", chi2, AXIS))
"""
BESIDE = """
from bphcoffea.analysis import Variable

chi2 = Variable(
    "chi2", lambda events: events.Triplet.vertex.chi2
)
"""


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("", "", None),
        ('"fine"', '"chi2"', "mine.py, line 8: Mine: two histograms are named 'chi2'; give each"),
        ('"fine"', '"a/b"', "mine.py, line 12: histogram 'a/b': its name holds '/'"),
        ("10, 0, 10", "62, 2.01, 1.65", "mine.py, line 6: Axis(62, 2.01, 1.65): the range must"),
        (
            "chi2 >= 0",
            "chi2",
            "mine.py, line 11: cut 'vertex': variable 'chi2' is not a requirement",
        ),
        ("vertex.chi2\n", "vertex.chi2, 5\n", "variables_beside.py, line 4: variable 'chi2': its "),
        (
            "    schema",
            "    def __init__(self):\n        AXIS.__class__(0, 0, 1)\n    schema",
            "mine.py, line 10: Axis(0, 0, 1): the number of bins",
        ),
    ],
)
def test_what_is_declared_wrongly_is_told_with_its_line(
    right, wrong, problem, bphcoffea, faults_of_run, fileset, sound, output, tmp_path
):
    (tmp_path / "mine.py").write_text(DECLARED.replace(right, wrong) if right else DECLARED)
    (tmp_path / "variables_beside.py").write_text(BESIDE.replace(right, wrong) if right else BESIDE)
    if problem is None:
        arguments = (tmp_path / "mine.py", fileset(sound), "-o", output, "--executor", "iterative")
        assert bphcoffea("run", *arguments)[::2] == (0, [])
        return
    (line,) = faults_of_run(fileset(sound), analysis=tmp_path / "mine.py")
    assert line.startswith(f"{tmp_path}/{problem}")


def test_an_output_folder_that_cannot_be_written(bphcoffea, fileset, sound):
    path = fileset(sound)
    before = path.read_bytes()
    for place in (path, path / "below"):
        status, _, errors = bphcoffea("run", "ds_phipi", path, "-o", place)
        assert status == 2
        (line,) = errors
        assert re.match(rf"{PREFIX}{place}: cannot write there \(.*\); choose another folder", line)
    assert path.read_bytes() == before


def test_a_pattern_that_matches_no_dataset(faults_of_run, fileset, sound):
    path = fileset(data=[sound], mc=[sound])
    assert faults_of_run(path, "--dataset", "dat?", "--dataset", "tau*") == [
        "no dataset matches 'tau*'; the fileset has: data, mc"
    ]


def test_a_scheduler_that_is_not_there(faults_of_run, fileset, sound, monkeypatch):
    monkeypatch.setattr(clusters, "PATIENCE", 1)
    address = f"tcp://127.0.0.1:{services.free_port()}"
    (line,) = faults_of_run(fileset(sound), "--scheduler", address, executor="dask")
    assert line.startswith(f"no Dask scheduler answers at {address} (")


@pytest.mark.parametrize("executor", ["iterative", "futures"])
def test_a_scheduler_without_dask(executor, faults_of_run, fileset, sound):
    assert faults_of_run(fileset(sound), "--scheduler", "tcp://h:8786", executor=executor) == [
        f"a scheduler needs the executor dask, not {executor} (--executor dask)"
    ]


def content_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_an_earlier_run_stays_whole_when_a_later_one_fails(
    bphcoffea, fileset, sound, output, tmp_path
):
    arguments = ("ds_phipi", fileset(sound), "-o", output, "--executor", "iterative")
    status, _, errors = bphcoffea("run", *arguments)
    assert (status, errors) == (0, [])
    before = content_of(output)
    assert RunFolder(output).complete
    fileset("none.root")
    status, _, errors = bphcoffea("run", *arguments, "--overwrite")
    assert status == 2
    assert errors == [f"{PREFIX}dataset 'D', {tmp_path}/none.root: no such file"]
    assert content_of(output) == before
    status, _, errors = bphcoffea("run", *arguments)
    assert status == 2
    assert errors == [
        f"{PREFIX}{output}: a finished run is there; choose another folder, or overwrite it "
        "(--overwrite)"
    ]
    assert content_of(output) == before


@pytest.mark.parametrize("files", [["empty.root"], ["empty.root", "full.root"]])
def test_a_file_without_events_is_fine(files, bphcoffea, fileset, output, write_ntuple):
    write_ntuple("empty.root", events=0)
    write_ntuple("full.root", events=3)
    events = 3 if "full.root" in files else 0
    arguments = ("ds_phipi", fileset(*files), "-o", output, "--executor", "iterative")
    status, _, errors = bphcoffea("run", *arguments)
    assert (status, errors) == (0, [])
    folder = RunFolder(output)
    assert folder.complete
    assert folder.read("ledger.json")["expected_events"] == events
    steps = folder.cutflow["D"]
    assert steps[0] == {"step": "all", "events": events, "candidates": events, "sumw": events}
    assert len(steps) > 1
    assert all(step["events"] == step["candidates"] == step["sumw"] == 0 for step in steps[1:])
    histograms = folder.histograms()
    assert {"mass", "phi_mass", "flight_bs_significance"} <= set(histograms)
    assert all(histogram.sum(flow=True).value == 0 for histogram in histograms.values())
    table = pq.read_table(output / "candidates" / "D.parquet")
    assert table.num_rows == 0
    assert {"run", "lumi", "event", "mass", "vertex_chi2", "phi_mass"} <= set(table.column_names)
    with uproot.open(output / "histograms.root") as root:
        assert root["D/mass"].values().sum() == 0


def test_the_columns_do_not_depend_on_there_being_events(
    bphcoffea, fileset, sound, tmp_path, write_ntuple
):
    path = fileset(full=[sound], empty=[write_ntuple("empty.root", events=0)])
    arguments = ("ds_phipi", path, "-o", tmp_path / "run", "--executor", "iterative")
    assert bphcoffea("run", *arguments)[0] == 0
    folder = RunFolder(tmp_path / "run")
    assert folder.candidates("full").num_rows > 0
    assert folder.candidates("empty").num_rows == 0
    assert folder.candidates("empty").schema == folder.candidates("full").schema


def test_check_names_every_fault(bphcoffea, fileset, sound, write_ntuple, tmp_path):
    path = fileset(D=[sound, "none.root"], E=[write_ntuple("a.root", without=["Track_dz"])])
    status, out, errors = bphcoffea("fileset", "check", path, "--analysis", "ds_phipi")
    assert status == 2
    assert errors == [
        f"{PREFIX}dataset 'D', {tmp_path}/none.root: no such file",
        f"{PREFIX}dataset 'E', {tmp_path}/a.root: tree '{TREE}' lacks the branches Track_dz",
    ]
    assert "300" in out
    path = fileset(D=[sound, "none.root"])
    made = tmp_path / "made.json"
    status, _, errors = bphcoffea("fileset", "check", path, "-o", made)
    assert (status, errors) == (2, [f"{PREFIX}dataset 'D', {tmp_path}/none.root: no such file"])
    written = json.loads(made.read_text())["D"]["files"]
    assert written == {
        str(sound): {"object_path": TREE, "num_entries": 300},
        str(tmp_path / "none.root"): TREE,
    }
    status, out, errors = bphcoffea("fileset", "check", fileset(sound), "--analysis", "ds_phipi")
    assert (status, errors) == (0, [])


def test_build_and_import_name_every_fault(bphcoffea, tmp_path):
    made = tmp_path / "made.json"
    (tmp_path / "a.root").touch()
    places = (tmp_path / "none", tmp_path / "a.root", tmp_path / "x*")
    arguments = ("fileset", "build", *places, "-o", made, "--name", "D", "--era", "2018")
    assert bphcoffea(*arguments)[::2] == (
        2,
        [f"{PREFIX}{places[i]}: no .root files there" for i in (0, 2)],
    )
    arguments = ("fileset", "build", places[1], "-o", made, "--name", "D", "--era", "2018")
    assert bphcoffea(*arguments, "--meta", "luminosity=-1", "--meta", "mine=NaN")[::2] == (
        2,
        [f"{PREFIX}dataset 'D', metadata.luminosity: Input should be greater than 0"],
    )
    assert bphcoffea(*arguments, "--meta", "mine=NaN")[::2] == (
        2,
        [f"{PREFIX}dataset 'D', metadata: 'mine' is nan, which JSON cannot hold"],
    )
    lists = tmp_path / "lists.json"
    lists.write_text('{"D": {"type": "toys", "files": "a.root", "era": "2018"}, "E": {}}')
    status, _, errors = bphcoffea("fileset", "import", lists, "-o", made)
    assert status == 2
    assert len(errors) == 4
    assert not made.exists()


def test_the_module_behaves_as_the_command_and_finds_no_file_and_no_server(
    fileset, output, tmp_path
):
    url = f"root://127.0.0.1:{services.free_port()}//a.root"
    path = fileset("none.root", "x.root", url)
    arguments = ("run", "ds_phipi", path, "-o", output, "--executor", "iterative")
    # the client waits for minutes by default
    impatient = {"XRD_CONNECTIONWINDOW": "1", "XRD_CONNECTIONRETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "bphcoffea", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | impatient,
    )
    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        [
            *(
                f"{PREFIX}dataset 'D', {tmp_path}/{name}: no such file"
                for name in ("none.root", "x.root")
            ),
            f"{PREFIX}dataset 'D', {url}: the server does not answer; "
            "is its address right, and is it up? (Connection error)",
        ],
    )
    assert list(output.iterdir()) == []


def test_a_copy_of_an_analysis_works_where_the_shipped_one_does(
    bphcoffea, data, fileset, sound, output, tmp_path
):
    # the control: the files that the tests above find fault with differ from these in one thing
    copy = shutil.copy(data.parents[1] / "processors" / "ds_phipi.py", tmp_path / "mine.py")
    arguments = (copy, fileset(sound), "-o", output, "--executor", "iterative")
    status, _, errors = bphcoffea("run", *arguments)
    assert (status, errors) == (0, [])
