"""Closure: simulation that was made with known scale factors and pile-up, against data."""

import numpy as np
import pytest
from scipy.stats import chi2, norm

from bphcoffea.analysis import Axis, Histogram, leg_eta, leg_pt
from bphcoffea.corrections import load_corrections
from bphcoffea.datasets import load_fileset
from bphcoffea.execution import Options, run
from bphcoffea.toys import TOYS

#: Bins are merged until so many events are expected, for a χ².
FEWEST = 50
OBSERVED = ("mass", "flight_bs_significance", "pv_tracks", "mu1_pt", "mu2_pt", "mu1_eta", "mu2_eta")


@pytest.fixture(scope="module")
def runs(ds_phipi, tmp_path_factory):
    """Runs over a toy, with corrections and without."""
    folder = tmp_path_factory.mktemp("closure")
    fileset = load_fileset(TOYS["ds_phipi"](folder / "toys", 160_000, 11))
    tracks = next(v for v in ds_phipi.selection.variables() if v.name == "pv_tracks")
    muons = [
        Histogram(variable.name, variable, axis)
        for muon in ("mu1", "mu2")
        for variable, axis in (
            (leg_pt("Triplet", muon), Axis(40, 2, 22)),
            (leg_eta("Triplet", muon), Axis(24, -2.4, 2.4)),
        )
    ]

    class Observing(type(ds_phipi)):
        histograms = (
            *type(ds_phipi).histograms,
            Histogram("pv_tracks", tracks, Axis(50, 0, 100)),
            *muons,
        )

    corrected = Observing().corrected(load_corrections([folder / "toys" / "corrections.toml"]))
    options = Options("iterative")
    return {
        "corrected": run(corrected, fileset, folder / "corrected", options),
        "plain": run(Observing(), fileset, folder / "plain", options),
    }


def p_values(folder, name):
    """Of the distribution (χ²), and of its sum, in data against normalised simulation."""
    histogram = folder.normalised_histograms()[name]
    groups = {True: [], False: []}
    for dataset, known in folder.datasets.items():
        groups[known.is_mc].append(histogram[dataset, "all", "nominal", :])
    data, simulation = sum(groups[False]), sum(groups[True])
    merged = []
    rows = zip(data.values(), simulation.values(), simulation.variances(), strict=True)
    for row in rows:
        if merged and merged[-1][1] < FEWEST:
            merged[-1] = merged[-1] + np.array(row)
        else:
            merged.append(np.array(row))
    if merged[-1][1] < FEWEST:
        last = merged.pop()
        merged[-1] = merged[-1] + last
    counts, expected, variances = np.array(merged).T
    # data fluctuate as what is expected, simulation by its own weights
    pulls = (counts - expected) / np.sqrt(expected + variances)
    total = (counts.sum() - expected.sum()) / np.sqrt((expected + variances).sum())
    return chi2.sf(np.sum(pulls**2), len(pulls)), 2 * norm.sf(abs(total)), total


@pytest.mark.slow
@pytest.mark.parametrize("name", OBSERVED)
def test_corrected_simulation_agrees_with_data(runs, name):
    shape, total, _ = p_values(runs["corrected"], name)
    print(f"{name}: p-value of the distribution {shape:.2g}, of the yield {total:.2g}")
    assert shape > 1e-3
    assert total > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", OBSERVED)
def test_simulation_without_corrections_does_not(runs, name):
    shape, total, difference = p_values(runs["plain"], name)
    print(f"{name}: p-value of the distribution {shape:.2g}, of the yield {total:.2g}")
    assert total < 1e-3
    assert difference < 0  # simulation is too efficient
    if name == "pv_tracks":
        assert shape < 1e-6  # and has too much pile-up
