"""Files that fail while they are read: tried again, read elsewhere, or recorded; never lost."""

import json
import shutil
import socket
import textwrap
import threading
import time
from pathlib import Path

import awkward as ak
import pytest
import services
import uproot
from builders import (
    candidates_at_any_place,
    fileset_content,
    fileset_of,
    write_fileset,
    write_tree3mu,
)
from damage import corrupt_basket, forge_entries, made_again

from bphcoffea import reading
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, chunks, load_analysis, run
from bphcoffea.results import RunFolder
from bphcoffea.storage.servers import ONCE, Retries

QUICK = Retries(attempts=3, wait_s=0.05)


def counts(folder):
    return [(row["events"], row["candidates"]) for row in folder.cutflow["D"]]


@pytest.fixture
def files(data, tmp_path):
    """A sound file, and a copy of it with a corrupt basket."""
    sound = Path(shutil.copy(data / "tree3mu_phipi_2017.root", tmp_path / "sound.root"))
    other = made_again(sound, tmp_path / "other.root")
    return sound, corrupt_basket(other, tmp_path / "damaged.root", "Triplet2_Mass")


@pytest.mark.parametrize("executor", ["iterative", "futures", "dask"])
def test_corrupt_basket_is_recorded_and_the_rest_goes_on(executor, files, ds_phipi, tmp_path):
    sound, bad = files
    fileset = fileset_of({str(f): "Tree3Mu/ntuple" for f in files})
    options = Options(executor, workers=1, retries=QUICK)
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
    sound, _ = files
    bad = corrupt_basket(sound, tmp_path / "corrupt.root", "Triplet2_Mass")
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
    sound, bad = files
    with uproot.open(sound) as file:
        arrays = file["Tree3Mu/ntuple"].arrays(entry_stop=120)
    write_tree3mu(tmp_path / "short.root", {name: arrays[name] for name in arrays.fields})
    with_uuid_of(bad, tmp_path / "short.root")
    entry = {"object_path": "Tree3Mu/ntuple", "replicas": [str(tmp_path / "short.root")]}
    files = {str(bad): entry, str(sound): "Tree3Mu/ntuple"}
    options = Options("iterative", chunksize=150, retries=ONCE)
    folder = run(ds_phipi, fileset_of(files), tmp_path / "run", options)
    errors = [failure["error"] for failure in folder.read("ledger.json")["failed"]]
    assert len(errors) == 2
    assert "the file ends early, after 120 of 150 entries" in errors[0]
    assert "the file ends early, after 0 of 150 entries" in errors[1]
    assert folder.cutflow["D"][0]["events"] == 300


def with_uuid_of(source, target):
    """Give a file the UUID of another."""
    found = []
    for path in (source, target):
        with uproot.open(path) as root:
            found.append(root.file.uuid.bytes)
    wanted, own = found
    target.write_bytes(target.read_bytes().replace(own, wanted))


def test_replica_that_is_another_file_is_not_taken_for_the_file(files, plain, ds_phipi, tmp_path):
    _, bad = files
    entry = {"object_path": "Tree3Mu/ntuple", "replicas": [str(plain)]}
    sound = {str(files[0]): "Tree3Mu/ntuple"}
    fileset = fileset_of({str(bad): entry} | sound)
    folder = run(ds_phipi, fileset, tmp_path / "run", Options("iterative", retries=ONCE))
    (failure,) = folder.read("ledger.json")["failed"]
    assert failure["file"] == str(bad)
    assert f"{plain}: the file differs from the one that was checked before" in failure["error"]


def test_status_tells_what_is_missing(files, ds_phipi, tmp_path, bphcoffea):
    fileset = fileset_of({str(f): "Tree3Mu/ntuple" for f in files})
    run(ds_phipi, fileset, tmp_path / "run", Options("iterative", retries=ONCE))
    status, out, _ = bphcoffea("status", tmp_path / "run")
    assert status == 3
    assert f"dataset 'D', {files[1]}, entries 0-300: FAILED after 1 try: " in out
    assert "300 of 600 events" in out
    assert "INCOMPLETE" in out


