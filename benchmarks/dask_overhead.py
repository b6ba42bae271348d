"""Overhead of a chunk on a Dask cluster: scheduling, shipping and merging.

Chunks that read nothing return the result of Ds → φπ for a chunk without events, with all
histograms, the timing and the entry in the ledger. Client, scheduler and workers are separate
processes, whose memory is measured before, after and at its peak. Each number of chunks has its own
cluster and client.

    python benchmarks/dask_overhead.py -o overhead
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from coffea.nanoevents import NanoEventsFactory
from coffea.nanoevents.mapping import SimplePreloadedColumnSource
from coffea.processor.executor import WorkItem
from matplotlib.figure import Figure

from bphcoffea.execution import engine, load_analysis
from bphcoffea.presentation.style import cms_style
from bphcoffea.processing.processor import Processor
from bphcoffea.results.ledger import FILE, REPLICAS
from bphcoffea.results.work_totals import Timing

METADATA = {"is_mc": False, "era": "2017B", "luminosity": 4.79, "hlt": ()}


def result_of_nothing():
    """Return the result of a chunk without events."""
    analysis = load_analysis("ds_phipi")
    columns = SimplePreloadedColumnSource(analysis.schema.template(), "none", 0, "ntuple")
    events = NanoEventsFactory.from_preloaded(
        columns, schemaclass=analysis.schema, metadata={"dataset": "D"} | METADATA
    ).events()
    return Processor(analysis).process(events)


class Idle:
    """Function that returns the same result for each chunk."""

    def __init__(self, result):
        self.result = result

    def __call__(self, chunk):
        file = chunk.usermeta[FILE]
        entries = (chunk.entrystart, chunk.entrystop)
        timing = Timing("D", file, *entries, file, "worker:1", 1, time.time(), *[0.0] * 4, 0, 0.0)
        return {"out": self.result, "timings": [timing]}


def work_items(chunks, chunks_per_file=10):
    """Return chunks of files whose names are as long as those of a grid site."""
    for number in range(chunks):
        file = f"root://xrootd.site.example//store/user/someone/Tau3Mu/2017B/{number // 10:06}.root"
        start = number % chunks_per_file * 100_000
        known = METADATA | {FILE: file, REPLICAS: ()}
        identity = (number // chunks_per_file).to_bytes(16, "big")
        yield WorkItem("D", file, "Tree3Mu/ntuple", start, start + 100_000, identity, known)


def measure(chunks, workers):
    """Measure time and memory of one number of chunks; runs in a child process."""
    function = Idle(result_of_nothing())
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder, "scheduler.json")
        dask = [sys.executable, "-m", "dask"]
        here = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(known)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
        scheduler = subprocess.Popen([*dask, "scheduler", *here, "--port", "0"], **quiet)
        while not known.exists():
            time.sleep(0.1)
        worker = [*dask, "worker", *here, "--nthreads", "1", "--nworkers", str(workers)]
        cluster = subprocess.Popen(worker, **quiet)
        address = json.loads(known.read_text())["address"]
        try:
            with engine("dask", scheduler=address) as running:
                running.executor.client.wait_for_workers(workers)
                running.executor(list(work_items(50)), function, None)  # the workers' imports
                items = list(work_items(chunks))
                own, other = psutil.Process(), psutil.Process(scheduler.pid)
                before = own.memory_info().rss, other.memory_info().rss
                clock = time.perf_counter()
                merged, _ = running.executor(items, function, None)
                wall = time.perf_counter() - clock
                after = own.memory_info().rss, other.memory_info().rss
                assert len(merged["timings"]) == chunks
        finally:
            cluster.terminate()
            scheduler.terminate()
            cluster.wait()
            scheduler.wait()
    return {
        "chunks": chunks,
        "wall_s": wall,
        "ms_per_chunk": 1e3 * wall / chunks,
        "client_mb": after[0] / 1e6,
        "client_grown_mb": (after[0] - before[0]) / 1e6,
        "scheduler_mb": after[1] / 1e6,
        "scheduler_grown_mb": (after[1] - before[1]) / 1e6,
    }


def slope(rows, key):
    """Return the slope of a straight line through all numbers of chunks, kB per chunk."""
    chunks = [row["chunks"] for row in rows]
    return 1e3 * np.polyfit(chunks, [row[key] for row in rows], 1)[0]


def draw(rows, path):
    with cms_style():
        figure = Figure(figsize=(18, 8), layout="constrained")
        chunks = [row["chunks"] for row in rows]
        time_axes, memory_axes = figure.subplots(1, 2)
        time_axes.plot(chunks, [row["ms_per_chunk"] for row in rows], "o-")
        time_axes.set_xscale("log")
        time_axes.set_ylabel("Overhead per chunk [ms]")
        for who in ("client", "scheduler"):
            grown = [row[f"{who}_grown_mb"] for row in rows]
            label = f"{who}: {slope(rows, f'{who}_grown_mb'):.1f} kB a chunk"
            memory_axes.plot(chunks, grown, "o-", label=label)
        memory_axes.set_ylabel("Memory grown by [MB]")
        memory_axes.legend(loc="upper left")
        for axes in (time_axes, memory_axes):
            axes.set_xlabel("Chunks")
            axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
        figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, nargs="+", default=[100, 300, 1000, 3000, 10_000])
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("-o", "--output", type=Path, default=Path("overhead"))
    parser.add_argument("--one", type=int, metavar="CHUNKS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.workers)))
        return
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for chunks in arguments.chunks:
        # a client that has measured before would still hold memory
        words = [
            sys.executable,
            __file__,
            "--workers",
            str(arguments.workers),
            "--one",
            str(chunks),
        ]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(rows[-1]), flush=True)
    growth = {who: slope(rows, f"{who}_grown_mb") for who in ("client", "scheduler")}
    content = {"rows": rows, "kb_per_chunk": growth, "load": os.getloadavg()}
    (arguments.output / "overhead.json").write_text(json.dumps(content, indent=1) + "\n")
    draw(rows, arguments.output / "overhead.png")
    print(json.dumps(growth))


if __name__ == "__main__":
    main()
