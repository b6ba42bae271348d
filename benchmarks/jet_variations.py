"""Cost of variations of jet energies: time and memory of top + MET against their number.

Each number of variations is processed by an interpreter of its own, several times, from a file of
NanoAOD that is already in the cache of the disk. The file has copies of the events of coffea's
sample, with scaled momenta, and triggers that fire.

    python benchmarks/jet_variations.py nano_tt_v15.root jet_jerc_Summer22_V3.json.gz -o jets
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

import awkward as ak
import correctionlib
import numpy as np
import uproot
from coffea.nanoevents import NanoEventsFactory
from matplotlib.figure import Figure

from bphcoffea.corrections import load_corrections
from bphcoffea.execution import load_analysis
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.presentation.style import cms_style
from bphcoffea.processing.processor import Processor

NUMBERS = (0, 2, 10, 20, 50)
#: Largest permitted cost of one variation, relative to the time without any.
ALLOWED = 0.35
TAG, KIND = "Summer22_22Sep2023_V3_MC", "AK4PFPuppi"
READ = ("Jet", "FatJet", "GenJet", "Muon", "Electron", "PuppiMET", "Flag", "HLT_PFMET", "Rho")
#: Factor to the missing momentum of the sample, whose events are below the threshold.
MORE_MET = 6


def enlarged(sample, path, copies, **lists):
    """Write copies of the events, each with its own scale of momenta.

    Further lists are given by name as arrays of shape (any number of events, length), which repeat.
    """
    rng = np.random.default_rng(1)
    with uproot.open(sample) as root:
        tree = root["Events"]
        names = [n for n in tree.keys() if n.startswith((*READ, "genWeight"))]  # noqa: SIM118
        arrays = {name: tree[name].array() for name in names}
    number = len(arrays["PuppiMET_pt"])
    order = np.tile(np.arange(number), copies)
    scale = rng.uniform(0.6, 1.5, len(order))
    columns, collections = {}, {}
    for name, values in arrays.items():
        many = values[order]
        if name.endswith(("_pt", "_mass")):
            many = ak.values_astype(many * scale, np.float32)
        if name == "PuppiMET_pt":
            many = many * np.float32(MORE_MET)
        if name.startswith("HLT"):
            many = ak.ones_like(many)
        if many.ndim > 1:
            collection, _, field = name.partition("_")
            collections.setdefault(collection, {})[field] = many
        else:
            columns[name] = many
    for name, values in lists.items():
        columns[name] = ak.from_regular(
            ak.from_numpy(np.resize(values, (len(order), values.shape[1])))
        )
    columns = {name: values for name, values in columns.items() if name[1:] not in collections}
    zipped = {name: ak.zip(fields) for name, fields in collections.items()}
    with uproot.recreate(path) as root:
        root["Events"] = columns | zipped
    return len(order)


def toml(payload, path, variations):
    """Write corrections with so many variations, of the resolution and of sources of the scale."""
    text = f'name = "2022"\neras = ["*"]\n[jet_energy.Jet]\nfile = "{payload}"\n'
    text += f'simulation = "{TAG}_L1L2L3Res_{KIND}"\n'
    for key, name in (("resolution", "PtResolution"), ("scale_factor", "ScaleFactor")):
        text += f'{key} = "Summer22_22Sep2023_JRV1_MC_{name}_{KIND}"\n'
    text += "[jet_energy.Jet.sources]\n"
    names = [n for n in correctionlib.CorrectionSet.from_file(str(payload)) if n.startswith(TAG)]
    sources = [n for n in names if "_L" not in n.removeprefix(TAG)]
    for source in sources[: max(variations // 2 - 1, 0)]:
        text += f'{source.removeprefix(f"{TAG}_").removesuffix(f"_{KIND}")} = "{source}"\n'
    path.write_text(text)
    return path


def process(file, corrections, rounds, *, nominal_only):
    """Process a file several times; print the shortest CPU time (s) and peak memory (MB)."""
    loaded = load_corrections([corrections])
    analysis = load_analysis("top_met").corrected(loaded, nominal_only=nominal_only)
    metadata = {"dataset": "tt", "is_mc": True, "era": "2022", "hlt": ()}
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
    met = result.histograms["met"]
    row = {
        "variations": len(met.axes["variation"]) - 1,
        "events": result.events,
        "selected": int(result.cutflow.rows()[-1]["events"]),
        "cpu_s": min(times),
        "peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(row))


def draw(rows, path):
    numbers = [row["variations"] for row in rows]
    nominal = rows[0]["cpu_s"]
    with cms_style():
        figure = Figure(figsize=(20, 9), layout="constrained")
        time_axes, memory_axes = figure.subplots(1, 2)
        time_axes.plot(numbers, [row["cpu_s"] / nominal for row in rows], "o-", label="Measured")
        limit = [1 + ALLOWED * number for number in numbers]
        time_axes.plot(numbers, limit, ":", label=f"Limit, {ALLOWED:g} per variation")
        time_axes.set_ylabel("Time / time without variations")
        time_axes.legend()
        memory_axes.plot(numbers, [row["peak_MB"] for row in rows], "s-")
        memory_axes.set_ylabel("Peak memory [MB]")
        memory_axes.set_ylim(0)
        for axes in (time_axes, memory_axes):
            axes.set_xlabel("Shape variations")
        figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sample", type=Path, help="nano_tt_v15.root of coffea's source")
    parser.add_argument(
        "payload", type=Path, help="jet_jerc_Summer22_V3.json.gz of coffea's source"
    )
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, default=Path("jet_variations"))
    arguments = parser.parse_args()
    if arguments.only is not None:
        nominal_only = arguments.only == 0
        process(arguments.sample, arguments.payload, arguments.rounds, nominal_only=nominal_only)
        return
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "many.root")
        enlarged(arguments.sample, file, arguments.copies)
        for number in NUMBERS:
            corrections = toml(arguments.payload.resolve(), Path(scratch, "c.toml"), number)
            command = [sys.executable, __file__, str(file), str(corrections), "--only", str(number)]
            command += ["--rounds", str(arguments.rounds)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(json.dumps(rows[-1]))
    content = {"rows": rows, "allowed": ALLOWED, "load": os.getloadavg()}
    (arguments.output / "jet_variations.json").write_text(json.dumps(content, indent=1) + "\n")
    draw(rows, arguments.output / "jet_variations.png")


if __name__ == "__main__":
    main()
