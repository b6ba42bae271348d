"""CLs and limits against the asymptotic formulae, worked out by hand; toys: test_sampling."""

import functools
import json
import math
from decimal import Decimal, localcontext
from functools import cache, partial

import numpy as np
import pyhf
import pytest
from scipy import optimize, stats

from bphcoffea.statistics import cls_limits as limits
from bphcoffea.statistics import optimizer
from bphcoffea.statistics.counting import Channel, counting_workspace
from bphcoffea.statistics.model_parameters import poisson_deviance
from bphcoffea.statistics.optimizer import Optimizer
from bphcoffea.statistics.pyhf_backend import backend, schemas
from bphcoffea.statistics.scaled_model import prepare

cls_at, upper_limit = partial(limits.cls_at, toys=0), partial(limits.upper_limit, toys=0)


def counting(signal, background, observed, blinded=False, normalisation=None, **uncertainties):
    channel = Channel("a", signal, background, observed, **uncertainties)
    return counting_workspace([channel], normalisation or {}, blinded=blinded)


def three(signal=2.0, background=5.0, observed=None, blinded=True):
    backgrounds = [background * (1 + 0.3 * i) for i in range(3)]
    channels = [
        Channel(
            name=f"category{i}",
            signal=signal / (i + 1),
            background=b,
            observed=round(b) if observed is None else observed,
            signal_stat=0.05,
            background_stat=0.4 * math.sqrt(b) if b else 0.4,
            background_shape=0.2 * b,
        )
        for i, b in enumerate(backgrounds)
    ]
    normalisation = {"luminosity": 0.025, "fractions": 0.10, "trigger": 0.05}
    return counting_workspace(channels, normalisation, blinded=blinded)


# by hand: one bin, no nuisances. Cowan et al., Eur. Phys. J. C 71 (2011) 1554, eqs. 16, 65-67


def log_likelihood(n, mean):
    return (n * math.log(mean) if n else 0.0) - mean


def q_tilde(mu, n, s, b):
    best = max(0.0, (n - b) / s)
    if best > mu:
        return 0.0
    return 2 * (log_likelihood(n, best * s + b) - log_likelihood(n, mu * s + b))


def by_hand(mu, n, s, b):
    """Observed CLs, CLs+b and CLb."""
    q, asimov = q_tilde(mu, n, s, b), q_tilde(mu, b, s, b)
    if q <= asimov:
        both = stats.norm.sf(math.sqrt(q))
        background = stats.norm.sf(math.sqrt(q) - math.sqrt(asimov))
    else:
        both = stats.norm.sf((q + asimov) / (2 * math.sqrt(asimov)))
        background = stats.norm.sf((q - asimov) / (2 * math.sqrt(asimov)))
    return both / background, both, background


def expected_by_hand(mu, shift, s, b):
    """CLs where the background is observed, but for a fluctuation by ``shift`` sigma."""
    root = math.sqrt(q_tilde(mu, b, s, b))
    return stats.norm.sf(root - shift) / stats.norm.cdf(shift)


def limit_by_hand(cls, s, b):
    high = 50 * (1 + math.sqrt(b)) / s
    return optimize.brentq(lambda mu: cls(mu) - 0.05, 1e-4 / s, high)


@cache
@functools.cache
def limit_of(s, b, n):
    return upper_limit(counting(s, b, n))


CASES = [(3.0, 2.5, 4), (1.0, 0.5, 0), (10.0, 100.0, 80), (0.02, 30.0, 41), (1e4, 1e5, 100_200)]


@pytest.mark.parametrize(("s", "b", "n"), CASES)
def test_limit_by_hand(s, b, n):
    limit = limit_of(s, b, n)
    # pyhf was asked for 0.1%
    assert limit.observed == pytest.approx(
        limit_by_hand(lambda mu: by_hand(mu, n, s, b)[0], s, b), rel=0.005
    )
    for sigma, value in zip((-2, -1, 0, 1, 2), limit.expected, strict=True):
        at = limit_by_hand(lambda mu, sigma=sigma: expected_by_hand(mu, sigma, s, b), s, b)
        assert value == pytest.approx(at, rel=0.005), sigma
    assert limit.note == ""


