"""Time from a changed cut to the result: runs of Ds → φπ with and without kept columns.

The toys of `bphcoffea demo` are processed again and again in one session, each time with another
window of the φ mass, as in a notebook. The first run of each kind also starts the processes, and
reads the files; it is given apart. The events are those of the system's page cache.

    python benchmarks/rerun.py -o rerun
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

from bphcoffea.analysis import Cut
from bphcoffea.corrections import load_corrections
from bphcoffea.datasets import load_fileset
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.toys import TOYS


def with_window(half_width):
    """Return Ds → φπ with a window of the φ mass, GeV around 1.0195."""
    analysis = load_analysis("ds_phipi")
    phi_mass = analysis.selection.variable("phi_mass")
    window = Cut("phi_window", phi_mass.between(1.0195 - half_width, 1.0195 + half_width))

    class Changed(type(analysis)):
        selection = analysis.selection.replacing(window)

    return Changed()


def measure(fileset, era, options, folder, *, nominal_only, repeat):
    """Return the time of the first run and of further ones, their CPU time, s, and metrics."""
    times, cpu = [], []
    for number in range(repeat + 1):
        began, began_cpu = time.perf_counter(), time.process_time()
        analysis = with_window(0.005 + 0.002 * number).corrected(era, nominal_only=nominal_only)
        results = run(analysis, fileset, folder, options)
        results.histograms()["mass"]
        times.append(time.perf_counter() - began)
        metrics = results.read("metrics.json")
        of_workers = 0.0 if options.executor == "iterative" else metrics["cpu_s"]
        cpu.append(time.process_time() - began_cpu + of_workers)
    return times[0], times[1:], cpu[1:], metrics


def main():
    """Measure, print and write the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--events", type=int, default=200_000, help="of data; as for `demo`")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    folder = arguments.output
    path = folder / "toys" / "fileset.json"
    if not path.exists():
        TOYS["ds_phipi"](folder / "toys", arguments.events, 1)
    fileset = load_fileset(path)
    era = load_corrections([folder / "toys" / "corrections.toml"])
    rows = []
    for executor in ("futures", "iterative"):
        for nominal_only in (True, False):
            for keep in (None, folder / "kept"):
                workers = arguments.workers if executor == "futures" else 1
                options = Options(executor, workers, overwrite=True, keep=keep)
                load = os.getloadavg()[0]
                first, others, cpu, metrics = measure(
                    *(fileset, era, options, folder / "run"),
                    nominal_only=nominal_only,
                    repeat=arguments.repeat,
                )
                rows.append(
                    {
                        "executor": executor,
                        "workers": workers,
                        "variations": not nominal_only,
                        "kept": keep is not None,
                        "first_s": first,
                        "median_s": statistics.median(others),
                        "shortest_s": min(others),
                        "cpu_s": statistics.median(cpu),
                        "chunks_s": metrics["wall_s"],
                        "events": metrics["events"],
                        "bytes_read": metrics["bytes_read"],
                        "load": load,
                    }
                )
                print(
                    ", ".join(
                        f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}"
                        for k, v in rows[-1].items()
                    ),
                    flush=True,
                )
    (folder / "rerun.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
