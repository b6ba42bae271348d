"""What RDataFrame and bphcoffea selected, and whether it is the same."""

import json

import numpy as np
import uproot

from bphcoffea.results import RunFolder

NUMBERS = ("run", "lumi", "evt")
#: Allowed relative difference of computed quantities: libraries round sines differently, and small
#: differences of masses lose digits.
PRECISION = 1e-7


def result_of_run(path, dataset):
    """Return cutflow, histograms and selected events of a run of bphcoffea."""
    run = RunFolder(path)
    histograms = {}
    for name, histogram in run.histograms().items():
        contents = histogram[{"dataset": dataset, "variation": "nominal"}]
        for category in contents.axes["category"]:
            values = contents[{"category": category}].values(flow=True)
            histograms[name if category == "all" else f"{name}_{category}"] = values
    table = run.candidates(dataset)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    columns["evt"] = columns.pop("event")
    cutflow = [(r["step"], r["events"], r["candidates"]) for r in run.cutflow[dataset]]
    ranges = run.read("lumis.json").get(dataset, {}).values()  # simulation has none
    sections = sum(last - first + 1 for of_run in ranges for first, last in of_run)
    return {"cutflow": cutflow, "histograms": histograms, "sections": sections} | by_event(columns)


def result_of_rdataframe(path, _):
    """Return the same of a selection with RDataFrame."""
    with uproot.open(path / "histograms.root") as file:
        histograms = {key: file[key].values(flow=True) for key in file.keys(cycle=False)}
    with uproot.open(path / "candidates.root") as file:
        columns = file["candidates"].arrays(library="np")
    content = json.loads((path / "cutflow.json").read_text())
    cutflow = [(r["step"], r["events"], r["candidates"]) for r in content["cutflow"]]
    return {
        "cutflow": cutflow,
        "histograms": histograms,
        "sections": content["sections"],
    } | by_event(columns)


def by_event(columns):
    """Return the numbers of the selected events in order, and the other columns."""
    numbers = np.stack([columns.pop(name).astype(np.int64) for name in NUMBERS])
    order = np.lexsort(numbers[::-1])
    return {"events": numbers[:, order], "table": {n: c[order] for n, c in columns.items()}}


def differences(first, second):
    """Return what differs between two results, one line each."""
    found = []
    if first["cutflow"] != second["cutflow"]:
        pairs = zip(first["cutflow"], second["cutflow"], strict=False)
        found += [f"cutflow: {one} and {other}" for one, other in pairs if one != other]
    one, other = first["events"], second["events"]
    if not np.array_equal(one, other):
        return [*found, f"selected events: {one.shape[1]} and {other.shape[1]}, or others"]
    for name in first["table"].keys() & second["table"].keys():
        one, other = first["table"][name], second["table"][name]
        alike = (
            np.allclose(one, other, PRECISION, 0, equal_nan=True)
            if one.dtype.kind in "biuf"
            else np.array_equal(one, other)  # names of categories
        )
        if not alike:
            found.append(f"column {name}: {one[one != other]} and {other[one != other]}")
    if first["histograms"].keys() != second["histograms"].keys():
        names = first["histograms"].keys() ^ second["histograms"].keys()
        found.append(f"histograms of one alone: {', '.join(sorted(names))}")
    for name in first["histograms"].keys() & second["histograms"].keys():
        one, other = first["histograms"][name], second["histograms"][name]
        if not np.array_equal(one, other):
            found.append(f"histogram {name}: {one - other}")
    if first["sections"] != second["sections"]:
        found.append(f"luminosity sections: {first['sections']} and {second['sections']}")
    return found
