"""Mass fits, against closure on toys and cases that cannot be fitted."""

import json

import hist
import numpy as np
import pytest
from mass_fits import write_run
from mass_toys import (
    BINS,
    DPLUS,
    DS,
    HIGH,
    LOW,
    MODEL,
    SEED,
    TRUTH,
    VOIGTIAN,
    known_fit,
    spectrum,
    toy,
)
from scipy import stats

from bphcoffea.errors import InputError
from bphcoffea.statistics.histogram_fit import fit_histogram, fit_simulation
from bphcoffea.statistics.mass_fit import MassFit, Parameter, Tail
from bphcoffea.statistics.minimiser import BETA_LIMITS, BETA_START
from bphcoffea.statistics.run_fit import fit_mass


@pytest.fixture
def rng():
    return np.random.default_rng(SEED)


def pulls(fits, name, truth):
    return np.array(
        [(f.parameters[name].value - truth) / f.parameters[name].error for f in fits if f.valid]
    )


@pytest.fixture(scope="module")
def fits_of_toys():
    """Fits of 30 toys."""
    rng = np.random.default_rng(SEED)
    return [fit_histogram(toy(rng), MODEL) for _ in range(30)]


def test_yields_close(fits_of_toys):
    fits = fits_of_toys
    assert sum(fit.valid for fit in fits) >= 29
    for name in ("n_ds", "n_dplus", "n_background", "mean_ds"):
        pull = pulls(fits, name, TRUTH[name])
        # 30 toys know the mean to 0.18 and the width to 0.13: three times that
        assert abs(np.mean(pull)) < 0.55, name
        assert 0.6 < np.std(pull) < 1.4, name


def test_p_values_are_spread(fits_of_toys):
    p_values = [fit.p_value for fit in fits_of_toys]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3


