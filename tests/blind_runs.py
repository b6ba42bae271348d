"""Runs of the same data, blind and not, and comparisons of all that they leave behind."""

import json

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import uproot

from bphcoffea.datasets import Fileset
from bphcoffea.execution import Options, blinded, run
from bphcoffea.presentation.run_figures import figures_of_run
from bphcoffea.toys.files import write_ntuple

TREE = "Tree3Mu/ntuple"
#: Files whose content counts all events that were read, or tells how long that took.
OF_ALL_EVENTS = {"ledger.json", "metrics.json", "chunks.parquet", "provenance.json"}
OF_ALL_EVENTS |= {"lumis.json", "luminosity.json", "normalisation.json"}


def three_runs(search, fileset, data, folder, hidden_rows):
    """The run with all data; the blind one; and one of files that lack the hidden events.

    ``data`` names the dataset of data, which has one file; ``hidden_rows`` gives the numbers (run,
    lumi, event) of its events that the blind run hides, from the other run and the windows.
    """
    opened = run(
        blinded(search, fileset, unblind=True), fileset, folder / "opened", Options("iterative")
    )
    skims = {name: Options("iterative", skim=str(folder / f"skim_{name}")) for name in "AC"}
    blind = run(search, fileset, folder / "blind", skims["A"])
    hidden = hidden_rows(opened, blind.hidden)
    (path,) = fileset[data].files
    with uproot.open(path) as file:
        events = file[TREE].arrays()
    numbers = list(zip(*(events[name].tolist() for name in ("run", "lumi", "evt")), strict=True))
    kept = events[[number not in hidden for number in numbers]]
    write_ntuple(folder / "kept.root", TREE, {name: kept[name] for name in kept.fields})
    content = fileset.model_dump(mode="json", exclude_none=True)
    for known in content.values():
        known["files"] = {k: values["object_path"] for k, values in known["files"].items()}
    content[data]["files"] = {str(folder / "kept.root"): TREE}
    lacking = Fileset.model_validate(content)
    without = run(search, lacking, folder / "without", skims["C"])
    return {"opened": opened, "blind": blind, "without": without, "hidden": hidden}


def assert_files_agree(runs, data):
    """All files of the blind run are those of the run without the hidden events."""
    blind, without = runs["blind"].path, runs["without"].path
    files = {path.relative_to(blind) for path in blind.rglob("*") if path.is_file()}
    assert files == {path.relative_to(without) for path in without.rglob("*") if path.is_file()}
    for path in files:
        if path.name in OF_ALL_EVENTS:
            continue
        if path.parent.name == "candidates":
            tables = [pq.read_table(folder / path) for folder in (blind, without)]
            # the other file lacks the hidden events, and so has other entries
            first, second = (table.drop_columns(["file", "entry"]) for table in tables)
            # not a number is equal to itself here
            assert repr(first.to_pydict()) == repr(second.to_pydict()), path
            continue
        contents = [(folder / path).read_bytes() for folder in (blind, without)]
        if path.name == "cutflow.json":
            cutflows = [json.loads(content) for content in contents]
            firsts = [cutflow[data].pop(0) for cutflow in cutflows]
            assert firsts[0]["events"] - firsts[1]["events"] == len(runs["hidden"])
            assert cutflows[0] == cutflows[1]
        elif path.name == "histograms.root":
            opened = [uproot.open(folder / path) for folder in (blind, without)]
            for key in opened[0].keys(recursive=True, filter_classname="TH1D"):
                values = [file[key].values(flow=True) for file in opened]
                np.testing.assert_array_equal(*values)
        else:
            assert contents[0] == contents[1], path


def assert_skims_agree(runs, data):
    """The skim of the blind run is that of the run without the hidden events, and has events."""
    skims = [runs["blind"].path.with_name(f"skim_{name}") / data for name in "AC"]
    events = [ak.from_parquet(next(folder.iterdir())) for folder in skims]
    # not a number is equal to itself here
    assert repr(events[0].to_list()) == repr(events[1].to_list())
    assert len(events[0]) == runs["blind"].candidates(data).num_rows > 0


def drawn(run):
    """All numbers and texts of each figure."""
    for name, figure in figures_of_run(run):
        texts = [text.get_text() for axes in figure.axes for text in axes.texts]
        numbers = [
            np.nan_to_num(np.asarray(line.get_xydata(), dtype=float)).tolist()
            for axes in figure.axes
            for line in axes.lines
        ]
        for axes in figure.axes:
            paths = [patch.get_path() for patch in axes.patches]
            numbers += [np.nan_to_num(path.vertices).tolist() for path in paths]
            for bars in axes.collections:
                numbers += [path.vertices.tolist() for path in bars.get_paths()]
        yield name, {"texts": texts, "numbers": numbers}
