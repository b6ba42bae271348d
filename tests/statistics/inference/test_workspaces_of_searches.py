"""Workspaces that searches export give the limits of the searches with `template limit` as well."""

import numpy as np
import pytest
from tau3mu_cards import channels

from bphcoffea.statistics import Channel, counting_workspace, fit_strength, inference, upper_limit
from bphcoffea.statistics.inference import WorkspaceModel, strength_limit
from bphcoffea.statistics.shape_workspace import mass_workspace

#: ``code4`` instead of log-normal uncertainties within one standard deviation.
INTERPOLATION = 0.01


@pytest.fixture(scope="module")
def counts():
    """Counts of two categories, as of a heavy neutral lepton."""
    experiments = [
        Channel("low", 2.0, 1.2, 2, signal_stat=0.1, background_stat=0.5, background_shape=0.2),
        Channel("high", 0.8, 0.4, 0, signal_stat=0.2, background_stat=0.3),
    ]
    return counting_workspace(experiments, {"normalisation": 0.1, "trigger": 0.05}, blinded=False)


def test_limits_of_spectra():
    """Two categories of τ → 3μ: limit, and fitted strength with its significance."""
    spec = mass_workspace(channels(names=["2017A1", "2017A2"]), blinded=False)
    model = WorkspaceModel.of(spec)
    known, found = upper_limit(spec, level=0.9), inference.limit(model, level=0.9).limit
    assert found.observed == pytest.approx(known.observed, rel=INTERPOLATION)
    assert found.expected == pytest.approx(known.expected, rel=INTERPOLATION)
    strength, fit = fit_strength(spec), inference.fit(model).strength
    assert max(strength.value, 0.0) == pytest.approx(fit.value, abs=0.01 * fit.error)
    significance = inference.significance(model).observed
    assert significance == pytest.approx(strength.significance, abs=0.01)


def test_asymptotic_limits_of_counts(counts):
    known, found = upper_limit(counts, toys=0), inference.limit(WorkspaceModel.of(counts)).limit
    assert found.observed == pytest.approx(known.observed, rel=INTERPOLATION)
    assert found.expected == pytest.approx(known.expected, rel=INTERPOLATION)


def test_toys_of_counts(counts, monkeypatch):
    """By the general likelihood, and by that of counting experiments alone."""
    monkeypatch.setattr(strength_limit, "TOY_TESTS", 5)
    found = inference.limit(WorkspaceModel.of(counts), toys=1000, seed=1)
    known = upper_limit(counts, toys=4000)
    # an error of CLs = 0.05 by a tenth moves the limit by about 4%
    assert found.limit.observed == pytest.approx(known.observed, rel=0.12)
    assert found.limit.expected[2:] == pytest.approx(known.expected[2:], rel=0.12)
    # few events are excluded less than asymptotic formulae say, or more
    asymptotic = upper_limit(counts, toys=0)
    assert abs(np.log(known.expected[0] / asymptotic.expected[0])) > 0.1


def test_ranks_of_counts(counts):
    ranking = inference.rank(WorkspaceModel.of(counts))
    names = {impact.parameter.name for impact in ranking.impacts}
    assert {"signal_normalisation", "signal_trigger"} <= names
    assert ranking.impacts[0].largest > 0
