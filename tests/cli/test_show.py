"""What an analysis declares, on the terminal."""

import re

import pytest

from bphcoffea.execution import load_analysis, source_notes


@pytest.mark.parametrize("name", ["ds_phipi", "tau3mu", "hnl", "dimuon", "top_met", "zmumu"])
def test_everything_that_is_declared_is_shown(bphcoffea, name):
    ended = bphcoffea("show", name)
    assert ended.status == 0, ended.err
    words = set(re.findall(r"[\w.]+", ended.out))
    analysis = load_analysis(name)
    record = analysis.describe()
    assert source_notes(name)[0] in ended.out
    assert {cut.name for cut in record.cuts} <= words
    assert {objects.name for objects in record.objects} <= words
    assert {*record.categories, *(region.name for region in record.regions)} <= words
    shown = {n for n, h in record.histograms.items() if h.n_minus_1 is None}
    assert shown <= words
    assert {h.variable for h in record.histograms.values()} <= words
    assert {weight.name for weight in analysis.weights} <= words
    assert {section for c in analysis.calibrations for section in c.needs()} <= words
    if record.fit:
        assert {peak.name for peak in record.fit.peaks} <= words


def test_branches_of_an_ntuple_are_known_without_a_file(bphcoffea, data):
    ended = bphcoffea("show", "ds_phipi")
    (line,) = (line for line in ended.out.splitlines() if "branches: " in line)
    branches = line.partition(": ")[2].split(", ")
    assert len(branches) == int(line.split()[0])
    assert {"Triplet2_Mass", "TripletVtx2_Chi2"} <= set(branches)
    ended = bphcoffea("show", "ds_phipi", data / "tree3mu_phipi_2017.root")
    assert line.replace("branches:", "branches of tree3mu_phipi_2017:") in ended.out.splitlines()


@pytest.mark.samples
def test_branches_of_nanoaod_are_those_read_of_a_file(bphcoffea, nanoaod):
    assert "branches" not in bphcoffea("show", "dimuon").out
    out = bphcoffea("show", "dimuon", nanoaod / "nano_dy.root").out
    assert "branches of nano_dy: Muon_charge, Muon_eta, Muon_mass, Muon_phi, Muon_pt" in out


def test_a_near_miss_is_asked_for(bphcoffea):
    ended = bphcoffea("show", "ds_phipu")
    assert ended.status == 2
    assert "unknown analysis 'ds_phipu'; did you mean 'ds_phipi'?" in ended.err