def test_metrics_tell_what_each_dataset_file_and_worker_did(files, ds_phipi, tmp_path):
    sound, _ = files
    options = Options("iterative", chunksize=100)
    folder = run(ds_phipi, fileset_of({str(sound): "Tree3Mu/ntuple"}), tmp_path / "run", options)
    metrics = folder.read("metrics.json")
    for kind in ("by_dataset", "by_file", "by_site", "by_worker"):
        (tally,) = metrics[kind].values()
        assert (tally["chunks"], tally["events"]) == (3, 300)
        assert tally["bytes_read"] > 0
        assert tally["cpu_s"] > 0
        assert 0 < tally["input_s"] < tally["input_s"] + tally["processor_s"] <= tally["wall_s"]
    assert metrics["events"] == 300
    assert metrics["peak_rss_mb"] > 50
    rows = folder.chunks.to_pylist()
    assert [(row["file"], row["start"], row["stop"]) for row in rows] == [
        (str(sound), start, start + 100) for start in (0, 100, 200)
    ]
    for key in ("wall_s", "input_s", "processor_s", "bytes_read"):
        assert sum(row[key] for row in rows) == pytest.approx(tally[key])


SLOW = """
    import time
    from bphcoffea.analysis import Analysis, Candidates, Cut, Selection, Variable
    from bphcoffea.inputs import TwoMuTrackSchema

    chi2 = Variable("chi2", lambda events: events.Triplet.vertex.chi2)

    class Slow(Analysis):
        schema = TwoMuTrackSchema
        candidates = Candidates("Triplet", best=chi2)
        selection = Selection(Cut("vertex", chi2 >= 0))

        def prepare(self, events):
            time.sleep(0.2)
            return super().prepare(events)
"""


def test_time_in_the_processor_is_told_from_time_in_the_input(files, tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW))
    slow = load_analysis(str(tmp_path / "slow.py"))
    fileset = fileset_of({str(files[0]): "Tree3Mu/ntuple"})
    opened = uproot.open

    def slowly(*arguments, **options):
        time.sleep(0.3)
        return opened(*arguments, **options)

    folder = run(slow, fileset, tmp_path / "run", Options("iterative", overwrite=True))
    (row,) = folder.chunks.to_pylist()
    assert 0.2 < row["processor_s"] < row["wall_s"]
    assert row["input_s"] < row["wall_s"] - 0.2
    monkeypatch.setattr(uproot, "open", slowly)
    reading.forget(str(files[0]))
    folder = run(slow, fileset, tmp_path / "run", Options("iterative", overwrite=True))
    (row,) = folder.chunks.to_pylist()
    assert row["input_s"] > 0.3
    read = reading.OpenedFile.read

    def slowly_read(*arguments):
        time.sleep(0.3)
        return read(*arguments)

    monkeypatch.setattr(uproot, "open", opened)
    monkeypatch.setattr(reading.OpenedFile, "read", slowly_read)
    folder = run(slow, fileset, tmp_path / "run", Options("iterative", overwrite=True))
    (row,) = folder.chunks.to_pylist()
    assert row["input_s"] > 0.3


@pytest.fixture(scope="module")
def copies(shared_folders, ds_phipi, tmp_path_factory):
    """Ten files that are large enough to take their time, and the run that reads them here."""
    toy_file = shared_folders.toys("ds_phipi", 4000, 3) / "toy_2017_0.root"
    folder = tmp_path_factory.mktemp("copies")
    paths = [made_again(toy_file, folder / f"{number:02}.root") for number in range(10)]
    fileset = fileset_of({str(path): "Tree3Mu/ntuple" for path in paths})
    return paths, run(ds_phipi, fileset, folder / "run", Options("iterative"))


