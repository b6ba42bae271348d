"""Runs: the same result with every executor and chunk size, complete, and written whole or not."""

import itertools
import json
import shutil
import sys
import textwrap
from pathlib import Path

import hist
import numpy as np
import pytest
import uproot
from builders import fileset_content
from damage import corrupt_basket
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.datasets import FileEntry, Fileset, load_fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.execution.chunks import cut
from bphcoffea.execution.faults import input_fault
from bphcoffea.results import RunFolder


@pytest.fixture(scope="module")
def toys(shared_folders):
    """The fileset of a small toy, and its truth."""
    folder = shared_folders.toys("ds_phipi", 4000, 3)
    return load_fileset(folder / "fileset.json"), json.loads((folder / "truth.json").read_text())


@pytest.fixture(scope="module")
def one_dataset(toys):
    """Two of these files."""
    return Fileset({"toy_2017": toys[0]["toy_2017"]})


@pytest.fixture(scope="module")
def reference(toys, ds_phipi, tmp_path_factory):
    """A run in one chunk a file, in this process."""
    return run(ds_phipi, toys[0], tmp_path_factory.mktemp("reference"), Options("iterative"))


def assert_same(folder, reference):
    assert folder.cutflow.keys() == reference.cutflow.keys()
    for dataset, rows in reference.cutflow.items():
        for row, expected in zip(folder.cutflow[dataset], rows, strict=True):
            assert row["sumw"] == pytest.approx(expected["sumw"], rel=1e-12)
            assert {**row, "sumw": 0} == {**expected, "sumw": 0}
        assert folder.candidates(dataset).equals(reference.candidates(dataset))
    ours, theirs = folder.histograms(), reference.histograms()
    assert ours.keys() == theirs.keys()
    for name, histogram in theirs.items():
        assert ours[name].axes == histogram.axes
        # the toys have weight 1: sums of ones are exact
        np.testing.assert_array_equal(ours[name].view(flow=True), histogram.view(flow=True))
    assert folder.read("lumis.json") == reference.read("lumis.json")


@pytest.mark.parametrize(
    ("executor", "chunksize"),
    [("iterative", 777), ("futures", 1501), ("dask", 1501)],
)
def test_result_does_not_depend_on_how_it_was_run(
    executor, chunksize, toys, reference, ds_phipi, tmp_path, dask_reports
):
    options = Options(executor, workers=2, chunksize=chunksize)
    folder = run(ds_phipi, toys[0], tmp_path, options)
    assert_same(folder, reference)
    assert folder.complete
    assert (folder.path / "dask-report.html").exists() == (executor == "dask")
    metrics = folder.read("metrics.json")
    assert metrics["executor"] == executor
    assert metrics["workers"] == (1 if executor == "iterative" else 2)


def test_cutflow_is_the_toys_truth(toys, reference):
    fileset, truth = toys
    for dataset in fileset.names:
        got = [
            {k: row[k] for k in ("step", "events", "candidates")}
            for row in reference.cutflow[dataset]
        ]
        assert got == truth[dataset]["cutflow"], dataset


def test_ledger_compares_expected_with_processed(toys, reference):
    ledger = reference.read("ledger.json")
    total = sum(rows[0]["events"] for rows in reference.cutflow.values())
    assert ledger["expected_events"] == ledger["processed_events"] == total
    assert ledger["complete"]
    assert ledger["failed"] == []


def test_root_file_holds_the_same_histograms(reference):
    with uproot.open(reference.path / "histograms.root") as file:
        for name, histogram in reference.histograms().items():
            for dataset in histogram.axes["dataset"]:
                stored = file[f"{dataset}/{name}"].to_hist()
                ours = histogram[dataset, "all", "nominal", :]
                np.testing.assert_array_equal(stored.values(flow=True), ours.values(flow=True))
                np.testing.assert_array_equal(
                    stored.variances(flow=True), ours.variances(flow=True)
                )


