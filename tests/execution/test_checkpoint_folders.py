"""Checkpoints lie in a folder of their own: nothing else at their place is ever removed."""

import contextlib
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import services
from builders import write_fileset
from coffea.processor.executor import WorkItem
from narrow import WIDTH, too_wide

from bphcoffea.datasets import load_fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, run
from bphcoffea.execution.checkpoint_folders import DESCRIPTION, folder_for, list_checkpoints
from bphcoffea.execution.checkpoints import Checkpoints
from bphcoffea.results.folder import claim, writing
from bphcoffea.storage.manifest import lock_of


def keep(place, results, chunks=3):
    """Leave checkpoints of a run at a place."""
    checkpoints = Checkpoints(folder_for(str(place), results), "code", resume=False)
    checkpoints.prepare(results, "mine")
    for start in range(chunks):
        chunk = WorkItem("D", "a.root", "t", start, start + 1, b"")
        checkpoints.save({"out": {}, "metrics": {"entries": 1}}, chunk)
    return checkpoints


@pytest.fixture(params=["local", pytest.param("root", marks=pytest.mark.xrootd)])
def place(request, tmp_path):
    """A place for checkpoints: its URL, and the folder that it is."""
    if request.param == "local":
        folder = tmp_path / "kept"
        folder.mkdir()
        yield str(folder), folder
        return
    with contextlib.ExitStack() as stack:
        served, own = request.getfixturevalue("served")
        server = stack.enter_context(services.xrootd_server(served, own))
        (served / "kept").mkdir()
        (served / "kept").chmod(0o777)
        yield server.url("kept"), served / "kept"


def test_thesis_and_results_at_the_place_survive(place, tmp_path):
    url, folder = place
    others = [folder / name for name in ("thesis.tex", "results/ledger.json")]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    checkpoints = keep(url, tmp_path / "results")
    (kept,) = folder.glob("bphcoffea-*")
    assert len(list(kept.glob("*.pkl.lz4"))) == 3
    about = json.loads((kept / DESCRIPTION).read_text())
    assert (about["results"], about["analysis"]) == (str(tmp_path / "results"), "mine")
    checkpoints.clear()
    assert not kept.exists()
    assert {path.read_text() for path in others} == {"mine"}
    checkpoints.clear()  # nothing there is no fault


def test_other_files_among_the_checkpoints_stay(tmp_path):
    checkpoints = keep(tmp_path / "kept", tmp_path / "results")
    folder = Path(checkpoints.place)
    (folder / "thesis.pkl.lz4").write_text("mine")
    (folder / f"{'0' * 64}.pkl.lz4.{'0' * 32}.part").write_text("left over")
    checkpoints.clear()
    assert {path.name for path in folder.iterdir()} == {"thesis.pkl.lz4", DESCRIPTION}


@pytest.mark.parametrize("place", [".", "results", "results/below", "file://{}/results"])
def test_place_that_is_or_holds_the_results_is_refused(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="cannot hold the checkpoints of a run"):
        folder_for(place.format(tmp_path), "results")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="cannot hold the checkpoints of a run"):
        folder_for("link/results", "results")


@pytest.mark.parametrize(
    "url", ["davs://localhost:1/x", "http://localhost:1/x", "gsiftp://host/x", "s3://bucket/x"]
)
def test_place_where_nothing_can_be_written_is_refused_before_the_run(
    url, tmp_path, dimuon, nanoaod
):
    if url.startswith("s3"):
        with contextlib.suppress(ImportError):
            import s3fs  # noqa: F401

            pytest.skip("s3fs is installed: it would ask Amazon")
    fileset = tmp_path / "fileset.json"
    files = {str(nanoaod / "nano_dimuon.root"): "Events"}
    fileset.write_text(json.dumps({"D": {"files": files, "metadata": {"is_mc": 0, "era": "a"}}}))
    with pytest.raises(InputError, match=f"{url}.*: cannot write checkpoints there") as raised:
        run(dimuon, load_fileset(fileset), tmp_path / "run", Options("iterative", checkpoints=url))
    assert len(str(raised.value).splitlines()) == 1
    assert not list((tmp_path / "run").iterdir())


