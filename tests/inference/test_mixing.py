"""From runs of the search and of Ds → φπ to the mixings that are excluded."""

import json
import math
import shutil
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bphcoffea import cli
from bphcoffea.corrections import load as load_corrections
from bphcoffea.datasets import load
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, RunFolder, load_analysis, run
from bphcoffea.inference.counting import Channel, validate
from bphcoffea.inference.datacards import datacard
from bphcoffea.inference.ds_yield import DsYield
from bphcoffea.inference.mixing import channels_of, limit_run, workspace_of
from bphcoffea.inference.run import fit_run
from bphcoffea.inference.signals import Sample, Signals
from bphcoffea.physics.hnl_rates import branching_product, ctau_from_mixing
from bphcoffea.presentation import plot_run
from bphcoffea.presentation.blinding import blind_windows, hide
from bphcoffea.toys import TOYS


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Finished runs of the search and of the normalisation channel, fitted."""
    folder = tmp_path_factory.mktemp("runs")
    made = {}
    for name, events in (("hnl", 40_000), ("ds_phipi", 60_000)):
        fileset = load(TOYS[name](folder / f"{name}_toys", events, 4))
        corrections = load_corrections([folder / f"{name}_toys" / "corrections.toml"])
        analysis = load_analysis(name).corrected(corrections)
        made[name] = run(analysis, fileset, folder / name, Options("futures", workers=2))
    made["ds_phipi"].write("fit.json", fit_run(made["ds_phipi"]))
    return made


@pytest.fixture(scope="module")
def normalisation(runs):
    return DsYield.of_run(runs["ds_phipi"], 0.9, 0.045)


@pytest.fixture(scope="module")
def limit(runs, normalisation):
    return limit_run(runs["hnl"], normalisation, [1.0, 1.25, 1.5], points=8)


@pytest.mark.slow
def test_the_yield_of_the_normalisation_channel(runs, normalisation):
    """N·f/[B(φ→μμ)·B(Ds→φπ)·ε], with the efficiency of the simulation in the fit's range."""
    folder = runs["ds_phipi"]
    fit = folder.read("fit.json")
    table = folder.candidates("toy_ds_phipi_mc").to_pydict()
    low, high = fit["range"]
    inside = [w for m, w in zip(table["mass"], table["weight"], strict=True) if low < m < high]
    everything = folder.cutflow["toy_ds_phipi_mc"][0]["sumw"]
    efficiency = sum(inside) / everything
    assert normalisation.efficiency == pytest.approx(efficiency, rel=1e-9)
    error = math.sqrt(sum(w**2 for w in inside)) / everything
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
    for point in hypothesis["points"]:
        ctau = ctau_from_mixing(1.5, point["coupling"])
        nearest = min(samples, key=lambda known: abs(math.log(known / ctau)))
        table = folder.candidates(samples[nearest]).to_pydict()
        masses = np.array(table["hnl_mass"], dtype=np.float64)
        width = (np.quantile(masses, 0.841345) - np.quantile(masses, 0.158655)) / 2
        totals = dict.fromkeys(hypothesis["categories"], 0.0)
        for mass, length, weight, category in zip(
            masses,
            table["gen_proper_length"],
            table["weight"],
            table["category"],
            strict=True,
        ):
            if abs(mass - 1.5) < 3 * width:
                ratio = nearest / ctau * math.exp(length * (1 / nearest - 1 / ctau))
                totals[category] += weight * ratio
        everything = folder.cutflow[samples[nearest]][0]["sumw"]
        # Ds in the luminosity of the search: the fit has another
        luminosities = [runs[n].read("luminosity.json")["luminosity"] for n in ("hnl", "ds_phipi")]
        decays = normalisation.decays * luminosities[0] / luminosities[1]
        rate = decays * branching_product(1.5, point["coupling"])
        for category, total in totals.items():
            events = point["signal"][category]["events"]
            assert events == pytest.approx(rate * total / everything, rel=1e-9)