def test_candidates_are_sorted_and_fill_the_histogram(reference):
    table = reference.candidates("toy_2017").to_pandas()
    keys = ["run", "lumi", "event"]
    assert table[keys].apply(tuple, axis=1).is_monotonic_increasing
    assert not table.duplicated(keys).any()
    mass = reference.histograms()["mass"]["toy_2017", "all", "nominal", :]
    filled = hist.Hist(mass.axes[0]).fill(table["mass"])
    np.testing.assert_array_equal(filled.values(), mass.values())


def test_provenance_tells_how_it_was_made(toys, reference):
    provenance = reference.read("provenance.json")
    assert provenance["fileset_sha256"] == toys[0].sha256()
    assert provenance["packages"]["coffea"]
    assert provenance["datasets"]["toy_2017"]["era"].startswith("2017")
    assert len(provenance["analysis"]["sha256"]) == 64


def test_analysis_json_is_the_selection_in_words(reference):
    analysis = reference.analysis
    cuts = {cut.name: cut for cut in analysis.cuts}
    assert cuts["candidate"].requirements[0] == "1.62 < mass < 2.02 GeV"
    assert cuts["vertex"].requirements
    assert analysis.histograms["nminus1_mass"].bounds == (1.62, 2.02)
    assert analysis.fit.histogram == "mass"


def test_a_run_shows_itself_in_a_notebook(reference):
    names = list(reference.datasets)
    assert repr(reference) == (
        f"RunFolder('{reference.path}': ds_phipi, {len(names)} datasets, complete)"
    )
    shown = reference._repr_html_()
    for name in names:
        count = reference.read("ledger.json")["datasets"][name]["processed_events"]
        assert f"<td>{name}</td><td>{reference.datasets[name].era}</td>" in shown
        assert f"<td>{count:,}</td>" in shown


def test_at_most_so_many_chunks_of_each_dataset(toys, ds_phipi, tmp_path, caplog):
    caplog.set_level("DEBUG", "bphcoffea")
    options = Options("iterative", chunksize=100, max_chunks=2)
    fileset = Fileset({name: toys[0][name] for name in ("toy_2017", "toy_dimuon_track_mc")})
    folder = run(ds_phipi, fileset, tmp_path, options)
    assert "4 chunks for iterative (1 workers)" in caplog.text
    assert "every file must have" in caplog.text
    ledger = folder.read("ledger.json")
    assert ledger["chunks"] == 4
    assert folder.complete
    # a file of up to 150 events is one chunk
    assert all(rows[0]["events"] <= 2 * 150 for rows in folder.cutflow.values())


def test_steps_limit_a_file_to_ranges_of_entries(toys, ds_phipi, tmp_path):
    path, entry = next(iter(toys[0]["toy_2017"].files.items()))
    known = toys[0]["toy_2017"].metadata.model_dump(exclude_defaults=True)
    content = {"files": {path: {"object_path": entry.object_path}}, "metadata": known}
    whole = run(
        ds_phipi, Fileset.model_validate({"x": content}), tmp_path / "whole", Options("iterative")
    )
    total = whole.read("ledger.json")["expected_events"]
    parts = []
    for steps in ([[0, 100], [250, 300]], [[100, 250], [300, total]]):
        content["files"][path]["steps"] = steps
        fileset = Fileset.model_validate({"x": content})
        options = Options("iterative", chunksize=400, overwrite=True)
        part = run(ds_phipi, fileset, tmp_path / "part", options)
        assert part.cutflow["x"][0]["events"] == sum(stop - start for start, stop in steps)
        parts.append([row["candidates"] for row in part.cutflow["x"]])
    assert [a + b for a, b in zip(*parts, strict=True)] == [
        row["candidates"] for row in whole.cutflow["x"]
    ]
    content["files"][path]["steps"] = [[0, total + 1]]
    fileset = Fileset.model_validate({"x": content})
    with pytest.raises(InputError, match=f"steps end at entry {total + 1}"):
        run(ds_phipi, fileset, tmp_path / "beyond", Options("iterative"))


