"""Derivatives of the contents of bins against differences of contents."""

import numpy as np
import pytest
from mass_fits import VALUES

from bphcoffea.analysis.mass_model import MassModel, Peak
from bphcoffea.statistics.mass_shapes import parameter_names
from bphcoffea.statistics.spectrum import Spectrum, cost_of, expected_contents

EDGES = np.linspace(1.65, 2.01, 31)
DS = Peak(name="ds", label="$D_s$", mass=1.968, width=0.010)
DPLUS = Peak(name="dplus", label="$D^+$", mass=1.870, width=0.010)
#: Rising, flat and falling backgrounds; fractions at their limits.
CHANGES = ({}, {"slope": 3.0, "bernstein_1": 1.0}, {"slope": 1e-9, "bernstein_2": 0.0})


def spectrum(shape, background, weight=1.0):
    model = MassModel(histogram="mass", peaks=(DS, DPLUS), shape=shape, background=background)
    counts = np.random.default_rng(2).poisson(80.0, 30) * weight
    counts[3] = 0.0
    return Spectrum(model, EDGES, counts, counts * weight)


def differences(function, values):
    """Derivatives of a function of parameters, of fourth order in the step."""
    rows = []
    for index, value in enumerate(values):
        step = 1e-4 * max(abs(value), 0.01)
        moved = [np.array(values, dtype=float) for _ in range(4)]
        for at, factor in zip(moved, (1, -1, 2, -2), strict=True):
            at[index] += factor * step
        up, down, far_up, far_down = (function(*at) for at in moved)
        rows.append((8 * (up - down) - (far_up - far_down)) / (12 * step))
    return np.array(rows)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("background", ["exponential", "bernstein3"])
@pytest.mark.parametrize("shape", ["gaussian", "crystal_ball", "double_crystal_ball"])
def test_derivatives_of_contents(shape, background, change):
    of = spectrum(shape, background)
    contents = expected_contents(of)
    values = [{**VALUES, **change}[name] for name in parameter_names(of.model)]
    expected, slopes = contents.slopes(*values)
    assert expected == pytest.approx(contents.values(*values), rel=1e-9)
    known = differences(contents.values, values)
    for name, found, row in zip(parameter_names(of.model), slopes, known, strict=True):
        if name == "slope" and abs(values[parameter_names(of.model).index(name)]) < 1e-6:
            # contents are those of a flat background until the slope matters
            continue
        assert found == pytest.approx(row, abs=1e-5 * np.max(np.abs(row))), name


@pytest.mark.parametrize("weight", [1.0, 0.4])
def test_derivatives_of_the_likelihood(weight):
    of = spectrum("double_crystal_ball", "exponential", weight)
    cost = cost_of(of)
    values = [VALUES[name] for name in cost.names]
    known = differences(cost, values)
    assert cost.gradient(*values) == pytest.approx(known, rel=1e-5)


def test_voigtians_have_none():
    cost = cost_of(spectrum("voigtian", "exponential"))
    assert not cost.differentiable
    with pytest.raises(TypeError, match="unknown"):
        cost.gradient(*(VALUES[name] for name in cost.names))
