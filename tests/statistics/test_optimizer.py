"""Fits converge where limits of parameters and empty bins are in the way."""

import math

import numpy as np
import pytest
from scipy import optimize

from bphcoffea.statistics.counting import Channel, counting_workspace
from bphcoffea.statistics.likelihood import Likelihood
from bphcoffea.statistics.optimizer import Optimizer, minimised
from bphcoffea.statistics.scaled_model import prepare
from bphcoffea.statistics.toy_fits import minimised_together


def six_categories(rng):
    """Backgrounds from nothing to a hundred events, with few and many events in the sidebands."""
    channels = []
    for number, background in enumerate(10 ** rng.uniform(-3, 2, 6) * (rng.random(6) > 0.2)):
        statistics = 0.3 * math.sqrt(background * rng.uniform(0.1, 3))
        channels.append(
            Channel(
                f"category{number}",
                rng.uniform(0.01, 4),
                background,
                int(rng.poisson(background)),
                signal_stat=rng.uniform(0.02, 0.4),
                background_stat=max(statistics, 0.1),
                background_shape=0.2 * background * rng.random(),
            )
        )
    normalisation = {"luminosity": 0.025, "trigger": 0.05, "fractions": 0.1}
    return prepare(counting_workspace(channels, normalisation, blinded=False))


@pytest.mark.parametrize("seed", range(4))
def test_toys_of_six_categories(seed):
    rng = np.random.default_rng(seed)
    model = six_categories(rng)
    likelihood, poi = model.pdf, model.pdf.config.poi_index
    truth, _ = minimised(likelihood, model.data, likelihood.config.suggested_init(), {poi: 2.0})
    for _ in range(8):
        data = likelihood.draw(truth, rng)
        optimizer = Optimizer(likelihood)
        best, lowest = optimizer.fit(data, {})
        # no other strength is better, and no parameter nearby
        for strength in (0.0, 0.5 * best[poi], 1.1 * best[poi], 3.0):
            assert optimizer.fit(data, {poi: strength})[1] >= lowest - 1e-4
        for index, parameter in enumerate(likelihood.config.parameters):
            for step in (-0.01, 0.01):
                other = best.copy()
                other[index] = np.clip(other[index] + step, parameter.low, parameter.high)
                assert likelihood.deviance(other, data) >= lowest - 1e-5


def of_bins(signal, background):
    """Likelihood of a strength that may be negative, with a background known to 10%."""
    factor = {"type": "normfactor", "name": "mu", "data": None}
    uncertainty = {"type": "normsys", "name": "b", "data": {"hi": 1.1, "lo": 0.9}}
    samples = [
        {"name": "signal", "data": list(signal), "modifiers": [factor]},
        {"name": "background", "data": list(background), "modifiers": [uncertainty]},
    ]
    config = {"poi": "mu", "parameters": [{"name": "mu", "bounds": [[-100.0, 100.0]]}]}
    return Likelihood(
        {
            "channels": [{"name": "bins", "samples": samples}],
            "observations": [{"name": "bins", "data": list(background)}],
            "measurements": [{"name": "measurement", "config": config}],
            "version": "1.0.0",
        }
    )


@pytest.mark.parametrize("lowest", [None, -np.inf])
def test_strength_of_one_bin(lowest):
    """(n - b) / s for any number of events, also where nothing is left without any."""
    likelihood = of_bins([3.0], [1.5])
    data = np.column_stack([np.arange(8.0), np.zeros(8)])
    best, deviance = minimised_together(likelihood, data, np.zeros(2), lowest=lowest)
    order = [likelihood.config.par_names.index(name) for name in ("mu", "b")]
    known = np.column_stack([(np.arange(8) - 1.5) / 3, np.zeros(8)])
    assert best[:, order] == pytest.approx(known, abs=2e-4)
    assert deviance == pytest.approx(np.zeros(8), abs=2e-4)


@pytest.mark.parametrize("level", [0.3, 1.0])
def test_negative_strengths_with_few_events_per_bin(level):
    """The minimum is that of a method which keeps all expectations positive by constraints."""
    places = np.arange(10)
    peak = np.exp(-((places - 4.5) ** 2) / 4.5)
    likelihood = of_bins(3 * peak / np.sum(peak), np.full(10, level))
    start = np.array(likelihood.config.suggested_init())
    start[likelihood.config.poi_index] = 0.0
    data = likelihood.draw(start, np.random.default_rng(5), 40)
    found, deviance = minimised_together(likelihood, data, start)
    emptied = 0
    for toy, best, lowest in zip(data, found, deviance, strict=True):
        known = optimize.minimize(
            likelihood.deviance,
            start,
            toy,
            jac=likelihood.gradient,
            method="SLSQP",
            constraints={"type": "ineq", "fun": lambda at: likelihood.expected_data(at, False)},
            options={"ftol": 1e-9, "maxiter": 200},
        )
        assert lowest == pytest.approx(known.fun, abs=1e-3)
        assert minimised(likelihood, toy, start)[1] == pytest.approx(lowest, abs=1e-5)
        left = np.min(likelihood.expected_data(best, False))
        assert left > -1e-3
        emptied += left <= 0
    # otherwise nothing was tested
    assert emptied > 2