def test_checkpoints_that_cannot_be_removed_are_a_note(disk, tmp_path, caplog):
    checkpoints = keep(disk.path, tmp_path / "results")
    disk.set_read_only()
    checkpoints.clear()
    (line,) = caplog.messages
    assert line.startswith(f"{checkpoints.place}: ")
    assert "Read-only file system" in line


@pytest.fixture
def given_up(tmp_path):
    """A place with checkpoints of four runs, and other folders."""
    place = tmp_path / "kept"
    states = {"complete": True, "incomplete": False, "no results": None, "running": None}
    for days, (name, complete) in enumerate(states.items(), start=13):
        results = tmp_path / name
        about = Path(keep(place, results).place) / DESCRIPTION
        content = json.loads(about.read_text())
        made = datetime.now(UTC) - timedelta(days=days, hours=1)
        about.write_text(json.dumps(content | {"made": made.isoformat()}))
        if complete is not None:
            with writing(results) as temporary:
                (temporary / "ledger.json").write_text(json.dumps({"complete": complete}))
    for name in ("bphcoffea-0123456789abcdef", "bphcoffea-thesis", "thesis"):
        (place / name).mkdir()
        (place / name / f"{'0' * 64}.pkl.lz4").write_text("mine")
    shutil.copy(about, place / "thesis")
    with claim(tmp_path / "running", overwrite=False):
        assert lock_of(tmp_path / "running", "run").exists()
        yield place


def test_checkpoints_of_runs_that_were_given_up_are_listed(given_up, bphcoffea):
    found = list_checkpoints(str(given_up))
    assert [kept.state for kept in found] == ["running", "no results", "incomplete", "complete"]
    assert [round(kept.age_days) for kept in found] == [16, 15, 14, 13]
    before = sorted(given_up.rglob("*"))
    status, out, _ = bphcoffea("clean", "--checkpoints", given_up)
    assert status == 0
    for kept in found:
        assert f"{kept.place}: checkpoints of {kept.results}" in out
    assert "clean --remove" in out
    assert sorted(given_up.rglob("*")) == before


def test_clean_removes_only_checkpoints_that_nobody_needs(given_up, bphcoffea, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    words = ("clean", "--checkpoints", given_up, "--remove")
    assert bphcoffea(*words, "--older-than", 14)[0] == 0
    assert [kept.state for kept in list_checkpoints(str(given_up))] == ["running", "complete"]
    ended = bphcoffea(*words)
    assert (ended.status, too_wide(ended.out)) == (0, [])
    assert [kept.state for kept in list_checkpoints(str(given_up))] == ["running"]
    assert len(list(given_up.glob("*"))) == 4, "folders of another form stay"
    assert len(list(given_up.glob("*/*.lz4"))) == 6


def test_clean_of_a_server(place, tmp_path, bphcoffea):
    url, folder = place
    keep(url, tmp_path / "results")
    status, out, _ = bphcoffea("clean", "--checkpoints", url, "--remove")
    assert (status, "removed: " in out) == (0, True)
    assert not list(folder.iterdir())
    assert "no checkpoints" in bphcoffea("clean", "--checkpoints", url)[1]
    status, _, err = bphcoffea("clean", "--checkpoints", "gsiftp://host/x")
    assert (status, len(err)) == (2, 1)


def test_next_run_points_out_old_checkpoints(given_up, bphcoffea, tmp_path):
    fileset = write_fileset(tmp_path / "empty.json", {"D": ["/nowhere/a.root"]})
    where = ("-o", tmp_path / "new", "--checkpoints", given_up, "--executor", "iterative")
    _, out, _ = bphcoffea("run", "ds_phipi", fileset, *where)
    (note,) = (line for line in out.splitlines() if "days ago" in line)
    assert "checkpoints of 2 runs that began more than 14 days ago" in note
    assert f"bphcoffea clean --checkpoints {given_up}" in note
