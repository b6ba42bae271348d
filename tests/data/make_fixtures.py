"""Make the ROOT files of this folder, with true ``std::vector`` branches.

Needs ROOT (the wheel ``root`` of the package index, a pre-release) beside what the project needs;
nothing else in the project does. Run it without arguments, and commit what it writes.
"""

import json
import os
import sys
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "src")]

import awkward as ak  # noqa: E402
import numpy as np  # noqa: E402
import ROOT  # noqa: E402
from three_muons import three_muon_events  # noqa: E402
from traps import STEPS, traps  # noqa: E402

from bphcoffea.toys.ds_phipi import SAMPLES, TREE, generate_files  # noqa: E402
from bphcoffea.toys.truth import find  # noqa: E402

SEED = 2024
ZLIB_9 = 109

#: Type in the file for the type of an awkward array.
VECTORS = {
    "var * float64": "double",
    "var * float32": "float",
    "var * int32": "int",
    "var * string": "std::string",
}
#: Type codes of Python's arrays and of ROOT's leaves: what the one calls I, the other calls i.
SCALARS = {"uint32": "I", "int32": "i"}
LEAVES = {"uint32": "i", "int32": "I"}


def write(path: Path, branches: dict[str, Any]) -> None:
    """Write a TTree; one entry of each branch an event."""
    os.chdir(path.parent)  # ROOT writes the name of the file into it: without the folder
    file = ROOT.TFile(path.name, "RECREATE", "", ZLIB_9)
    directory, name = TREE.split("/")
    file.mkdir(directory).cd()
    tree = ROOT.TTree(name, name)
    columns = []
    for branch, values in branches.items():
        kind = str(ak.Array(values).type.content)
        entries = ak.to_list(values)
        if kind in SCALARS:
            buffer = array(SCALARS[kind], [0])
            tree.Branch(branch, buffer, f"{branch}/{LEAVES[kind]}")
        else:
            buffer = ROOT.std.vector(VECTORS[kind])()
            tree.Branch(branch, buffer)
        columns.append((buffer, entries))
    for event in range(len(columns[0][1])):
        for buffer, entries in columns:
            if isinstance(buffer, array):
                buffer[0] = entries[event]
                continue
            buffer.clear()
            for value in entries[event]:
                buffer.push_back(value)
        tree.Fill()
    file.Write()
    file.Close()


def toy_2017() -> tuple[dict[str, Any], dict[str, Any]]:
    """Data-like events of 2017, and what they hold."""
    events = next(generate_files(SAMPLES[0], 1_500, SEED)).events
    return events.branches, find(events).as_json()


def toy_2018_mc() -> tuple[dict[str, Any], dict[str, Any]]:
    """MC of 2018 with the trigger-match branches of both eras: only those of 2018 are right."""
    sample = replace(
        SAMPLES[2],
        name="toy_2018_mc",
        era="2018D",
        trigger_match="dRtriggerMatch",
        share=0.1,
        files=1,
    )
    events = next(generate_files(sample, 2_000, SEED)).events
    for leg in (1, 2, 3):
        right = events.branches[f"Mu{leg}_dRtriggerMatch"]
        wrong = ak.where((right >= 0) & (right < 0.03), 0.5, 0.001)
        events.branches[f"Mu{leg}_dRtriggerMatch_2017"] = wrong
    return events.branches, find(events).as_json()


def trap_events() -> tuple[dict[str, Any], dict[str, Any]]:
    """Events made by hand, and where each of their candidates should fail."""
    events = traps()
    names = events[0].branches
    branches: dict[str, Any] = {}
    for name, example in names.items():
        values = [event.branches[name] for event in events]
        if not isinstance(example, list):
            branches[name] = np.array(values, dtype=np.int32 if "Size" in name else np.uint32)
        elif name.endswith("name"):
            branches[name] = ak.Array(values)
        else:
            kind = np.int32 if name.endswith("decision") else np.float64
            kind = np.float32 if name in ("MuonPt", "MuonEta", "MuonPhi") else kind
            flat = np.array([x for value in values for x in value], dtype=kind)
            branches[name] = ak.unflatten(flat, [len(value) for value in values])
    expected = [
        {"evt": e.branches["evt"], "trap": e.trap, "fails": e.fails, "best": e.best} for e in events
    ]
    return branches, {"steps": list(STEPS), "events": expected}


def main() -> None:
    """Write everything."""
    expected = {}
    for name, make in (
        ("tree3mu_phipi_2017.root", toy_2017),
        ("tree3mu_phipi_2018_mc.root", toy_2018_mc),
        ("tree3mu_phipi_traps.root", trap_events),
    ):
        branches, expected[name] = make()
        write(HERE / name, branches)
    write(HERE / "tree3mu_3mu.root", three_muon_events(50, SEED))
    text = json.dumps(expected, indent=1, ensure_ascii=False) + "\n"
    (HERE / "expected.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