@pytest.mark.slow
def test_a_limit_tells_the_data_of_both_runs(runs, limit, normalisation):
    known = json.loads(json.dumps(limit))["normalisation"]
    assert known["data"]["datasets"] == ["toy_2017", "toy_2018"]
    assert known["data"]["eras"] == ["2017D", "2018D"]
    assert known["search"]["datasets"] == ["hnl_data_2018D"]
    assert known["luminosity_ratio"] == pytest.approx(2 / 3, rel=1e-3)
    assert known["decays"] == pytest.approx(normalisation.decays * known["luminosity_ratio"])
    assert not limit["partial"]
    assert limit["complete"]
    same = limit_run(runs["hnl"], normalisation, [1.0], points=2, same_data=True)["normalisation"]
    assert (same["luminosity_ratio"], same["same_data"]) == (1.0, True)


@pytest.mark.slow
def test_half_of_the_data_of_both_runs_give_half_of_the_ds(runs, normalisation, tmp_path):
    """A fit of one era alone, and a search of which only a part was processed, marked as a try."""
    one_era = RunFolder(shutil.copytree(runs["ds_phipi"].path, tmp_path / "phi"))
    one_era.write("fit.json", fit_run(one_era, ["toy_2017"]))
    part = RunFolder(shutil.copytree(runs["hnl"].path, tmp_path / "part"))
    luminosity = part.read("luminosity.json")
    for known in (*luminosity["parts"], *luminosity["datasets"].values()):
        known["luminosity"] /= 4
    part.write("luminosity.json", luminosity)
    part.write("ledger.json", {**part.read("ledger.json"), "partial": True})
    fitted = DsYield.of_run(one_era)
    limit = limit_run(part, fitted, [1.0], points=2)
    assert limit["partial"]
    assert limit["normalisation"]["luminosity_ratio"] == pytest.approx(0.5 / 1.2, rel=1e-3)
    # as many Ds per fb⁻¹ as in all data: errors of both fits, which share 40% of the data
    whole = normalisation.decays / normalisation.prompt / normalisation.data.luminosity
    error = math.hypot(*fitted.uncertainties().values(), *normalisation.uncertainties().values())
    assert limit["normalisation"]["decays"] / 0.5 == pytest.approx(whole, rel=3 * error)


@pytest.mark.slow
def test_rate_and_lifetime_move_together(limit):
    for hypothesis in limit["hypotheses"]:
        couplings = [point["coupling"] for point in hypothesis["points"]]
        assert couplings == sorted(couplings)
        products = {point["coupling"] * point["ctau"] for point in hypothesis["points"]}
        assert max(products) == pytest.approx(min(products), rel=1e-9)
        # each is excluded from some coupling on: the toys have no signal
        (range_,) = hypothesis["expected"][2]
        assert couplings[0] < range_["low"] < couplings[-1]


@pytest.mark.slow
def test_between_generated_masses_signal_is_interpolated(runs, limit):
    signals = Signals.of_run(runs["hnl"])
    assert signals.masses == [1.0, 1.5]
    assert signals.width(1.25) == pytest.approx((signals.width(1.0) + signals.width(1.5)) / 2)
    ends = [signals.efficiency("SSlxy5toInf", mass, 100.0)[0] for mass in (1.0, 1.5)]
    middle, error = signals.efficiency("SSlxy5toInf", 1.25, 100.0)
    assert middle == pytest.approx(math.sqrt(ends[0] * ends[1]))
    assert 0 < error < middle
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
    again = limit_run(changed, normalisation, [1.0], points=8)
    assert json.dumps(again["hypotheses"][0]) == json.dumps(limit["hypotheses"][0])
    seen = limit_run(changed, normalisation, [1.0], points=8, unblind=True)
    assert sum(known["observed"] for known in seen["hypotheses"][0]["categories"].values()) > 50
    # an excess weakens what is observed
    assert seen["hypotheses"][0]["observed"] != seen["hypotheses"][0]["expected"][2]


