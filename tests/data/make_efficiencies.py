"""Make ``efficiencies.root``, and what ROOT itself says of it, ``efficiencies.json``.

Needs ROOT (the wheel ``root`` of the package index, a pre-release); nothing else in the project
does. Run it without arguments, and commit what it writes.
"""

import json
from array import array
from pathlib import Path

import ROOT

HERE = Path(__file__).parent
#: Passed and total of each bin: usual, of no events, all, none, many.
COUNTS = [(3, 10), (0, 0), (5, 5), (0, 4), (98765, 100000)]
EDGES = [2.0, 2.5, 3.0, 4.0, 6.0, 10.0]


def one_axis(name, weight=1.0):
    passed = ROOT.TH1D("passed", "", len(COUNTS), array("d", EDGES))
    total = ROOT.TH1D("total", "", len(COUNTS), array("d", EDGES))
    for index, counts in enumerate(COUNTS, start=1):
        for histogram, count in zip((passed, total), counts, strict=True):
            histogram.SetBinContent(index, weight * count)
            histogram.SetBinError(index, weight * count**0.5)
    efficiency = ROOT.TEfficiency(passed, total)
    efficiency.SetName(name)
    return efficiency


def two_axes(name):
    edges = (array("d", [2.0, 4.0, 10.0]), array("d", [0.0, 0.9, 1.2, 2.4]))
    efficiency = ROOT.TEfficiency(name, "", 2, edges[0], 3, edges[1])
    for trial in range(60):
        pt, abseta = (3.0, 7.0)[trial % 2], (0.5, 1.0, 2.0)[trial % 3]
        efficiency.Fill(trial % 5 < 2 + trial % 3, pt, abseta)
    # the priors of single bins are what uproot cannot read
    efficiency.SetBetaBinParameters(1, 2.0, 3.0)
    return efficiency


def told(efficiency):
    total = efficiency.GetTotalHistogram()
    y = range(1, total.GetNbinsY() + 1)
    bins = [total.GetBin(i, j) for i in range(1, total.GetNbinsX() + 1) for j in y]
    return [
        {
            "nominal": efficiency.GetEfficiency(index),
            "down": efficiency.GetEfficiency(index) - efficiency.GetEfficiencyErrorLow(index),
            "up": efficiency.GetEfficiency(index) + efficiency.GetEfficiencyErrorUp(index),
        }
        for index in bins
    ]


def main():
    ROOT.TH1.AddDirectory(False)
    made = {"pt": one_axis("pt"), "pt_abseta": two_axes("pt_abseta")}
    weighted = one_axis("weighted", weight=0.5)
    file = ROOT.TFile(str(HERE / "efficiencies.root"), "RECREATE")
    for name, efficiency in (made | {"weighted": weighted}).items():
        efficiency.SetDirectory(ROOT.nullptr)
        file.WriteTObject(efficiency, name)
    file.Close()
    content = {name: told(efficiency) for name, efficiency in made.items()}
    (HERE / "efficiencies.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
