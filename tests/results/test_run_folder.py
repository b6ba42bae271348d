"""What a run's folder gives."""

import shutil

import numpy as np

from bphcoffea.results import RunFolder


def contents(run):
    return {name: histogram.values(flow=True) for name, histogram in run.histograms().items()}


def test_histograms_are_those_of_the_file_whatever_was_done_to_earlier_ones(ds_phipi_run, tmp_path):
    shutil.copytree(ds_phipi_run.path, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    expected = contents(run)
    for histogram in run.histograms().values():
        histogram.reset()
    assert all(np.array_equal(expected[name], found) for name, found in contents(run).items())
    replaced = tmp_path / "histograms.json"
    replaced.write_text("{}")
    replaced.rename(run.path / "histograms.json")
    assert run.histograms() == {}
