"""Histograms of datasets with different variations, in one each."""

import numpy as np

from bphcoffea.analysis import Axis, Histogram, Variable
from bphcoffea.execution.outcome import _variations, _with_dataset_axis
from bphcoffea.processing.luminosity_sections import LuminositySections
from bphcoffea.processing.result import DatasetResult
from bphcoffea.results.cutflow import Cutflow
from bphcoffea.results.ledger import Entries


def result(variations, contents):
    """A result whose histogram has so much in the first bin of each variation."""
    declared = Histogram("x", Variable("x", lambda events: events.x), Axis(2, 0, 2))
    histogram = declared.empty(("a", "b"), variations)
    for variation, content in zip(variations, contents, strict=True):
        histogram.fill("a", variation, [0.5], weight=[content])
    nothing = Cutflow(("all",), np.zeros(1, int), np.zeros(1, int), np.zeros(1))
    return DatasetResult(Entries(), 0, 0.0, LuminositySections(), nothing, {"x": histogram})


def test_every_variation_of_every_dataset_stands_at_its_place():
    results = {
        "data": result(["nominal"], [1.0]),
        "one": result(["nominal", "bUp", "aUp"], [2.0, 3.0, 4.0]),
        "two": result(["nominal", "aUp"], [5.0, 6.0]),
    }
    assert _variations(results) == {"data": [], "one": ["bUp", "aUp"], "two": ["aUp"]}
    together = _with_dataset_axis(results, ["one", "two"])["x"]
    assert list(together.axes["dataset"]) == ["data", "one", "two"]
    assert list(together.axes["variation"]) == ["nominal", "bUp", "aUp"]
    contents = {
        dataset: [together[dataset, "a", v, 0].value for v in together.axes["variation"]]
        for dataset in results
    }
    # what simulation does not have leaves it as it is; data have the nominal alone
    assert contents == {"data": [1, 0, 0], "one": [2, 3, 4], "two": [5, 5, 6]}
    assert together["one", "a", "aUp", 0].variance == 16
    assert together["one", "b", sum, sum].value == 0
