"""Columns that were kept: a later run reads them, and finds what it would find in the files."""

import os
import shutil

import awkward as ak
import numpy as np
import pytest
from builders import fileset_of, write_nano
from hypothesis import given, settings
from hypothesis import strategies as st

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Candidates,
    Condition,
    Cut,
    Histogram,
    PileupWeight,
    Selection,
    Variable,
)
from bphcoffea.corrections import load_corrections
from bphcoffea.datasets import load_fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, run
from bphcoffea.inputs import TwoMuTrackSchema
from bphcoffea.physics import fired
from bphcoffea.reading import Keeping, OpenedFile, kept_files
from bphcoffea.reading.kept_columns import KEPT_GB
from bphcoffea.storage import UnwritableError

FILE = "tree3mu_phipi_2017.root"
chi2 = Variable("chi2", lambda events: events.Triplet.vertex.chi2, axis=Axis(20, 0, 20))
mass = Variable("mass", lambda events: events.Triplet.mass, axis=Axis(20, 1.5, 2.2))
tracks = Variable("tracks", lambda events: events.Triplet.primary_vertex.n_tracks)
hlt = Condition("HLT", lambda events: fired(events.HLT, "HLT_DoubleMu3_Trk_Tau3mu_v"))


def analysis_of(*cuts, further=(), weights=()):
    """An analysis with some cuts, further columns and weights."""
    contents = {
        "schema": TwoMuTrackSchema,
        "candidates": Candidates("Triplet", best=chi2),
        "selection": Selection(*cuts),
        "histograms": (Histogram("mass", mass, Axis(20, 1.5, 2.2)),),
        "columns": (mass, *further),
        "weights": tuple(weights),
    }
    return type("Small", (Analysis,), contents)()


def cuts(early=0.0, late=1.6):
    return Cut("hlt", hlt), Cut("vertex", chi2 >= early), Cut("mass", mass > late)


def results(folder):
    """What a run found, byte for byte: all its files but the records of the work itself."""
    of_work = {"metrics.json", "provenance.json", "chunks.parquet", "written.json"}
    return {
        str(path.relative_to(folder.path)): path.read_bytes()
        for path in sorted(folder.path.rglob("*"))
        if path.is_file() and path.name not in of_work and path.suffix != ".root"
    }


@pytest.fixture
def source(data, tmp_path):
    return shutil.copy(data / FILE, tmp_path / "input.root")


@pytest.fixture
def rerun(source, tmp_path):
    """Runs with kept columns; compares each with a run that has none, and returns bytes read."""

    def rerun(analysis, fileset=None, keep=tmp_path / "kept"):
        fileset = fileset or fileset_of([source])
        options = {"overwrite": True, "chunksize": 150}
        fresh = run(analysis, fileset, tmp_path / "fresh", Options("iterative", **options))
        again = run(analysis, fileset, tmp_path / "run", Options("iterative", keep=keep, **options))
        assert results(fresh) == results(again)
        assert again.cutflow[fileset.names[0]][-1]["events"]
        return again.read("metrics.json")["bytes_read"]

    return rerun


def test_another_cut_reads_no_file(rerun, source, tmp_path):
    assert rerun(analysis_of(*cuts())) > 0
    assert len(kept_files(tmp_path / "kept")) == 2  # of two chunks
    for changed in (cuts(late=1.9), cuts(early=2.0), cuts()[1:]):
        assert rerun(analysis_of(*changed)) == 0


@pytest.fixture(params=["disk", "server"])
def place(request, monkeypatch):
    """Where files are; a server is asked for all columns at once."""
    if request.param == "server":
        start = OpenedFile.__init__

        def remote(self, *arguments):
            start(self, *arguments)
            self.is_remote = True

        monkeypatch.setattr(OpenedFile, "__init__", remote)


def test_a_further_branch_is_read_and_kept(rerun, place):
    all_of_them = rerun(analysis_of(*cuts()))
    assert 0 < rerun(analysis_of(*cuts(), further=[tracks])) < all_of_them
    assert rerun(analysis_of(*cuts(), Cut("tracks", tracks > 2), further=[tracks])) == 0


def test_a_file_with_another_content_is_read(rerun, data, source, tmp_path):
    rerun(analysis_of(*cuts()))
    shutil.copy(data / "tree3mu_phipi_traps.root", source)
    assert rerun(analysis_of(*cuts())) > 0
    # a copy with the same UUID and times may be another file
    shutil.copy2(source, tmp_path / "copy.root")
    (tmp_path / "copy.root").replace(source)
    assert rerun(analysis_of(*cuts())) > 0


def test_other_entries_of_a_file_are_read(rerun, source):
    for steps in ([0, 100], [100, 300]):
        of_part = {source: {"object_path": "Tree3Mu/ntuple", "steps": [steps]}}
        assert rerun(analysis_of(*cuts()), fileset_of(of_part)) > 0
        assert rerun(analysis_of(*cuts()), fileset_of(of_part)) == 0


def test_columns_of_nanoaod_are_kept(rerun, dimuon, tmp_path):
    fileset = fileset_of([write_nano(tmp_path / "nano.root", 40)], "Events")
    assert rerun(dimuon, fileset) > 0
    assert rerun(dimuon, fileset) == 0


