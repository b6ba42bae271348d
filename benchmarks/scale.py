"""Runs over many files: opening them before the run, throughput of chunks, memory of the client.

The files are copies of one small toy, each with a UUID of its own. They are opened twice, without
and with the reports of an earlier run. Some of their chunks are then processed. The other chunks do
nothing and return the result of Ds → φπ for a chunk without events, which shows what the executor
itself costs. Each executor has a process of its own as client.

    python benchmarks/scale.py -o scale
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import uproot
from coffea.processor.executor import WorkItem
from dask_overhead import METADATA, Idle, result_of_nothing

from bphcoffea.datasets import Fileset, KnownFiles, files_of
from bphcoffea.execution import (
    Options,
    engine,
    load_analysis,
    memory,
    needs_of,
    open_files,
    run,
)
from bphcoffea.results import FILE, REPLICAS
from bphcoffea.toys import TOYS

EXECUTORS = ("futures", "dask")
#: Number of files and chunks to which the measurement is extrapolated.
LARGE = {"files": 10_000, "chunks": 100_000}
#: Largest permitted time for a file that is known from an earlier run, ms, and growth of the
#: client's memory, kB per chunk.
ALLOWED = {"warm_ms_per_file": 5.0, "client_kb_per_chunk": 5.0}
TREE = "Tree3Mu/ntuple"


def copies(folder, number):
    """Write copies of a toy of a few hundred events, and return their fileset."""
    TOYS["ds_phipi"](folder / "toys", 300, 3)
    toy = folder / "toys" / "toy_2017_0.root"
    content = toy.read_bytes()
    with uproot.open(toy) as root:
        own = root.file.uuid.bytes
    files = {}
    for position in range(number):
        path = folder / f"{position:05}.root"
        path.write_bytes(content.replace(own, uuid.UUID(int=position + 1).bytes))
        files[str(path)] = TREE
    return Fileset.model_validate({"D": {"files": files, "metadata": METADATA}})


def opening(files, running, known):
    """Open all files, and return the time of each, and the client's CPU time, ms."""
    clock, cpu = time.perf_counter(), time.process_time()
    reports = open_files(files, running, known=known)
    assert all(report.entries for report in reports)
    each = 1e3 / len(files)
    return each * (time.perf_counter() - clock), each * (time.process_time() - cpu)


def idle_chunks(files, number):
    """Return chunks that need not be read, of files whose names are as long as real ones."""
    per_file = number // files
    for position in range(files):
        file = f"root://xrootd.site.example//store/user/someone/2017B/{position:06}.root"
        known = METADATA | {FILE: file, REPLICAS: ()}
        identity = (position + 1).to_bytes(16, "big")
        for start in range(0, per_file * 100_000, 100_000):
            yield WorkItem("D", file, TREE, start, start + 100_000, identity, known)


def measure(name, folder, chunks, processed):
    """Measure one executor; runs in a child process."""
    fileset = Fileset.model_validate_json((folder / "fileset.json").read_text())
    files = len(fileset["D"].files)
    known = folder / f"known-{name}"
    known.mkdir()
    row = {"executor": name, "files": files, "chunks": chunks}
    with engine(name) as running:
        row["workers"] = running.workers
        function = Idle(result_of_nothing())
        running.executor(list(idle_chunks(1, 50)), function, None)  # the workers' imports
        needs = needs_of(load_analysis("ds_phipi"), fileset, running)
        for temperature in ("cold", "warm"):
            wall_ms, cpu_ms = opening(files_of(fileset, needs), running, KnownFiles(known))
            row |= {f"{temperature}_ms_per_file": wall_ms, f"{temperature}_client_cpu_ms": cpu_ms}
        before = memory.resident()
        memory.forget_peak()
        items = list(idle_chunks(files, chunks))
        row["items_mb"] = (memory.resident() - before) / 1e6
        clock, cpu = time.perf_counter(), time.process_time()
        merged, _ = running.executor(items, function, None)
        wall = time.perf_counter() - clock
        assert len(merged["timings"]) == chunks
        row["idle_chunks_per_s"] = chunks / wall
        row["client_cpu_ms_per_chunk"] = 1e3 * (time.process_time() - cpu) / chunks
        row["client_mb"] = memory.peak() / 1e6
        row["client_kb_per_chunk"] = (memory.peak() - before) / 1e3 / chunks
    few = dict(list(fileset["D"].files.items())[:processed])
    part = Fileset({"D": fileset["D"].model_copy(update={"files": few})})
    folder = run(load_analysis("ds_phipi"), part, folder / f"run-{name}", Options(name))
    assert folder.complete
    row["processed_chunks_per_s"] = processed / folder.read("metrics.json")["wall_s"]
    print(json.dumps(row))


def extrapolated(row):
    """Return time and memory of a large run, if both grow in proportion to files and chunks."""
    files, chunks = LARGE["files"], LARGE["chunks"]
    return LARGE | {
        "cold_preflight_s": row["cold_ms_per_file"] * files / 1e3,
        "warm_preflight_s": row["warm_ms_per_file"] * files / 1e3,
        "overhead_of_chunks_s": chunks / row["idle_chunks_per_s"],
        "client_grown_mb": row["client_kb_per_chunk"] * chunks / 1e3,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--processed", type=int, default=100, help="chunks with real events")
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, default=Path("scale"))
    arguments = parser.parse_args()
    if arguments.only:
        name, folder = arguments.only
        measure(name, Path(folder), arguments.chunks, arguments.processed)
        return
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        copies(Path(scratch), arguments.files).save(Path(scratch, "fileset.json"))
        for name in EXECUTORS:
            command = [sys.executable, __file__, "--only", name, scratch]
            command += ["--chunks", str(arguments.chunks), "--processed", str(arguments.processed)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            row = json.loads(done.stdout.splitlines()[-1])
            rows.append(row | {"extrapolated": extrapolated(row), "load": os.getloadavg()})
            print(json.dumps(rows[-1], indent=1))
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "scale.json").write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        for key, allowed in ALLOWED.items():
            assert row[key] < allowed, f"{row['executor']}: {key} is {row[key]:.3g}"


if __name__ == "__main__":
    main()
