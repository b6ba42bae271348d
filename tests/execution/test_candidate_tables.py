"""Tables of candidates are sorted and whole, wherever they were kept while they grew."""

import logging
import resource
import tempfile

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bphcoffea.execution import candidate_tables
from bphcoffea.execution.candidate_tables import CandidateTables
from bphcoffea.processing import Columns, DatasetResult, columns
from bphcoffea.processing.luminosity_sections import LuminositySections
from bphcoffea.results import Cutflow, Entries

NAMES = ("run", "event", "mass", "file", "category", "in_signal", "x")
ROW = st.tuples(
    st.integers(1, 3),
    st.integers(0, 4),
    st.sampled_from([1.5, 1.75, 2.0]),
    st.sampled_from(["b.root", "a.root", "é.root"]),
    st.sampled_from(["barrel", "endcaps"]),
    st.booleans(),
    st.integers(0, 1000),
)
#: Types of event numbers, masses and of the last column in files of different productions.
TYPES = st.sampled_from([(np.int32, np.float32, np.int32), (np.int64, np.float64, np.float64)])
PARTS = st.lists(
    st.tuples(st.sampled_from("AB"), st.lists(ROW, max_size=6), TYPES), min_size=1, max_size=40
)


def output(dataset, rows, types=(np.int64, np.float64, np.int64)):
    """What a chunk gives if these rows are in its table."""
    event, mass, last = types
    kinds = (np.int64, event, mass, object, str, bool, last)
    values = zip(*rows, strict=True) if rows else [()] * len(NAMES)
    arrays = {
        name: np.array(column, kind)
        for name, column, kind in zip(NAMES, values, kinds, strict=True)
    }
    counts = Cutflow.empty(("all",))
    known = (Entries(), len(rows), 0.0, LuminositySections(), counts)
    result = DatasetResult(*known, candidates=Columns(arrays))
    return {"out": {dataset: result}, "metrics": {}}


def written(outputs, folder, datasets="AB"):
    """Rows of the written tables, by dataset."""
    tables = CandidateTables()
    for each in outputs:
        taken = tables.take(each)
        # what the others are added to has everything else
        assert all(result.candidates is None for result in taken["out"].values())
        assert taken["metrics"] == {}
    files = {name: folder / "candidates" / f"{name}.parquet" for name in datasets}
    tables.write(files)
    return {name: pq.read_table(file) for name, file in files.items()}


@pytest.mark.parametrize("large", [1, 300, 2**20])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=PARTS)
def test_rows_are_sorted_and_whole(parts, large, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(candidate_tables, "_LARGE", large)
    monkeypatch.setattr(columns, "_ROWS", 7)
    tables = written((output(*part) for part in parts), tmp_path_factory.mktemp("run"))
    for dataset, table in tables.items():
        rows = [row for name, of_chunk, _ in parts if name == dataset for row in of_chunk]
        # sorted by run, event, mass and file; rows that agree in these may stand in any order
        got = list(zip(*table.to_pydict().values(), strict=True))
        assert [row[:4] for row in got] == [row[:4] for row in sorted(rows, key=lambda r: r[:4])]
        assert sorted(got) == sorted(rows)
        assert table.schema.names == list(NAMES)


def test_numbers_have_the_type_that_holds_all(tmp_path, monkeypatch):
    monkeypatch.setattr(candidate_tables, "_LARGE", 1)
    row = (1, 2**40, 1.1, "a.root", "barrel", True, 0.5)
    other = (2, 2**30, 1.1, "a.root", "barrel", True, 3)
    outputs = [
        output("A", [row], (np.int64, np.float64, np.float64)),
        output("A", [other], (np.int32, np.float32, np.int32)),
    ]
    table = written(outputs, tmp_path, "A")["A"]
    assert [str(kind) for kind in table.schema.types[1:3]] == ["int64", "double"]
    assert table["event"].to_pylist() == [2**40, 2**30]
    assert table["mass"].to_pylist() == [1.1, float(np.float32(1.1))]
    assert table["x"].to_pylist() == [0.5, 3.0]


def test_dataset_without_a_result_has_an_empty_table(tmp_path):
    row = (1, 1, 1.5, "a.root", "barrel", True, 0)
    tables = written([output("A", [row])], tmp_path)
    assert tables["B"].num_rows == 0
    assert tables["B"].schema == tables["A"].schema


def test_analysis_without_tables_writes_none(tmp_path):
    CandidateTables().write({"A": tmp_path / "candidates" / "A.parquet"})
    assert not (tmp_path / "candidates").exists()


def test_without_a_disk_tables_stay_in_memory(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(candidate_tables, "_LARGE", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    rows = [(run, 1, 1.5, "a.root", "barrel", True, 0) for run in range(50)]
    with caplog.at_level(logging.WARNING):
        table = written((output("A", [row]) for row in reversed(rows)), tmp_path, "A")["A"]
    assert table["run"].to_pylist() == list(range(50))
    assert caplog.messages == [
        "the tables of candidates stay in memory, since temporary files cannot be written "
        "(No such file or directory)"
    ]


def test_disk_that_is_full_loses_no_row(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(candidate_tables, "_LARGE", 1)
    tables, rows = CandidateTables(), [(n, 1, 1.5, "a.root", "barrel", True, 0) for n in range(20)]
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, usual[1]))  # in the middle of a row
    try:
        for row in rows:
            tables.take(output("A", [row]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert "temporary files cannot be written (File too large)" in caplog.text
    path = tmp_path / "candidates" / "A.parquet"
    tables.write({"A": path})
    table = pq.read_table(path)
    assert list(zip(*table.to_pydict().values(), strict=True)) == rows
