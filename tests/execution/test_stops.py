"""What ends a run, and what does not: a bug does at once, a worker that dies does not."""

import asyncio
import contextlib
import os
import re
import signal
import textwrap
import threading
import time
from functools import partial

import pytest
from distributed import Status
from distributed.process import AsyncProcess

from bphcoffea.datasets import Fileset, load_fileset
from bphcoffea.datasets.file_check import inspect
from bphcoffea.execution import Options, engine, file_opening, load_analysis, run
from bphcoffea.execution.bugs import BugError
from bphcoffea.execution.executors import dask_cluster as cluster
from bphcoffea.storage.servers import ONCE

ANALYSIS = """
    import os, time
    from pathlib import Path
    from bphcoffea.analysis import Analysis, Candidates, Cut, Selection, Variable
    from bphcoffea.inputs import TwoMuTrackSchema

    chi2 = Variable("chi2", lambda events: events.Triplet.vertex.chi2)

    class Watched(Analysis):
        schema = TwoMuTrackSchema
        candidates = Candidates("Triplet", best=chi2)
        selection = Selection(Cut("vertex", chi2 >= 0))

        def prepare(self, events):
            if "entrystart" in events.metadata:
                folder = Path(os.environ["WATCHED"])
                (folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()
                BODY
            return super().prepare(events)
"""


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """An analysis that leaves a file named after its process for each chunk."""
    seen = tmp_path / "seen"
    seen.mkdir()
    monkeypatch.setenv("WATCHED", str(seen))

    def watched(body):
        path = tmp_path / "watched.py"
        path.write_text(textwrap.dedent(ANALYSIS).replace("BODY", body))
        return load_analysis(str(path)), seen

    return watched


@pytest.fixture(scope="module")
def fileset(shared_folders):
    """Two datasets of two files each: 60 chunks of 25 events, or 18 of 90 or less."""
    toys = load_fileset(shared_folders.toys("ds_phipi", 1500, 2) / "fileset.json")
    return Fileset({name: toys[name] for name in ("toy_2017", "toy_2018")})


@pytest.mark.parametrize("executor", ["iterative", "futures", "dask"])
def test_bug_ends_the_run_before_the_other_chunks(executor, watched, fileset, tmp_path):
    analysis, seen = watched("time.sleep(0.1); events.Triplet.vertex.chi3")
    options = Options(executor, workers=2, chunksize=25)
    with pytest.raises(BugError) as raised:
        run(analysis, fileset, tmp_path / "run", options)
    bug = raised.value.bug
    assert bug.error == "AttributeError: no field named 'chi3'"
    found = (bug.file, bug.function, bug.in_analysis)
    assert found == (str(tmp_path / "watched.py"), "prepare", True)
    assert bug.source == "time.sleep(0.1); events.Triplet.vertex.chi3"
    assert re.fullmatch(r"dataset '\w+', \S+\.root, entries \d+-\d+", bug.chunk)
    assert "Traceback" in bug.traceback
    assert len(list(seen.iterdir())) < 60 / 2
    assert not (tmp_path / "run" / "ledger.json").exists()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Dask's and loky's, of workers that die
@pytest.mark.parametrize("executor", ["futures", "dask"])
def test_workers_that_are_killed_one_after_the_other_lose_nothing(
    executor, watched, fileset, tmp_path
):
    analysis, _ = watched("pass")
    expected = run(analysis, fileset, tmp_path / "alone", Options("iterative"))
    # long enough for workers to be killed while they work
    analysis, seen = watched("time.sleep(0.2)")
    killed, others = [], {os.getpid()}

    def kill():
        deadline = time.monotonic() + 100
        while len(killed) < 5 and time.monotonic() < deadline:
            working = {int(path.name.partition("-")[0]) for path in seen.iterdir()}
            for process in list(working - others)[:1]:
                others.add(process)
                with contextlib.suppress(ProcessLookupError):  # it ended with another one
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
            time.sleep(0.2)

    killer = threading.Thread(target=kill)
    killer.start()
    options = Options(executor, workers=2, chunksize=40)
    folder = run(analysis, fileset, tmp_path / "run", options)
    killer.join()
    assert len(killed) == 5
    assert folder.complete
    assert folder.cutflow == expected.cutflow
    for dataset in expected.cutflow:
        assert folder.candidates(dataset).equals(expected.candidates(dataset))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Dask's, of each worker that dies
@pytest.mark.parametrize(("executor", "killed"), [("futures", 3), ("dask", 4)])
def test_chunk_that_kills_its_workers_is_recorded(executor, killed, watched, fileset, tmp_path):
    first = next(iter(fileset["toy_2018"].files))
    here = f"(events.metadata['filename'], events.metadata['entrystart']) == ({first!r}, 90)"
    analysis, _ = watched(f"{here} and os.kill(os.getpid(), 9)")
    options = Options(executor, workers=2, chunksize=90)
    folder = run(analysis, fileset, tmp_path / "run", options)
    ledger = folder.read("ledger.json")
    (failure,) = ledger["failed"]
    assert (failure["file"], failure["start"], failure["stop"]) == (first, 90, 180)
    assert failure["attempts"] == killed
    assert "out of memory, or a crash" in failure["error"]
    assert ledger["processed_events"] == ledger["expected_events"] - 90
    assert not folder.complete


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_merge_that_is_blamed_for_its_worker_is_made_again(tmp_path):
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    with engine("dask", 2) as running:
        total, _ = running.executor(list(range(45)), partial(Deadly, deaths), None)
    assert total.value == sum(range(45))
    assert len(list(deaths.iterdir())) == 6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_merge_that_kills_every_worker_is_made_by_the_client():
    with engine("dask", 2) as running:
        executor = running.executor.copy(treereduction=6)
        total, _ = executor(list(range(8)), partial(DeadlyElsewhere, os.getpid()), None)
    assert total.value == sum(range(8))


