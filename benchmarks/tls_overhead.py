"""Cost of TLS on a local Dask cluster: time to start it, and time per chunk.

Chunks that read nothing return a result of a given size, which workers exchange to merge. Clusters
with and without TLS take turns, each with its own client, and their medians are compared.

    python benchmarks/tls_overhead.py -o tls
"""

import argparse
import json
import os
import statistics
import time
from functools import partial
from pathlib import Path

import numpy as np

from bphcoffea.execution import engine
from bphcoffea.facilities import Facility


def result_of_chunk(size, chunk):
    """Return incompressible numbers of the given size, kB."""
    return {"out": np.random.default_rng(chunk).random(125 * size)}


def measure(tls, chunks, size, workers):
    """Return the time to start a cluster, s, and the time per chunk on it, ms."""
    tables = {"workers": {"count": workers}, "security": {"tls": tls}}
    facility = Facility.model_validate({"name": "benchmark", "kind": "local"} | tables)
    function = partial(result_of_chunk, size)
    clock = time.perf_counter()
    with engine("dask", facility=facility) as running:
        running.executor.client.wait_for_workers(workers)
        started = time.perf_counter() - clock
        running.executor(list(range(50)), function, None)  # the workers' imports
        clock = time.perf_counter()
        running.executor(list(range(chunks)), function, None)
        wall = time.perf_counter() - clock
    return {"tls": tls, "kb": size, "start_s": started, "ms_per_chunk": 1e3 * wall / chunks}


def median(rows, key, **wanted):
    return statistics.median(
        row[key] for row in rows if all(row[name] == value for name, value in wanted.items())
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=1000)
    parser.add_argument("--kb", type=int, nargs="+", default=[100, 1000], help="kB per result")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=Path("tls"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for _ in range(arguments.repeat):
        for size in arguments.kb:
            for tls in (True, False):
                row = measure(tls, arguments.chunks, size, arguments.workers)
                rows.append(row | {"load": os.getloadavg()[0]})
                print(json.dumps(rows[-1]), flush=True)
    summary = [
        {
            "kb": size,
            "tls": tls,
            "ms_per_chunk": median(rows, "ms_per_chunk", tls=tls, kb=size),
            "start_s": median(rows, "start_s", tls=tls),
        }
        for size in arguments.kb
        for tls in (True, False)
    ]
    content = {"rows": rows, "medians": summary}
    (arguments.output / "tls.json").write_text(json.dumps(content, indent=1) + "\n")
    for line in summary:
        print(json.dumps(line))


if __name__ == "__main__":
    main()
