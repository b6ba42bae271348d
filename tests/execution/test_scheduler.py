"""A run on a Dask cluster that is there already, of processes that don't know the analysis."""

import os
import signal
import sys
import textwrap
import threading
import time

import dask
import pytest
import services
from distributed import Client, LocalCluster

from bphcoffea.datasets import Fileset, load_fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, engine, load_analysis, run
from bphcoffea.execution.executors import dask_health as cluster_health
from bphcoffea.execution.executors.dask_cluster import ClusterExecutor
from bphcoffea.storage.servers import Retries

ANALYSIS = """
    from bphcoffea.analysis import Analysis, Candidates, Cut, Selection
    from bphcoffea.inputs import TwoMuTrackSchema
    from quantities import chi2

    class Vertexed(Analysis):
        schema = TwoMuTrackSchema
        candidates = Candidates("Triplet", best=chi2)
        selection = Selection(Cut("vertex", chi2 >= 0))
"""
#: Each takes the place of the base's method.
GREEDY = """
        def prepare(self, events):
            known = events.metadata
            if "toy_2017_0" in known.get("file", "") and known["entrystart"] == 100:
                import time
                held = []
                for _ in range(60):  # 1.2 GB, should nobody end it
                    held.append(b"1" * 20_000_000)
                    time.sleep(0.05)
            return super().prepare(events)
"""
PAUSE = """
        def prepare(self, events):
            import time
            if "entrystart" in events.metadata:
                time.sleep(0.1)
            return super().prepare(events)
"""
QUANTITIES = """
    from bphcoffea.analysis import Variable

    chi2 = Variable("chi2", lambda events: events.Triplet.vertex.chi2)
"""


@pytest.fixture(scope="module")
def fileset(shared_folders):
    """Four files with sixteen chunks of 100 events or fewer."""
    toys = load_fileset(shared_folders.toys("ds_phipi", 1500, 2) / "fileset.json")
    return Fileset({name: toys[name] for name in ("toy_2017", "toy_2018")})


