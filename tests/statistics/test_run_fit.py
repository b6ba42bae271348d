"""Mass fits of runs: by era, year and category, with the tail of the simulation."""

import json

import numpy as np
import pytest
from mass_fits import write_run
from mass_toys import BINS, EDGES, LOW, MODEL, SEED, TRUTH, spectrum, toy
from scipy import stats

from bphcoffea.analysis.names import ALL, NOMINAL
from bphcoffea.errors import InputError
from bphcoffea.searches.ds_yield import DS_TO_PHI_PI, PHI_TO_MUONS, DsYield
from bphcoffea.statistics.fit_record import FitRecord
from bphcoffea.statistics.mass_fit import MassFit
from bphcoffea.statistics.run_fit import fit_mass
from bphcoffea.statistics.run_histograms import of_datasets


@pytest.fixture
def rng():
    return np.random.default_rng(SEED)


DATA_B = {"is_mc": False, "era": "2017B", "luminosity": 4.79}


DATA_C = {"is_mc": False, "era": "2017C", "luminosity": 9.63}


SIMULATED = {"is_mc": True, "era": "2017C", "process": "dsphipi"}


@pytest.fixture
def run(rng, tmp_path):
    simulated = {**TRUTH, "n_ds": 20_000.0, "n_dplus": 0.0, "n_background": 0.0}
    return write_run(
        tmp_path,
        {"data_B": toy(rng), "data_C": toy(rng), "mc_ds": toy(rng, simulated, weight=0.1)},
        {"data_B": DATA_B, "data_C": DATA_C, "mc_ds": SIMULATED},
        MODEL,
    )


def test_a_run_is_fitted_with_the_simulated_tail(run):
    content = fit_mass(run, None, "era").as_json()
    json.dumps(content, allow_nan=False)
    assert content["datasets"] == ["data_B", "data_C"]
    assert content["luminosity"] == pytest.approx(14.42)
    assert content["complete"]
    assert not content["partial"]
    assert content["valid"]
    assert content["notes"][0] == "tail constrained to that of simulation (mc_ds)"
    assert not content["parameters"]["beta"]["fixed"]
    simulation = content["simulation"]["ds"]
    assert (simulation["datasets"], simulation["valid"]) == (["mc_ds"], True)
    assert list(content["simulation"]) == list(content["alternative"]["simulation"]) == ["ds"]
    # 20 000 entries of weight 0.1
    assert simulation["parameters"]["n_ds"]["value"] == pytest.approx(2000, rel=0.03)
    assert content["alternative"]["model"]["shape"] == "double_crystal_ball"
    # the peak has one tail: both models find the same
    assert content["alternative"]["parameters"]["n_ds"]["value"] == pytest.approx(
        content["parameters"]["n_ds"]["value"], rel=0.01
    )
    assert sorted(content["by"]) == ["2017B", "2017C"]
    parts = [part["parameters"]["n_ds"]["value"] for part in content["by"].values()]
    assert content["parameters"]["n_ds"]["value"] == pytest.approx(sum(parts), rel=0.02)
    assert content["by"]["2017B"]["luminosity"] == 4.79


def test_each_category_is_fitted_with_the_tail_of_all(rng, tmp_path):
    few = {**TRUTH, "n_ds": 400.0, "n_background": 1000.0}
    simulated = {**TRUTH, "n_ds": 10_000.0, "n_dplus": 0.0, "n_background": 0.0}
    by_category = {"central": toy(rng), "forward": toy(rng, few)}
    spectra = {
        "data": by_category,
        "mc": {"central": toy(rng, simulated), "forward": toy(rng, simulated, weight=0.1)},
    }
    run = write_run(tmp_path, spectra, {"data": DATA_B, "mc": SIMULATED}, MODEL)
    record = fit_mass(run, by="category")
    assert FitRecord.from_json(json.loads(json.dumps(record.as_json()))) == record
    assert (record.category, list(record.by)) == (None, ["central", "forward"])
    for name, part in record.by.items():
        assert (part.category, part.datasets) == (name, ("data",))
        total = np.sum(by_category[name].values())
        assert part.fit.entries == total
        number, truth = part.parameters["n_ds"], (TRUTH if name == "central" else few)["n_ds"]
        assert abs(number.value - truth) < 4 * number.error
        assert part.fit.notes[0] == "tail constrained to that of simulation (mc)"
    assert record.fit.entries == sum(part.fit.entries for part in record.by.values())