class DeadlyElsewhere:
    """A number; to add it kills each process but one."""

    def __init__(self, here, value):
        self.here = here
        self.value = value

    def __add__(self, other):
        if os.getpid() != self.here:
            os.kill(os.getpid(), signal.SIGKILL)
        return DeadlyElsewhere(self.here, self.value + other.value)


def test_merge_for_which_there_is_no_memory_is_made_by_the_client(tmp_path):
    with engine("dask", 2) as running:
        executor = running.executor.copy(treereduction=6)
        items = list(range(60))
        total, _ = executor(items, partial(TooLargeElsewhere, os.getpid(), tmp_path), None)
    assert total.value == sum(items)
    # once the limit is known, nothing above it is merged on a worker
    assert 0 < len(list(tmp_path.iterdir())) < 20


class TooLargeElsewhere:
    """A number; sums of more than four do not fit into any process but one."""

    def __init__(self, here, folder, value, count=1):
        self.here, self.folder, self.value, self.count = here, folder, value, count

    def __add__(self, other):
        count = self.count + other.count
        if os.getpid() != self.here and count > 4:
            (self.folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()
            raise MemoryError
        return TooLargeElsewhere(self.here, self.folder, self.value + other.value, count)


def test_the_scheduler_forgets_chunks_whose_results_are_merged(monkeypatch):
    """Else its memory, which is that of the client of a local cluster, grows with their number."""
    monkeypatch.setattr(cluster, "_BATCH_SIZE", 10)
    monkeypatch.setattr(cluster, "_REMEMBERED", 16)
    remembered = []
    settle = cluster._Work._settle

    def settle_and_look(work, future):
        settle(work, future)
        remembered.append(len(work._client.cluster.scheduler.tasks))

    monkeypatch.setattr(cluster._Work, "_settle", settle_and_look)
    with engine("dask", 2) as running:
        executor = running.executor.copy(treereduction=4)
        total, _ = executor(list(range(300)), int, None)
    assert total == sum(range(300))
    assert max(remembered) < 100


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_items_are_not_tried_for_ever_if_each_kills_its_workers(monkeypatch):
    monkeypatch.setattr(cluster, "_MAX_KILLERS", 1)
    with engine("dask", 2) as running:
        executor = running.executor.copy(if_killed=lambda *what: {what}, halve=lambda _: ())
        failures, _ = executor([1, 2, 3], kill_this_process, set())
    assert {item for item, _, _ in failures} == {1, 2, 3}
    assert sorted(attempts for _, _, attempts in failures) == [0, 0, 4]
    assert sum("not tried, since 1 other " in reason for _, reason, _ in failures) == 2


def kill_this_process(item):
    os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    """A number; to add it kills six processes, and then succeeds."""

    def __init__(self, deaths, value):
        self.deaths = deaths
        self.value = value

    def __add__(self, other):
        if len(list(self.deaths.iterdir())) < 6:
            (self.deaths / str(time.time_ns())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Deadly(self.deaths, self.value + other.value)


@pytest.mark.parametrize("executor", ["iterative", "futures", "dask"])
def test_chunk_for_which_there_is_no_memory_is_recorded(executor, watched, fileset, tmp_path):
    first = next(iter(fileset["toy_2018"].files))
    here = f"(events.metadata['filename'], events.metadata['entrystart']) == ({first!r}, 90)"
    analysis, _ = watched(f"{here} and __import__('numpy').empty(1 << 58)")
    options = Options(executor, workers=2, chunksize=90, retries=ONCE)
    folder = run(analysis, fileset, tmp_path / "run", options)
    (failure,) = folder.read("ledger.json")["failed"]
    assert (failure["file"], failure["start"], failure["stop"]) == (first, 90, 180)
    assert failure["error"].startswith("out of memory; use smaller chunks (Unable to alloc")


def test_file_that_kills_whoever_opens_it_is_recorded(fileset, ds_phipi, tmp_path, monkeypatch):
    first = next(iter(fileset["toy_2018"].files))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # where no file is known
    monkeypatch.setattr(file_opening, "inspect", partial(inspect_or_die, first))
    folder = run(ds_phipi, fileset, tmp_path / "run", Options("futures", workers=2))
    (failure,) = folder.read("ledger.json")["failed"]
    assert (failure["file"], failure["stop"]) == (first, None)
    assert "killed 3 workers" in failure["error"]


def inspect_or_die(deadly, retries, file):
    if file.path == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return inspect(retries, file)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_cluster_that_ends_while_a_worker_is_restarted_is_closed(monkeypatch):
    start = AsyncProcess.start

    async def start_late(process):
        # as after the death of a worker that has just reported
        process._exit_callback.__self__.status = Status.running
        await asyncio.sleep(0.5)
        await start(process)

    with engine("dask", 1) as running:
        (worker,) = running.executor.client.run(os.getpid).values()
        monkeypatch.setattr(AsyncProcess, "start", start_late)
        os.kill(worker, signal.SIGKILL)
        time.sleep(0.1)
