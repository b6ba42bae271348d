"""Backgrounds from sidebands: closure on toys, unbinned fits by other means, few events."""

import json
import math
from collections import Counter

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from bphcoffea.errors import InputError
from bphcoffea.statistics.sidebands import SidebandFit, fit_sidebands

MASS, SIGMA = 1.5, 0.02
LOW, HIGH = MASS - 10 * SIGMA, MASS + 10 * SIGMA
WINDOW = (MASS - 3 * SIGMA, MASS + 3 * SIGMA)


def bernstein(*coefficients):
    order = len(coefficients) - 1
    return lambda u: sum(
        c * math.comb(order, k) * u**k * (1 - u) ** (order - k) for k, c in enumerate(coefficients)
    )


#: Densities over u, the part of the range, and their largest values.
TRUTHS = {
    "constant": (lambda u: np.ones_like(u), 1.0),
    "exponential": (lambda u: np.exp(-3 * u), 1.0),
    "line": (bernstein(1.0, 0.1), 1.0),
    "hill": (bernstein(0.3, 1.5, 0.6), 1.0),
    "wave": (bernstein(0.2, 2.0, 0.2, 1.5), 1.5),
}


def toy(rng, name, mean):
    """Events in the whole range, of which ``mean`` are expected in the sidebands."""
    density, largest = TRUTHS[name]
    number = rng.poisson(mean + in_window(name, mean))
    u = rng.uniform(0, 1, 6 * number + 100)
    u = u[rng.uniform(0, largest, len(u)) < density(u)][:number]
    return LOW + u * (HIGH - LOW)


def in_window(name, mean):
    """Events in the window, if ``mean`` are in the sidebands."""
    density, _ = TRUTHS[name]
    inside = integrate.quad(density, 0.35, 0.65)[0]
    return mean * inside / (integrate.quad(density, 0, 1)[0] - inside)


def fit(values, **changes):
    return fit_sidebands(values, **{"mass": MASS, "resolution": SIGMA, **changes})


@pytest.fixture
def rng():
    return np.random.default_rng(20240611)


@pytest.mark.parametrize(
    ("name", "mean"), [("constant", 150), ("exponential", 600), ("hill", 3000)]
)
def test_closure(rng, name, mean):
    fits = [fit(toy(rng, name, mean)) for _ in range(100)]
    truth = in_window(name, mean)
    pulls = np.array([(one.prediction - truth) / one.stat for one in fits])
    # 100 toys know the mean to 0.1 and the width to 0.07
    assert abs(np.mean(pulls)) < 0.2
    assert 0.8 < np.std(pulls) < 1.25


@pytest.mark.parametrize("name", ["exponential", "line"])
def test_shape_uncertainty_covers(rng, name):
    """Where the data can hardly tell the families apart, both uncertainties together cover."""
    fits = [fit(toy(rng, name, 100)) for _ in range(100)]
    errors = np.array([one.prediction for one in fits]) - in_window(name, 100)
    total = np.array([np.hypot(one.stat, one.shape_uncertainty) for one in fits])
    # 68% or more, which 100 toys know to 5%
    assert np.mean(np.abs(errors) < total) > 0.58
    # and those would not, without the one of the shape, or there would be no test of it
    assert np.mean(total) > 1.1 * np.mean([one.stat for one in fits])


@pytest.mark.parametrize(
    ("name", "mean", "chosen"),
    [
        ("constant", 400, ("polynomial", 0)),
        ("exponential", 2000, ("exponential", 1)),
        ("line", 3000, ("polynomial", 1)),
        ("hill", 5000, ("polynomial", 2)),
        ("wave", 5000, ("polynomial", 3)),
    ],
)
def test_choice(rng, name, mean, chosen):
    fits = [fit(toy(rng, name, mean)) for _ in range(40)]
    seen = Counter((one.shape.family, one.shape.order) for one in fits)
    # each of up to three tests, and the other family, are wrong in a twentieth of the toys
    assert seen[chosen] >= 28, seen


def test_window_is_not_looked_at(rng):
    values = toy(rng, "exponential", 300)
    inside = (values >= WINDOW[0]) & (values <= WINDOW[1])
    assert np.count_nonzero(inside) > 20
    as_is = fit(values)
    assert fit(values[~inside]) == as_is
    assert fit(np.where(inside, MASS, values)) == as_is
    assert fit(np.where(inside, np.nan, values)) == as_is
    peak = rng.normal(MASS, SIGMA / 2, 1000)
    assert fit(np.concatenate([values, peak])) == as_is
    assert fit(np.concatenate([values, WINDOW, [LOW - 1e-9, HIGH + 1e-9]])) == as_is
    just_outside = np.nextafter(WINDOW[0], 0.0)
    assert fit([*values, just_outside]).entries == as_is.entries + 1
    assert fit([*values, just_outside]).prediction > as_is.prediction


