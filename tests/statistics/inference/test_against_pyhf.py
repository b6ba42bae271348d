"""Results for a small model against plain pyhf with MINUIT, and against each other."""

import json
import math
from dataclasses import replace

import numpy as np
import pyhf
import pytest
from scipy import stats
from tau3mu_cards import channels
from two_regions import free, two_regions

from bphcoffea.errors import FitError
from bphcoffea.statistics import inference
from bphcoffea.statistics.inference import WorkspaceModel
from bphcoffea.statistics.pyhf_backend import backend, schemas
from bphcoffea.statistics.shape_workspace import mass_workspace

#: MINUIT's numerical derivatives and tolerance.
PRECISION = 0.01


@pytest.fixture(scope="module")
def model():
    return WorkspaceModel.of(two_regions())


@pytest.fixture(scope="module")
def fit(model):
    return inference.fit(model, minos=True)


class Oracle:
    """Fits of pyhf's own model by its own optimiser."""

    def __init__(self, spec):
        with schemas():
            workspace = pyhf.Workspace(spec)
            self.model, self.config = workspace.model(), workspace.model().config
        self.data = workspace.data(self.model)

    def fit(self, uncertainties=False, **fixed):
        initial, held = self.config.suggested_init(), self.config.suggested_fixed()
        for name, value in fixed.items():
            index = self.config.par_names.index(name)
            initial[index], held[index] = value, True
        with backend(pyhf.optimize.minuit_optimizer(tolerance=1e-3)):
            result = pyhf.infer.mle.fit(
                self.data, self.model, initial, None, held, return_uncertainties=uncertainties
            )
        return dict(zip(self.config.par_names, np.asarray(result), strict=True))


@pytest.fixture(scope="module")
def oracle():
    return Oracle(two_regions())


@pytest.fixture(scope="module")
def best(oracle):
    return oracle.fit(uncertainties=True)


def test_values_and_errors(fit, best):
    for name, (value, error) in best.items():
        found = fit[name]
        assert found.value == pytest.approx(value, abs=PRECISION * error), name
        assert found.error == pytest.approx(error, rel=PRECISION), name
    assert fit["theory"].pull == pytest.approx(best["theory"][0], abs=PRECISION)
    stat = fit["stat_4[1]"]
    assert stat.pull == pytest.approx((stat.value - 1) / stat.before_error)
    assert stat.constraint == pytest.approx(stat.error / stat.before_error)
    assert fit["top_norm"].pull is None


def test_impacts(model, fit, oracle):
    ranking = inference.rank(model)
    assert ranking.best == pytest.approx(fit.strength.value)
    assert len(ranking.impacts) == len(fit.parameters) - 1
    largest = [impact.largest for impact in ranking.impacts]
    assert largest == sorted(largest, reverse=True)
    impacts = {impact.parameter.name: impact for impact in ranking.impacts}
    for name in ("tagging", "stat_4[1]"):
        found, center = impacts[name], fit[name].value
        for shift, value in (
            (fit[name].error, found.up),
            (-fit[name].error, found.down),
            (fit[name].before_error, found.before_up),
            (-fit[name].before_error, found.before_down),
        ):
            moved = oracle.fit(**{name: center + shift})["mu"] - fit.strength.value
            assert value == pytest.approx(moved, rel=PRECISION, abs=5e-4 * fit.strength.error)
    assert impacts["top_norm"].before_up is None


def test_impacts_are_covariances(model, fit):
    """To the extent that the likelihood is a parabola."""
    poi = [p.name for p in fit.parameters].index("mu")
    for impact in inference.rank(model).impacts[:5]:
        index = [p.name for p in fit.parameters].index(impact.parameter.name)
        expected = fit.correlation[poi][index] * fit.strength.error
        assert (impact.up - impact.down) / 2 == pytest.approx(expected, rel=0.1)


def test_limit(model, oracle):
    result = inference.limit(model)
    bounds = oracle.config.suggested_bounds()
    bounds[oracle.config.poi_index] = (0, 10)

    def tested(mu):
        with backend(pyhf.optimize.minuit_optimizer(tolerance=1e-3)):
            return pyhf.infer.hypotest(
                mu, oracle.data, oracle.model, par_bounds=bounds, return_expected=True
            )

    for limit, index in ((result.limit.observed, 0), (result.limit.expected[2], 1)):
        low, high = tested((1 - PRECISION) * limit), tested((1 + PRECISION) * limit)
        assert float(low[index]) > 0.05 > float(high[index])
    strengths = [test.strength for test in result.tests]
    assert strengths == sorted(strengths)
    crossing = np.interp(-0.05, [-test.observed for test in result.tests], strengths)
    assert crossing == pytest.approx(result.limit.observed, rel=0.02)