@pytest.mark.parametrize(("s", "b", "n"), CASES)
@pytest.mark.parametrize("in_limits", [0.3, 1.0, 1.7])
def test_cls_by_hand(s, b, n, in_limits):
    mu = in_limits * limit_of(s, b, n).observed
    found = cls_at(counting(s, b, n), mu)
    cls, both, background = by_hand(mu, n, s, b)
    assert found.observed == pytest.approx(cls, rel=1e-4)
    assert found.signal_and_background == pytest.approx(both, rel=1e-4)
    assert found.background == pytest.approx(background, rel=1e-4)
    for sigma, value in zip((-2, -1, 0, 1, 2), found.expected, strict=True):
        assert value == pytest.approx(expected_by_hand(mu, sigma, s, b), rel=1e-4)


def test_level():
    spec = counting(3.0, 2.5, 4)
    limit = upper_limit(spec, level=0.9)
    assert cls_at(spec, limit.observed).observed == pytest.approx(0.1, rel=0.01)
    assert cls_at(spec, limit.expected[2]).expected[2] == pytest.approx(0.1, rel=0.01)


def test_fits_are_pyhfs():
    """Pyhf's own optimiser finds the same CLs, in units where that is easy for it."""
    spec = three(blinded=False)
    spec["observations"][0]["data"] = [2.0]
    with schemas():
        built = pyhf.Workspace(spec)
        model = built.model()
    before = pyhf.get_backend()
    found = cls_at(spec, 1.3)
    assert pyhf.get_backend() == before
    with backend():
        observed, expected = pyhf.infer.hypotest(
            1.3, built.data(model), model, return_expected_set=True
        )
    # its fits stop at 1e-6 in -2 ln L; its default interpolation differs from a log-normal
    assert found.observed == pytest.approx(float(observed), rel=3e-3)
    assert found.expected == pytest.approx([float(value) for value in expected], rel=3e-3)


@pytest.mark.parametrize("seen", [0, 1, 7, 10**6, 10**12])
@pytest.mark.parametrize("excess", [-0.9, -0.5, -2e-4, -1e-6, 1e-9, 5e-5, 0.1, 3.0])
def test_deviance_of_a_count(seen, excess):
    """Against 50 digits."""
    with localcontext(prec=50):
        n = Decimal(seen)
        mean = Decimal(float(n * (1 + Decimal(excess)))) if seen else Decimal(abs(excess))
        deviance = 2 * (mean - n + (n * (n / mean).ln() if seen else 0))
    found = poisson_deviance(np.array([float(n)]), np.array([float(mean)]))
    # what a float knows of the excess is all that can be asked for
    assert found == pytest.approx(float(deviance), rel=1e-12, abs=1e-15 * seen * abs(excess))


def test_best_fit_is_stationary():
    model = prepare(three(blinded=False, observed=9))
    with backend(Optimizer(model.pdf)):
        best = np.asarray(pyhf.infer.mle.fit(model.data, model.pdf))
        low, high = np.transpose(model.pdf.config.suggested_bounds())
        lowest = model.pdf.deviance(best, model.data)
        for index in range(len(best)):
            for step in (-0.02, 0.02):
                other = best.copy()
                other[index] = np.clip(other[index] + step, low[index], high[index])
                assert model.pdf.deviance(other, model.data) >= lowest - 1e-7


def test_fits_that_minuit_ends(monkeypatch):
    spec = counting(3.0, 2.5, 4, background_stat=1.0, signal_stat=0.2)
    known, newton, calls = cls_at(spec, 1.0), optimizer._newton, []

    def failing(likelihood, data, at, *settings):
        calls.append(at)
        if len(calls) % 2:
            return at, likelihood.deviance(at, data), math.inf
        return newton(likelihood, data, at, *settings)

    monkeypatch.setattr(optimizer, "_newton", failing)
    assert cls_at(spec, 1.0).observed == pytest.approx(known.observed, rel=1e-4)
    assert calls