@pytest.mark.parametrize("name", ["constant", "exponential"])
def test_hidden_windows_of_other_masses_are_left_out(rng, name):
    """What lies there does not matter, and the prediction stays unbiased without it."""
    hidden = [(MASS - 3.6 * SIGMA, MASS + 3.6 * SIGMA), (MASS + 5 * SIGMA, MASS + 8 * SIGMA)]
    values = toy(rng, name, 2000)
    cut = fit(values, hidden=hidden)
    expected = [(LOW, hidden[0][0]), (hidden[0][1], hidden[1][0]), (hidden[1][1], HIGH)]
    assert np.array(cut.sidebands) == pytest.approx(np.array(expected))
    assert cut.window == pytest.approx(WINDOW)
    beside = [(x >= a) & (x <= b) for x in [values] for a, b in expected]
    assert cut.entries == np.count_nonzero(np.any(beside, axis=0))
    lost = [(values >= a) & (values <= b) for a, b in hidden]
    assert fit(values[~np.any(lost, axis=0)], hidden=hidden) == cut
    # as many again in the hidden windows, which would pull a fit that has empty bins there
    fits = [fit(toy(rng, name, 600), hidden=hidden) for _ in range(40)]
    pulls = np.array([one.prediction - in_window(name, 600) for one in fits])
    pulls /= np.array([one.stat for one in fits])
    # 40 toys know the mean of pulls to 0.16
    assert abs(np.mean(pulls)) < 0.6
    with pytest.raises(InputError, match=r"no sidebands.*, data are hidden in 1.\d+–"):
        fit(values, hidden=[(LOW, HIGH)])


def test_exponential_unbinned(rng):
    values = toy(rng, "exponential", 2000)
    outside = values[(values < WINDOW[0]) | (values > WINDOW[1])]
    one = fit(values)
    assert one.shape.family == "exponential"

    def moments(slope):
        def integral(weight, low, high):
            return integrate.quad(lambda x: weight(x) * np.exp(slope * (x - MASS)), low, high)[0]

        sides = ((LOW, WINDOW[0]), (WINDOW[1], HIGH))
        total = sum(integral(lambda x: 1.0, *side) for side in sides)
        first = sum(integral(lambda x: x, *side) for side in sides)
        return total, first / total, integral(lambda x: 1.0, *WINDOW)

    # the likelihood is largest where the mean is that of the data
    slope = optimize.brentq(lambda s: moments(s)[1] - np.mean(outside), -40, 40)
    total, _, inside = moments(slope)
    # bins of a tenth of the resolution lose next to nothing
    assert one.shape.parameters[1] / (HIGH - LOW) == pytest.approx(slope, abs=0.05)
    assert one.prediction == pytest.approx(len(outside) * inside / total, rel=2e-3)
    assert one.entries == len(outside)


def test_polynomial_unbinned(rng):
    values = toy(rng, "hill", 2000)
    u = (values - LOW) / (HIGH - LOW)
    outside = u[(u < 0.35) | (u > 0.65)]
    one = fit(values)
    assert (one.shape.family, one.shape.order) == ("polynomial", 2)

    def beside(density):
        return sum(integrate.quad(density, *side)[0] for side in ((0, 0.35), (0.65, 1)))

    areas = [beside(bernstein(*row)) for row in np.eye(3)]

    def minus_log_likelihood(c):
        return np.dot(areas, c) - np.sum(np.log(bernstein(*c)(outside)))

    start = np.array(one.shape.parameters)
    best = optimize.minimize(minus_log_likelihood, 1.1 * start, method="Nelder-Mead").x
    errors = np.sqrt(np.diag(one.shape.covariance))
    assert np.all(np.abs(best - start) < 0.05 * errors)


def test_curve(rng):
    one = fit(toy(rng, "line", 1000))
    area = integrate.quad(lambda x: float(one.shape.per_gev(np.array([x]))[0]), *WINDOW)[0]
    assert area == pytest.approx(one.prediction, rel=1e-3)
    sides = [
        integrate.quad(lambda x: float(one.shape.per_gev(np.array([x]))[0]), *side)[0]
        for side in one.sidebands
    ]
    # an extended fit has as many events as there are
    assert sum(sides) == pytest.approx(one.entries, rel=2e-3)


def test_uncertainty_from_covariance(rng):
    """Of a constant, what a ratio of two Poisson counts has."""
    one = fit(rng.uniform(LOW, HIGH, 300))
    assert (one.shape.family, one.shape.order) == ("polynomial", 0)
    assert one.prediction == pytest.approx(one.entries * 3 / 7)
    assert one.stat == pytest.approx(np.sqrt(one.entries) * 3 / 7)


def test_goodness(rng):
    fits = [fit(toy(rng, "exponential", 1000)) for _ in range(60)]
    p_values = [one.p_value for one in fits]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3
    assert {one.ndof for one in fits} <= {14 - 1, 14 - 2, 14 - 3, 14 - 4}
    spike = np.concatenate([toy(rng, "exponential", 1000), np.full(200, MASS - 5 * SIGMA)])
    assert fit(spike).p_value < 1e-6


