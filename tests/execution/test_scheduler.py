"""A run on a Dask cluster that is there already, of processes that don't know the analysis."""

import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import services
from distributed import Client

from bphcoffea.datasets import load
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.toys import TOYS

ANALYSIS = """
    from bphcoffea.analysis import Analysis, Cut, Selection
    from bphcoffea.schemas import TwoMuTrackSchema
    from quantities import chi2

    class Vertexed(Analysis):
        schema = TwoMuTrackSchema
        selection = Selection("Triplet", Cut("vertex", chi2 >= 0))
        best = chi2
"""
#: Each takes the place of the base's method.
GREEDY = """
        def process(self, events):
            known = events.metadata
            if "toy_2017_0" in known.get("file", "") and known["entrystart"] == 100:
                import time
                held = []
                for _ in range(60):  # 1.2 GB, should nobody end it
                    held.append(b"1" * 20_000_000)
                    time.sleep(0.05)
            return super().process(events)
"""
DEADLY = """
        def process(self, events):
            import os, time
            if "entrystart" in events.metadata:
                time.sleep(0.2)
                if "toy_2017_0" in events.metadata["file"] and events.metadata["entrystart"] == 100:
                    os.kill(os.getpid(), 9)
                time.sleep(1)
            return super().process(events)
"""
PAUSE = """
        def process(self, events):
            import time
            if "entrystart" in events.metadata:
                time.sleep(0.1)
            return super().process(events)
"""
QUANTITIES = """
    from bphcoffea.analysis import Variable

    chi2 = Variable("chi2", lambda events: events.Triplet.vertex.chi2)
"""


@pytest.fixture(scope="module")
def fileset(tmp_path_factory):
    return load(TOYS["ds_phipi"](tmp_path_factory.mktemp("toys"), 1000, 1))


def test_workers_need_only_the_installed_package(installed, fileset, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "vertexed.py").write_text(textwrap.dedent(ANALYSIS))
    (mine / "quantities.py").write_text(textwrap.dedent(QUANTITIES))
    analysis = load_analysis(str(mine / "vertexed.py"))
    alone = run(analysis, fileset, tmp_path / "alone", Options("iterative"))
    with services.dask_cluster(tmp_path / "cluster", 2, installed) as cluster:
        with Client(cluster.address) as client:
            client.wait_for_workers(2)
            places = client.run(lambda: __import__("bphcoffea").__file__)
            assert all(str(installed.parents[1]) in place for place in places.values())
            assert client.run(lambda: "quantities" in sys.modules) == dict.fromkeys(places, False)
        options = Options("dask", scheduler=cluster.address, chunksize=300)
        together = run(analysis, fileset, tmp_path / "together", options)
    assert together.cutflow == alone.cutflow
    assert together.candidates("toy_2017").equals(alone.candidates("toy_2017"))
    assert together.read("metrics.json")["workers"] == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # Dask's, of each worker that dies
def test_chunk_that_runs_out_of_memory_is_recorded(fileset, tmp_path):
    (tmp_path / "quantities.py").write_text(textwrap.dedent(QUANTITIES))
    (tmp_path / "greedy.py").write_text(textwrap.dedent(ANALYSIS + GREEDY))
    with services.dask_cluster(tmp_path / "cluster", 2, memory="600MB") as cluster:
        options = Options("dask", scheduler=cluster.address, chunksize=100)
        analysis = load_analysis(str(tmp_path / "greedy.py"))
        folder = run(analysis, fileset, tmp_path / "run", options)
    ledger = folder.read("ledger.json")
    (failure,) = ledger["failed"]
    assert (failure["dataset"], failure["start"], failure["stop"]) == ("toy_2017", 100, 200)
    assert "killed 4 workers" in failure["error"]
    assert "out of memory" in failure["error"]
    assert ledger["processed_events"] == ledger["expected_events"] - 100 > 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_neighbours_of_a_chunk_that_kills_are_not_lost(fileset, tmp_path):
    # Dask blames, and gives up, all that a worker had at hand when it died
    (tmp_path / "quantities.py").write_text(textwrap.dedent(QUANTITIES))
    (tmp_path / "deadly.py").write_text(textwrap.dedent(ANALYSIS + DEADLY))
    with services.dask_cluster(tmp_path / "cluster", threads=4) as cluster:
        options = Options("dask", scheduler=cluster.address, chunksize=100)
        analysis = load_analysis(str(tmp_path / "deadly.py"))
        folder = run(analysis, fileset, tmp_path / "run", options)
    (failure,) = folder.read("ledger.json")["failed"]
    assert Path(failure["file"]).name == "toy_2017_0.root"
    assert (failure["start"], failure["stop"], failure["attempts"]) == (100, 200, 4)


def test_scheduler_that_dies_is_told_and_the_run_goes_on_later(fileset, tmp_path):
    (tmp_path / "quantities.py").write_text(textwrap.dedent(QUANTITIES))
    (tmp_path / "vertexed.py").write_text(textwrap.dedent(ANALYSIS + PAUSE))
    analysis = load_analysis(str(tmp_path / "vertexed.py"))
    kept = tmp_path / "kept"
    options = {"chunksize": 100, "checkpoints": str(kept)}

    def kill(cluster):
        deadline = time.monotonic() + 60
        while len(list(kept.glob("*/*.lz4"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        cluster.scheduler.kill()

    with services.dask_cluster(tmp_path / "cluster") as cluster:
        killer = threading.Thread(target=kill, args=(cluster,))
        killer.start()
        with pytest.raises(InputError, match=r"scheduler is gone.*--resume"):
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


def test_scheduler_needs_the_dask_executor(ds_phipi, fileset, tmp_path):
    with pytest.raises(InputError, match="--scheduler needs --executor dask"):
        run(ds_phipi, fileset, tmp_path / "run", Options("futures", scheduler="tcp://x:1"))
