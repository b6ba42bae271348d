"""A run on a Dask cluster that is there already, of processes that don't know the analysis."""

import json
import subprocess
import sys
import textwrap
import time

import pytest

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
QUANTITIES = """
    from bphcoffea.analysis import Variable

    chi2 = Variable("chi2", lambda events: events.Triplet.vertex.chi2)
"""


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and a worker, each a process of its own, in an empty folder."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    address = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    commands = [
        [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"],
        [*dask, "worker", "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard"],
    ]
    started = []
    try:
        with (folder / "log").open("w") as log:
            for command in commands:
                words = [*command, "--scheduler-file", str(address)]
                started.append(subprocess.Popen(words, cwd=folder, stdout=log, stderr=log))
                deadline = time.monotonic() + 30
                while not address.exists():
                    assert time.monotonic() < deadline, (folder / "log").read_text()
                    time.sleep(0.1)
        yield json.loads(address.read_text())["address"]
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(10)


def test_workers_need_only_the_package(scheduler, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "vertexed.py").write_text(textwrap.dedent(ANALYSIS))
    (mine / "quantities.py").write_text(textwrap.dedent(QUANTITIES))
    fileset = load(TOYS["ds_phipi"](tmp_path / "toys", 1000, 1))
    analysis = load_analysis(str(mine / "vertexed.py"))
    alone = run(analysis, fileset, tmp_path / "alone", Options("iterative"))
    options = Options("dask", scheduler=scheduler, chunksize=300)
    together = run(analysis, fileset, tmp_path / "together", options)
    assert together.cutflow == alone.cutflow
    assert together.candidates("toy_2017").equals(alone.candidates("toy_2017"))
    assert together.read("metrics.json")["workers"] == 1


def test_scheduler_needs_the_dask_executor(ds_phipi, tmp_path):
    fileset = load(TOYS["ds_phipi"](tmp_path / "toys", 100, 1))
    with pytest.raises(InputError, match="--scheduler needs --executor dask"):
        run(ds_phipi, fileset, tmp_path / "run", Options("futures", scheduler="tcp://x:1"))