@pytest.mark.slow
def test_each_point_is_a_workspace_of_pyhf_and_a_datacard(runs, limit):
    point = limit["hypotheses"][2]["points"][3]
    spec = workspace_of(limit, 1.5, point["coupling"])
    validate(spec)
    assert {channel["name"] for channel in spec["channels"]} >= set(point["signal"])
    channels, shared = channels_of(limit, 1.5, point["coupling"])
    assert [channel.name for channel in channels] == list(point["signal"])
    assert {"ds_yield", "f_prompt", "trigger_data_stat"} <= set(shared)
    card = datacard(channels, shared)
    assert f"imax {len(channels)}" in card


def test_a_datacard_says_what_the_channels_do():
    channels = [
        Channel("A", 2.0, 10.0, 12, 0.1, 2.0, 1.0),
        Channel("B", 1.0, 0.0, 0, 0.0, 0.4, 0.0),
    ]
    rows = [line.split() for line in datacard(channels, {"lumi": 0.025}).splitlines()]
    table = {row[0]: row[1:] for row in rows if row}
    assert table["observation"] == ["12", "0"]
    assert table["rate"] == ["2", "10", "1", "0"]
    assert table["lumi"] == ["lnN", "1.025", "-", "1.025", "-"]
    assert table["signal_stat_A"] == ["lnN", "1.1", "-", "-", "-"]
    # 10 ± 2 are 25 events, each worth 0.4; nothing was seen in B, where one would be worth 0.4
    assert table["background_A"] == ["gmN", "25", "-", "0.4", "-", "-"]
    assert table["background_B"] == ["gmN", "0", "-", "-", "-", "0.4"]
    assert table["shape_A"] == ["lnN", "-", "1.1", "-", "-"]
    assert "signal_stat_B" not in table


def test_an_efficiency_is_that_of_the_window_of_its_category():
    sample = Sample(
        "x",
        1.0,
        100.0,
        sumw_before_cuts=50.0,
        masses=np.array([0.99, 1.0, 1.01, 1.5, 1.0]),
        lengths=np.array([10.0, 100.0, 50.0, 1.0, 5.0]),
        weights=np.array([1.0, 2.0, 1.0, 1.0, 4.0]),
        categories=np.array(["a", "a", "b", "a", "b"]),
    )
    low, high = np.quantile(sample.masses, (0.158655, 0.841345))
    assert sample.width == pytest.approx((high - low) / 2)
    value, error = sample.efficiency("b", 100.0)
    assert value == pytest.approx(5 / 50)
    assert error == pytest.approx(math.sqrt(17) / 50)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"prompt": 0.0}, "a fraction lies between 0 and 1"),
        ({"prompt": 1.5}, "a fraction lies between 0 and 1"),
    ],
)
def test_a_fraction_is_one(change, line, tmp_path):
    (tmp_path / "ledger.json").write_text("{}")
    with pytest.raises(InputError, match=line):
        DsYield.of_run(RunFolder(tmp_path), **change)


def test_a_run_that_was_not_fitted_is_told(tmp_path):
    (tmp_path / "ledger.json").write_text("{}")
    with pytest.raises(InputError, match="not fitted; do so with: bphcoffea fit"):
        DsYield.of_run(RunFolder(tmp_path))


