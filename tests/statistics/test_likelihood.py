"""The likelihood of spectra against pyhf's, on the same workspace."""

from dataclasses import replace

import numpy as np
import pyhf
import pytest
from scipy import optimize

from bphcoffea.statistics.likelihood import Likelihood
from bphcoffea.statistics.mass_background import Background, fit_background
from bphcoffea.statistics.pyhf_backend import backend, schemas
from bphcoffea.statistics.scaled_model import INTERPOLATION
from bphcoffea.statistics.shape_workspace import MassChannel, mass_workspace
from bphcoffea.statistics.signal_shape import SignalShape

EDGES = tuple(np.linspace(1.62, 2.0, 13))
SHAPE = SignalShape(0.3, 1.777, 0.014, 1.2, 3.0, 0.010)


def workspace():
    """Two channels with every kind of modifier, of which sources are shared."""
    rng = np.random.default_rng(5)
    first = MassChannel(
        name="b",
        edges=EDGES,
        signal=6.0,
        shape=SHAPE,
        background=fit_background(rng.triangular(1.62, 1.63, 2.0, 60)),
        observed=tuple(rng.poisson(4.0, 12).astype(float)),
        signal_stat=0.05,
        mean_error=0.004,
        width_error=0.1,
        signal_shifts={"normalisation": 0.06, "trigger": -0.1, "muon": 0.02},
    )
    second = replace(
        first,
        name="a",
        background=Background(300.0, 2.0, 0.5),
        observed=tuple(rng.poisson(25.0, 12).astype(float)),
        signal_shifts={"normalisation": 0.06, "trigger": 0.2},
    )
    return mass_workspace([first, second], blinded=False)


@pytest.fixture(scope="module")
def both():
    spec = workspace()
    with backend(), schemas():
        whole = pyhf.Workspace(spec)
        return Likelihood(spec), whole.model(modifier_settings=INTERPOLATION), whole


def parameter_sets(likelihood, count, spread=1.0):
    rng = np.random.default_rng(1)
    for _ in range(count):
        values = rng.normal(0, spread, likelihood.config.npars)
        values[: likelihood.free] = rng.uniform(0.3, 2.0, likelihood.free)
        yield values


def in_order_of(model, likelihood, values):
    by_name = dict(zip(likelihood.config.par_names, values, strict=True))
    return np.array([by_name[name] for name in model.config.par_names])


def test_parameters_are_pyhfs(both):
    likelihood, model, _ = both
    assert set(likelihood.config.par_names) == set(model.config.par_names)
    assert likelihood.config.par_names[likelihood.config.poi_index] == model.config.poi_name
    constrained = [likelihood.config.par_names[i] for i in likelihood.constrained]
    assert set(constrained) == set(model.config.auxdata_order)


def test_likelihood_is_pyhfs(both):
    likelihood, model, whole = both
    differences = []
    with backend():
        data = whole.data(model)
        for values in parameter_sets(likelihood, 8):
            theirs = in_order_of(model, likelihood, values)
            expected = model.expected_data(theirs, include_auxdata=False)
            ours = likelihood.expected_data(values, include_auxdata=False)
            assert ours == pytest.approx(expected, rel=1e-10)
            value = -2 * model.logpdf(theirs, data)[0]
            differences.append(value - likelihood.deviance(values, likelihood.data))
    # all digits but those that sums of hundreds lose
    assert np.ptp(differences) < 1e-9


def test_gradient(both):
    likelihood, _, _ = both
    for values in parameter_sets(likelihood, 4):
        numerical = optimize.approx_fprime(
            values, lambda x: likelihood.deviance(x, likelihood.data), 1e-7
        )
        ours = likelihood.gradient(values, likelihood.data)
        # finite differences of numbers of several hundreds
        assert ours == pytest.approx(numerical, rel=1e-4, abs=1e-4 * np.max(np.abs(ours)))


def test_hessian_of_expected_data(both):
    """Where data are as expected, nothing is left out."""
    likelihood, _, _ = both
    for values in parameter_sets(likelihood, 2, spread=0.5):
        data = likelihood.expected_data(values)
        numerical = np.array(
            [
                (
                    likelihood.gradient(values + step, data)
                    - likelihood.gradient(values - step, data)
                )
                / 2e-5
                for step in 1e-5 * np.eye(len(values))
            ]
        )
        ours = likelihood.hessian(values)
        assert ours == pytest.approx(numerical, rel=1e-4, abs=1e-5 * np.max(np.abs(ours)))


def test_default_interpolation(both):
    """With pyhf's default, backgrounds are the same to what the workspace promises."""
    likelihood, _, whole = both
    with backend(), schemas():
        default = whole.model()
        values = np.array(likelihood.config.suggested_init())
        values[likelihood.config.poi_index] = 0.0
        for unit in (0.1, 0.3, 0.6, 1.0, 1.5):
            for sign in (1, -1):
                at = values.copy()
                at[likelihood.config.par_names.index("slope_a")] = sign * unit
                theirs = default.expected_data(in_order_of(default, likelihood, at), False)
                ours = likelihood.expected_data(at, False)
                change = np.max(np.abs(np.log(ours / likelihood.expected_data(values, False))))
                print(unit * sign, np.max(np.abs(np.log(theirs / ours))), change)


def test_unknown_modifiers():
    spec = workspace()
    spec["channels"][0]["samples"][0]["modifiers"].append(
        {"name": "bins", "type": "shapesys", "data": [0.1] * 12}
    )
    with pytest.raises(ValueError, match="shapesys"):
        Likelihood(spec)
