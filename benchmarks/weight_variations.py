"""Cost of variations of weights beside that of shape variations, for top + MET.

Each number of variations is processed by an interpreter of its own, several times, from a file of
NanoAOD that is already in the cache of the disk. Variations of weights are members of a PDF set,
shape variations those of jet energies.

    python benchmarks/weight_variations.py nano_tt_v15.root jet_jerc_Summer22_V3.json.gz -o weights
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import uproot
from coffea.nanoevents import NanoEventsFactory
from jet_variations import enlarged, toml
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, ScalarFormatter

from bphcoffea.analysis import PDFWeights
from bphcoffea.corrections import load_corrections
from bphcoffea.execution import load_analysis
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.presentation.style import cms_style
from bphcoffea.processing.processor import Processor

#: Numbers of variations of each kind. Shape variations come in pairs, and a PDF set has two members
#: or more.
NUMBERS = {"weights": (0, 2, 10, 100), "shapes": (0, 2, 10, 50)}
LABELS = {"weights": "Weights (members of a PDF set)", "shapes": "Shapes (energies of jets)"}


def process(file, corrections, rounds, kind, number):
    """Process a file several times; print the shortest CPU time (s) and peak memory (MB)."""
    analysis = load_analysis("top_met")
    type(analysis).weights = (PDFWeights(),) if kind == "weights" else ()
    if kind == "weights":
        type(analysis).calibrations = ()
    loaded = load_corrections([corrections] if kind == "shapes" else [])
    analysis = analysis.corrected(loaded, nominal_only=number == 0)
    metadata = {"dataset": "tt", "is_mc": True, "era": "2022", "hlt": ()}
    metadata["pdf_errors"] = "symmhessian"
    times = []
    for _ in range(rounds):
        events = NanoEventsFactory.from_root(
            uproot.open(file),
            treepath="Events",
            schemaclass=ReducedNanoAODSchema,
            metadata=metadata,
            mode="virtual",
        ).events()
        start = time.process_time()
        (result,) = Processor(analysis).process(events).values()
        times.append(time.process_time() - start)
    variations = list(result.histograms["met"].axes["variation"])
    row = {
        "kind": kind,
        # the central member is filled as well
        "variations": len([name for name in variations if name not in ("nominal", "pdf_0")]),
        "events": result.events,
        "selected": int(result.cutflow.rows()[-1]["events"]),
        "cpu_s": min(times),
        "peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(row))


def draw(rows, path):
    with cms_style():
        figure = Figure(figsize=(20, 9), layout="constrained")
        time_axes, memory_axes = figure.subplots(1, 2)
        for kind, marker in (("weights", "o-"), ("shapes", "s--")):
            nominal, *of_kind = (row for row in rows if row["kind"] == kind)
            numbers = [row["variations"] for row in of_kind]
            ratios = [row["cpu_s"] / nominal["cpu_s"] for row in of_kind]
            more = [row["peak_MB"] - nominal["peak_MB"] for row in of_kind]
            time_axes.plot(numbers, ratios, marker, label=LABELS[kind])
            memory_axes.plot(numbers, more, marker, label=LABELS[kind])
        time_axes.set_ylabel("Time / time without variations")
        time_axes.set_yscale("log")
        time_axes.set_ylim(0.9)
        time_axes.yaxis.set_major_locator(FixedLocator([1, 2, 5, 10]))
        memory_axes.set_ylabel("Additional peak memory [MB]")
        time_axes.yaxis.set_major_formatter(ScalarFormatter())
        time_axes.yaxis.set_minor_formatter(NullFormatter())
        for axes in (time_axes, memory_axes):
            axes.set_xlabel("Variations")
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(FixedLocator([2, 10, 50, 100]))
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.legend()
        figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sample", type=Path, help="nano_tt_v15.root of coffea's source")
    parser.add_argument(
        "payload", type=Path, help="jet_jerc_Summer22_V3.json.gz of coffea's source"
    )
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, default=Path("weight_variations"))
    arguments = parser.parse_args()
    if arguments.kind is not None:
        process(
            arguments.sample, arguments.payload, arguments.rounds, arguments.kind, arguments.number
        )
        return
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows = []
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "many.root")
        for kind, numbers in NUMBERS.items():
            for number in numbers:
                members = rng.normal(1, 0.02, (500, max(number, 2) + 1)).astype(np.float32)
                enlarged(arguments.sample, file, arguments.copies, LHEPdfWeight=members)
                corrections = toml(arguments.payload.resolve(), Path(scratch, "c.toml"), number)
                command = [sys.executable, __file__, str(file), str(corrections)]
                command += ["--kind", kind, "--number", str(number)]
                command += ["--rounds", str(arguments.rounds)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                rows.append(json.loads(done.stdout.splitlines()[-1]))
                print(json.dumps(rows[-1]), flush=True)
    content = {"rows": rows, "load": os.getloadavg()}
    (arguments.output / "weight_variations.json").write_text(json.dumps(content, indent=1) + "\n")
    draw(rows, arguments.output / "weight_variations.png")


if __name__ == "__main__":
    main()
