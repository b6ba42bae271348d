"""Fits of toys against fits of single experiments, and CLs from toys against exact results."""

from functools import partial

import numpy as np
import pytest
from scipy import optimize, stats
from two_regions import two_regions

from bphcoffea.statistics import inference, toy_experiments
from bphcoffea.statistics.inference import WorkspaceModel, strength_limit
from bphcoffea.statistics.optimizer import minimised
from bphcoffea.statistics.toy_experiments import Hypothesis, toy_statistics
from bphcoffea.statistics.toy_fits import minimised_together


def scaled(spec, share):
    """Return a workspace with a fraction of the events."""
    for channel in spec["channels"]:
        for sample in channel["samples"]:
            sample["data"] = [share * x for x in sample["data"]]
            for modifier in sample["modifiers"]:
                if modifier["type"] == "histosys":
                    for key, values in modifier["data"].items():
                        modifier["data"][key] = [share * x for x in values]
                elif modifier["type"] == "staterror":
                    modifier["data"] = [share * x for x in modifier["data"]]
    for entry in spec["observations"]:
        entry["data"] = [float(round(share * x)) for x in entry["data"]]
    return spec


def counting(signal, background, observed):
    """One bin whose background is known."""
    strength = {"name": "mu", "type": "normfactor", "data": None}
    samples = [
        {"name": "signal", "data": [signal], "modifiers": [strength]},
        {"name": "background", "data": [background], "modifiers": []},
    ]
    return {
        "channels": [{"name": "window", "samples": samples}],
        "observations": [{"name": "window", "data": [float(observed)]}],
        "measurements": [{"name": "observed", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


@pytest.mark.parametrize("share", [1.0, 0.05, 0.005])
def test_each_toy_has_the_minimum_of_its_own_fit(share):
    """From hundreds of events per bin to less than one, with empty bins."""
    likelihood = WorkspaceModel.of(scaled(two_regions(), share)).pdf
    poi, rng = likelihood.config.poi_index, np.random.default_rng(1)
    truth = np.array(likelihood.config.suggested_init())
    data = np.array([likelihood.draw(truth, rng) for _ in range(12)])
    for fixed, lowest in (({}, 0.0), ({poi: 0.7 * truth[poi]}, None)):
        best, values = minimised_together(likelihood, data, truth, fixed, lowest=lowest)
        singles = [minimised(likelihood, toy, truth, fixed, lowest=lowest) for toy in data]
        assert values == pytest.approx([value for _, value in singles], abs=1e-5)
        assert values == pytest.approx(likelihood.deviances(best, data))
        assert np.all(best[:, poi] >= 0.0)
        # the strength is known to a hundredth of its error
        errors = 0.01 * likelihood.hessian(truth)[poi, poi] ** -0.5 + 0.01
        assert best[:, poi] == pytest.approx([at[poi] for at, _ in singles], abs=3 * errors)


def test_fits_that_do_not_converge_together_are_continued(monkeypatch):
    likelihood = WorkspaceModel.of(two_regions()).pdf
    truth = np.array(likelihood.config.suggested_init())
    data = likelihood.draw(truth, np.random.default_rng(2))[np.newaxis]
    expected = minimised_together(likelihood, data, truth)[1]
    monkeypatch.setattr("bphcoffea.statistics.toy_fits.STEPS", 1)
    assert minimised_together(likelihood, data, truth)[1] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("background", "observed"), [(1.0, 0), (2.3, 4)])
def test_one_bin_with_few_events_is_exact(background, observed):
    """With one bin, more events are less like the background, so that CLs is a ratio of sums."""
    model = WorkspaceModel.of(counting(1.0, background, observed))
    result = inference.limit(model, toys=2000, seed=3)

    def exact(mu, events=observed):
        if events - background >= mu:  # more signal fits better
            return 1.0
        return stats.poisson.cdf(events, mu + background) / stats.poisson.cdf(events, background)

    median = stats.poisson.ppf(0.5, background)
    for test in result.tests:
        for found, error, events in (
            (test.observed, test.observed_error, observed),
            (test.expected[2], test.expected_errors[2], median),
        ):
            # data count as one more toy
            assert found == pytest.approx(exact(test.strength, events), abs=4 * error + 2e-3)
    limit = optimize.brentq(lambda mu: exact(mu) - 0.05, observed, 20)
    # CLs of 0.05 has an error of about a tenth, and falls like exp(-µ) or faster
    assert result.limit.observed == pytest.approx(limit, abs=0.35)
    assert result.limit.note == ""


def test_limits_far_from_the_asymptotic_ones_are_found(monkeypatch):
    """Without background, three events are excluded, whatever strengths are tested first."""
    model = WorkspaceModel.of(counting(1.0, 1e-3, 0))
    for first in ((0.2, 0.3), (3.0, 4.0)):
        monkeypatch.setattr(strength_limit, "TOY_RANGE", first)
        result = inference.limit(model, toys=1000, seed=1)
        assert result.limit.expected[2] == pytest.approx(3.0, abs=0.4)
        assert result.limit.observed == pytest.approx(3.0, abs=0.4)


def test_many_events_are_asymptotic(monkeypatch):
    monkeypatch.setattr(strength_limit, "TOY_TESTS", 5)
    model = WorkspaceModel.of(two_regions())
    result = inference.limit(model, toys=1000, seed=3)
    asymptotic = inference.limit(model)
    strengths = [test.strength for test in asymptotic.tests]
    best = inference.fit(model).strength.value
    for test in result.tests:
        curves = [[t.observed for t in asymptotic.tests], [t.expected[2] for t in asymptotic.tests]]
        seen, median = (np.interp(test.strength, strengths, curve) for curve in curves)
        if test.strength > best:
            assert test.observed == pytest.approx(seen, abs=4 * test.observed_error + 0.005)
        spread = test.expected_errors[2]
        assert test.expected[2] == pytest.approx(median, abs=4 * spread + 0.005)
    # an error of CLs = 0.05 by a seventh moves the limit by about 4%
    assert result.limit.observed == pytest.approx(asymptotic.limit.observed, rel=0.12)
    assert result.limit.expected[2] == pytest.approx(asymptotic.limit.expected[2], rel=0.12)


def test_significance_of_one_bin_is_exact():
    model = WorkspaceModel.of(counting(1.0, 1.5, 5))
    result = inference.significance(model, toys=4000, seed=1)
    exact = stats.poisson.sf(4, 1.5)
    assert result.toys_p_value == pytest.approx(exact, abs=4 * result.toys_error)
    assert result.toys_error == pytest.approx((exact / 4000) ** 0.5, rel=0.3)
    # the asymptotic formula needs more events
    assert result.p_value != pytest.approx(exact, rel=0.1)


def _minima(likelihood, data, at):
    return minimised_together(likelihood, data, at)[1][np.newaxis]


@pytest.mark.usefixtures("forked_workers")
def test_results_do_not_depend_on_the_number_of_processes(monkeypatch):
    monkeypatch.setattr(toy_experiments, "BATCH", 8)
    model = WorkspaceModel.of(two_regions())
    hypotheses = [Hypothesis(model.initial, _minima, key) for key in range(2)]
    found = partial(toy_statistics, model.pdf, hypotheses, 20, 5)
    seen = []
    alone, together = (
        found(processes=number, progress=lambda *at: seen.append(at)) for number in (1, 2)
    )
    assert np.array_equal(alone, together)
    assert alone[0].shape == (1, 20)
    assert not np.array_equal(alone[0], alone[1])
    assert seen[-1] == (40, 40)