def test_another_correction_is_applied(rerun, shared_folders):
    toys = shared_folders.toys("ds_phipi", 1500, 2)
    simulated = load_fileset(toys / "fileset.json").select(["toy_ds_phipi_mc"])
    pileup = PileupWeight(Variable("interactions", lambda events: events.nPileUpInt))
    analysis = analysis_of(*cuts(), weights=[pileup])
    rerun(analysis, simulated)
    corrected = analysis.corrected(load_corrections([toys / "corrections.toml"]))
    assert rerun(corrected, simulated) > 0  # the number of interactions
    assert rerun(corrected, simulated) == 0


@pytest.mark.parametrize("damage", ["header", "numbers", "end", "all"])
def test_a_damaged_file_is_read_anew(rerun, tmp_path, damage):
    rerun(analysis_of(*cuts()))
    for path in kept_files(tmp_path / "kept"):
        content = bytearray(path.read_bytes())
        content[{"header": 30}.get(damage, -1000)] ^= 1
        kept = {"end": len(content) - 1000, "all": 0}.get(damage, len(content))
        path.write_bytes(content[:kept])
    assert rerun(analysis_of(*cuts())) > 0
    assert rerun(analysis_of(*cuts())) == 0


def test_a_full_disk_ends_no_run(rerun, disk, caplog):
    disk.fill(leave=8192)
    rerun(analysis_of(*cuts()), keep=disk.path / "kept")
    (line,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert line == (
        f"{disk.path}/kept: the columns of 2 chunks were not kept there (no space left on device); "
        "the next run reads them again"
    )
    assert not kept_files(disk.path / "kept")


def test_a_folder_that_cannot_be_written_is_reported_first(disk):
    disk.set_read_only()
    with pytest.raises(UnwritableError, match=r"disk/kept: not written: it is read-only"):
        Keeping.prepared(disk.path / "kept")
    (disk.path.parent / "file").touch()
    with pytest.raises(InputError, match=r"file: is a file; choose a folder for kept columns"):
        Keeping.prepared(disk.path.parent / "file")


def test_the_longest_unused_columns_make_room(tmp_path):
    def keep(name, began):
        columns = Keeping(tmp_path, limit=2500, began=began).columns(name)
        columns.add("x", ak.contents.NumpyArray(np.arange(100.0)))
        return columns.save()

    def is_kept(name):
        return Keeping(tmp_path).columns(name).column("x") is not None

    assert [keep(name, began=0) for name in "ab"] == [None, None]
    for path in kept_files(tmp_path):
        os.utime(path, (1, 1))
    assert is_kept("b")  # and used
    assert keep("c", began=0) == "the limit of 2.5e-06 GB is reached"
    assert keep("c", began=2) is None
    assert [is_kept(name) for name in "abc"] == [False, True, True]


@pytest.mark.parametrize("limit", ["much", "-1", "0", "nan"])
def test_the_limit_is_a_number(limit, tmp_path, monkeypatch):
    monkeypatch.setenv(KEPT_GB, limit)
    with pytest.raises(InputError, match=f"{KEPT_GB}={limit}: expected a number of GB above 0"):
        Keeping.prepared(tmp_path / "kept")


numbers = st.lists(st.integers(-5, 5), max_size=4)
ARRAYS = (
    st.one_of(
        numbers.map(np.array),
        st.lists(numbers),
        st.lists(st.lists(numbers)),
        st.lists(st.lists(st.text(max_size=3))),
        st.lists(st.lists(st.fixed_dictionaries({"key": st.integers(0, 5), "index": numbers}))),
    )
    .map(ak.Array)
    .filter(lambda array: "unknown" not in str(array.type))
)


@settings(max_examples=20)
@given(columns=st.dictionaries(st.text(min_size=1, max_size=5), ARRAYS, max_size=3))
def test_columns_are_as_they_were(columns, tmp_path_factory):
    keeping = Keeping(tmp_path_factory.mktemp("kept"))
    kept = keeping.columns("chunk")
    for name, column in columns.items():
        kept.add(name, column.layout)
    assert kept.save() is None
    again = keeping.columns("chunk")
    for name, column in columns.items():
        layout = again.column(name)
        assert layout.form == column.layout.form
        assert ak.to_list(layout) == ak.to_list(column)
    assert again.column("absent") is None
    assert keeping.columns("other chunk").column("x") is None


def test_clean_lists_and_removes_them(rerun, bphcoffea, tmp_path):
    rerun(analysis_of(*cuts()))
    folder = tmp_path / "kept"
    (folder / "notes.txt").touch()
    listed = bphcoffea("clean", "--kept", folder)
    assert "kept columns of 2 chunks" in listed.out
    assert "remove them with" in listed.out
    bphcoffea("clean", "--kept", folder, "--remove", "--older-than", 1)
    assert len(kept_files(folder)) == 2
    bphcoffea("clean", "--kept", folder, "--remove")
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert "no-such: cannot be read" in bphcoffea("clean", "--kept", tmp_path / "no-such").err
