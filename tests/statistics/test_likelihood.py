"""The likelihood against pyhf's, on the same workspaces: of spectra, and of every modifier."""

from dataclasses import replace

import numpy as np
import pyhf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from bphcoffea.errors import FitError
from bphcoffea.statistics.likelihood import Likelihood
from bphcoffea.statistics.mass_background import Background, fit_background
from bphcoffea.statistics.optimizer import minimised
from bphcoffea.statistics.pyhf_backend import backend, schemas
from bphcoffea.statistics.shape_workspace import MassChannel, mass_workspace
from bphcoffea.statistics.signal_shape import SignalShape

EDGES = tuple(np.linspace(1.62, 2.0, 13))
SHAPE = SignalShape(0.3, 1.777, 0.014, 1.2, 3.0, 0.010)
LOG_NORMAL = {"normsys": {"interpcode": "code1"}, "histosys": {"interpcode": "code4p"}}
LUMINOSITY = {
    "name": "lumi",
    "auxdata": [1.2],
    "sigmas": [0.03],
    "bounds": [[0.5, 2.0]],
    "inits": [1.2],
}


def spectra():
    """Two channels of mass spectra, of which sources are shared."""
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


def templates(draw=None, seed=0, channels=2, bins=3):
    """Channels with every kind of modifier; `draw` decides which samples have which."""
    rng = np.random.default_rng(seed)

    def chosen(always=True):
        return draw(st.booleans()) if draw else always

    spec = {"channels": [], "observations": [], "version": "1.0.0", "measurements": []}
    for number in range(channels):
        name, size, samples = f"region{channels - number}", bins + number, []
        for process in ("signal", "top", "fakes"):
            data = rng.uniform(1, 30, size)
            if chosen(always=False):
                data[0] = 0.0
            modifiers = []
            if process == "signal":
                modifiers.append({"name": "mu", "type": "normfactor", "data": None})
            if process == "top" and chosen():
                modifiers.append({"name": "top", "type": "normfactor", "data": None})
            if chosen():
                modifiers.append({"name": "lumi", "type": "lumi", "data": None})
            for source in ("scale", "tagging"):
                if chosen():
                    high, low = rng.uniform(1.01, 1.6), rng.uniform(0.6, 1.1)
                    factors = {"hi": high, "lo": low}
                    modifiers.append({"name": source, "type": "normsys", "data": factors})
                if chosen():
                    up, down = (data * rng.uniform(0.8, 1.3, size) for _ in range(2))
                    moved = {"hi_data": up.tolist(), "lo_data": down.tolist()}
                    modifiers.append({"name": source, "type": "histosys", "data": moved})
            if process != "fakes":
                errors = data * rng.uniform(0.02, 0.3, size)
                errors[1] *= chosen()
                modifiers.append(
                    {"name": f"stat_{name}", "type": "staterror", "data": errors.tolist()}
                )
            if process == "fakes" and chosen():
                errors = data * rng.uniform(0.05, 0.4, size)
                modifiers.append(
                    {"name": f"fakes_{name}", "type": "shapesys", "data": errors.tolist()}
                )
            elif process == "fakes" and chosen():
                modifiers.append({"name": "fakes", "type": "shapefactor", "data": None})
            samples.append({"name": process, "data": data.tolist(), "modifiers": modifiers})
        total = np.sum([sample["data"] for sample in samples], axis=0)
        spec["channels"].append({"name": name, "samples": samples})
        observed = rng.poisson(total).astype(float).tolist()
        spec["observations"].append({"name": name, "data": observed})
    spec["measurements"].append(
        {"name": "observed", "config": {"poi": "mu", "parameters": [LUMINOSITY]}}
    )
    return spec


def both(spec, **options):
    """Return this package's likelihood, pyhf's model, and its data."""
    log_normal = options.get("interpolation") == "code1"
    settings = {"modifier_settings": LOG_NORMAL} if log_normal else {}
    with backend(), schemas():
        whole = pyhf.Workspace(spec)
        model = whole.model(**settings)
        return Likelihood(spec, **options), model, whole.data(model)


def parameter_sets(likelihood, count, spread=1.0):
    rng = np.random.default_rng(1)
    for _ in range(count):
        values = rng.normal(0, spread, likelihood.config.npars)
        for index, parameter in enumerate(likelihood.config.parameters):
            # factors are not negative
            if parameter.initial > 0:
                values[index] = rng.uniform(0.3, 2.0)
        yield values


def in_order_of(model, likelihood, values):
    by_name = dict(zip(likelihood.config.par_names, values, strict=True))
    return np.array([by_name[name] for name in model.config.par_names])


