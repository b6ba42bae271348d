"""From runs of the search and of Ds → φπ to the mixings that are excluded."""

import json
import math
import shutil
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bphcoffea import cli
from bphcoffea.corrections import load as load_corrections
from bphcoffea.datasets import load
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, RunFolder, blinded, load_analysis, run
from bphcoffea.inference.blindness import StillBlindError
from bphcoffea.inference.counting import Channel, validate
from bphcoffea.inference.datacards import datacard
from bphcoffea.inference.ds_yield import DsYield
from bphcoffea.inference.export import export_limit
from bphcoffea.inference.mixing import Hypothesis, channels_of, limit_run, workspace_of
from bphcoffea.inference.run import fit_run
from bphcoffea.inference.signals import Sample, Signals, _of_nature
from bphcoffea.physics.hnl_rates import MAXIMUM_MASS, Neutrino
from bphcoffea.physics.lifetimes import lifetime_weight
from bphcoffea.physics.windows import covered, signal_window
from bphcoffea.presentation import plot_run
from bphcoffea.presentation.blinding import blind_windows
from bphcoffea.toys import TOYS


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Finished runs of the search and of the normalisation channel, fitted."""
    folder = tmp_path_factory.mktemp("runs")
    made = {}
    for name, events in (("hnl", 40_000), ("ds_phipi", 60_000)):
        fileset = load(TOYS[name](folder / f"{name}_toys", events, 4))
        corrections = load_corrections([folder / f"{name}_toys" / "corrections.toml"])
        masses = [1.25] if name == "hnl" else []
        analysis = blinded(load_analysis(name).corrected(corrections), fileset, masses)
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
    for point in hypothesis["points"][::4]:
        ctau = Neutrino().ctau_from_mixing(1.5, point["coupling"])
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
                part = 0.01 * shares[own] / everything[own]["sumw"]  # before the filter
                totals[category] += part * weight * density / mixture
        rate = decays * Neutrino().branching_product(1.5, point["coupling"])
        for category, total in totals.items():
            events = point["signal"][category]["events"]
            assert events == pytest.approx(rate * total, rel=1e-9)


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
    own = ("ds_yield", "ds_efficiency")
    error = math.hypot(*(each.uncertainties()[n] for each in (fitted, normalisation) for n in own))
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
    windows = {mass: signal_window(mass, signals.width(mass)) for mass in (1.0, 1.25, 1.5)}
    below, middle, above = (
        signals.efficiency("SSlxy5toInf", mass, 100.0, window) for mass, window in windows.items()
    )
    assert middle.value == pytest.approx(math.sqrt(below.value * above.value))
    assert 0 < middle.error < middle.value
    # a window that is cut off is so at the masses on both sides
    low, _ = windows[1.25]
    half = signals.efficiency("SSlxy5toInf", 1.25, 100.0, (low, 1.25)).value
    halves = [
        signals.efficiency("SSlxy5toInf", mass, 100.0, (windows[mass][0], mass)).value
        for mass in (1.0, 1.5)
    ]
    assert half == pytest.approx(math.sqrt(math.prod(halves)))
    uncertainties = {h["mass"]: h["uncertainties"] for h in limit["hypotheses"]}
    assert uncertainties[1.25]["mass_interpolation"] == 0.07
    assert "mass_interpolation" not in uncertainties[1.0]
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
    with pytest.raises(StillBlindError, match=r"it has no data in 0\.9655–1\.034 and 1\.2"):
        limit_run(changed, normalisation, [1.0], points=8, unblind=True)
    # as the folder of an unblinded run, or one of an older version
    analysis = changed.analysis
    del analysis["blind"]["hidden"]
    changed.write("analysis.json", analysis)
    as_before = limit_run(changed, normalisation, [1.0], points=2)
    assert (limit["run_blinded"], as_before["run_blinded"]) == (True, False)
    assert as_before["blinded"]
    seen = limit_run(changed, normalisation, [1.0], points=8, unblind=True)
    assert sum(known["observed"] for known in seen["hypotheses"][0]["categories"].values()) == 50
    # an excess weakens what is observed
    assert seen["hypotheses"][0]["observed"] != seen["hypotheses"][0]["expected"][2]


@pytest.mark.slow
def test_each_point_is_a_workspace_of_pyhf_and_a_datacard(runs, limit):
    point = limit["hypotheses"][2]["points"][-1]
    spec = workspace_of(limit, 1.5, point["coupling"])
    validate(spec)
    assert {channel["name"] for channel in spec["channels"]} >= set(point["signal"])
    channels, shared = channels_of(limit, 1.5, point["coupling"])
    assert [channel.name for channel in channels] == list(point["signal"])
    assert {"ds_yield", "f_prompt", "trigger_data_stat"} <= set(shared)
    card = datacard(channels, shared)
    assert f"imax {len(channels)}" in card
    assert "\nhnl_width " in card
    assert any(
        modifier["name"] == "signal_hnl_width"
        for channel in spec["channels"]
        for modifier in channel["samples"][0]["modifiers"]
    )


def test_a_datacard_says_what_the_channels_do():
    channels = [
        Channel("A", 2.0, 10.0, 12, 0.1, 2.0, 1.0, {"width": -0.2}),
        Channel("B", 1.0, 0.0, 0, 0.0, 0.4, 0.0, {"width": 0.1}),
    ]
    rows = [line.split() for line in datacard(channels, {"lumi": 0.025}).splitlines()]
    table = {row[0]: row[1:] for row in rows if row}
    assert table["observation"] == ["12", "0"]
    assert table["rate"] == ["2", "10", "1", "0"]
    assert table["lumi"] == ["lnN", "1.025", "-", "1.025", "-"]
    assert table["width"] == ["lnN", "0.8", "-", "1.1", "-"]
    assert table["signal_stat_A"] == ["lnN", "1.1", "-", "-", "-"]
    # 10 ± 2 are 25 events, each worth 0.4; nothing was seen in B, where one would be worth 0.4
    assert table["background_A"] == ["gmN", "25", "-", "0.4", "-", "-"]
    assert table["background_B"] == ["gmN", "0", "-", "-", "-", "0.4"]
    assert table["shape_A"] == ["lnN", "-", "1.1", "-", "-"]
    assert "signal_stat_B" not in table


def sample(mass, ctau, number, seed, acceptance=(20.0, 60.0), **changes):
    """Decays of which those with a proper length between two, mm, are selected."""
    rng = np.random.default_rng(seed)
    lengths = rng.exponential(ctau, number)
    lengths = lengths[(lengths > acceptance[0]) & (lengths < acceptance[1])]
    n = len(lengths)
    known = {
        "sumw_before_cuts": float(number),
        "masses": rng.normal(mass, 0.01, n),
        "lengths": lengths,
        "weights": np.ones(n),
        "categories": np.array(["OS"] * n),
        "generated": float(number),
    }
    return Sample(f"{mass}_{ctau}", mass, ctau, **{**known, **changes})


SAMPLES = [
    sample(1.0, ctau, number, seed)
    for seed, (ctau, number) in enumerate([(10.0, 20_000), (100.0, 10_000), (1000.0, 20_000)])
]
EFFICIENCY_WINDOW = (0.0, 2.0)


def nearest(samples, ctau):
    """Efficiency and error of the sample of the nearest lifetime alone."""
    found = min(samples, key=lambda known: abs(math.log(known.ctau / ctau)))
    weights = lifetime_weight(found.lengths, found.ctau, ctau) / found.sumw_before_cuts
    return weights.sum(), math.sqrt((weights**2).sum())


@pytest.mark.parametrize("ctau", [1.0, 3.0, 10.0, 32.0, 100.0, 310.0, 1000.0, 20_000.0])
def test_an_efficiency_is_that_of_the_lifetime_within_its_error(ctau):
    exact = math.exp(-20 / ctau) - math.exp(-60 / ctau)
    found = Signals(SAMPLES).efficiency("OS", 1.0, ctau, EFFICIENCY_WINDOW)
    assert found.bound is None
    # three standard deviations
    assert found.value == pytest.approx(exact, abs=3 * found.error)
    assert found.error < nearest(SAMPLES, ctau)[1]


def test_errors_of_efficiencies_are_those_of_many_samples():
    """Mean and spread of pulls at a lifetime between two samples."""
    ctau = 32.0
    exact = math.exp(-20 / ctau) - math.exp(-60 / ctau)
    pulls = []
    for seed in range(200):
        samples = [
            sample(1.0, own, number, [seed, number])
            for own, number in ((10.0, 2_000), (100.0, 1_000), (1000.0, 2_001))
        ]
        found = Signals(samples).efficiency("OS", 1.0, ctau, EFFICIENCY_WINDOW)
        pulls.append((found.value - exact) / found.error)
    # three standard deviations of a mean and of a spread of 200; the error, which takes the
    # number of selected decays for Poisson-distributed, is up to 10% too large
    assert np.mean(pulls) == pytest.approx(0, abs=3 / math.sqrt(200))
    assert np.std(pulls) == pytest.approx(0.95, abs=0.05 + 3 / math.sqrt(400))


def test_an_efficiency_does_not_jump_between_samples():
    """Where another sample becomes the nearest, in a category of long flights."""
    samples = [
        sample(1.0, ctau, number, [1, number], (60.0, 300.0))
        for ctau, number in ((10.0, 20_000), (100.0, 10_000))
    ]
    middle = math.sqrt(10.0 * 100.0)
    sides = middle * (1 - 1e-9), middle * (1 + 1e-9)
    below, above = (
        Signals(samples).efficiency("OS", 1.0, ctau, EFFICIENCY_WINDOW) for ctau in sides
    )
    assert above.value == pytest.approx(below.value, rel=1e-7)
    (value, error), (next_value, _) = (nearest(samples, ctau) for ctau in sides)
    assert abs(next_value - value) > 10 * below.error
    assert error > 5 * below.error


def test_samples_of_one_lifetime_are_one_sample():
    first, second = (
        sample(1.0, 50.0, number, number, sumw_before_cuts=2.0 * number) for number in (800, 200)
    )
    both = Signals([first, second]).efficiency("OS", 1.0, 20.0, EFFICIENCY_WINDOW)
    weights = lifetime_weight(np.concatenate([first.lengths, second.lengths]), 50.0, 20.0) / 2000
    assert both.value == pytest.approx(weights.sum())
    assert both.error == pytest.approx(math.sqrt((weights**2).sum()))


def test_a_category_without_events_has_a_bound():
    signals = Signals(SAMPLES)
    found = signals.efficiency("empty", 1.0, 50.0, EFFICIENCY_WINDOW)
    assert (found.value, found.error) == (0.0, 0.0)
    # three events of the average weight: about 1 in as many as there are of comparable lifetimes
    assert 3 / 50_000 < found.bound < 3 / 10_000
    assert signals.efficiency("OS", 1.0, 50.0, (1.5, 2.0)).bound == found.bound
    # equal charges are not missing from the simulation of a Dirac N
    dirac = Signals(SAMPLES, Neutrino(majorana=False))
    assert dirac.efficiency("SS", 1.0, 50.0, EFFICIENCY_WINDOW).bound == 0.0


def test_the_window_of_an_efficiency_is_that_of_its_hypothesis():
    """Samples of different widths, near the highest mass: signal is cut off where data are."""
    mass = MAXIMUM_MASS - 0.01
    wide = sample(mass, 100.0, 5_000, 1)
    wide = replace(wide, masses=mass + 3 * (wide.masses - mass))
    signals = Signals([sample(mass, 10.0, 5_000, 2), wide])
    data = {"OS": np.random.default_rng(3).uniform(1.5, MAXIMUM_MASS, 2_000)}
    width = signals.width(mass)
    hypothesis = Hypothesis.of_candidates(mass, width, data, {}, unblind=False)
    window = hypothesis.categories["OS"][0].window
    assert window == (pytest.approx(mass - 3 * width), MAXIMUM_MASS)
    (channel,) = hypothesis.channels(1e-3, signals, 1e9)
    ctau = Neutrino().ctau_from_mixing(mass, 1e-3)
    produced = 1e9 * Neutrino().branching_product(mass, 1e-3)
    inside = signals.efficiency("OS", mass, ctau, window).value
    assert channel.signal == pytest.approx(produced * inside)
    # a Gaussian of which what lies beyond one of its widths, or a third, is no signal
    assert inside < 0.9 * signals.efficiency("OS", mass, ctau, EFFICIENCY_WINDOW).value


def test_the_width_of_n_moves_rate_and_lifetime():
    """They cancel where N lives long; else fewer decays are left to where the selection begins."""
    signals = Signals(SAMPLES)
    rng = np.random.default_rng(3)
    data = {"OS": rng.uniform(0.8, 1.2, 2_000)}
    hypothesis = Hypothesis.of_candidates(1.0, signals.width(1.0), data, {}, unblind=False)
    for ctau in (5.0, 30.0, 5_000.0):
        mixing = Neutrino().mixing_from_ctau(1.0, ctau)
        (channel,) = hypothesis.channels(mixing, signals, 1e9)

        def events(k, ctau=ctau):
            return (math.exp(-20 * k / ctau) - math.exp(-60 * k / ctau)) / k

        shift = math.sqrt(events(1.03) / events(1 / 1.03)) - 1
        # the sample knows the mean length of those that are selected to better than 3%
        assert channel.signal_shifts.get("hnl_width", 0.0) == pytest.approx(
            shift, rel=0.03, abs=2e-3
        )
    assert shift == pytest.approx(0, abs=1e-3)


@pytest.mark.slow
def test_a_dirac_n_has_no_muons_of_equal_charges(runs, normalisation, limit):
    """And, of simulated Majorana decays, twice as many of the others, at half the width."""
    dirac = Neutrino(majorana=False)
    content = limit_run(runs["hnl"], normalisation, [1.5], points=2, neutrino=dirac)
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


def test_simulation_that_is_none_of_a_nature(tmp_path):
    (tmp_path / "ledger.json").write_text("{}")
    folder, known, dirac = RunFolder(tmp_path), SAMPLES[0], Neutrino(majorana=False)
    assert _of_nature(folder, known, "dirac", dirac) is known
    assert _of_nature(folder, known, None, Neutrino()) is known
    assert _of_nature(folder, known, None, dirac).weights.sum() == 2 * known.weights.sum()
    with pytest.raises(InputError, match=r"'1\.0_10\.0' is simulated for a Dirac N, which has no"):
        _of_nature(folder, known, "dirac", Neutrino())
    for category, line in (("a", "the category 'a' does not say"), ("SS", "nothing of the signal")):
        other = replace(known, categories=np.full(len(known.masses), category))
        with pytest.raises(InputError, match=line):
            _of_nature(folder, other, None, dirac)


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
    hypotheses = runs["hnl"].read("limit.json")["hypotheses"]
    assert hypotheses[0]["points"][0]["toys"] == 1000
    tested = sum(len(hypothesis["points"]) for hypothesis in hypotheses)
    assert "blinded" in output.out
    assert "Majorana N" in output.out
    line = "(3 fb⁻¹), times 0.6667 for the 2 fb⁻¹ of the search in hnl_data_2018D"
    assert line in output.out
    assert "note: the eras differ" in output.out
    # without a luminosity nothing is scaled unless somebody says that nothing is to be
    unknown = RunFolder(shutil.copytree(folder, folder.with_name("unknown")))
    # figures of one variable are enough
    stored = unknown.read("histograms.json")
    unknown.write("histograms.json", {"hnl_mass": stored["hnl_mass"]})
    names = {path.stem for path in plot_run(unknown)}
    assert {"limit", "limit_cls_m1", "limit_sidebands_m1p5", "hnl_mass_SSlxy5toInf"} <= names
    luminosity = unknown.read("luminosity.json")
    luminosity["parts"][0]["luminosity"] = None
    unknown.write("luminosity.json", luminosity)
    words = ("limit", unknown.path, "--normalisation", runs["ds_phipi"].path)
    words += ("--mass", "1.5", "--points", "2")
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
        assert len(list((folder / "datacards").glob(f"*.{suffix}"))) == tested
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


def test_export_removes_what_an_earlier_limit_left(tmp_path):
    fit = {"prediction": 10.0, "stat": 2.0, "shape_uncertainty": 1.0, "observed": None}
    points = [
        {"coupling": v2, "signal": {"A": {"events": 2.0, "stat": 0.1, "shifts": {}}}}
        for v2 in (1e-4, 1e-3)
    ]
    hypotheses = [{"mass": m, "categories": {"A": fit}, "points": points} for m in (1.0, 1.25)]
    for hypothesis in hypotheses:
        hypothesis["uncertainties"] = {}
    (tmp_path / "ledger.json").write_text("{}")
    run = RunFolder(tmp_path)

    def set_limit(hypotheses, observed):
        for hypothesis in hypotheses:
            hypothesis["categories"] = {"A": {**fit, "observed": observed}}
        run.write("limit.json", {"blinded": observed is None, "hypotheses": hypotheses})

    set_limit(hypotheses, 37)
    assert len(export_limit(run, "combine")) == len(export_limit(run, "pyhf")) == 4
    cards = tmp_path / "datacards"
    for name in ("mine.txt", "m1_V2_mine.json", "combined.root"):
        (cards / name).write_text("37")
    mine = set(cards.glob("*mine*")) | {cards / "combined.root"}
    set_limit(hypotheses[:1], None)
    written = export_limit(run, "combine")
    assert set(cards.iterdir()) == {*written, *mine}
    assert not [path for path in written if "37" in path.read_text()]
    # both formats of one limit stand beside each other
    assert set(cards.iterdir()) | set(export_limit(run, "pyhf")) == set(cards.iterdir())
    assert len(list(cards.glob("m1_V2_1*"))) == 4
