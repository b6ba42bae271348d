"""Workspaces of mass spectra, and limits: by hand, and of a search that was published."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats
from tau3mu_cards import CARDS, channels

from bphcoffea.errors import InputError
from bphcoffea.statistics.cls_limits import cls_at, upper_limit
from bphcoffea.statistics.likelihood import Likelihood
from bphcoffea.statistics.mass_background import Background, fit_background
from bphcoffea.statistics.shape_workspace import MassChannel, mass_workspace
from bphcoffea.statistics.signal_shape import SignalShape
from bphcoffea.statistics.workspace import is_blinded

EDGES = tuple(np.linspace(1.62, 2.0, 39))
SHAPE = SignalShape(0.3, 1.777, 0.014, 1.2, 3.0, 0.010)
CHANNEL = MassChannel("a", 5.0, EDGES, SHAPE, Background(80.0, -4.0, 1.0), (2.0,) * 38)


def expected(spec, **values):
    likelihood = Likelihood(spec, interpolation="code1")
    parameters = dict(
        zip(likelihood.config.par_names, likelihood.config.suggested_init(), strict=True)
    )
    assert set(values) <= set(parameters)
    return likelihood.expected_data(list({**parameters, **values}.values()), False)


def test_background_stays_an_exponential():
    spec = mass_workspace([CHANNEL])
    for units in (-2.5, -0.7, 0.2, 1.8):
        counts = expected(spec, mu=0.0, slope_a=units)
        slope = -4.0 + units * 3.0 / 0.38
        exact = np.diff(np.exp(slope * np.array(EDGES)))
        assert counts / np.sum(counts) == pytest.approx(exact / np.sum(exact), rel=1e-9)


def test_yields():
    spec = mass_workspace([CHANNEL])
    assert np.sum(expected(spec, mu=0.0)) == pytest.approx(80)
    assert np.sum(expected(spec, mu=2.0)) == pytest.approx(90)
    assert np.sum(expected(spec, mu=0.0, background_a=0.5)) == pytest.approx(40)


def test_signal_moves_and_widens():
    spec = mass_workspace([replace(CHANNEL, mean_error=0.002, width_error=0.1)])
    background = expected(spec, mu=0.0)
    for values, shape in (
        ({"signal_mean_a": 1.0}, SHAPE.shifted(mean=0.002)),
        ({"signal_mean_a": -1.0}, SHAPE.shifted(mean=-0.002)),
        ({"signal_width_a": 1.0}, SHAPE.shifted(width=1.1)),
        ({"signal_width_a": -1.0}, SHAPE.shifted(width=1 / 1.1)),
    ):
        signal = expected(spec, **values) - background
        assert signal == pytest.approx(5 * shape.fractions(EDGES), abs=1e-9)


def test_shape_of_the_background():
    rng = np.random.default_rng(3)
    fit = fit_background(1.62 + 0.38 * rng.beta(1.0, 2.0, 300))
    spec = mass_workspace([replace(CHANNEL, background=fit)])
    for name in ("power", "polynomial"):
        counts = expected(spec, mu=0.0, **{f"background_{name}_a": 1.0})
        assert counts == pytest.approx(np.maximum(fit.expected(EDGES, name), counts.min()))


def test_sources_of_the_same_name_are_one():
    first = replace(CHANNEL, signal_shifts={"common": 0.06, "trigger": 0.1, "2017": 0.2})
    shifts = {"common": 0.06, "trigger": -0.1, "2018": 0.3}
    second = replace(CHANNEL, name="b", signal_shifts=shifts)
    spec = mass_workspace([first, second])
    background, nominal = expected(spec, mu=0.0), expected(spec)

    def ratios(**values):
        one = (expected(spec, **values) - background)[[15, 53]]
        return one / (nominal - background)[[15, 53]]

    assert ratios(signal_trigger=1.0) == pytest.approx([1.1, 0.9])
    assert ratios(signal_2017=1.0) == pytest.approx([1.2, 1.0])
    assert ratios(signal_common=2.0) == pytest.approx([1.06**2] * 2)


def test_blinded_workspaces_hold_no_data():
    seen, unseen = (
        json.dumps(mass_workspace([replace(CHANNEL, observed=counts)]))
        for counts in ((1234.0,) * 38, None)
    )
    assert seen == unseen
    assert is_blinded(json.loads(seen))
    assert cls_at(json.loads(seen)).observed is None
    assert not is_blinded(mass_workspace([CHANNEL], blinded=False))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"observed": None}, "channel 'a' has no observed counts, and is not blinded"),
        ({"observed": (1.0,)}, "1 observed counts of channel 'a', but 38 bins"),
        ({"observed": (-1.0,) * 38}, "observed count 0 of channel 'a'"),
        ({"signal": math.nan}, "signal of channel 'a' must be finite"),
        ({"width_error": -0.1}, "width_error of channel 'a' must be finite and not negative"),
        ({"signal_shifts": {"x": -1.5}}, "shift 'x' of channel 'a'"),
        ({"edges": (1.7, 1.7)}, "the edges of channel 'a' do not ascend"),
    ],
)
def test_unusable_channels(changes, text):
    with pytest.raises(ValueError, match=text):
        mass_workspace([replace(CHANNEL, **changes)], blinded=False)


def test_unusable_sets():
    with pytest.raises(ValueError, match="needs a channel"):
        mass_workspace([])
    with pytest.raises(ValueError, match="same name: a, a"):
        mass_workspace([CHANNEL, CHANNEL])


def known_background(signal, background, observed):
    """A spectrum without any uncertainty."""
    samples = [
        {
            "name": "signal",
            "data": list(signal),
            "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
        },
        {"name": "background", "data": list(background), "modifiers": []},
    ]
    return {
        "channels": [{"name": "a", "samples": samples}],
        "observations": [{"name": "a", "data": list(observed)}],
        "measurements": [{"name": "observed", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def test_limit_by_hand():
    """Cowan et al., Eur. Phys. J. C 71 (2011) 1554, of many bins whose background is known."""
    signal, background = CHANNEL.expected_signal(), 2 * CHANNEL.expected_background()
    spec = known_background(signal, background, background)

    def sigma(mu):
        mean = background + mu * signal
        return math.sqrt(2 * np.sum(mean - background - background * np.log(mean / background)))

    for level in (0.90, 0.95):
        limit = upper_limit(spec, level=level)
        for shift, found in zip((-2, -1, 0, 1, 2), limit.expected, strict=True):

            def excess(mu, shift=shift, level=level):
                cls = stats.norm.sf(sigma(mu) - shift) / stats.norm.cdf(shift)
                return cls - (1 - level)

            # pyhf was asked for 0.1%
            assert found == pytest.approx(optimize.brentq(excess, 1e-3, 100), rel=2e-3)
        assert limit.observed == pytest.approx(limit.expected[2], rel=2e-3)


@pytest.mark.parametrize("best", [0.0, 1.0, 2.5])
def test_observed_by_hand(best):
    """Data that are best described by a strength above zero."""
    signal, background = CHANNEL.expected_signal(), CHANNEL.expected_background()
    spec = known_background(signal, background, background + best * signal)
    mu = 3.0

    def rise(truth, data):
        means = background + mu * signal, background + truth * signal
        terms = [np.sum(mean - data * np.log(mean)) for mean in means]
        return 2 * (terms[0] - terms[1])

    q, asimov = rise(best, background + best * signal), rise(0.0, background)
    assert q <= asimov + 1e-12
    both = stats.norm.sf(math.sqrt(q))
    without = stats.norm.sf(math.sqrt(q) - math.sqrt(asimov))
    found = cls_at(spec, mu)
    assert found.signal_and_background == pytest.approx(both, rel=1e-3)
    assert found.observed == pytest.approx(both / without, rel=1e-3)


def test_cls_at_the_limit():
    rng = np.random.default_rng(2)
    counts = tuple(rng.poisson(CHANNEL.expected_background()).astype(float))
    channel = replace(CHANNEL, observed=counts, mean_error=0.001, signal_shifts={"x": 0.1})
    spec = mass_workspace([channel], blinded=False)
    limit = upper_limit(spec, level=0.90)
    found = cls_at(spec, limit.observed)
    assert found.observed == pytest.approx(0.10, abs=1e-3)
    assert found.toys == 0
    with pytest.raises(InputError, match="no toys"):
        upper_limit(spec, toys=1000)


def test_no_signal():
    limit = upper_limit(mass_workspace([replace(CHANNEL, signal=0.0)]))
    assert limit.expected == (math.inf,) * 5


def test_no_background():
    """With no event but one that is assumed, a few are excluded."""
    background = fit_background([], windows=[(1.753, 1.801)])
    spec = mass_workspace(
        [replace(CHANNEL, background=background, observed=(0.0,) * 38)], blinded=False
    )
    limit = upper_limit(spec)
    # 1.9 events by asymptotic formulae, of which some lie outside of the range's few best bins
    assert 5 * limit.observed == pytest.approx(1.92, rel=0.05)
    assert limit.expected[2] == pytest.approx(limit.observed, rel=0.01)


def test_published_cards():
    """Six categories of 2017 from public cards, at 90% confidence level."""
    limit = upper_limit(mass_workspace(channels(), blinded=False), level=0.90)
    below, median, above = (CARDS["branching_fraction"] * x for x in limit.expected[1:4])
    # other programs differ by 1% among themselves, and fit without bins
    assert median == pytest.approx(CARDS["expected_limit_90"]["median"], rel=0.03)
    assert [below, above] == pytest.approx(CARDS["expected_limit_90"]["band"], rel=0.05)
