"""Files that fail while they are read: tried again, read elsewhere, or recorded; never lost."""

import shutil
import tempfile
import threading
from pathlib import Path

import pytest
import services
import uproot
from damage import corrupt_basket

from bphcoffea.datasets import Fileset, load
from bphcoffea.datasets.storage import ONCE, Retries
from bphcoffea.execution import Options, run
from bphcoffea.toys import TOYS

QUICK = Retries(attempts=3, wait_s=0.05)
METADATA = {"is_mc": False, "era": "2017D"}


def fileset_of(files):
    return Fileset.model_validate({"D": {"files": files, "metadata": METADATA}})


def counts(folder):
    return [(row["events"], row["candidates"]) for row in folder.cutflow["D"]]


@pytest.fixture
def files(data, tmp_path):
    """A sound file, and a copy of it with a corrupt basket."""
    sound = shutil.copy(data / "tree3mu_phipi_2017.root", tmp_path / "sound.root")
    bad = corrupt_basket(Path(sound), tmp_path / "damaged.root", "Triplet2_Mass")
    return Path(sound), bad


@pytest.mark.parametrize("executor", ["iterative", "futures", "dask"])
def test_corrupt_basket_is_recorded_and_the_rest_goes_on(executor, files, ds_phipi, tmp_path):
    sound, bad = files
    fileset = fileset_of({str(f): "Tree3Mu/ntuple" for f in files})
    options = Options(executor, workers=2, retries=QUICK)
    folder = run(ds_phipi, fileset, tmp_path / "run", options)
    ledger = folder.read("ledger.json")
    assert not folder.complete
    assert (ledger["expected_events"], ledger["processed_events"]) == (600, 300)
    (failure,) = ledger["failed"]
    assert (failure["file"], failure["start"], failure["stop"]) == (str(bad), 0, 300)
    assert failure["attempts"] == 3
    assert failure["error"]
    only = fileset_of({str(sound): "Tree3Mu/ntuple"})
    assert counts(folder) == counts(run(ds_phipi, only, tmp_path / "only", Options("iterative")))


def test_replica_is_read_where_the_file_is_corrupt(files, ds_phipi, tmp_path):
    sound, bad = files
    entry = {"object_path": "Tree3Mu/ntuple", "replicas": [str(sound)]}
    folder = run(
        ds_phipi,
        fileset_of({str(bad): entry}),
        tmp_path / "run",
        Options("iterative", retries=ONCE),
    )
    assert folder.complete
    (detour,) = folder.read("ledger.json")["detours"]
    assert (detour["file"], detour["used"], detour["attempts"]) == (str(bad), str(sound), 2)
    only = fileset_of({str(sound): "Tree3Mu/ntuple"})
    assert counts(folder) == counts(run(ds_phipi, only, tmp_path / "only", Options("iterative")))


def test_replica_is_opened_where_the_file_is_missing(files, ds_phipi, tmp_path):
    sound, _ = files
    entry = {"object_path": "Tree3Mu/ntuple", "replicas": ["/nowhere/b.root", str(sound)]}
    fileset = fileset_of({"/nowhere/a.root": entry})
    folder = run(ds_phipi, fileset, tmp_path / "run", Options("iterative"))
    assert folder.complete
    (detour,) = folder.read("ledger.json")["detours"]
    assert (detour["file"], detour["used"]) == ("/nowhere/a.root", str(sound))
    assert detour["error"] == "no such file"
    assert detour["attempts"] == 3