def test_median_is_asimov():
    hidden, opened = three(), three(blinded=False)
    for entry, expected in zip(opened["observations"], hidden["observations"], strict=True):
        entry["data"] = expected["data"]
    limit = upper_limit(opened)
    assert limit.observed == pytest.approx(limit.expected[2], rel=2e-3)
    assert upper_limit(hidden).expected == pytest.approx(limit.expected, rel=2e-3)
    assert cls_at(opened).observed == pytest.approx(cls_at(opened).expected[2], rel=1e-4)


def test_blinded_shows_nothing():
    limit, confidence = upper_limit(three()), cls_at(three())
    assert limit.observed is None
    assert confidence.observed is None
    assert confidence.signal_and_background is None
    assert confidence.background is None


@pytest.mark.parametrize(
    "uncertainty",
    [
        {"normalisation": {"luminosity": 0.3}},
        {"signal_stat": 0.3},
        {"background_stat": 4.0},
        {"background_shape": 4.0},
    ],
)
def test_uncertainties_cost(uncertainty):
    without = limit_of(3.0, 10.0, 11)
    limit = upper_limit(counting(3.0, 10.0, 11, **uncertainty))
    assert limit.observed > 1.03 * without.observed
    assert limit.expected[2] > 1.03 * without.expected[2]


def test_unknown_background_is_a_gaussian_when_large():
    # profiled, b ± σ widens the count's √b to √(b + σ²)
    wide = upper_limit(counting(100.0, 10_000.0, 10_000, background_stat=200.0))
    narrow = upper_limit(counting(100.0, 10_000.0, 10_000))
    assert wide.expected[2] / narrow.expected[2] == pytest.approx(math.sqrt(5), rel=0.02)


def test_units_do_not_matter():
    one, other = upper_limit(three(signal=2.0)), upper_limit(three(signal=2e-7))
    assert other.expected == pytest.approx([1e7 * value for value in one.expected], rel=3e-3)


def test_channels_add():
    split = [Channel(f"part{i}", 1.5, 5.0, 5) for i in range(2)]
    halves = upper_limit(counting_workspace(split, {}, blinded=False))
    whole = upper_limit(counting(3.0, 10.0, 10))
    assert halves.observed == pytest.approx(whole.observed, rel=3e-3)


def test_channel_without_signal_changes_nothing():
    idle = Channel("idle", 0.0, 4.0, 11, background_stat=1.0, background_shape=0.5)
    active = Channel("a", 3.0, 10.0, 11)
    both = upper_limit(counting_workspace([active, idle], {"luminosity": 0.02}, blinded=False))
    alone = upper_limit(counting_workspace([active], {"luminosity": 0.02}, blinded=False))
    assert both.observed == pytest.approx(alone.observed, rel=3e-3)


def test_no_signal():
    limit, confidence = upper_limit(counting(0.0, 3.0, 3)), cls_at(counting(0.0, 3.0, 3))
    assert limit.observed == math.inf
    assert limit.expected == (math.inf,) * 5
    assert "no signal" in limit.note
    assert json.loads(json.dumps(limit.as_json()))["observed"] == "inf"
    assert (confidence.observed, confidence.expected) == (1.0, (1.0,) * 5)
    assert "no signal" in confidence.note


@pytest.mark.parametrize("observed", [0, 1, 5])
def test_no_background(observed):
    unknown = upper_limit(three(background=0.0, observed=observed, blinded=False))
    known = upper_limit(counting(3.0, 0.0, observed))
    assert 0 < known.expected[2] < math.inf
    assert list(unknown.expected) == sorted(unknown.expected)
    if observed == 0:
        # the asymptotic CLs of no event and no background is 0.05 at 1.92 events
        assert known.observed == pytest.approx(1.92 / 3, rel=0.01)
        assert known.observed == pytest.approx(known.expected[2], rel=0.01)
    else:
        assert known.observed > known.expected[2]


