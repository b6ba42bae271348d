"""Skims: what the workers write is what was selected, all of it and once."""

import awkward as ak
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import services

from bphcoffea.datasets import load_fileset
from bphcoffea.execution import Options, run


@pytest.fixture(scope="module")
def toys(shared_folders):
    fileset = load_fileset(shared_folders.toys("ds_phipi", 4000, 3) / "fileset.json")
    return fileset.select(["toy_2017", "toy_ds*"])


@pytest.mark.parametrize("executor", ["iterative", "futures"])
def test_skim_of_events_is_those_that_pass(executor, toys, ds_phipi, tmp_path):
    options = Options(executor, workers=2, chunksize=400, skim=str(tmp_path / "skim"))
    folder = run(ds_phipi, toys, tmp_path / "run", options)
    for dataset, steps in folder.cutflow.items():
        files = sorted((tmp_path / "skim" / dataset).iterdir())
        assert len(files) > 1
        events = ak.concatenate([ak.from_parquet(file) for file in files])
        assert len(events) == steps[-1]["events"] > 0
        table = folder.candidates(dataset).to_pydict()
        order = ak.to_numpy(events.event).argsort()
        best = sorted(zip(table["event"], table["mass"], strict=True))
        assert ak.to_list(events.event[order]) == [event for event, _ in best]
        for masses, (_, mass) in zip(events.Triplet.mass[order].to_list(), best, strict=True):
            assert mass in masses
        assert {"Triplet", "Muon", "Track", "HLT", "run", "lumi"} <= set(events.fields)


@pytest.mark.xrootd
@pytest.mark.parametrize("protocol", ["root", "http"])
def test_skim_of_candidates_is_the_table_on_a_server(protocol, toys, ds_phipi, tmp_path, served):
    folder, run_folder = served
    with services.xrootd_server(folder, run_folder, http=True) as server:
        url = server.url("skim") if protocol == "root" else server.http_url("skim")
        options = Options("futures", workers=2, chunksize=500, skim=url, skim_of="candidates")
        got = run(ds_phipi, toys, tmp_path / "run", options)
    for dataset in got.cutflow:
        files = (folder / "skim" / dataset).iterdir()
        rows = pa.concat_tables(pq.read_table(file) for file in files)
        order = [(name, "ascending") for name in ("run", "lumi", "event", "mass")]
        assert rows.sort_by(order).equals(got.candidates(dataset))


def test_chunk_whose_skim_cannot_be_written_is_recorded(toys, ds_phipi, tmp_path):
    # the target can be written when the run begins, and one of its folders can't
    (tmp_path / "skim").mkdir()
    (tmp_path / "skim" / "toy_2017").write_text("in the way")
    options = Options("iterative", skim=str(tmp_path / "skim"))
    folder = run(ds_phipi, toys, tmp_path / "run", options)
    failed = folder.read("ledger.json")["failed"]
    assert {failure["dataset"] for failure in failed} == {"toy_2017"}
    assert all(str(tmp_path / "skim" / "toy_2017") in failure["error"] for failure in failed)
    assert list((tmp_path / "skim" / "toy_ds_phipi_mc").iterdir())
