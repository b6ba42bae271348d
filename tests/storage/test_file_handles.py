"""Files at a real server are closed when they have been read."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import builders
import pytest
import services
import uproot
from damage import made_again
from services.processes import until

from bphcoffea.results import RunFolder
from bphcoffea.storage.file_handles import KEPT, in_use

TINY = """
from bphcoffea.analysis import Analysis, Candidates, Cut, Selection, Variable
from bphcoffea.inputs import ReducedNanoAODSchema

pt = Variable("pt", lambda events: events.Muon.pt)

class Tiny(Analysis):
    schema = ReducedNanoAODSchema
    candidates = Candidates("Muon", best=pt)
    selection = Selection(Cut("hard", pt > 3))
"""
TIMEOUT = 60


@pytest.fixture
def server(served):
    folder, run_folder = served
    copies(folder, KEPT + 3)
    with services.xrootd_server(folder, run_folder) as running:
        yield running


def copies(folder, number):
    """Write small files, each with a UUID of its own."""
    first = builders.write_nano(folder / "0.root", 5)
    for n in range(1, number):
        made_again(first, folder / f"{n}.root")


def read(url):
    with uproot.open({url: None}, timeout=TIMEOUT) as file:
        return file["Events"]["run"].array()


def is_open(server, number):
    return str(server.folder / f"{number}.root") in server.open_files()


@pytest.mark.xrootd
def test_100_files_are_read_with_64_descriptors_here_and_at_the_server(served, tmp_path):
    folder, run_folder = served
    copies(folder, 100)
    (tmp_path / "tiny.py").write_text(TINY)
    with services.xrootd_server(folder, run_folder, descriptors=64) as server:
        files = {server.url(f"{n}.root"): "Events" for n in range(100)}
        dataset = {"files": files, "metadata": {"is_mc": False, "era": "2018"}}
        (tmp_path / "fileset.json").write_text(json.dumps({"D": dataset}))
        command = [sys.executable, "-m", "bphcoffea", "run", "tiny.py", "fileset.json", "-o", "run"]
        done = subprocess.run(
            ["prlimit", "--nofile=64:64", *command, "--workers", "1"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert RunFolder(tmp_path / "run").cutflow["D"][0]["events"] == 500


@pytest.mark.xrootd
def test_only_the_files_that_were_read_last_stay_open(server):
    for number in (0, 1, *range(KEPT + 1), 0):
        with in_use(server.url(f"{number}.root"), TIMEOUT):
            read(server.url(f"{number}.root"))
    # 1 was read before 2, 3 and 4, and before 0 was read once more
    until(lambda: not is_open(server, 1))
    assert sorted(Path(path).stem for path in server.open_files()) == ["0", "2", "3", "4"]


@pytest.mark.xrootd
def test_a_file_that_fails_is_closed_at_once(server):
    url = server.url("0.root")
    with pytest.raises(uproot.KeyInFileError), in_use(url, TIMEOUT):  # noqa: PT012
        read(url)
        assert is_open(server, 0)
        with uproot.open({url: None}, timeout=TIMEOUT) as file:
            file["nothing"]
    until(lambda: not is_open(server, 0))
    with in_use(url, TIMEOUT):
        assert len(read(url)) == 5


@pytest.mark.xrootd
def test_a_file_that_another_thread_reads_stays_open(server):
    first, *others = (server.url(f"{n}.root") for n in range(KEPT + 3))
    began, end = threading.Event(), threading.Event()

    def elsewhere():
        with in_use(first, TIMEOUT):
            read(first)
            began.set()
            end.wait()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    began.wait()
    with in_use(first, TIMEOUT):
        read(first)
    for url in others:
        with in_use(url, TIMEOUT):
            read(url)
    until(lambda: len(server.open_files()) == KEPT + 1)
    assert is_open(server, 0)
    end.set()
    thread.join()
    # it is unused from now on, and so the newest of those
    until(lambda: len(server.open_files()) == KEPT)
    assert is_open(server, 0)