def check_values(likelihood, model, data, sets=4):
    """Compare expectations, deviances and derivatives at some parameters."""
    constants, order = [], [likelihood.config.par_names[i] for i in likelihood.constraints.index]
    with backend():
        for values in parameter_sets(likelihood, sets):
            theirs = in_order_of(model, likelihood, values)
            expected = model.expected_data(theirs, include_auxdata=False)
            ours = likelihood.expected_data(values, include_auxdata=False)
            assert ours == pytest.approx(expected, rel=1e-10)
            auxiliary = dict(zip(order, likelihood.expected_data(values)[len(ours) :], strict=True))
            assert sorted(auxiliary.values()) == pytest.approx(
                sorted(model.expected_auxdata(theirs)), rel=1e-10
            )
            constants.append(
                -2 * model.logpdf(theirs, data)[0] - likelihood.deviance(values, likelihood.data)
            )
    # all digits but those that sums of thousands lose
    assert np.ptp(constants) < 1e-8


def check_derivatives(likelihood, sets=2):
    for values in parameter_sets(likelihood, sets, spread=0.5):
        data = likelihood.expected_data(values)
        # gradient: data that differ from the expectation
        shifted = data * 1.1 + 0.3
        numerical = optimize.approx_fprime(
            values, lambda x, at=shifted: likelihood.deviance(x, at), 1e-7
        )
        gradient = likelihood.gradient(values, shifted)
        assert gradient == pytest.approx(numerical, rel=1e-4, abs=1e-5 * np.max(np.abs(gradient)))
        # where data are as expected, the expected second derivatives leave nothing out
        hessian = likelihood.hessian(values)
        observed = likelihood.observed_hessian(values, data, step=1e-5)
        assert hessian == pytest.approx(observed, rel=1e-3, abs=1e-4 * np.max(np.abs(hessian)))


@pytest.mark.parametrize(
    ("spec", "options"),
    [(spectra(), {"interpolation": "code1"}), (spectra(), {}), (templates(), {})],
    ids=["spectra, log-normal", "spectra", "templates"],
)
def test_values_are_pyhfs(spec, options):
    likelihood, model, data = both(spec, **options)
    assert sorted(likelihood.config.par_names) == sorted(model.config.par_names)
    assert likelihood.config.par_names[likelihood.config.poi_index] == model.config.poi_name
    fixed = dict(zip(model.config.par_names, model.config.suggested_fixed(), strict=True))
    assert {p.name: p.fixed for p in likelihood.config.parameters} == fixed
    initial = dict(zip(model.config.par_names, model.config.suggested_init(), strict=True))
    assert {p.name: p.initial for p in likelihood.config.parameters} == initial
    check_values(likelihood, model, data)
    check_derivatives(likelihood)


@given(st.data())
@settings(max_examples=15)
def test_any_modifiers(data):
    seed, bins = data.draw(st.integers(0, 99)), data.draw(st.integers(2, 3))
    spec = templates(data.draw, seed, channels=data.draw(st.integers(1, 2)), bins=bins)
    if "lumi" not in str(spec["channels"]):
        spec["measurements"][0]["config"]["parameters"] = []
    likelihood, model, counts = both(spec)
    check_values(likelihood, model, counts, sets=2)
    check_derivatives(likelihood, sets=1)


def test_unit_of_the_strength():
    spec = templates()
    one, other = Likelihood(spec), Likelihood(spec, unit=0.01)
    values = next(parameter_sets(one, 1))
    scaled = values.copy()
    scaled[one.config.poi_index] *= 100
    assert other.expected_data(scaled) == pytest.approx(one.expected_data(values), rel=1e-12)


def test_fit_is_pyhfs():
    likelihood, model, data = both(templates())
    with backend(pyhf.optimize.minuit_optimizer()):
        theirs, value = pyhf.infer.mle.fit(data, model, return_fitted_val=True)
        constant = float(-2 * model.logpdf(theirs, data)[0])
    assert constant == pytest.approx(float(value))
    ours, deviance = minimised(
        likelihood, likelihood.data, likelihood.config.suggested_init(), lowest=None
    )
    at_theirs = dict(zip(model.config.par_names, theirs, strict=True))
    found = np.array([at_theirs[name] for name in likelihood.config.par_names])
    # MINUIT stops 1e-4 above the minimum
    assert deviance <= likelihood.deviance(found, likelihood.data) + 1e-6
    assert ours == pytest.approx(found, abs=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "new", "type": "other", "data": None}, "unknown type 'other'"),
        ({"name": "new", "type": "shapesys", "data": [0.1] * 12}, "12 bins in shapesys 'new', 3"),
        ({"name": "mu", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}, "'mu' is the name"),
        ({"name": "new", "type": "normsys", "data": {"hi": 1.1, "lo": 0}}, "must be positive"),
        ({"name": "fakes_region2", "type": "shapesys", "data": [0.1] * 3}, "must be unique"),
    ],
)
def test_bad_modifiers(change, message):
    spec = templates()
    spec["channels"][0]["samples"][0]["modifiers"].append(change)
    with pytest.raises(FitError, match=message):
        Likelihood(spec)


def test_bad_settings():
    spec = templates()
    spec["measurements"][0]["config"]["parameters"] = []
    with pytest.raises(FitError, match="no uncertainty of 'lumi'"):
        Likelihood(spec)
    spec["measurements"][0]["config"]["parameters"] = [LUMINOSITY | {"inits": [1.0, 1.0]}]
    with pytest.raises(FitError, match="2 inits, but 1 bins"):
        Likelihood(spec)