def test_tests(rng):
    one = fit(toy(rng, "hill", 3000))
    assert [(test.order, test.higher) for test in one.tests] == [
        (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3),
    ]  # fmt: skip
    for test in one.tests:
        fall = one.shapes[test.order].deviance - one.shapes[test.higher].deviance
        assert test.fall == pytest.approx(max(fall, 0), abs=1e-9)
        assert test.p_value == pytest.approx(stats.chi2.sf(test.fall, test.higher - test.order))
    assert all(test.p_value > 0.05 for test in one.tests if test.order == one.shape.order)
    assert any(test.p_value < 0.05 for test in one.tests if test.order == one.shape.order - 1)


def test_deviance_falls_with_the_order(rng):
    for name in TRUTHS:
        deviances = [shape.deviance for shape in fit(toy(rng, name, 300)).shapes[:4]]
        assert np.all(np.diff(deviances) < 1e-3)


@pytest.mark.parametrize("name", ["line", "wave"])
def test_positive(rng, name):
    x = np.linspace(LOW, HIGH, 101)
    for mean in (3, 15, 60):
        one = fit(toy(rng, name, mean))
        for shape in one.shapes:
            assert np.all(shape.per_gev(x) >= 0)


def test_no_event():
    one = fit([])
    assert (one.entries, one.prediction, one.shape_uncertainty) == (0, 0.0, 0.0)
    assert one.stat == pytest.approx(3 / 7)
    assert one.p_value is None
    assert "no event" in one.notes[0]
    assert np.array_equal(one.shape.per_gev(np.array([MASS])), [0.0])


@pytest.mark.parametrize(
    "values",
    [[LOW], [HIGH], [MASS - 4 * SIGMA], [LOW, LOW + 1e-4], [LOW, HIGH], [1.4, 1.41, 1.6]],
)
@pytest.mark.parametrize("allowed", [(1.0, 2.0), (1.0, MASS + 2 * SIGMA), (1.0, MASS)])
def test_few_events(values, allowed):
    one = fit(values, allowed=allowed)
    used = sum(any(a <= x <= b for a, b in one.sidebands) for x in values)
    assert one.entries == used
    width = sum(b - a for a, b in one.sidebands)
    one_event = (one.window[1] - one.window[0]) / width
    assert one.prediction == pytest.approx(used * one_event)
    assert one.stat == pytest.approx(max(1, used) ** 0.5 * one_event)
    # a slope that can't be measured matters more if one has to extrapolate, but not without end
    assert 0 <= one.shape_uncertainty < 5 * max(1, used)
    assert one.p_value is None


@pytest.mark.parametrize("mean", [1.0, 2.0, 5.0])
def test_few_events_cover(rng, mean):
    fits = [fit(toy(rng, "exponential", mean)) for _ in range(100)]
    truth = in_window("exponential", mean)
    covers = [
        abs(one.prediction - truth) < np.hypot(one.stat, one.shape_uncertainty) for one in fits
    ]
    # 68%, in steps as large as that of a Poisson count; 100 toys know it to 5%
    assert np.mean(covers) > 0.6


def test_ends_of_the_allowed(rng):
    values = rng.uniform(LOW, HIGH, 4000)
    one = fit(values, allowed=(MASS - 5 * SIGMA, 3.0))
    assert one.sidebands[0] == pytest.approx((MASS - 5 * SIGMA, WINDOW[0]))
    assert one.window == pytest.approx(WINDOW)
    cut = fit(values, allowed=(1.0, MASS + SIGMA))
    assert cut.sidebands == (pytest.approx((LOW, WINDOW[0])),)
    assert cut.window == pytest.approx((WINDOW[0], MASS + SIGMA))
    # 400 events a resolution and 4 of them wide, of which 7 know one side alone
    assert abs(cut.prediction - 800) < 4 * np.hypot(cut.stat, cut.shape_uncertainty)
    assert cut.stat > 2 * np.sqrt(2800) * 4 / 13 or cut.shape.order == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"allowed": (1.6, 2.0)}, "is not in"),
        ({"allowed": (MASS - 2.9 * SIGMA, MASS + 3.5 * SIGMA)}, "no sidebands"),
    ],
)
def test_refused(changes, said):
    with pytest.raises(InputError, match=said):
        fit([1.4], **changes)


@pytest.mark.parametrize("resolution", [0.0, -1.0, np.nan])
def test_resolution_refused(resolution):
    with pytest.raises(ValueError, match="resolution"):
        fit([1.4], resolution=resolution)


@pytest.mark.parametrize("mean", [0.001, 3, 1000])
def test_json(rng, mean):
    one = fit(toy(rng, "line", mean))
    content = json.loads(json.dumps(one.as_json()))
    assert content == one.as_json()
    assert SidebandFit.from_json(content) == one
    assert content["prediction"] == one.prediction
    assert content["shape_uncertainty"] == one.shape_uncertainty
