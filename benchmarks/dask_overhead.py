"""What a chunk costs on a Dask cluster beside its own work: scheduling, shipping, merging.

Chunks that read nothing give the result that Ds → φπ gives for a chunk without events, with all its
histograms. The scheduler lives in the client's process, so that the memory is that of both.

    python benchmarks/dask_overhead.py -o overhead
"""

import argparse
import json
import os
import time
from pathlib import Path

import psutil
from coffea.nanoevents import NanoEventsFactory
from coffea.processor.executor import WorkItem
from matplotlib.figure import Figure

from bphcoffea.execution import engine, load_analysis
from bphcoffea.presentation.style import cms_style


def result_of_nothing():
    """The result of a chunk without events."""
    analysis = load_analysis("ds_phipi")
    file, tree = analysis.schema.template()
    events = NanoEventsFactory.from_root(
        {file: tree},
        schemaclass=analysis.schema,
        metadata={"dataset": "D", "is_mc": False, "era": "2017B"},
        entry_stop=0,
    ).events()
    return analysis.process(events)


class Idle:
    """Gives the same result for each chunk."""

    def __init__(self, result):
        self.result = result

    def __call__(self, item):
        return {"out": self.result, "processed": {item}}


def measure(running, function, chunks):
    items = [WorkItem("D", f"{n // 10}.root", "t", n, n + 1, b"0" * 16) for n in range(chunks)]
    process = psutil.Process(os.getpid())
    before, clock = process.memory_info().rss, time.perf_counter()
    merged, _ = running.executor(items, function, None)
    wall = time.perf_counter() - clock
    assert len(merged["processed"]) == chunks
    grown = process.memory_info().rss - before
    return {
        "chunks": chunks,
        "wall_s": wall,
        "ms_per_chunk": 1e3 * wall / chunks,
        "client_kb_per_chunk": grown / 1e3 / chunks,
        "client_mb": process.memory_info().rss / 1e6,
    }


def draw(rows, path):
    with cms_style():
        figure = Figure(figsize=(16, 8), layout="constrained")
        chunks = [row["chunks"] for row in rows]
        axes = figure.subplots(1, 2)
        axes[0].plot(chunks, [row["ms_per_chunk"] for row in rows], "o-")
        axes[0].set_ylabel("Overhead per chunk [ms]")
        axes[1].plot(chunks, [row["client_mb"] for row in rows], "o-")
        axes[1].set_ylabel("Memory of client and scheduler [MB]")
        for one in axes:
            one.set_xscale("log")
            one.set_xlabel("Chunks")
            one.set_ylim(0, 1.3 * one.get_ylim()[1])
        figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, nargs="+", default=[100, 300, 1000, 3000, 10_000])
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("-o", "--output", type=Path, default=Path("overhead"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    function = Idle(result_of_nothing())
    with engine("dask", arguments.workers) as running:
        measure(running, function, 50)  # workers import what they need
        rows = [measure(running, function, chunks) for chunks in arguments.chunks]
    (arguments.output / "overhead.json").write_text(json.dumps(rows, indent=1) + "\n")
    draw(rows, arguments.output / "overhead.png")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
