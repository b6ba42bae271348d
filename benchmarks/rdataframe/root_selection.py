"""Select events with RDataFrame: ``root_selection.py ANALYSIS THREADS OUTPUT FILE…``.

Functions and expressions are compiled C++; Python only books them. The folder OUTPUT gets
``histograms.root``, ``cutflow.json`` and ``candidates.root``.
"""

import json
import sys
from pathlib import Path

import ROOT
from selections import SELECTIONS


def main(analysis, threads, output, *files):
    selection = SELECTIONS[analysis]
    output = Path(output)
    output.mkdir(parents=True)
    if int(threads) > 1:
        ROOT.EnableImplicitMT(int(threads))
    header = Path(__file__).with_name(f"{analysis}.h")
    if not ROOT.gInterpreter.Declare(f'{selection.declarations()}#include "{header}"'):
        sys.exit(f"{header} cannot be compiled")
    events = ROOT.RDataFrame(selection.tree, [*files])
    read = events.Define("n_candidates", f"ULong64_t({selection.branches[0]}.size())")
    read = read.Define("section", "ULong64_t(run) << 32 | lumi")
    triggers = {"hlt": (selection.hlt,), "l1": selection.l1}
    counted = {"all": read}
    for name, prefixes in triggers.items():
        lists = f"Trigger_{name}name, Trigger_{name}decision"
        expression = " || ".join(f'fired({lists}, "{prefix}")' for prefix in prefixes)
        read = counted[name] = read.Filter(expression)
    counts = {name: ROOT.count(ROOT.RDF.AsRNode(node)) for name, node in counted.items()}
    evaluate = f"evaluate({', '.join(selection.branches)})"
    evaluated = read.Define("candidates", evaluate)
    bookings = [
        ROOT.Booking(
            f"nminus1_{name}", selection.number(name), *axis, False, selection.bits(out), -1
        )
        for name, (axis, out) in selection.n_minus_1.items()
    ]
    for name, (variable, *axis) in selection.histograms.items():
        for number, category in list(enumerate(selection.categories)) or [(-1, "")]:
            full_name = f"{name}_{category}" if category else name
            number_of = selection.number(variable)
            bookings.append(ROOT.Booking(full_name, number_of, *axis, True, 0, number))
    steps = [selection.bits(requirements) for requirements in selection.steps.values()]
    numbers = [selection.number(name) for name in (selection.best, "category")]
    filled = ROOT.book(ROOT.RDF.AsRNode(evaluated), bookings, steps, *numbers)
    best = evaluated.Define("position", f"best_of(candidates, {numbers[0]})")
    best = best.Filter("position >= 0")
    for name in selection.table:
        best = best.Define(name, f"candidates[position].values[{selection.number(name)}]")
    lazy = ROOT.RDF.RSnapshotOptions()
    lazy.fLazy = True
    columns = [*selection.numbers, *selection.table]
    table = best.Snapshot("candidates", str(output / "candidates.root"), columns, lazy)

    table.GetValue()  # the only loop over the events
    *histograms, in_events, in_candidates = filled.GetValue()
    with ROOT.TFile(str(output / "histograms.root"), "RECREATE") as file:
        for histogram in histograms:
            file.WriteObject(histogram, histogram.GetName())
    rows = [
        {"step": name, "events": int(found.events), "candidates": int(found.candidates)}
        for name, found in counts.items()
    ]
    for number, name in enumerate(selection.steps, start=2):
        # what fails at a later step has passed
        passed = [h.Integral(number, len(steps) + 1) for h in (in_events, in_candidates)]
        rows.append({"step": name, "events": int(passed[0]), "candidates": int(passed[1])})
    content = {"sections": counts["all"].sections.size(), "cutflow": rows}
    (output / "cutflow.json").write_text(json.dumps(content))


main(*sys.argv[1:])
