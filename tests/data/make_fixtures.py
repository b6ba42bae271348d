"""Make the ROOT files of this folder, with true ``std::vector`` branches.

Needs ROOT (the wheel ``root`` of the package index, a pre-release) beside what the project needs;
nothing else in the project does. Run it with the names of the files to make, or without for all,
and commit what it writes.
"""

import json
import os
import sys
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "src")]

import awkward as ak  # noqa: E402
import numpy as np  # noqa: E402
import ROOT  # noqa: E402
from traps import STEPS, traps  # noqa: E402

from bphcoffea.toys import hnl, tau3mu  # noqa: E402
from bphcoffea.toys.ds_phipi import SAMPLES, DsPhiPiToy  # noqa: E402
from bphcoffea.toys.tau3mu.generation import Species  # noqa: E402
from bphcoffea.toys.toy import Sample, Toy  # noqa: E402

SEED = 2024
ZLIB_9 = 109

#: Type in the file for the type of an awkward array.
VECTORS = {
    "var * float64": "double",
    "var * float32": "float",
    "var * int32": "int",
    "var * int16": "short",
    "var * uint32": "unsigned int",
    "var * string": "std::string",
}
#: Type codes of Python's arrays and of ROOT's leaves: what the one calls I, the other calls i.
SCALARS = {"uint32": "I", "int32": "i", "float32": "f"}
LEAVES = {"uint32": "i", "int32": "I", "float32": "F"}


def write(path: Path, branches: dict[str, Any], tree_path: str) -> None:
    """Write a TTree; one entry of each branch an event."""
    os.chdir(path.parent)  # ROOT writes the name of the file into it: without the folder
    file = ROOT.TFile(path.name, "RECREATE", "", ZLIB_9)
    *directories, name = tree_path.split("/")
    for directory in directories:
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
    return contents(DsPhiPiToy(), SAMPLES[0], 1_500)


def toy_2018_mc() -> tuple[dict[str, Any], dict[str, Any]]:
    """MC of 2018 with the trigger-match branches of both eras: only those of 2018 are right."""
    sample = replace(
        SAMPLES[2],
        name="toy_2018_mc",
        era="2018D",
        share=0.1,
        files=1,
    )
    branches, truth = contents(DsPhiPiToy(), sample, 2_000)
    for leg in (1, 2, 3):
        right = branches[f"Mu{leg}_dRtriggerMatch"]
        wrong = ak.where((right >= 0) & (right < 0.03), 0.5, 0.001)
        branches[f"Mu{leg}_dRtriggerMatch_2017"] = wrong
    return branches, truth


def contents(
    toy: Toy[Any, Any], sample: Sample, events: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Events of the first file of a sample, and what they hold."""
    file = next(toy.files(sample, events, SEED))
    return file.events.branches, toy.find(file.events, sample).as_json()


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


def hnl_mc() -> tuple[dict[str, Any], dict[str, Any]]:
    """Signal of Ds → μN, N → μπ with 1.5 GeV and 10 mm."""
    name = "DsToNMu_NToMuPi_mN1p5_ctau10p0mm_incl"
    sample = next(sample for sample in hnl.SAMPLES if sample.name == name)
    return contents(hnl.HnlToy(), replace(sample, share=1.0, files=1), 300)


def hnl_data() -> tuple[dict[str, Any], dict[str, Any]]:
    """Data with the same signal, since few random combinations are selected."""
    toy = hnl.HnlToy(hnl.Injection(1.5, 7.289156e-3, 60))
    return contents(toy, replace(hnl.SAMPLES[0], share=1.0, files=1), 300)


def three_muons() -> tuple[dict[str, Any], None]:
    """150 events of 2018, 50 of them selected ones; what is found in them is not noted."""
    fractions = {Species.TAU_D: 0.2, Species.TAU_B: 0.2, Species.THREE_MUONS: 0.3}
    fractions |= {Species.PHI_MUON: 0.15, Species.OMEGA_MUON: 0.1, Species.NOTHING: 0.05}
    sample = replace(tau3mu.SAMPLES[1], share=1.0, files=1, fractions=fractions)
    toy = tau3mu.Tau3MuToy()
    events = next(toy.files(sample, 2_000, SEED)).events
    best = np.isin(events.candidates["Triplet_Mass"], toy.find(events, sample).mass)
    selected = np.zeros(2_000, dtype=bool)
    selected[events.rows.event[best]] = True
    # others get as far as the cuts on pairs
    soft = ak.to_numpy(ak.all(events.branches["Mu3_Pt"] < 3.5, axis=1))
    groups = (selected, ~selected & ~soft, ~selected & soft)
    kept = np.sort(np.concatenate([np.flatnonzero(group)[:50] for group in groups]))
    return {name: values[kept] for name, values in events.branches.items()}, None


#: Name, tree and content of the files.
FILES: dict[str, tuple[str, Callable[[], tuple[dict[str, Any], Any]]]] = {
    "tree3mu_phipi_2017.root": (DsPhiPiToy.tree, toy_2017),
    "tree3mu_phipi_2018_mc.root": (DsPhiPiToy.tree, toy_2018_mc),
    "tree3mu_phipi_traps.root": (DsPhiPiToy.tree, trap_events),
    "tree3mu_3mu.root": (DsPhiPiToy.tree, three_muons),
    "wztree_hnl_mc.root": (hnl.HnlToy.tree, hnl_mc),
    "wztree_hnl_data.root": (hnl.HnlToy.tree, hnl_data),
}


def main() -> None:
    """Write the files that are named, or all."""
    note = HERE / "expected.json"
    expected = json.loads(note.read_text(encoding="utf-8")) if len(sys.argv) > 1 else {}
    for name in sys.argv[1:] or FILES:
        tree, make = FILES[name]
        branches, found = make()
        write(HERE / name, branches, tree)
        if found is not None:
            expected[name] = found
    text = json.dumps(expected, indent=1, ensure_ascii=False) + "\n"
    note.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
