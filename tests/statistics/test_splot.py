"""sWeights against their definition, the package sweights, and toys with a control variable."""

import dataclasses

import hist
import numpy as np
import pytest
import sweights as oracle
from scipy import stats

from bphcoffea.analysis.mass_model import MassModel, Peak
from bphcoffea.errors import InputError
from bphcoffea.results import RunFolder
from bphcoffea.statistics import fit_mass, sweighted_candidates, sweights
from bphcoffea.statistics.histogram_fit import fit_histogram
from bphcoffea.statistics.splot import write_sweights

LOW, HIGH, BINS = 1.85, 2.08, 46
PEAK = Peak(name="ds", label="$D_s$", mass=1.968, width=0.012)
MODEL = MassModel(histogram="mass", peaks=(PEAK,), shape="gaussian")
SIGNAL, BACKGROUND = 3000, 6000


def fitted(masses, model=MODEL):
    histogram = hist.Hist(hist.axis.Regular(BINS, LOW, HIGH, name="mass"))
    return fit_histogram(histogram.fill(masses), model)


@pytest.fixture(scope="module")
def toy():
    """Masses, a control variable that knows signal from background, and which is signal."""
    rng = np.random.default_rng(20260)
    numbers = rng.poisson([SIGNAL, BACKGROUND])
    slope = -4.0
    u = rng.random(numbers[1])
    below = LOW + np.log1p(u * np.expm1(slope * (HIGH - LOW))) / slope
    masses = np.concatenate([rng.normal(1.968, 0.010, numbers[0]), below])
    control = np.concatenate([rng.exponential(2.0, numbers[0]), rng.exponential(0.8, numbers[1])])
    is_signal = np.arange(len(masses)) < numbers[0]
    order = rng.permutation(len(masses))
    return masses[order], control[order], is_signal[order]


@pytest.fixture(scope="module")
def fit(toy):
    fit = fitted(toy[0])
    assert fit.valid, fit.problems
    return fit


def test_weights_add_up_to_the_yields_and_their_variances(toy, fit):
    weights = sweights(fit, toy[0])
    assert list(weights) == ["ds", "background"]
    for name, values in weights.items():
        found = fit.parameters[f"n_{name}"]
        # as precise as the minimum
        assert np.sum(values) == pytest.approx(found.value, abs=0.01 * found.error)
        # at fixed shapes, the yield is known somewhat better than in the fit
        assert 0.8 * found.error < np.sqrt(np.sum(values**2)) <= 1.001 * found.error
    # of each candidate, and so of any selection of them
    np.testing.assert_allclose(weights["ds"] + weights["background"], 1, atol=1e-3)


@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")
def test_the_weights_are_those_of_another_implementation(toy, fit):
    """For densities that are constant in each bin, as those of a binned fit are."""
    masses = toy[0]
    edges = np.array(fit.edges)

    def density(name):
        per_gev = fit.expected()[name] / fit.parameters[f"n_{name}"].value / np.diff(edges)
        return lambda m: per_gev[np.clip(np.searchsorted(edges, m, "right") - 1, 0, BINS - 1)]

    names = ("ds", "background")
    yields = [fit.parameters[f"n_{name}"].value for name in names]
    other = oracle.SWeight(
        masses,
        pdfs=[density(name) for name in names],
        yields=yields,
        discvarranges=((LOW, HIGH),),
        checks=False,
    )
    weights = sweights(fit, masses)
    for index, name in enumerate(names):
        # it normalises densities numerically, which is difficult if they have steps
        np.testing.assert_allclose(weights[name], other.get_weight(index, masses), atol=1e-3)


def test_weighted_control_variable_is_that_of_the_signal(toy, fit):
    masses, control, is_signal = toy
    weights = sweights(fit, masses)
    edges = np.array([0, 0.4, 0.8, 1.2, 1.6, 2, 3, 4, 6, 10])
    for name, scale, number in (("ds", 2.0, SIGNAL), ("background", 0.8, BACKGROUND)):
        found = np.histogram(control, edges, weights=weights[name])[0]
        errors = np.sqrt(np.histogram(control, edges, weights=weights[name] ** 2)[0])
        expected = number * np.diff(stats.expon.cdf(edges, scale=scale))
        chi2 = np.sum(((found - expected) / errors) ** 2)
        assert stats.chi2.cdf(chi2, len(expected)) == pytest.approx(0.5, abs=0.4995)
        # all candidates, without weights, are another distribution
        shape = np.histogram(control, edges)[0] * number / len(control)
        assert np.sum(((shape - expected) / errors) ** 2) > 10 * len(expected)
    # the errors are those of the weights, not of the true signal alone
    true = np.histogram(control[is_signal], edges)[0]
    signal = np.sqrt(np.histogram(control, edges, weights=weights["ds"] ** 2)[0])
    assert np.all(signal > np.sqrt(true))


def test_candidates_beside_the_range_have_no_weight(toy, fit):
    masses = toy[0]
    beside = np.concatenate([[LOW - 0.01, HIGH, np.nan], masses])
    weights = sweights(fit, beside)
    assert not np.any(weights["ds"][:3])
    np.testing.assert_array_equal(weights["ds"][3:], sweights(fit, masses)["ds"])


def test_a_component_that_is_fixed_has_no_weights():
    masses = np.random.default_rng(2).normal(1.968, 0.010, 2000)
    fit = fitted(masses)
    assert fit.parameters["n_background"].fixed
    (weights,) = sweights(fit, masses).values()
    np.testing.assert_allclose(weights, 1, rtol=1e-3)


def test_unusable_fits_and_other_candidates_are_refused(toy, fit):
    with pytest.raises(InputError, match=r"of the candidates are in the range of the fit, which"):
        sweights(fit, toy[0][:-100])
    with pytest.raises(InputError, match="not valid has no sWeights: no minimum"):
        sweights(dataclasses.replace(fit, problems=("no minimum",)), toy[0])


@pytest.fixture(scope="module")
def record(ds_phipi_run):
    return fit_mass(ds_phipi_run)


@pytest.mark.slow
def test_candidates_of_a_run_have_weights(ds_phipi_run, record):
    tables = sweighted_candidates(ds_phipi_run, record)
    assert set(tables) == set(record.datasets)
    for name, table in tables.items():
        before = ds_phipi_run.candidates(name)
        assert table.select(before.column_names).equals(before)
    for component in ("ds", "dplus", "background"):
        found = record.parameters[f"n_{component}"]
        total = sum(np.sum(table[f"sweight_{component}"].to_numpy()) for table in tables.values())
        assert total == pytest.approx(found.value, abs=0.02 * found.error)


@pytest.mark.slow
def test_what_has_no_weights_is_said(ds_phipi_run, record):
    simulated = fit_mass(ds_phipi_run, ["*_ds_phipi_mc"])
    with pytest.raises(InputError, match=r"toy_ds_phipi_mc are weighted: sWeights are for data"):
        sweighted_candidates(ds_phipi_run, simulated)


@pytest.mark.slow
def test_tables_are_replaced_with_the_fit(ds_phipi_run, record, tmp_path):
    run = RunFolder(ds_phipi_run.path, tmp_path)
    written = write_sweights(run, record, "sweights")
    assert {path.name for path in written} == {f"{name}.parquet" for name in record.datasets}
    assert all(path.is_file() for path in written)
    assert write_sweights(run, None, "sweights") == []
    assert not any(path.exists() for path in written)