@pytest.mark.xrootd
@pytest.mark.parametrize(
    ("executor", "protocol", "attempts"),
    # without patience, two attempts would end long before the server is back
    [("futures", "root", 6), ("dask", "root", 6), ("futures", "http", 2)],
)
def test_server_that_dies_and_comes_back_loses_nothing(
    executor, protocol, attempts, served, copies, ds_phipi, tmp_path
):
    folder, run_folder = served
    paths, expected = copies
    for path in paths:
        shutil.copy(path, folder)
    server = services.RestartableServer(folder, run_folder, http=True)
    url = server.url if protocol == "root" else server.http_url
    remote = fileset_of({url(path.name): "Tree3Mu/ntuple" for path in paths})
    # the files are opened with a tenth of their bytes, then read
    size = sum(path.stat().st_size for path in folder.iterdir())
    outage = threading.Thread(target=server.outage, args=(0.3 * size, 3.0))
    with server:
        outage.start()
        options = Options(executor, workers=2, retries=Retries(attempts=attempts, wait_s=0.5))
        got = run(ds_phipi, remote, tmp_path / "remote", options)
        outage.join()
        read_again = server.bytes_read()
    assert server.outages == 1
    assert read_again > 0.1 * size, "the outage came too late: it tested nothing"
    assert got.complete, got.read("ledger.json")["failed"]
    assert got.cutflow == expected.cutflow
    assert candidates_at_any_place(got).equals(candidates_at_any_place(expected))


@pytest.mark.xrootd
def test_server_that_falls_silent_is_told_and_the_run_goes_on_later(
    served, copies, ds_phipi, tmp_path
):
    folder, run_folder = served
    paths, whole = copies
    for path in paths:
        shutil.copy(path, folder)
    kept = {"executor": "dask", "workers": 2, "checkpoints": str(tmp_path / "kept")}
    impatient = Retries(attempts=1, timeout_s=2)
    with services.RestartableServer(folder, run_folder) as server:
        fileset = fileset_of({server.url(path.name): "Tree3Mu/ntuple" for path in paths})

        def freeze():
            while len(list((tmp_path / "kept").glob("*/*.lz4"))) < 3:
                time.sleep(0.01)
            server.freeze()

        freezing = threading.Thread(target=freeze, daemon=True)
        freezing.start()
        options = Options(**kept, retries=impatient)
        cut_off = run(ds_phipi, fileset, tmp_path / "run", options).read("ledger.json")
        freezing.join()
        assert 0 < len(cut_off["failed"]) < 10, "silent too late: it tested nothing"
        assert all("does not answer" in failure["error"] for failure in cut_off["failed"])
        server.thaw()
        options = Options(**kept, resume=True)
        resumed = run(ds_phipi, fileset, tmp_path / "run", options)
    assert resumed.complete
    assert {row["file"] for row in resumed.chunks.to_pylist()} == {
        failure["file"] for failure in cut_off["failed"]
    }
    assert resumed.cutflow == whole.cutflow
    assert candidates_at_any_place(resumed).equals(candidates_at_any_place(whole))