def test_replica_that_is_too_short_is_not_taken_for_the_file(files, ds_phipi, tmp_path):
    # coffea reads to the end of a file wherever that is
    sound, bad = files
    with uproot.open(sound) as file:
        arrays = file["Tree3Mu/ntuple"].arrays(entry_stop=120)
    with uproot.recreate(tmp_path / "short.root") as root:
        root.mkdir("Tree3Mu").mkrntuple("ntuple", {name: arrays[name] for name in arrays.fields})
    entry = {"object_path": "Tree3Mu/ntuple", "replicas": [str(tmp_path / "short.root")]}
    files = {str(bad): entry, str(sound): "Tree3Mu/ntuple"}
    options = Options("iterative", chunksize=150, retries=ONCE)
    folder = run(ds_phipi, fileset_of(files), tmp_path / "run", options)
    errors = [failure["error"] for failure in folder.read("ledger.json")["failed"]]
    assert len(errors) == 2
    assert "the file ends early: 120 of 150 entries are there" in errors[0]
    assert "the file ends before the entries begin" in errors[1]
    assert folder.cutflow["D"][0]["events"] == 300


def test_status_tells_what_is_missing(files, ds_phipi, tmp_path, capsys, monkeypatch):
    import sys

    from bphcoffea import cli

    fileset = fileset_of({str(f): "Tree3Mu/ntuple" for f in files})
    run(ds_phipi, fileset, tmp_path / "run", Options("iterative", retries=ONCE))
    monkeypatch.setattr(sys, "argv", ["bphcoffea", "status", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 3
    out = capsys.readouterr().out
    assert f"dataset 'D', {files[1]}, entries 0-300: FAILED after 1 tries: " in out
    assert "300 of 600 events" in out
    assert "INCOMPLETE" in out


def test_metrics_tell_what_each_dataset_file_and_worker_did(files, ds_phipi, tmp_path):
    sound, _ = files
    options = Options("iterative", chunksize=100)
    folder = run(ds_phipi, fileset_of({str(sound): "Tree3Mu/ntuple"}), tmp_path / "run", options)
    metrics = folder.read("metrics.json")
    for kind in ("by_dataset", "by_file", "by_worker"):
        (tally,) = metrics[kind].values()
        assert (tally["chunks"], tally["events"]) == (3, 300)
        assert tally["bytes_read"] > 0
        assert tally["cpu_s"] > 0
    assert metrics["events"] == 300
    assert metrics["peak_rss_mb"] > 50


@pytest.fixture
def served():
    """A folder that user nobody can read, and one for the server's own files."""
    why_not = services.why_no_xrootd()
    if why_not:
        pytest.skip(why_not)
    with tempfile.TemporaryDirectory(prefix="xrootd-") as top:
        Path(top).chmod(0o755)
        for name in ("served", "run"):
            Path(top, name).mkdir(mode=0o755)
        yield Path(top, "served"), Path(top, "run")


@pytest.mark.xrootd
@pytest.mark.parametrize("executor", ["iterative", "futures", "dask"])
def test_server_that_dies_and_comes_back_loses_nothing(executor, served, ds_phipi, tmp_path):
    folder, run_folder = served
    toys = load(TOYS["ds_phipi"](tmp_path / "toys", 4000, 5))
    source = next(iter(toys["toy_2017"].files))
    for number in range(40):
        shutil.copy(source, folder / f"{number:02}.root")
    local = fileset_of({str(folder / f"{n:02}.root"): "Tree3Mu/ntuple" for n in range(40)})
    expected = run(ds_phipi, local, tmp_path / "local", Options("iterative"))
    server = services.RestartableServer(folder, run_folder)
    remote = fileset_of({server.url(f"{n:02}.root"): "Tree3Mu/ntuple" for n in range(40)})
    # 40 files are opened with a tenth of their bytes, then read
    size = sum(path.stat().st_size for path in folder.iterdir())
    outage = threading.Thread(target=server.outage, args=(0.3 * size, 3.0))
    with server:
        outage.start()
        options = Options(executor, workers=2, retries=Retries(attempts=6, wait_s=1.0))
        got = run(ds_phipi, remote, tmp_path / "remote", options)
        outage.join()
        read_again = server.bytes_read()
    assert server.outages == 1
    assert read_again > 0.1 * size, "the outage came too late: it tested nothing"
    assert got.complete, got.read("ledger.json")["failed"]
    assert got.cutflow == expected.cutflow
    assert got.candidates("D").equals(expected.candidates("D"))