@given(entries=st.integers(0, 5000), chunksize=st.integers(1, 700))
def test_chunks_cover_a_file_once(entries, chunksize):
    ranges = list(cut(entries, None, chunksize))
    assert ranges[0][0] == 0
    assert ranges[-1][1] == entries
    assert all(a[1] == b[0] for a, b in itertools.pairwise(ranges))
    assert entries == 0 or all(0 < stop - start <= 1.5 * chunksize + 1 for start, stop in ranges)


ANALYSIS = """
    from bphcoffea.analysis import Analysis, Axis, Candidates, Cut, Histogram, Selection
    from bphcoffea.inputs import TwoMuTrackSchema
    from beside_it import chi2, THRESHOLD

    class Mine(Analysis):
        "My own analysis."
        schema = TwoMuTrackSchema
        candidates = Candidates("Triplet", best=chi2)
        selection = Selection(Cut("vertex", chi2 >= THRESHOLD))
        histograms = (Histogram("chi2", chi2, Axis(10, 0, 10)),)
"""
BESIDE = """
    from bphcoffea.analysis import Variable

    THRESHOLD = 0
    chi2 = Variable("chi2", lambda events: events.Triplet.vertex.chi2)
"""


@pytest.mark.parametrize("executor", ["futures", "dask"])
def test_analysis_by_path_reaches_workers_that_lack_the_file(
    executor, one_dataset, reference, tmp_path
):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "my_analysis.py").write_text(textwrap.dedent(ANALYSIS))
    (mine / "beside_it.py").write_text(textwrap.dedent(BESIDE))
    analysis = load_analysis(str(mine / "my_analysis.py"))
    shutil.rmtree(mine)
    folder = run(analysis, one_dataset, tmp_path / "run", Options(executor, workers=1))
    for dataset, rows in folder.cutflow.items():
        known = {row["step"]: row for row in reference.cutflow[dataset]}
        assert rows[0] == known["all"]
        assert rows[1]["candidates"] >= known["vertex"]["candidates"]


def test_failure_leaves_the_earlier_run_whole(one_dataset, ds_phipi, tmp_path):
    options = Options("iterative", max_chunks=1, overwrite=True)
    run(ds_phipi, one_dataset, tmp_path, options)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    broken = one_dataset.model_copy(deep=True)
    for dataset in broken.root.values():
        dataset.files.clear()
        dataset.files["/nowhere/missing.root"] = FileEntry(object_path="Tree3Mu/ntuple")
    with pytest.raises(InputError, match=r"missing\.root: no such file"):
        run(ds_phipi, broken, tmp_path, options)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_new_run_replaces_what_was_derived_from_the_old(one_dataset, ds_phipi, tmp_path):
    options = Options("iterative", max_chunks=1, overwrite=True)
    made = run(ds_phipi, one_dataset, tmp_path, options)
    before = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    made.write("fit.json", {})
    with made.replacing("figures") as temporary:
        (temporary / "figures").mkdir()
        (temporary / "figures" / "mass.png").write_text("")
    own = [tmp_path / name for name in ("notes.txt", "figures/my.pdf", "candidates/keep.parquet")]
    for path in own:
        path.write_text("mine")
    run(ds_phipi, one_dataset, tmp_path, options)
    after = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    assert after - before == {Path("figures"), *(path.relative_to(tmp_path) for path in own)}
    assert before <= after
    assert {path.read_text() for path in own} == {"mine"}


def test_folder_without_ledger_is_no_run(tmp_path):
    with pytest.raises(InputError, match="no finished run"):
        RunFolder(tmp_path)


def test_fault_in_the_middle_of_a_file_is_named(toys, ds_phipi, tmp_path, data):
    damaged = tmp_path / "damaged.root"
    corrupt_basket(data / "tree3mu_phipi_2017.root", damaged, "Triplet2_Mass")
    fileset = Fileset.model_validate(fileset_content({"bad": [damaged]}))
    with pytest.raises(InputError, match=r"'bad'.*damaged\.root.*entries 0-300"):
        run(ds_phipi, fileset, tmp_path / "run", Options("iterative"))
    assert not (tmp_path / "run" / "ledger.json").exists()