def test_interval_and_scan(model, fit, oracle):
    scan = inference.scan(model, points=9)
    assert scan.intervals[0] == pytest.approx(fit.interval, rel=1e-3)
    low, high = scan.intervals[0]
    assert (high - low) / 2 == pytest.approx(fit.strength.error, rel=0.05)
    mu, rise = scan.strengths[1], scan.rises[1]
    theirs = list(oracle.fit(mu=mu).values())
    lowest = list(oracle.fit().values())
    with backend():
        values = [float(oracle.model.logpdf(at, oracle.data)[0]) for at in (lowest, theirs)]
    assert rise == pytest.approx(2 * (values[0] - values[1]), abs=0.01)
    assert min(scan.rises) >= 0
    with pytest.raises(FitError, match="no range"):
        inference.scan(model, low=2.0, high=1.0)


def test_significance(model, oracle):
    result = inference.significance(model)
    free, without = (oracle.fit(**fixed) for fixed in ({}, {"mu": 0.0}))
    with backend():
        values = [
            float(oracle.model.logpdf(list(at.values()), oracle.data)[0]) for at in (free, without)
        ]
    assert result.observed == pytest.approx(math.sqrt(2 * (values[0] - values[1])), rel=PRECISION)
    assert result.p_value == pytest.approx(stats.norm.sf(result.observed))
    # the data are the expectation, rounded up
    assert result.expected == pytest.approx(result.observed, rel=0.1)


def test_deficit_has_no_significance():
    observed = {"signal_region": (60.0, 45.0, 30.0, 20.0), "control_region": (175.0, 140.0, 105.0)}
    result = inference.significance(WorkspaceModel.of(two_regions(observed)))
    assert (result.observed, result.p_value) == (0.0, 0.5)


def test_a_negative_signal_that_empties_a_bin_has_the_error_without_signal():
    """The likelihood ends there, and has no curvature."""
    spec = {
        "channels": [
            {
                "name": "bin",
                "samples": [
                    {"name": "signal", "data": [3.0], "modifiers": [free("mu")]},
                    {"name": "background", "data": [1.5], "modifiers": []},
                ],
            }
        ],
        "observations": [{"name": "bin", "data": [0.0]}],
        "measurements": [
            {
                "name": "observed",
                "config": {"poi": "mu", "parameters": [{"name": "mu", "bounds": [[-5.0, 5.0]]}]},
            }
        ],
        "version": "1.0.0",
    }
    found = inference.fit(WorkspaceModel.of(spec))
    assert found.strength.value == pytest.approx(-1.5 / 3, abs=1e-4)
    assert found.strength.error == pytest.approx(math.sqrt(1.5) / 3)
    assert any("empties a bin" in note for note in found.notes)


def test_yields(model, fit):
    after = inference.yields(model, fit)
    before = inference.yields(model)
    region = after["signal_region"]
    assert region.data == tuple(two_regions()["observations"][0]["data"])
    assert sum(region.events) == pytest.approx(region.total)
    assert np.sum(region.bins, axis=0) == pytest.approx(region.bin_totals)
    # a free background in a region of its own: as precise as the data
    assert after["control_region"].total_error == pytest.approx(
        math.sqrt(sum(after["control_region"].data)), rel=0.1
    )
    assert before["signal_region"].total == pytest.approx(255.0)
    # errors from parameters that are drawn from the fit
    rng, values = np.random.default_rng(1), []
    drawn = rng.multivariate_normal(fit.values(), fit.covariance(), 2000) / model.scales
    values = np.array([np.sum(model.pdf.expected_data(at, False)[-4:]) for at in drawn])
    assert region.total_error == pytest.approx(np.std(values), rel=0.1)
    table = after.rows()
    assert table[0] == ("post-fit", "control_region", "signal_region")
    assert {row[0] for row in table[1:]} == {"top", "other", "signal", "total", "data"}
    assert dict(zip(table[0], table[3], strict=True))["control_region"] == "–"
    latex = after.as_latex()
    assert latex.count(r"\\") == len(table)
    assert r"signal\_region" in latex