def test_count_in_sidebands_by_hand():
    """A background of which no event is seen while one would be worth 0.5, profiled by hand."""
    s, worth, seen = 3.0, 0.5, 3

    def profiled(mu, n, m):
        def deviance(theta):
            return -2 * (log_likelihood(n, mu * s + worth * theta) + log_likelihood(m, theta))

        return optimize.minimize_scalar(
            deviance, bounds=(1e-6, 100), method="bounded", options={"xatol": 1e-9}
        )

    # without signal, the events are explained by θ = n / (1 + worth): what is expected
    theta = profiled(0.0, seen, 0).x
    assert theta == pytest.approx(seen / (1 + worth), rel=1e-3)

    def expected(mu):
        n, m = worth * theta, theta
        root = math.sqrt(profiled(mu, n, m).fun - profiled(0.0, n, m).fun)
        return stats.norm.sf(root) / 0.5

    limit = upper_limit(counting(s, 0.0, seen, background_stat=worth))
    assert limit.expected[2] == pytest.approx(limit_by_hand(expected, s, 1.0), rel=0.005)


@pytest.mark.parametrize("background", [1e6, 1e9])
def test_huge_backgrounds(background):
    limit = upper_limit(three(background=background))
    assert list(limit.expected) == sorted(limit.expected)
    # three categories that a fifth of the background spoils alike, by b(1 + 0.3 i)
    information = sum((2.0 / (i + 1) / (0.2 * background * (1 + 0.3 * i))) ** 2 for i in range(3))
    # log-normal and as large as the background: of the size of two sigma
    assert limit.expected[2] == pytest.approx(1.96 / math.sqrt(information), rel=0.3)


def test_nothing_observed():
    limit = upper_limit(three(background=50.0, observed=0, blinded=False))
    assert 0 < limit.observed < limit.expected[0]


def test_hopeless_deficit():
    spec = counting(3.0, 1e6, 0)
    limit, confidence = upper_limit(spec), cls_at(spec, 1000.0)
    assert limit.observed is None
    assert confidence.observed is None
    assert "20 sigma" in limit.note
    assert "20 sigma" in confidence.note
    assert limit.expected[2] == pytest.approx(upper_limit(counting(3.0, 1e6, 10**6)).expected[2])
    # by 22 and 13 of √1000
    assert upper_limit(counting(3.0, 1000.0, 300)).observed is None
    assert upper_limit(counting(3.0, 1000.0, 600)).observed > 0


def test_json():
    confidence = cls_at(three(), 2.0).as_json()
    assert json.loads(json.dumps(confidence)) == confidence
    assert confidence["strength"] == 2.0
    limit = upper_limit(three()).as_json()
    assert json.loads(json.dumps(limit)) == limit
    assert len(limit["expected"]) == 5


@pytest.mark.parametrize("mu", [0.0, -1.0, math.nan, math.inf])
def test_strength_refused(mu):
    with pytest.raises(ValueError, match="must be positive"):
        cls_at(three(), mu)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_level_refused(level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        upper_limit(three(), level=level)


def test_faint_signal():
    spec = counting(3.0, 10.0, 11)
    limit = upper_limit(spec).expected[2]
    below, above = cls_at(spec, 0.5e-3 * limit), cls_at(spec, 3e-3 * limit)
    assert "faint" in below.note
    assert below.expected == (1.0,) * 5
    assert above.note == ""
    by_formula = expected_by_hand(3e-3 * limit, 0, 3.0, 10.0)
    assert above.expected[2] == pytest.approx(by_formula, abs=1e-5)
    assert below.expected[2] == pytest.approx(
        expected_by_hand(0.5e-3 * limit, 0, 3.0, 10.0), abs=1.5e-3
    )
