"""Fits converge where limits of parameters and empty bins are in the way."""

import math

import numpy as np
import pytest

from bphcoffea.statistics.counting import Channel, counting_workspace
from bphcoffea.statistics.optimizer import Optimizer, minimised
from bphcoffea.statistics.scaled_model import prepare


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
