"""The benchmark of many files and chunks works, on few of them; it measures nothing here."""

import json
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_files_and_chunks_are_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import scale

    scale.copies(tmp_path, 2).save(tmp_path / "fileset.json")
    scale.measure("iterative", tmp_path, chunks=4, processed=2)
    row = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (row["files"], row["chunks"]) == (2, 4)
    assert row["warm_ms_per_file"] > 0
    assert row["processed_chunks_per_s"] > 0