@pytest.fixture
def silent():
    """URL of a file on a server that accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        yield f"root://127.0.0.1:{listening.getsockname()[1]}//a.root"


@pytest.fixture
def five_bad_files(data, tmp_path, silent):
    """Two sound files, five that can't be read, each in its own way, and how to mend those."""
    sound = data / "tree3mu_phipi_2017.root"
    content = sound.read_bytes()
    paths = {kind: tmp_path / f"{kind}.root" for kind in ("truncated", "missing", "html")}
    for name in ("sound", "other"):
        paths[name] = made_again(sound, tmp_path / f"{name}.root")
    paths["truncated"].write_bytes(content[: len(content) // 2])
    paths["html"].write_text("<!DOCTYPE html><html><body>Please log in</body></html>" * 20)
    again = made_again(sound, tmp_path / "again.root")
    paths["corrupt"] = corrupt_basket(again, tmp_path / "corrupt.root", "Triplet2_Mass")
    paths = {name: str(path) for name, path in paths.items()} | {"silent": silent}
    order = ("sound", "truncated", "missing", "corrupt", "html", "silent", "other")
    known = {"object_path": "Tree3Mu/ntuple", "num_entries": 300}
    files = {paths[name]: known if name == "silent" else known["object_path"] for name in order}

    def mended():
        for name in ("truncated", "missing", "corrupt", "html"):
            made_again(sound, Path(paths[name]))
        # a silent server can't be mended here, but the fileset may name another one
        return files | {silent: known | {"replicas": [str(made_again(sound, tmp_path / "r.root"))]}}

    return paths, files, mended


@pytest.mark.slow
def test_five_ways_not_to_be_read_are_told_and_mended(five_bad_files, ds_phipi, tmp_path, caplog):
    paths, files, mended = five_bad_files
    kept = str(tmp_path / "kept")
    options = {"executor": "dask", "workers": 1, "chunksize": 100, "checkpoints": kept}
    impatient = Retries(attempts=2, wait_s=0.05, timeout_s=2)
    folder = run(
        ds_phipi, fileset_of(files), tmp_path / "run", Options(**options, retries=impatient)
    )
    assert "4 of 7 files cannot be opened" in caplog.text
    ledger = folder.read("ledger.json")
    assert not ledger["complete"]
    failed = {}
    for failure in ledger["failed"]:
        assert failure["dataset"] == "D"
        failed.setdefault(failure["file"], []).append(failure)
    reasons = {
        "truncated": ("truncated", [(0, None)]),
        "missing": ("no such file", [(0, None)]),
        "html": ("not a ROOT file: it begins with b'<!DO'", [(0, None)]),
        "silent": ("the server does not answer", [(0, 300)]),
        "corrupt": ("", [(0, 100), (100, 200), (200, 300)]),
    }
    assert set(failed) == {paths[name] for name in reasons}
    for name, (reason, ranges) in reasons.items():
        entries = failed[paths[name]]
        assert [(entry["start"], entry["stop"]) for entry in entries] == ranges
        assert all(entry["error"].startswith(reason) and entry["error"] for entry in entries)
        assert all(entry["attempts"] >= 1 for entry in entries)
    # sound, other, corrupt and silent: the length of the other three is not known
    assert (ledger["expected_events"], ledger["processed_events"]) == (1200, 600)
    assert ledger["uncounted_files"] == ledger["datasets"]["D"]["uncounted_files"] == 3
    two = {paths[name]: "Tree3Mu/ntuple" for name in ("sound", "other")}
    only = run(ds_phipi, fileset_of(two), tmp_path / "only", Options("iterative"))
    assert counts(folder) == counts(only)
    assert folder.candidates("D").equals(only.candidates("D"))

    whole = fileset_of(mended())
    resumed = run(
        ds_phipi, whole, tmp_path / "run", Options(**options, retries=impatient, resume=True)
    )
    assert resumed.complete
    clean = run(ds_phipi, whole, tmp_path / "clean", Options("iterative", retries=impatient))
    assert resumed.cutflow == clean.cutflow
    assert resumed.candidates("D").equals(clean.candidates("D"))
    assert resumed.read("metrics.json")["chunks_resumed"] == 6
    read = {row["file"] for row in resumed.chunks.to_pylist()}
    assert read == {paths[name] for name in reasons}


def test_run_that_could_not_open_a_file_ends_with_3(files, tmp_path, bphcoffea, caplog):
    sound, _ = files
    path = tmp_path / "fileset.json"
    write_fileset(path, {"D": [sound, "none.root"]})
    words = ["run", "ds_phipi", path, "-o", tmp_path / "run", "--executor", "iterative"]
    for command in (words, ["status", tmp_path / "run"]):
        ended = bphcoffea(*command)
        assert ended.status == 3
        out, err = ended.out, ended.err
        assert f"dataset 'D', {tmp_path}/none.root, all entries: FAILED after 1 try: no such" in out
        assert "1 whole file" in out
        assert "INCOMPLETE" in out
        assert ("1 of 2 files cannot be opened" in "".join(err) + caplog.text) == (command is words)
        caplog.clear()


def test_a_dataset_of_which_nothing_was_read_stays_in_the_results(files, tmp_path, bphcoffea):
    sound, _ = files
    content = fileset_content({"D": [sound], "lost": ["none.root"], "lost_mc": ["nor.root"]})
    content["lost_mc"]["metadata"] |= {"is_mc": True, "cross_section": 1.0}
    path, folder = tmp_path / "fileset.json", tmp_path / "run"
    path.write_text(json.dumps(content))
    ended = bphcoffea("run", "ds_phipi", path, "-o", folder, "--executor", "iterative", "--unblind")
    assert ended.status == 3
    assert "INCOMPLETE: 300 of 300 events, 2 files unread, in" in ended.out
    cutflow = RunFolder(folder).cutflow
    for name in ("lost", "lost_mc"):
        assert [row["step"] for row in cutflow[name]] == [row["step"] for row in cutflow["D"]]
        assert {row["events"] for row in cutflow[name]} == {0}
    # nobody knows which part of the data was read
    assert RunFolder(folder).read("luminosity.json")["luminosity"] is None
    for command in ("report", "lumi"):
        assert bphcoffea(command, folder).status == 0
    assert bphcoffea("fit", folder, "--dataset", "lost").err == (
        f"bphcoffea: error: {folder}: the histogram 'mass' is empty in 1.65-2.01 GeV for lost: "
        "nothing to fit\n"
    )


def test_steps_tell_the_range_of_a_file_that_cannot_be_opened(files, ds_phipi, tmp_path):
    steps = {"object_path": "Tree3Mu/ntuple", "steps": [[0, 10], [50, 70]]}
    fileset = fileset_of({str(files[0]): "Tree3Mu/ntuple", "/nowhere/a.root": steps})
    ledger = run(ds_phipi, fileset, tmp_path / "run", Options("iterative")).read("ledger.json")
    assert [(entry["start"], entry["stop"]) for entry in ledger["failed"]] == [(0, 10), (50, 70)]
    assert (ledger["expected_events"], ledger["processed_events"]) == (330, 300)
    assert ledger["uncounted_files"] == 0


def test_file_cut_short_is_read_at_its_replica(files, ds_phipi, tmp_path):
    sound, _ = files
    cut = tmp_path / "cut.root"
    cut.write_bytes(sound.read_bytes()[:-3])
    entry = {"object_path": "Tree3Mu/ntuple", "replicas": [str(sound)]}
    folder = run(ds_phipi, fileset_of({str(cut): entry}), tmp_path / "run", Options("iterative"))
    assert folder.complete
    (detour,) = folder.read("ledger.json")["detours"]
    assert (detour["file"], detour["used"]) == (str(cut), str(sound))
    assert detour["error"].startswith("truncated")


@pytest.mark.xrootd
def test_second_redirector_is_used_where_the_first_refuses(served, files, ds_phipi, tmp_path):
    folder, run_folder = served
    names = [f"{number}.root" for number in range(6)]
    for name in names:
        made_again(files[0], folder / name)
    dead = f"root://127.0.0.1:{services.free_port()}/"
    with services.xrootd_server(folder, run_folder) as server:
        entries = {
            f"{dead}/{name}": {"object_path": "Tree3Mu/ntuple", "replicas": [server.url(name)]}
            for name in names
        }
        clock = time.monotonic()
        got = run(ds_phipi, fileset_of(entries), tmp_path / "run", Options("iterative"))
        took = time.monotonic() - clock
        detours = got.read("ledger.json")["detours"]
        assert [(d["file"], d["used"]) for d in detours] == [
            (f"{dead}/{name}", server.url(name)) for name in names
        ]
    assert all("the server does not answer" in detour["error"] for detour in detours)
    # each of them would wait for the dead one by itself: 5 s
    assert took < 25
    assert got.complete
    assert got.cutflow["D"][0]["events"] == 1800
    assert {row["used"] for row in got.chunks.to_pylist()} == {server.url(name) for name in names}
    assert set(got.read("metrics.json")["by_site"]) == {server.url().split("/")[2]}


@pytest.fixture
def plain(data, tmp_path):
    """A file whose tree is not compressed, so that its header can be forged."""
    with uproot.open(data / "tree3mu_phipi_2017.root") as file:
        arrays = file["Tree3Mu/ntuple"].arrays()
    columns = {
        name: ak.to_packed(arrays[name]) for name in arrays.fields if "name" not in name.lower()
    }
    with uproot.recreate(tmp_path / "plain.root") as root:
        root.mktree("Tree3Mu/ntuple", {name: columns[name].type.content for name in columns})
        root["Tree3Mu/ntuple"].extend(columns)
    return tmp_path / "plain.root"


@pytest.mark.parametrize("entries", [1, 10**6, 2**62])
def test_forged_header_is_recorded_and_the_rest_goes_on(entries, files, plain, ds_phipi, tmp_path):
    sound, _ = files
    forged = forge_entries(plain, tmp_path / "forged.root", "Tree3Mu/ntuple", entries)
    fileset = fileset_of({str(f): "Tree3Mu/ntuple" for f in (sound, forged)})
    options = Options("iterative", retries=ONCE)
    folder = run(ds_phipi, fileset, tmp_path / "run", options)
    ledger = folder.read("ledger.json")
    assert (ledger["expected_events"], ledger["processed_events"]) == (300, 300)
    assert ledger["uncounted_files"] == 1
    (failure,) = ledger["failed"]
    assert (failure["file"], failure["stop"]) == (str(forged), None)
    assert f"the tree has {entries} entries, but" in failure["error"]


@pytest.mark.parametrize("executor", ["iterative", "futures"])
def test_the_limit_of_baskets_holds_where_chunks_are_processed(
    executor, files, ds_phipi, tmp_path, monkeypatch
):
    # the tree does not tell the size of each basket: here they are below the limit on the mean
    monkeypatch.setenv("BPHCOFFEA_MAX_BASKET_MB", "1000")
    opened = chunks.open_files

    def open_files(*arguments, **options):
        reports = opened(*arguments, **options)
        monkeypatch.setenv("BPHCOFFEA_MAX_BASKET_MB", "0.001")
        return reports

    monkeypatch.setattr(chunks, "open_files", open_files)
    sound, _ = files
    fileset = fileset_of({str(sound): "Tree3Mu/ntuple"})
    with pytest.raises(InputError, match=r"a basket expands to .* BPHCOFFEA_MAX_BASKET_MB"):
        run(ds_phipi, fileset, tmp_path / "run", Options(executor, workers=1, retries=ONCE))


def test_a_file_that_expands_too_far_is_recorded(files, ds_phipi, tmp_path, monkeypatch):
    sound, _ = files
    with uproot.open(sound) as file:
        arrays = file["Tree3Mu/ntuple"].arrays()
    columns = {name: ak.to_packed(arrays[name]) for name in arrays.fields}
    columns = {name: ak.concatenate([column] * 20) for name, column in columns.items()}
    write_tree3mu(tmp_path / "large.root", columns, compression=uproot.ZSTD(5))
    monkeypatch.setenv("BPHCOFFEA_MAX_BASKET_MB", "0.06")
    fileset = fileset_of({str(f): "Tree3Mu/ntuple" for f in (sound, tmp_path / "large.root")})
    folder = run(ds_phipi, fileset, tmp_path / "run", Options("iterative", retries=ONCE))
    (failure,) = folder.read("ledger.json")["failed"]
    assert failure["file"] == str(tmp_path / "large.root")
    assert "decompressed; the limit is 0.06 MB" in failure["error"]


def test_a_run_tells_once_how_many_files_may_be_damaged_unseen(files, ds_phipi, tmp_path):
    sound, _ = files
    with uproot.open(sound) as file:
        arrays = file["Tree3Mu/ntuple"].arrays()
    columns = {n: arrays[n] for n in arrays.fields}
    write_tree3mu(tmp_path / "a.root", columns, compression=uproot.ZSTD(5))
    made_again(tmp_path / "a.root", tmp_path / "b.root")
    fileset = fileset_of({str(tmp_path / f): "Tree3Mu/ntuple" for f in ("a.root", "b.root")})
    folder = run(ds_phipi, fileset, tmp_path / "run", Options("iterative", chunksize=100))
    (note,) = folder.read("ledger.json")["notes"]
    assert note.startswith("2 of 2 files are stored without checksums")
    assert note.endswith("the checksums of their storage")