def when_kept(kept, act):
    """Act, in a thread, once the results of three chunks are kept."""

    def wait():
        deadline = time.monotonic() + 60
        while len(list(kept.rglob("*.lz4"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_workers_need_only_the_installed_package(installed, fileset, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "vertexed.py").write_text(textwrap.dedent(ANALYSIS))
    (mine / "quantities.py").write_text(textwrap.dedent(QUANTITIES))
    analysis = load_analysis(str(mine / "vertexed.py"))
    alone = run(analysis, fileset, tmp_path / "alone", Options("iterative"))
    with services.dask_cluster(tmp_path / "cluster", 1, installed) as cluster:
        with Client(cluster.address) as client:
            client.wait_for_workers(1)
            places = client.run(lambda: __import__("bphcoffea").__file__)
            assert all(str(installed.parents[1]) in place for place in places.values())
            assert client.run(lambda: "quantities" in sys.modules) == dict.fromkeys(places, False)
        options = Options("dask", scheduler=cluster.address, chunksize=300)
        together = run(analysis, fileset, tmp_path / "together", options)
    assert together.cutflow == alone.cutflow
    assert together.candidates("toy_2017").equals(alone.candidates("toy_2017"))
    assert together.read("metrics.json")["workers"] == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # Dask's, of each worker that dies
def test_chunk_that_runs_out_of_memory_is_recorded(fileset, tmp_path):
    (tmp_path / "quantities.py").write_text(textwrap.dedent(QUANTITIES))
    (tmp_path / "greedy.py").write_text(textwrap.dedent(ANALYSIS + GREEDY))
    with services.dask_cluster(tmp_path / "cluster", 2, memory="600MB") as cluster:
        options = Options("dask", scheduler=cluster.address, chunksize=100)
        analysis = load_analysis(str(tmp_path / "greedy.py"))
        one = Fileset({"toy_2017": fileset["toy_2017"]})
        folder = run(analysis, one, tmp_path / "run", options)
    ledger = folder.read("ledger.json")
    (failure,) = ledger["failed"]
    assert (failure["dataset"], failure["start"], failure["stop"]) == ("toy_2017", 100, 200)
    assert "killed 4 workers" in failure["error"]
    assert "out of memory" in failure["error"]
    assert ledger["processed_events"] == ledger["expected_events"] - 100 > 0


def test_scheduler_that_dies_is_told_and_the_run_goes_on_later(fileset, tmp_path):
    (tmp_path / "quantities.py").write_text(textwrap.dedent(QUANTITIES))
    (tmp_path / "vertexed.py").write_text(textwrap.dedent(ANALYSIS + PAUSE))
    analysis = load_analysis(str(tmp_path / "vertexed.py"))
    kept = tmp_path / "kept"
    options = {"chunksize": 100, "checkpoints": str(kept)}

    with services.dask_cluster(tmp_path / "cluster") as cluster:
        killer = when_kept(kept, cluster.scheduler.kill)
        with pytest.raises(InputError, match=r"scheduler is gone.*resume the run"):
            run(
                analysis,
                fileset,
                tmp_path / "run",
                Options("dask", scheduler=cluster.address, **options),
            )
        killer.join()
    resumed = run(analysis, fileset, tmp_path / "run", Options("iterative", resume=True, **options))
    assert resumed.complete
    assert resumed.read("metrics.json")["chunks_resumed"] >= 3
    whole = run(analysis, fileset, tmp_path / "whole", Options("iterative", chunksize=100))
    assert resumed.cutflow == whole.cutflow


def test_scheduler_that_freezes_ends_the_run(fileset, tmp_path):
    (tmp_path / "quantities.py").write_text(textwrap.dedent(QUANTITIES))
    (tmp_path / "vertexed.py").write_text(textwrap.dedent(ANALYSIS + PAUSE))
    analysis = load_analysis(str(tmp_path / "vertexed.py"))
    kept = tmp_path / "kept"
    with services.dask_cluster(tmp_path / "cluster") as cluster:
        options = Options(
            "dask",
            scheduler=cluster.address,
            chunksize=100,
            checkpoints=str(kept),
            retries=Retries(timeout_s=1),
        )
        freezer = when_kept(kept, lambda: cluster.scheduler.send_signal(signal.SIGSTOP))
        try:
            with pytest.raises(InputError, match=r"has not answered for 1 s; finished chunks are"):
                run(analysis, fileset, tmp_path / "run", options)
        finally:
            freezer.join()
            cluster.scheduler.send_signal(signal.SIGCONT)


def test_workers_that_take_no_work_as_their_memory_is_full_are_restarted(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_health, "_CHECK_EVERY", 0.5)

    def worker_process(item):
        sys.kept = b"1" * 350_000_000
        time.sleep(0.5)
        return {os.getpid()}

    # Dask pauses a worker above that part of its memory, but lets it end what it has begun
    above = {"DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "0.4"}
    with (
        services.dask_cluster(tmp_path / "c", 1, memory="1GB", environment=above) as cluster,
        engine("dask", scheduler=cluster.address) as running,
    ):
        names, _ = running.executor([1, 2, 3], worker_process, set())
    assert len(names) == 3


def test_workers_that_take_no_work_and_cannot_be_restarted_end_the_run(monkeypatch):
    monkeypatch.setattr(cluster_health, "_CHECK_EVERY", 0.5)
    local = {"n_workers": 1, "processes": False, "dashboard_address": ":0"}
    with (
        dask.config.set({"distributed.worker.memory.pause": 1e-6}),
        LocalCluster(**local) as cluster,
        Client(cluster) as client,
    ):
        while client.run(lambda dask_worker: dask_worker.status.name == "running").popitem()[1]:
            time.sleep(0.05)
        with pytest.raises(InputError, match=r"all 1 Dask workers accept no work.* memory is full"):
            ClusterExecutor(client=client)([1], set, set())


def test_scheduler_needs_the_dask_executor(ds_phipi, fileset, tmp_path):
    with pytest.raises(InputError, match="a scheduler needs the executor dask"):
        run(ds_phipi, fileset, tmp_path / "run", Options("futures", scheduler="tcp://x:1"))