def test_a_run_without_categories_is_not_fitted_by_category(run):
    with pytest.raises(InputError, match="the analysis 'ds_phipi' has no categories to fit"):
        fit_mass(run, by="category")


def test_the_declared_model_may_be_replaced(run):
    """Simulation of peaks without tails constrains none, but gives an alternative."""
    record = fit_mass(run, shape="gaussian", background="bernstein2")
    assert (record.fit.model.shape, record.fit.model.background) == ("gaussian", "bernstein2")
    assert {"bernstein_1", "bernstein_2"} < set(record.parameters)
    assert "beta" not in record.parameters
    assert record.alternative.fit.model.shape == "crystal_ball"
    assert any("with a tail on the low side alone" in note for note in record.fit.notes)
    assert not any("tail constrained" in note for note in record.fit.notes)


def test_the_fit_of_a_year_has_the_simulation_of_that_year(rng, tmp_path):
    """The year without simulation has that of the nearest one."""
    simulated = {**TRUTH, "n_ds": 20_000.0, "n_dplus": 0.0, "n_background": 0.0}
    spectra = {"data_17": toy(rng), "data_18": toy(rng), "mc_18": toy(rng, simulated)}
    spectra["mc_12"] = toy(rng, {**simulated, "n_ds": 5000.0})
    metadata = {
        "data_17": DATA_B,
        "data_18": {**DATA_B, "era": "2018D"},
        "mc_18": {**SIMULATED, "era": "2018"},
        "mc_12": {**SIMULATED, "era": "2012"},
    }
    content = fit_mass(write_run(tmp_path, spectra, metadata, MODEL), by="year").as_json()
    for part, datasets, number in (
        (content, ["mc_18", "mc_12"], 25_000),
        (content["by"]["2017"], ["mc_18"], 20_000),
        (content["by"]["2018"], ["mc_18"], 20_000),
    ):
        for known in (part["simulation"]["ds"], part["alternative"]["simulation"]["ds"]):
            # Poisson fluctuations are below one per cent
            assert known["parameters"]["n_ds"]["value"] == pytest.approx(number, rel=0.03)
        assert part["simulation"]["ds"]["datasets"] == datasets


def two_gaussians(mean):
    """A peak with tails on both sides that are no power law: a third has twice the width."""
    low, high = (stats.norm(mean, width).cdf(EDGES) for width in (0.009, 0.018))
    return np.diff(0.7 * low + 0.3 * high)


def student(mean):
    """A peak with power-law tails, but no core that is Gaussian."""
    return np.diff(stats.t(5, mean, 0.009).cdf(EDGES))


@pytest.mark.parametrize("peak", [two_gaussians, student])
def test_the_second_model_covers_tails_on_both_sides(tmp_path, peak):
    """Of expected counts without fluctuations, so that what differs is bias."""
    background = np.diff(1 - np.exp(-2.5 * (EDGES - LOW)))
    background /= np.sum(background)
    data = 2700 * peak(1.968) + 1100 * peak(1.870) + 10_000 * background
    # the other track of an event is selected sometimes: no peak, and no part of the efficiency
    simulated = 2300 * peak(1.968) + 120 * background
    run = write_run(
        tmp_path,
        {"data": spectrum(data), "mc": spectrum(simulated)},
        {"data": DATA_B, "mc": {**SIMULATED, "filter_efficiency": 0.02}},
        MODEL,
    )
    run.write("cutflow.json", {"mc": [{"step": "all", "sumw": 20_000.0}]})
    fit = fit_mass(run).as_json()
    assert any("described better with tails on both sides" in note for note in fit["notes"])
    run.write("fit.json", fit)
    found = DsYield.of_run(run)
    assert found.efficiency == pytest.approx(2300 / 1e6, rel=0.02)
    true = 2700 / 2300 * 1e6 / (PHI_TO_MUONS * DS_TO_PHI_PI)
    bias = abs(found.decays / true - 1)
    assert bias > 0.025
    # the second model is no exact description of the peak either: half a per cent
    assert bias < found.uncertainties()["ds_fit_model"] + 0.005

    other = fit["alternative"]
    numbers = [part["parameters"]["n_ds"]["value"] for part in (other, other["simulation"]["ds"])]
    assert numbers[0] / numbers[1] == pytest.approx(2700 / 2300, rel=0.005)