BUG = """
    from bphcoffea.analysis import Analysis, Candidates, Cut, Selection, Variable
    from bphcoffea.inputs import TwoMuTrackSchema

    def typo(events):
        return events.Triplet.vertex.chi2 if len(events) == 1 else events.Triplet.vertex.chi3

    class Buggy(Analysis):
        schema = TwoMuTrackSchema
        candidates = Candidates("Triplet")
        selection = Selection(Cut("vertex", Variable("chi2", typo) >= 0))
"""


def test_bug_in_the_analysis_is_no_input_fault(one_dataset, tmp_path):
    (tmp_path / "buggy.py").write_text(textwrap.dedent(BUG))
    analysis = load_analysis(str(tmp_path / "buggy.py"))
    with pytest.raises(Exception, match="chi3") as raised:
        run(analysis, one_dataset, tmp_path / "run", Options("iterative"))
    assert not isinstance(raised.value, InputError)
    assert not (tmp_path / "run" / "ledger.json").exists()


def test_input_faults_are_told_from_bugs():
    with pytest.raises(FileNotFoundError) as in_reading:
        uproot.open("/nowhere.root")
    assert input_fault(in_reading.value) == "no such file"
    with pytest.raises(FileNotFoundError) as in_analysis:
        Path("/my/corrections.json").read_text()
    assert input_fault(in_analysis.value) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_analysis", "available: dimuon, ds_phipi"),
        ("nowhere/x.py", "no such analysis file"),
    ],
)
def test_unknown_analysis(name, message):
    with pytest.raises(InputError, match=message):
        load_analysis(name)


def test_class_is_named_where_a_file_holds_several(tmp_path):
    two = "\nclass Other(Mine):\n    pass\n"
    (tmp_path / "beside_it.py").write_text(textwrap.dedent(BESIDE))
    (tmp_path / "two.py").write_text(textwrap.dedent(ANALYSIS) + two)
    with pytest.raises(InputError, match="Mine, Other"):
        load_analysis(str(tmp_path / "two.py"))
    assert type(load_analysis(f"{tmp_path}/two.py:Other")).__name__ == "Other"
    with pytest.raises(InputError, match="contains no analysis Third"):
        load_analysis(f"{tmp_path}/two.py:Third")


def test_analysis_may_be_defined_in_a_notebook(one_dataset, tmp_path):
    # a class of a notebook lives in __main__, whose source is in no file
    namespace = {"__name__": "__main__"}
    code = textwrap.dedent(BESIDE) + textwrap.dedent(ANALYSIS).replace(
        "from beside_it import chi2, THRESHOLD", ""
    )
    exec(code, namespace)
    options = Options("iterative", max_chunks=1)
    folder = run(namespace["Mine"](), one_dataset, tmp_path / "run", options)
    assert folder.analysis.name == "Mine"


def test_what_lies_beside_an_analysis_is_read_anew(tmp_path):
    for folder, threshold in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "json.py").write_text(textwrap.dedent(ANALYSIS))
        beside = textwrap.dedent(BESIDE).replace("= 0", f"= {threshold}")
        (tmp_path / folder / "beside_it.py").write_text(beside)
        analysis = load_analysis(f"{tmp_path}/{folder}/json.py")
        assert str(next(iter(analysis.selection))) == f"vertex: chi2 ≥ {threshold}"
        assert analysis.name() == "json"
    assert "dumps" in dir(sys.modules["json"])


def test_missing_metadata_is_named(toys, ds_phipi, tmp_path):
    class NeedsMore(type(ds_phipi)):
        metadata = ("cross_section",)

    with pytest.raises(InputError, match="dataset 'toy_2017': the analysis needs 'cross_section'"):
        run(NeedsMore(), toys[0], tmp_path, Options("iterative"))
