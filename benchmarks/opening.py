"""Time to open a file with many branches: by uproot, here, in the check before a run, in a chunk.

Each repetition opens the file anew. Of a chunk, only what comes before its first column is timed:
opening the file and making the events that a schema gives.

    python benchmarks/opening.py NANO.root -o opening
"""

import argparse
import gc
import json
import statistics
import time
from pathlib import Path

import uproot
from coffea.nanoevents import NanoAODSchema
from uproot.models.TBranch import Model_TBranch, Model_TBranch_v13

from bphcoffea import reading, storage
from bphcoffea.datasets.file_check import FileToOpen, inspect
from bphcoffea.size_limits import basket_limit

TIMEOUT_S = 60


def by_uproot(path, tree):
    Model_TBranch.known_versions[13] = Model_TBranch_v13
    return uproot.open(path, object_cache=None)[tree]


def opened_here(path, tree):
    return reading.OpenedFile(path, TIMEOUT_S).root[tree]


def checked(path, tree):
    reading.forget(path)
    (report,) = inspect(storage.Retries(), FileToOpen("dataset", path, tree))
    assert not report.wrong, report.wrong


def chunk(path, tree):
    columns = reading.Columns(
        lambda: reading.OpenedFile(path, TIMEOUT_S), tree, 0, 1, basket_limit()
    )
    columns.events(NanoAODSchema, {})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--tree", default="Events")
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    path, tree = arguments.file, arguments.tree
    seconds = {task: [] for task in (by_uproot, opened_here, checked, chunk)}
    gc.freeze()  # as a run does with what was imported
    for _ in range(arguments.repeat + 1):
        for task, taken in seconds.items():
            if task is not by_uproot:
                storage.prepare_uproot(basket_limit())
            gc.collect()
            began = time.process_time()
            task(path, tree)
            taken.append(time.process_time() - began)
    # the first turn imports modules
    medians = {task.__name__: statistics.median(taken[1:]) for task, taken in seconds.items()}
    branches = len(by_uproot(path, tree).branches)
    print(f"{branches} branches, CPU time per file, medians of {arguments.repeat}:")
    for name, median in medians.items():
        print(f"  {name:12} {1e3 * median:6.0f} ms")
    arguments.output.mkdir(parents=True, exist_ok=True)
    result = {"branches": branches, "cpu_s": medians}
    (arguments.output / "opening.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