def test_saturated_model(model, fit):
    result = inference.goodness_of_fit(model, toys=60)
    assert result.statistic == pytest.approx(fit.deviance)
    # seven bins, two free parameters
    assert result.ndof == 5
    assert result.p_value == pytest.approx(stats.chi2.sf(fit.deviance, 5))
    assert result.toys_p_value == pytest.approx(result.p_value, abs=4 * result.toys_error)
    worse = model.data.copy()
    worse[:3] += (50, -50, 50)
    bad = inference.goodness_of_fit(replace(model, data=worse), toys=20)
    assert bad.p_value < 1e-3
    assert bad.toys_p_value == 0


def test_too_few_toys(model):
    with pytest.raises(FitError, match="200 or more"):
        inference.limit(model, toys=10)


def test_units_of_the_signal_do_not_matter(fit):
    spec = two_regions()
    for channel in spec["channels"]:
        for sample in channel["samples"]:
            if sample["name"] != "signal":
                continue
            sample["data"] = [1e-6 * x for x in sample["data"]]
            for modifier in sample["modifiers"]:
                if modifier["type"] == "histosys":
                    for key, values in modifier["data"].items():
                        modifier["data"][key] = [1e-6 * x for x in values]
                elif modifier["type"] == "staterror":
                    modifier["data"] = [1e-6 * x for x in modifier["data"]]
    spec["measurements"][0]["config"]["parameters"] = [
        {"name": "mu", "inits": [1e6], "bounds": [[-5e6, 1e7]]}
    ]
    faint = WorkspaceModel.of(spec)
    assert faint.unit > 1e4
    found = inference.fit(faint)
    # the statistical uncertainty of the signal is now apart from that of the sum
    assert 1e-6 * found.strength.value == pytest.approx(fit.strength.value, rel=0.03)
    assert 1e-6 * found.strength.error == pytest.approx(fit.strength.error, rel=0.03)


def test_blinded_workspaces_show_expected_results_only():
    spec = two_regions()
    spec["measurements"][0]["name"] = "blinded"
    hidden = WorkspaceModel.of(spec)
    result = inference.fit(hidden)
    assert result.asimov
    assert result.strength.value == pytest.approx(1.0, abs=1e-3)
    assert all(abs(p.pull) < 1e-3 for p in result.parameters if p.pull is not None)
    assert inference.rank(hidden).asimov
    assert inference.scan(hidden, points=3).asimov
    assert inference.significance(hidden).observed is None
    limit = inference.limit(hidden)
    assert limit.limit.observed is None
    assert all(test.observed is None for test in limit.tests)
    assert all(entry.data is None for entry in inference.yields(hidden, result).channels)
    with pytest.raises(FitError, match="blinded"):
        inference.goodness_of_fit(hidden)


def test_records_are_json(model, fit):
    for record in (
        fit,
        inference.yields(model, fit),
        inference.significance(model),
        inference.goodness_of_fit(model),
    ):
        content = json.loads(json.dumps(record.as_json(), allow_nan=False))
        assert type(record).from_json(content) == record


def test_unusable_workspaces(tmp_path):
    with pytest.raises(FitError, match="no such workspace"):
        WorkspaceModel.read(tmp_path)
    (tmp_path / "workspace.json").write_text("{}")
    with pytest.raises(FitError, match="not a valid workspace"):
        WorkspaceModel.read(tmp_path)
    spec = two_regions()
    spec["channels"][0]["samples"][2]["data"] = [0.0] * 4
    with pytest.raises(FitError, match="no signal is expected"):
        WorkspaceModel.of(spec)
    spec = two_regions()
    spec["observations"].pop()
    with pytest.raises(FitError, match="not a consistent workspace"):
        WorkspaceModel.of(spec)
    spec = two_regions()
    # two free factors of the same sample
    for channel in spec["channels"]:
        channel["samples"][0]["modifiers"].append(free("twin"))
    with pytest.raises(FitError, match="do not determine some parameters"):
        inference.fit(WorkspaceModel.of(spec))


def test_spectra_of_a_search():
    """The workspace of τ → 3μ, with two of its categories."""
    spec = mass_workspace(channels(names=["2017A1", "2017A2"]), blinded=False)
    oracle = Oracle(spec)
    found = inference.fit(WorkspaceModel.of(spec))
    for name, (value, error) in oracle.fit(uncertainties=True).items():
        assert found[name].value == pytest.approx(value, abs=PRECISION * error), name
        # MINUIT's errors of parameters that only a Gaussian constrains feel its limits
        assert found[name].error == pytest.approx(error, rel=PRECISION), name
