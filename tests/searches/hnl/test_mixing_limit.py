"""From runs of the search and of Ds → φπ to the mixings that are excluded."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bphcoffea.corrections import load_corrections
from bphcoffea.datasets import load_fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, blinded, load_analysis, run
from bphcoffea.physics.windows import covered, signal_window
from bphcoffea.presentation.labels import LabelledRun
from bphcoffea.presentation.run_figures import figures_of_run
from bphcoffea.results import RunFolder
from bphcoffea.searches.ds_yield import DsYield
from bphcoffea.searches.hnl.limit_record import MixingLimit
from bphcoffea.searches.hnl.mixing_limit import limit_mixing
from bphcoffea.searches.hnl.rates import Neutrino
from bphcoffea.searches.hnl.signals import Signals
from bphcoffea.statistics import blind_windows, fit_mass
from bphcoffea.statistics.blindness import StillBlindError
from bphcoffea.statistics.counting import validate
from bphcoffea.statistics.datacards import datacard
from bphcoffea.toys.hnl import SAMPLES as ALL_SAMPLES
from bphcoffea.toys.hnl import HnlToy

DATA, *SIGNAL = ALL_SAMPLES


#: Data in one file, and simulation: three lifetimes at 1.5 GeV, two at 1 GeV.
SAMPLES = (replace(DATA, files=1), *SIGNAL[1:])


@pytest.fixture(scope="module")
def runs(ds_phipi_run, without_root_files, tmp_path_factory):
    """Finished runs of the search and of the normalisation channel, fitted."""
    folder = tmp_path_factory.mktemp("runs")
    normalisation = RunFolder(shutil.copytree(ds_phipi_run.path, folder / "ds_phipi"))
    normalisation.write("fit.json", fit_mass(normalisation).as_json())
    fileset = load_fileset(HnlToy(samples=SAMPLES)(folder / "toys", 30_000, 4))
    corrections = load_corrections([folder / "toys" / "corrections.toml"])
    analysis = blinded(load_analysis("hnl").corrected(corrections), fileset, [1.25])
    search = run(analysis, fileset, folder / "hnl", Options("iterative"))
    return {"hnl": search, "ds_phipi": normalisation}


@pytest.fixture(scope="module")
def normalisation(runs):
    return DsYield.of_run(runs["ds_phipi"], 0.9, 0.045)


@pytest.fixture(scope="module")
def limit(runs, normalisation):
    return limit_mixing(runs["hnl"], normalisation, [1.0, 1.25, 1.5], points=3, toys=0).as_json()


@pytest.mark.slow
def test_the_yield_of_the_normalisation_channel(runs, normalisation):
    """N·f/[B(φ→μμ)·B(Ds→φπ)·ε], with the efficiency of what a fit finds of the simulation."""
    folder = runs["ds_phipi"]
    fit = folder.read("fit.json")
    simulated = fit["simulation"]["ds"]["parameters"]["n_ds"]
    before_filter = folder.cutflow["toy_ds_phipi_mc"][0]["sumw"] / 0.02
    efficiency = simulated["value"] / before_filter
    assert normalisation.efficiency == pytest.approx(efficiency, rel=1e-9)
    error = simulated["error"] / before_filter
    assert normalisation.efficiency_error == pytest.approx(error, rel=1e-9)
    expected = fit["parameters"]["n_ds"]["value"] * 0.9 / (2.86e-4 * 0.045 * efficiency)
    assert normalisation.decays == pytest.approx(expected, rel=1e-9)
    assert normalisation.uncertainties()["f_prompt"] == pytest.approx(0.05)


@pytest.mark.slow
def test_signal_yields_follow_the_formula(runs, normalisation, limit):
    """Every point and category, from the tables of candidates, by a loop."""
    folder = runs["hnl"]
    (hypothesis,) = (known for known in limit["hypotheses"] if known["mass"] == 1.5)
    samples = {ctau: f"DsToNMu_NToMuPi_mN1p5_ctau{ctau}p0mm_incl" for ctau in (10, 100, 1000)}
    tables = {ctau: folder.candidates(name).to_pydict() for ctau, name in samples.items()}
    everything = {ctau: folder.cutflow[name][0] for ctau, name in samples.items()}
    sizes = {}
    for ctau, table in tables.items():
        weights = np.array(table["weight"])
        sizes[ctau] = everything[ctau]["events"] * weights.mean() ** 2 / (weights**2).mean()
    shares = {ctau: size / sum(sizes.values()) for ctau, size in sizes.items()}
    # Ds in the luminosity of the search: the fit has another
    luminosities = [runs[n].read("luminosity.json")["luminosity"] for n in ("hnl", "ds_phipi")]
    decays = normalisation.decays * luminosities[0] / luminosities[1]
    for point in hypothesis["points"][::2]:
        ctau = Neutrino().ctau_from_mixing(1.5, point["mixing"])
        totals = dict.fromkeys(hypothesis["categories"], 0.0)
        for own, table in tables.items():
            columns = (table[n] for n in ("hnl_mass", "gen_proper_length", "weight", "category"))
            for mass, length, weight, category in zip(*columns, strict=True):
                low, high = hypothesis["categories"][category]["window"]
                if not low < mass < high:
                    continue
                density = math.exp(-length / ctau) / ctau
                mixture = sum(
                    share * math.exp(-length / mean) / mean for mean, share in shares.items()
                )
                part = 0.01013 * shares[own] / everything[own]["sumw"]  # before the filter
                totals[category] += part * weight * density / mixture
        rate = decays * Neutrino().branching_product(1.5, point["mixing"])
        for category, total in totals.items():
            events = point["signal"][category]["events"]
            assert events == pytest.approx(rate * total, rel=1e-9)


@pytest.mark.slow
def test_a_limit_tells_the_data_of_both_runs(runs, limit, normalisation):
    known = json.loads(json.dumps(limit))["normalisation"]
    assert known["data"]["datasets"] == ["toy_2017", "toy_2018"]
    assert known["data"]["eras"] == ["2017D", "2018D"]
    assert known["search"]["datasets"] == ["hnl_data_2018D"]
    assert known["luminosity_ratio"] == pytest.approx(3 / 4, rel=1e-3)
    assert known["decays"] == pytest.approx(normalisation.decays * known["luminosity_ratio"])
    assert not limit["partial"]
    assert limit["complete"]


@pytest.mark.slow
def test_same_data_are_not_scaled_and_progress_is_told(runs, normalisation):
    steps = []
    limit = limit_mixing(
        runs["hnl"],
        normalisation,
        [1.5],
        points=2,
        same_data=True,
        progress=lambda *step: steps.append(step),
    ).as_json()
    same = limit["normalisation"]
    assert (same["luminosity_ratio"], same["same_data"]) == (1.0, True)
    tested = sum(len(known["points"]) for known in limit["hypotheses"])
    assert [done for done, _ in steps] == list(range(1, tested + 1))
    # points that narrow the ends down are added when they are known
    totals = [total for _, total in steps]
    assert totals == sorted(totals)
    assert (totals[0], totals[-1]) == (2, tested)


@pytest.mark.slow
def test_half_of_the_data_of_both_runs_give_half_of_the_ds(runs, normalisation, tmp_path):
    """A fit of one era alone, and a search of which only a part was processed, marked as a try."""
    one_era = RunFolder(shutil.copytree(runs["ds_phipi"].path, tmp_path / "phi"))
    one_era.write("fit.json", fit_mass(one_era, ["toy_2017"]).as_json())
    part = RunFolder(shutil.copytree(runs["hnl"].path, tmp_path / "part"))
    luminosity = part.read("luminosity.json")
    for known in (*luminosity["parts"], *luminosity["datasets"].values()):
        known["luminosity"] /= 4
    part.write("luminosity.json", luminosity)
    part.write("ledger.json", {**part.read("ledger.json"), "partial": True})
    fitted = DsYield.of_run(one_era)
    limit = limit_mixing(part, fitted, [1.0], points=2).as_json()
    assert limit["partial"]
    assert limit["normalisation"]["luminosity_ratio"] == pytest.approx(0.375 / 0.8, rel=1e-3)
    # as many Ds per fb⁻¹ as in all data: errors of both fits, which share 40% of the data
    whole = normalisation.decays / normalisation.prompt / normalisation.data.luminosity
    own = ("ds_yield", "ds_efficiency")
    error = math.hypot(*(each.uncertainties()[n] for each in (fitted, normalisation) for n in own))
    assert limit["normalisation"]["decays"] / 0.375 == pytest.approx(whole, rel=3 * error)


@pytest.mark.slow
def test_rate_and_lifetime_move_together(limit):
    for hypothesis in limit["hypotheses"]:
        mixings = [point["mixing"] for point in hypothesis["points"]]
        assert mixings == sorted(mixings)
        products = {point["mixing"] * point["ctau"] for point in hypothesis["points"]}
        assert max(products) == pytest.approx(min(products), rel=1e-9)
        # each is excluded from some mixing on: the toys have no signal
        (range_,) = hypothesis["expected"][2]
        assert mixings[0] < range_["low"] < mixings[-1]


@pytest.mark.slow
def test_between_generated_masses_signal_is_interpolated(runs, limit):
    signals = Signals.of_run(runs["hnl"])
    assert signals.masses == [1.0, 1.5]
    assert signals.width(1.25) == pytest.approx((signals.width(1.0) + signals.width(1.5)) / 2)
    windows = {mass: signal_window(mass, signals.width(mass)) for mass in (1.0, 1.25, 1.5)}
    # 1/E of the other muon's energy; and each mass flies as far with the same cτ/m
    x = [1 / (1.96835**2 + 0.1056583755**2 - mass**2) for mass in windows]
    part = (x[1] - x[0]) / (x[2] - x[0])

    def between(windows):
        below, above = (
            signals.efficiency("SSlxy5toInf", mass, 100 * mass / 1.25, windows[mass]).value
            for mass in signals.masses
        )
        return below ** (1 - part) * above**part

    middle = signals.efficiency("SSlxy5toInf", 1.25, 100.0, windows[1.25])
    assert middle.value == pytest.approx(between(windows))
    assert 0 < middle.error < middle.value
    # a window that is cut off is so at the masses on both sides
    low, _ = windows[1.25]
    half = signals.efficiency("SSlxy5toInf", 1.25, 100.0, (low, 1.25)).value
    halves = {mass: (windows[mass][0], mass) for mass in signals.masses}
    assert half == pytest.approx(between(halves))
    uncertainties = {h["mass"]: h["uncertainties"] for h in limit["hypotheses"]}
    assert uncertainties[1.25]["mass_interpolation"] == pytest.approx(0.0519, rel=0.01)
    assert "mass_interpolation" not in uncertainties[1.0]
    assert limit["notes"] == []
    with pytest.raises(InputError, match=r"mass 1.6 GeV: signal is simulated from 1 to 1.5 GeV"):
        signals.width(1.6)


@pytest.mark.slow
def test_data_in_the_windows_are_not_looked_at_unless_asked(runs, normalisation, limit, tmp_path):
    assert limit["blinded"]
    for hypothesis in limit["hypotheses"]:
        assert hypothesis["observed"] is None
        assert {known["observed"] for known in hypothesis["categories"].values()} == {None}
    # other data in the windows change nothing
    changed = RunFolder(shutil.copytree(runs["hnl"].path, tmp_path / "run"))
    path = changed.path / "candidates" / "hnl_data_2018D.parquet"
    table = pq.read_table(path)
    window = limit["hypotheses"][0]["categories"]["SSlxy0to1"]["window"]
    more = {name: table[name].to_pylist() for name in table.column_names}
    for name, values in more.items():
        values += [sum(window) / 2 if name == "hnl_mass" else values[0]] * 50
    pq.write_table(pa.table(more, schema=table.schema), path)
    again = limit_mixing(changed, normalisation, [1.0], points=3, toys=0).as_json()
    assert json.dumps(again["hypotheses"][0]) == json.dumps(limit["hypotheses"][0])
    with pytest.raises(StillBlindError, match=r"it has no data in 0\.9655–1\.034 and 1\.2"):
        limit_mixing(changed, normalisation, [1.0], points=2, unblind=True).as_json()
    # as the folder of an unblinded run, or one of an older version
    analysis = changed.read("analysis.json")
    del analysis["blind"]["hidden"]
    changed.write("analysis.json", analysis)
    as_before = limit_mixing(changed, normalisation, [1.0], points=2, toys=0).as_json()
    assert (limit["run_blinded"], as_before["run_blinded"]) == (True, False)
    assert as_before["blinded"]
    seen = limit_mixing(changed, normalisation, [1.0], points=2, unblind=True, toys=0).as_json()
    assert sum(known["observed"] for known in seen["hypotheses"][0]["categories"].values()) == 50
    # an excess weakens what is observed
    assert seen["hypotheses"][0]["observed"] != seen["hypotheses"][0]["expected"][2]


@pytest.mark.slow
def test_each_point_is_a_workspace_of_pyhf_and_a_datacard(runs, limit):
    point = limit["hypotheses"][2]["points"][-1]
    record = MixingLimit.from_json(limit)
    spec = record.workspace(1.5, point["mixing"])
    validate(spec)
    assert {channel["name"] for channel in spec["channels"]} >= set(point["signal"])
    hypothesis = record.nearest(1.5)
    channels, shared = hypothesis.channels(point["mixing"]), hypothesis.uncertainties
    assert [channel.name for channel in channels] == list(point["signal"])
    assert {"ds_yield", "f_prompt", "trigger_data_stat"} <= set(shared)
    card = datacard(channels, shared)
    # each with its sidebands
    assert f"imax {2 * len(channels)}" in card
    assert "\nhnl_width " in card
    assert any(
        modifier["name"] == "signal_hnl_width"
        for channel in spec["channels"]
        for modifier in channel["samples"][0]["modifiers"]
    )


@pytest.mark.slow
def test_a_dirac_n_has_no_muons_of_equal_charges(runs, normalisation, limit):
    """And, of simulated Majorana decays, twice as many of the others, at half the width."""
    dirac = Neutrino(majorana=False)
    content = limit_mixing(
        runs["hnl"], normalisation, [1.5], points=2, neutrino=dirac, toys=0
    ).as_json()
    assert (limit["neutrino"], content["neutrino"]) == ("majorana", "dirac")
    signals = {nature: Signals.of_run(runs["hnl"], nature) for nature in (Neutrino(), dirac)}
    (hypothesis,) = content["hypotheses"]
    for category, known in hypothesis["categories"].items():
        majorana, twice = (
            own.efficiency(category, 1.5, 100.0, tuple(known["window"])) for own in signals.values()
        )
        assert majorana.value > 0
        assert twice.value == pytest.approx(2 * majorana.value if category[:2] == "OS" else 0.0)
        signal = [point["signal"][category]["events"] for point in hypothesis["points"]]
        assert (max(signal) > 0) == (category[:2] == "OS")
        bounds = [point["signal"][category]["bound"] for point in hypothesis["points"]]
        assert category[:2] == "OS" or set(bounds) == {0.0}
    assert content["hypotheses"][0]["points"][0]["ctau"] > 0


@pytest.mark.slow
def test_the_commands_of_the_readme(runs, bphcoffea):
    def call(*words):
        ended = bphcoffea(*words)
        return ended.status, ended

    folder = runs["hnl"].path
    status, output = call(
        *("limit", folder, "--normalisation", runs["ds_phipi"].path, "--f-prompt", "0.9"),
        *("--mass", "1", "--mass", "1.5", "--points", "2", "--toys", "0"),
    )
    assert status == 0, output.err
    assert [h["mass"] for h in runs["hnl"].read("limit.json")["hypotheses"]] == [1.0, 1.5]
    assert "blinded" in output.out
    assert "Majorana N" in output.out
    line = "(2 fb⁻¹), times 0.75 for the 1.5 fb⁻¹ of the search in hnl_data_2018D"
    assert line in output.out
    assert "note: the eras differ" in output.out
    # without a luminosity nothing is scaled unless somebody says that nothing is to be
    unknown = RunFolder(shutil.copytree(folder, folder.with_name("unknown")))
    # figures of one variable are enough
    stored = unknown.read("histograms.json")
    unknown.write("histograms.json", {"hnl_mass": stored["hnl_mass"]})
    figures = dict(figures_of_run(LabelledRun(unknown)))
    figures["limit_cls_m1"].draw_without_rendering()
    names = set(figures)
    assert {"limit", "limit_cls_m1", "limit_sidebands_m1p5", "hnl_mass_SSlxy5toInf"} <= names
    luminosity = unknown.read("luminosity.json")
    luminosity["parts"][0]["luminosity"] = None
    unknown.write("luminosity.json", luminosity)
    words = ("limit", unknown.path, "--normalisation", runs["ds_phipi"].path)
    words += ("--mass", "1.5", "--points", "2")
    status, output = call(*words, "--same-data", "--toys", "10")
    assert (status, output.err.count("\n")) == (2, 1)
    assert "10 toys: use 1000 or more, or 0 for asymptotic formulae" in output.err
    status, output = call(*words)
    assert status == 2
    assert "the luminosity of hnl_data_2018D is not known" in output.err
    assert output.err.endswith("the same data (--same-data)\n")
    assert output.err.count("\n") == 1
    status, output = call(*words, "--same-data", "--toys", "1000", "--seed", "3")
    assert status == 0
    assert "CLs: 1000 toys of each hypothesis (seed 3)" in output.out
    assert "not scaled: asserted to be the same data" in output.out
    (hypothesis,) = unknown.read("limit.json")["hypotheses"]
    assert hypothesis["points"][0]["toys"] == 1000
    # as many files as points, of which a few are enough
    limit = unknown.read("limit.json")
    limit["hypotheses"][0]["points"] = hypothesis["points"][:3]
    unknown.write("limit.json", limit)
    for form, suffix in (("combine", "txt"), ("pyhf", "json")):
        status, output = call("export", unknown.path, "--format", form)
        assert status == 0, output.err
        assert len(list((unknown.path / "datacards").glob(f"m1.5_*.{suffix}"))) == 3
    for options, line in (
        (("--unblind",), "run again unblinded (run --unblind)\n"),
        (("--mass", "1.1"), "; run again with this mass (run --mass)\n"),
    ):
        words = ("limit", folder, "--normalisation", runs["ds_phipi"].path, *options)
        status, output = call(*words)
        assert status == 2
        assert output.err.endswith(line)
        assert output.err.count("\n") == 1
    status, output = call("status", folder)
    assert "BLIND: data with hnl_mass in 0.9655–1.034, " in output.out.replace(" and", ",", 1)
    status, output = call("limit", folder, "--normalisation", folder)
    assert status == 2
    assert "not fitted" in output.err
    status, output = call("export", runs["ds_phipi"].path, "--format", "combine")
    assert status == 2
    assert "no limit" in output.err


@pytest.mark.slow
def test_a_run_of_the_search_holds_no_data_in_its_windows(runs):
    folder = runs["hnl"]
    table = folder.candidates("hnl_data_2018D")
    masses = table["hnl_mass"].to_numpy().astype(np.float64)
    assert len(folder.hidden) == 3
    for low, high in folder.hidden:
        assert not np.any((masses >= low) & (masses <= high))
        width = high - low
        assert np.count_nonzero((masses > low - width) & (masses < high + width)) > 20
    assert folder.cutflow["hnl_data_2018D"][-1]["events"] == len(masses)
    for histogram in folder.histograms().values():
        counted = histogram["hnl_data_2018D", sum, "nominal", :].sum(flow=True).value
        assert counted == len(masses)
    assert blind_windows(folder) == folder.hidden
    signals = Signals.of_run(folder)
    for mass in signals.masses:
        assert covered(signal_window(mass, signals.width(mass)), folder.hidden)