#: Models beside the default, and what their truth has besides.
OTHERS = {
    "gaussian on a parabola": (
        {"shape": "gaussian", "background": "bernstein2"},
        {"bernstein_1": 0.2, "bernstein_2": 0.4},
    ),
    "voigtian": (
        {
            "shape": "voigtian",
            "peaks": (DS, DPLUS.model_copy(update={"natural_width": 0.008})),
        },
        {"gamma_ds": 0.015, "gamma_dplus": 0.008},
    ),
    "tails on both sides on a cubic": (
        {"shape": "double_crystal_ball", "background": "bernstein3"},
        {"bernstein_1": 0.25, "bernstein_2": 0.3, "bernstein_3": 0.5}
        | {"beta": 1.5, "beta_high": 1.4, "m_high": 3.0},
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_models_close(rng, name):
    changes, more = OTHERS[name]
    model, truth = MODEL.model_copy(update=changes), {**TRUTH, **more}
    counts = sum(known_fit(truth, model).expected().values())
    fit = fit_histogram(spectrum(counts), model)
    assert fit.valid, fit.problems
    free = [fit.parameters[parameter] for parameter in fit.names]
    found, errors = np.array([(parameter.value, parameter.error) for parameter in free]).T
    expected = np.array([truth[parameter] for parameter in fit.names])
    # expected counts give back the truth, at the precision of a minimum
    np.testing.assert_allclose((found - expected) / errors, 0, atol=0.02)
    # and what fluctuates does so as the covariance says
    again = fit_histogram(spectrum(rng.poisson(counts).astype(float)), model)
    yields = [i for i, parameter in enumerate(fit.names) if parameter.startswith("n_")]
    pull = np.array([again.parameters[fit.names[i]].value for i in yields]) - expected[yields]
    covariance = np.array(fit.covariance)[np.ix_(yields, yields)]
    assert 0.05 < pull @ np.linalg.solve(covariance, pull) < 12.8  # 99% of cases


def test_a_natural_width_that_is_known_is_fixed(rng):
    truth = {**TRUTH, "gamma_ds": 0.012, "gamma_dplus": 0.0}
    known = DS.model_copy(update={"natural_width": 0.012})
    model = VOIGTIAN.model_copy(update={"peaks": (known, DPLUS)})
    data = toy(rng, truth, model)
    fit, free = fit_histogram(data, model), fit_histogram(data, VOIGTIAN)
    assert fit.valid
    assert fit.parameters["gamma_ds"].fixed
    assert fit.parameters["gamma_ds"].value == 0.012
    assert fit.parameters["sigma_ds"].error < free.parameters["sigma_ds"].error


def test_a_peak_without_natural_width_is_gaussian():
    truth = {**TRUTH, "gamma_ds": 0.0, "gamma_dplus": 0.0}
    data = spectrum(sum(known_fit(truth, VOIGTIAN).expected().values()))
    fit = fit_histogram(data, VOIGTIAN)
    assert fit.valid
    assert fit.parameters["gamma_ds"] == Parameter(0.0, None, True, None, "GeV")
    assert "gamma_ds runs to its limit: it is fixed at 0" in fit.notes
    gaussian = fit_histogram(data, MODEL.model_copy(update={"shape": "gaussian"}))
    assert fit.parameters["n_ds"].value == pytest.approx(
        gaussian.parameters["n_ds"].value, rel=1e-3
    )


def test_a_coefficient_at_its_limit_is_fixed_there():
    truth = {**TRUTH, "bernstein_1": 0.4, "bernstein_2": 0.0}
    model = MODEL.model_copy(update={"background": "bernstein2"})
    # it has a zero at the upper end
    fit = fit_histogram(spectrum(sum(known_fit(truth, model).expected().values())), model)
    assert fit.valid
    assert fit.parameters["bernstein_2"].fixed
    assert fit.parameters["bernstein_1"].value == pytest.approx(0.4, rel=1e-2)


def test_the_curve_has_the_area_of_the_histogram():
    fit = known_fit()
    x, curves = fit.curve(620)
    assert np.all((x > LOW) & (x < HIGH))
    for name, counts in fit.expected().items():
        assert np.sum(curves[name]) / 10 == pytest.approx(np.sum(counts))


def test_a_weighted_histogram_has_the_errors_of_its_entries(rng):
    plain = toy(rng)
    weighted = spectrum(plain.values(), 0.25)
    once, again = fit_histogram(plain, MODEL), fit_histogram(weighted, MODEL)
    assert again.valid
    for name in ("n_ds", "n_background"):
        assert again.parameters[name].value == pytest.approx(
            once.parameters[name].value / 4, rel=1e-2
        )
        # a quarter of the entries' errors, not the square root of the summed weights
        assert again.parameters[name].error == pytest.approx(
            once.parameters[name].error / 4, rel=5e-2
        )


def test_other_storages_are_counts(rng):
    plain = toy(rng)
    counted = hist.Hist(plain.axes[0], storage=hist.storage.Int64())
    counted.view()[:] = plain.values().astype(int)
    assert fit_histogram(counted, MODEL).parameters == fit_histogram(plain, MODEL).parameters


def test_a_given_tail_is_fixed(rng):
    fit = fit_histogram(toy(rng), MODEL, tail=Tail({"beta": 1.7, "m": 4.0}, "a simulation"))
    assert (fit.parameters["beta"].value, fit.parameters["m"].value) == (1.7, 4.0)
    assert fit.parameters["beta"].fixed
    assert fit.parameters["beta"].error is None
    assert fit.notes == ("tail fixed to that of a simulation",)
    assert "beta" not in fit.names
    assert np.shape(fit.covariance) == (len(fit.names),) * 2


def test_a_gaussian_peak_has_no_tail():
    # expected counts, no fluctuation that could look like a tail
    fit = fit_histogram(spectrum(sum(known_fit({**TRUTH, "beta": 8.0}).expected().values())), MODEL)
    assert fit.valid
    assert fit.parameters["beta"].fixed
    assert fit.parameters["beta"].value == BETA_LIMITS[1]
    assert any("no tail" in note for note in fit.notes)
    assert fit.parameters["n_ds"].value == pytest.approx(2000, rel=1e-2)


def test_no_peak_is_a_yield_compatible_with_zero(rng):
    truth = {**TRUTH, "n_ds": 0.0, "n_dplus": 0.0}
    fits = [fit_histogram(toy(rng, truth), MODEL) for _ in range(20)]
    assert all(fit.valid for fit in fits)
    pull = pulls(fits, "n_ds", 0.0)
    # a fluctuation that looks like a peak of free width is at most 3 to 4 sigma
    assert np.all(np.abs(pull) < 4.5)
    assert np.min(pull) < 0
    unseen = [fit for fit in fits if fit.parameters["mean_ds"].fixed]
    assert len(unseen) > 10
    assert unseen[0].parameters["mean_ds"].value == DS.mass
    assert any(fit.parameters["beta"].value == BETA_START for fit in unseen)


def test_no_background():
    truth = {**TRUTH, "n_background": 0.0, "n_dplus": 0.0}
    fit = fit_histogram(spectrum(sum(known_fit(truth).expected().values())), MODEL)
    assert fit.valid
    assert fit.parameters["n_background"].value == 0
    assert fit.parameters["n_ds"].value == pytest.approx(2000, rel=1e-3)


@pytest.mark.parametrize("entries", [0, 5])
def test_too_few_entries(entries):
    counts = np.zeros(BINS)
    counts[10 : 10 + entries] = 1
    fit = fit_histogram(spectrum(counts), MODEL)
    assert not fit.valid
    assert fit.problems == (
        f"only {entries} effective entries in 1.65-2.01 GeV: a fit needs at least 20",
    )
    assert fit.expected() == {}
    assert MassFit.from_json(json.loads(json.dumps(fit.as_json(), allow_nan=False))) == fit


def test_a_parameter_at_its_limit_is_a_problem():
    shifted = known_fit({**TRUTH, "mean_ds": 1.968 + 0.025})
    fit = fit_histogram(spectrum(sum(shifted.expected().values())), MODEL)
    assert not fit.valid
    assert "mean_ds is at its limit, 1.988 GeV" in fit.problems


def test_a_poor_description_is_noted(rng):
    other = known_fit({**TRUTH, "n_ds": 1500.0, "mean_ds": 1.75})
    counts = sum(other.expected().values()) + sum(known_fit().expected().values())
    fit = fit_histogram(spectrum(rng.poisson(counts).astype(float)), MODEL)
    assert any("poorly" in note for note in fit.notes)


def test_the_range_is_the_models(rng):
    model = MODEL.model_copy(update={"range": (1.80, 2.01), "peaks": (DS,)})
    fit = fit_histogram(toy(rng), model)
    assert fit.range[0] == pytest.approx(1.80, abs=0.006)
    assert fit.range[0] >= 1.80
    outside = MODEL.model_copy(update={"range": (1.90, 2.01)})
    with pytest.raises(InputError, match=r"peak 'dplus' at 1\.87 GeV lies outside"):
        fit_histogram(toy(rng), outside)
    with pytest.raises(InputError, match="fewer than two bins"):
        fit_histogram(toy(rng), MODEL.model_copy(update={"range": (3.0, 4.0)}))


def test_json_round_trip(rng):
    fit = fit_histogram(toy(rng), MODEL)
    content = json.loads(json.dumps(fit.as_json(), allow_nan=False))
    assert MassFit.from_json(content) == fit
    assert content["valid"]
    assert content["parameters"]["slope"]["unit"] == "1/GeV"


def tail_of(simulation, model=MODEL):
    return Tail.of(fit_simulation(simulation, model).values(), "toys")


def test_the_tail_is_that_of_the_simulation(rng):
    truth = {**TRUTH, "n_ds": 50_000.0, "n_dplus": 0.0, "n_background": 500.0, "beta": 1.6}
    tail = tail_of({"ds": toy(rng, truth, weight=0.3)})
    assert tail is not None
    mean, sigma = truth["mean_ds"], truth["sigma_ds"]
    below = mean - np.array([1.5, 2.5]) * sigma
    # beta and m trade against each other; what counts is how much lies in the tail
    np.testing.assert_allclose(
        stats.crystalball.cdf(below, tail.values["beta"], tail.values["m"], mean, sigma),
        stats.crystalball.cdf(below, 1.6, 3.0, mean, sigma),
        rtol=0.1,
    )


def test_simulations_share_the_tail_and_keep_their_yields(rng):
    """The peak alone is what data are made of, whatever lies below it in simulation."""
    simulated = {
        "ds": toy(rng, {**TRUTH, "n_ds": 20_000.0, "n_dplus": 0.0, "n_background": 1000.0}),
        "dplus": toy(
            rng, {**TRUTH, "n_ds": 0.0, "n_dplus": 20_000.0, "n_background": 0.0}, weight=2
        ),
    }
    fits = fit_simulation(simulated, MODEL)
    for name, yield_, background in (("ds", 20_000, 1000), ("dplus", 40_000, 0)):
        fit = fits[name]
        assert fit.valid
        assert [peak.name for peak in fit.model.peaks] == [name]
        n = fit.parameters[f"n_{name}"]
        # at three errors of the fit
        assert abs(n.value - yield_) < 3 * n.error
        assert n.error == pytest.approx(yield_ / np.sqrt(20_000), rel=0.1)
        assert fit.parameters["n_background"].value == pytest.approx(background, abs=250)
        assert sum(fit.expected()[name]) == pytest.approx(n.value)
        assert fit.p_value > 1e-3
    tails = [[fit.parameters[name].value for name in ("beta", "m")] for fit in fits.values()]
    assert tails[0] == tails[1]
    assert tails[0][0] == pytest.approx(2.0, abs=0.15)


def test_simulation_constrains_the_tail_as_well_as_it_knows_it(rng):
    """Data pull a tail within its covariance, and the uncertainty of the yield has its part."""
    truth = {**TRUTH, "n_dplus": 0.0, "n_background": 0.0, "beta": 1.4}
    tail = tail_of({"ds": toy(rng, {**truth, "n_ds": 3000.0})})
    assert tail.names == ("beta", "m")
    data = toy(rng, {**TRUTH, "beta": 1.4})
    constrained = fit_histogram(data, MODEL, tail=tail)
    fixed = fit_histogram(data, MODEL, tail=Tail(tail.values, "toys"))
    assert constrained.valid
    assert constrained.parameters["n_ds"].error > 1.01 * fixed.parameters["n_ds"].error
    pull = np.array([constrained.parameters[n].value - tail.values[n] for n in tail.names])
    assert pull @ np.linalg.solve(np.array(tail.covariance), pull) < 6  # 5% of cases
    assert constrained.parameters["beta"].error < 1.01 * np.sqrt(tail.covariance[0][0])
    # two parameters more, and two measurements of them
    assert constrained.ndof == fixed.ndof


def test_a_small_simulation_gives_no_tail(rng):
    truth = {**TRUTH, "n_ds": 50.0, "n_dplus": 0.0, "n_background": 0.0}
    (fit,) = fit_simulation({"ds": toy(rng, truth)}, MODEL).values()
    assert "a fit needs at least 100" in fit.problems[0]
    assert Tail.of([fit], "toys") is None


def test_a_negative_sum_of_weights_is_not_fitted(tmp_path):
    """An interference sample, whose weights are all negative."""
    rng = np.random.default_rng(5)
    negative = toy(rng, weight=-1.0)
    fit = fit_histogram(negative, MODEL)
    assert not fit.valid
    total = negative.sum().value
    assert fit.problems == (
        f"the weights in 1.65-2.01 GeV add up to {total:.6g}: a fit needs a positive sum",
    )
    assert fit_simulation({"ds": negative}, MODEL)["ds"].problems == fit.problems
    run = write_run(tmp_path, {"x": negative}, {"x": {"is_mc": True, "era": "2018"}}, MODEL)
    content = fit_mass(run).as_json()
    assert content["problems"] == list(fit.problems)
    assert MassFit.from_json(content) == fit