@pytest.mark.slow
def test_the_commands_of_the_readme(runs, monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["bphcoffea", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, capsys.readouterr()

    folder = runs["hnl"].path
    status, output = call(
        *("limit", folder, "--normalisation", runs["ds_phipi"].path, "--f-prompt", "0.9"),
        *("--points", "6", "--toys", "1000", "--seed", "3"),
    )
    assert status == 0, output.err
    assert "CLs: 1000 toys of each hypothesis (seed 3)" in output.out
    assert runs["hnl"].read("limit.json")["hypotheses"][0]["points"][0]["toys"] == 1000
    assert "blinded" in output.out
    line = "(3 fb⁻¹), times 0.6667 for the 2 fb⁻¹ of the search in hnl_data_2018D"
    assert line in output.out
    assert "note: the eras differ" in output.out
    # without a luminosity nothing is scaled unless somebody says that nothing is to be
    unknown = RunFolder(shutil.copytree(folder, folder.with_name("unknown")))
    luminosity = unknown.read("luminosity.json")
    luminosity["parts"][0]["luminosity"] = None
    unknown.write("luminosity.json", luminosity)
    words = ("limit", unknown.path, "--normalisation", runs["ds_phipi"].path, "--points", "2")
    status, output = call(*words, "--toys", "10")
    assert (status, output.err.count("\n")) == (2, 1)
    assert "--toys 10: take 1000 or more, or 0 for asymptotic formulae" in output.err
    status, output = call(*words)
    assert status == 2
    assert "the luminosity of hnl_data_2018D is not known" in output.err
    assert output.err.endswith("the same data (--same-data)\n")
    assert output.err.count("\n") == 1
    status, output = call(*words, "--same-data")
    assert status == 0
    assert "not scaled: asserted to be the same data" in output.out
    for form, suffix in (("combine", "txt"), ("pyhf", "json")):
        status, output = call("export", folder, "--format", form)
        assert status == 0, output.err
        assert len(list((folder / "datacards").glob(f"*.{suffix}"))) == 12
    names = {path.stem for path in plot_run(runs["hnl"])}
    assert {"limit", "limit_cls_m1", "limit_sidebands_m1p5", "hnl_mass_SSlxy5toInf"} <= names
    status, output = call("limit", folder, "--normalisation", folder)
    assert status == 2
    assert "not fitted" in output.err
    status, output = call("export", runs["ds_phipi"].path, "--format", "combine")
    assert status == 2
    assert "no limit" in output.err


@pytest.mark.slow
def test_data_near_the_signals_are_not_drawn(runs):
    folder = runs["hnl"]
    histogram = folder.histograms()["hnl_mass"]
    before = histogram["hnl_data_2018D", sum, "nominal", :].values()
    hide(histogram, blind_windows(folder), ["hnl_data_2018D"])
    after = histogram["hnl_data_2018D", sum, "nominal", :].values()
    centers = histogram.axes[-1].centers
    near = (abs(centers - 1.0) < 0.03) | (abs(centers - 1.5) < 0.04)
    assert before[near].min() > 0
    assert after[near].tolist() == [0] * near.sum()
    far = (abs(centers - 1.0) > 0.1) & (abs(centers - 1.5) > 0.1)
    np.testing.assert_array_equal(after[far], before[far])
    signal = histogram["DsToNMu_NToMuPi_mN1p5_ctau10p0mm_incl", sum, "nominal", sum].value
    assert signal > 0


def test_the_signal_window_is_one_for_signal_and_sidebands(monkeypatch):
    """Efficiencies count the candidates of the window that the sidebands leave out."""
    from bphcoffea.inference import sidebands

    monkeypatch.setattr(sidebands, "WINDOW", 2.0)
    width = 0.01
    masses = np.random.default_rng(1).normal(1.0, width, 600)
    sample = Sample(
        "x",
        1.0,
        100.0,
        50.0,
        masses=masses,
        lengths=np.zeros(600),
        weights=np.ones(600),
        categories=np.array(["a"] * 600),
    )
    fit = sidebands.fit_sidebands(masses, mass=1.0, resolution=sample.width)
    low, high = fit.window
    inside = np.count_nonzero((masses > low) & (masses < high))
    # two widths of a Gaussian hold 95.4%, three would hold 99.7%; the error is about 0.9%
    assert inside / 600 == pytest.approx(0.954, abs=0.027)
    assert sample.efficiency("a", 100.0)[0] == pytest.approx(inside / 50.0, rel=1e-12)
    assert fit.entries == 600 - inside > 0