def test_the_alternative_of_tails_on_both_sides_is_one_side(rng, tmp_path):
    simulated = toy(rng, {**TRUTH, "n_ds": 20_000.0, "n_dplus": 0.0, "n_background": 0.0})
    fit = fit_mass(
        write_run(
            tmp_path,
            {"data": toy(rng), "mc": simulated},
            {"data": DATA_B, "mc": SIMULATED},
            MODEL.alternative,
        )
    ).as_json()
    shapes = fit["model"]["shape"], fit["alternative"]["model"]["shape"]
    assert shapes == ("double_crystal_ball", "crystal_ball")
    assert fit["valid"], fit["problems"]
    assert fit["parameters"]["beta_high"]["value"] > 2.5
    assert MassFit.from_json(fit).as_json()["parameters"] == fit["parameters"]


def test_the_luminosity_of_a_fit_counts_shared_sections_once(run):
    """And a fit knows that its run is partial."""
    content = run.read("luminosity.json")
    content["sections_shared"] = True
    content["parts"].append({"datasets": ["data_B", "data_C"], "luminosity": 100.0})
    run.write("luminosity.json", content)
    run.write("ledger.json", {"complete": True, "partial": True, "datasets": {}})
    fitted = fit_mass(run, by="dataset").as_json()
    assert fitted["partial"]
    assert fitted["luminosity"] == pytest.approx(114.42)
    assert fitted["by"]["data_B"]["luminosity"] == pytest.approx(104.79)


def test_datasets_are_chosen_by_pattern(run):
    assert fit_mass(run, ["*_B"]).as_json()["datasets"] == ["data_B"]
    assert list(fit_mass(run, ["data*"], "dataset").as_json()["by"]) == ["data_B", "data_C"]
    simulation = fit_mass(run, ["mc*"]).as_json()
    assert simulation["datasets"] == ["mc_ds"]
    assert simulation["luminosity"] is None
    # 20 000 entries of weight 0.1, and their precision
    assert simulation["parameters"]["n_ds"]["value"] == pytest.approx(2000, rel=0.03)
    assert simulation["parameters"]["n_ds"]["error"] == pytest.approx(14, rel=0.2)


def test_errors_of_a_run_name_the_cause(run, tmp_path):
    with pytest.raises(
        InputError, match=r"no dataset matches 'x\*'; there are: data_B, data_C, mc_ds"
    ):
        fit_mass(run, ["x*"]).as_json()
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = write_run(empty, {"data_B": spectrum(np.zeros(BINS))}, {"data_B": DATA_B}, MODEL)
    with pytest.raises(InputError, match=r"'mass' is empty in 1\.65-2\.01 GeV for data_B"):
        fit_mass(nothing).as_json()
    undeclared = tmp_path / "undeclared"
    undeclared.mkdir()
    no_fit = write_run(undeclared, {"data_B": spectrum(np.ones(BINS))}, {"data_B": DATA_B}, None)
    with pytest.raises(InputError, match="'ds_phipi' declares no mass fit"):
        fit_mass(no_fit).as_json()


def test_datasets_are_summed(run):
    histogram = run.histograms()["mass"]
    total = of_datasets(histogram, ["data_B", "data_C", "unknown"])
    expected = histogram["data_B", ALL, NOMINAL, :] + histogram["data_C", ALL, NOMINAL, :]
    assert total == expected
