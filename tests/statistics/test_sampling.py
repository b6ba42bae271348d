"""Toys of counting experiments, against pyhf's test statistic, exact sums, and a slow fit."""

import json
import math
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pyhf
import pytest
from scipy import optimize, stats

from bphcoffea.errors import InputError
from bphcoffea.statistics import counting_likelihood
from bphcoffea.statistics.cls_limits import TOYS, cls_at, toys_needed, upper_limit
from bphcoffea.statistics.counting import Channel, counting_workspace
from bphcoffea.statistics.counting_likelihood import Counts
from bphcoffea.statistics.optimizer import Optimizer
from bphcoffea.statistics.pyhf_backend import backend
from bphcoffea.statistics.sampling import Experiment
from bphcoffea.statistics.scaled_model import prepare

QUANTILES = stats.norm.cdf([-2, -1, 0, 1, 2])


def one(background, observed, signal=1.0, blinded=False, **uncertainties):
    channel = Channel("a", signal, background, observed, **uncertainties)
    return counting_workspace([channel], {}, blinded=blinded)


#: Channels of a model, and the uncertainties that they share.
MODELS = {
    "half": ([Channel("a", 3.0, 0.5, 1, background_stat=0.25)], {}),
    "two": (
        [
            Channel("a", 3.0, 3.0, 2, signal_stat=0.2, background_stat=1.2, background_shape=0.5),
            Channel("b", 1.5, 0.1, 0, signal_stat=0.3, background_stat=0.1),
        ],
        {"trigger": 0.2, "luminosity": 0.1},
    ),
    "empty": (
        [
            Channel("a", 2.0, 0.0, 1, signal_stat=0.2, background_stat=0.4),
            Channel("b", 1.5, 0.0, 0, background_stat=0.5),
        ],
        {"trigger": 0.2},
    ),
}


# by hand: one channel, known background


def q_tilde(mu, n, b):
    best = max(0.0, n - b)
    if best >= mu:
        return 0.0
    return 2 * (mu - best + (n * math.log((best + b) / (mu + b)) if n else 0.0))


def exact(mu, b, threshold):
    """CLs of a value of q̃, summed over counts, and its two terms."""
    counts = np.arange(100)
    far = np.array([q_tilde(mu, n, b) >= threshold - 1e-9 for n in counts])
    both, background = (np.sum(stats.poisson.pmf(counts, mean)[far]) for mean in (mu + b, b))
    return both / background, both, background


@pytest.mark.parametrize(
    ("mu", "b", "n"), [(3.0, 0.0, 0), (3.0, 0.5, 0), (5.0, 0.5, 2), (4.0, 3.0, 3), (9.0, 3.0, 5)]
)
def test_known_background(mu, b, n):
    b = max(b, 1e-6)
    found = cls_at(one(b, n), mu, seed=5)
    assert found.toys == TOYS
    cls, both, background = exact(mu, b, q_tilde(mu, n, b))
    # four standard deviations of 10 000 toys
    assert found.signal_and_background == pytest.approx(both, abs=4 * math.sqrt(both / TOYS))
    assert found.background == pytest.approx(
        background, abs=1e-4 + 4 * math.sqrt(background * (1 - background) / TOYS)
    )
    assert found.observed == pytest.approx(cls, abs=4 * found.observed_error)
    counts = stats.poisson.ppf(QUANTILES, b)
    values = [exact(mu, b, q_tilde(mu, count, b))[0] for count in counts]
    for value, expected, error in zip(values, found.expected, found.expected_errors, strict=True):
        assert expected == pytest.approx(value, abs=1e-9 + 4 * error)


def test_three_events():
    """Nothing expected and nothing seen exclude 3.0 events."""
    limit = upper_limit(one(0.0, 0))
    # CLs of 0.05 is known to 7%, its logarithm to 7% of 3
    assert limit.observed == pytest.approx(-math.log(0.05), rel=0.05)
    assert limit.expected == (limit.observed,) * 5
    assert limit.toys == TOYS
    assert upper_limit(one(0.0, 0), toys=0).observed == pytest.approx(1.92, rel=0.01)
    # without background, CLs is exp(-s)
    blinded = upper_limit(one(0.0, None, blinded=True), level=0.9)
    assert blinded.observed is None
    assert blinded.expected == pytest.approx([-math.log(0.1)] * 5, rel=0.05)


def test_limit_by_hand():
    limit = upper_limit(one(2.0, 3), toys=4000, seed=3)

    def crossing(n):
        return optimize.brentq(lambda mu: exact(mu, 2.0, q_tilde(mu, n, 2.0))[0] - 0.05, 0.5, 30)

    assert limit.observed == pytest.approx(crossing(3), rel=0.05)
    # counts of background alone at -1, 0 and +1 standard deviations
    assert limit.expected[1:4] == pytest.approx([crossing(n) for n in (1, 2, 3)], rel=0.05)


class Slow:
    """The same experiments, written without the library: one toy and one fit after the other."""

    def __init__(self, channels, normalisation, mu):
        self.mu, self.channels = mu, channels
        self.common = [math.log1p(relative) for relative in normalisation.values()]
        self.sidebands = [(c.background / c.background_stat) ** 2 for c in channels]
        # an empty sideband: one event there is worth the uncertainty
        self.per_theta = [
            (c.background, seen) if seen else (c.background_stat, 1.0)
            for c, seen in zip(channels, self.sidebands, strict=True)
        ]
        size = len(channels)
        self.measured = {
            "n": [c.observed for c in channels],
            "m": self.sidebands,
            "common": [0.0] * len(self.common),
            "signal": [0.0] * size,
            "shape": [0.0] * size,
        }

    def parts(self, values):
        size = len(self.channels)
        ends = np.cumsum([0, 1, size, len(self.common), size, size])
        mu, theta, common, signal, shape = (values[a:b] for a, b in pairwise(ends))
        return mu[0], theta, common, signal, shape

    def means(self, values):
        mu, theta, common, signal, shape = self.parts(values)
        factor = math.exp(sum(a * b for a, b in zip(self.common, common, strict=True)))
        inside, outside = [], []
        for i, c in enumerate(self.channels):
            s = mu * c.signal * factor * (1 + c.signal_stat) ** signal[i]
            worth, seen = self.per_theta[i]
            kappa = 1 + (c.background_shape / c.background if c.background else 0.0)
            inside.append(s + theta[i] * worth * kappa ** shape[i])
            outside.append(theta[i] * seen)
        return inside, outside

    def deviance(self, values, measured):
        _, _, common, signal, shape = self.parts(values)
        inside, outside = self.means(values)
        total = 0.0
        for n, mean in zip([*measured["n"], *measured["m"]], [*inside, *outside], strict=True):
            total += 2 * (mean - n * math.log(mean) if n else mean)
        pulls = [
            a - b
            for what, best in (("common", common), ("signal", signal), ("shape", shape))
            for a, b in zip(measured[what], best, strict=True)
        ]
        return total + sum(pull**2 for pull in pulls)

    def fit(self, measured, bounds):
        size = len(self.channels)
        start = [
            0.5 * (bounds[0] + bounds[1]),
            *(
                max(m / seen, 0.1)
                for m, (_, seen) in zip(measured["m"], self.per_theta, strict=True)
            ),
            *measured["common"],
            *measured["signal"],
            *measured["shape"],
        ]
        limits = [bounds] + [(1e-6, 50.0)] * size + [(-8, 8)] * (len(start) - 1 - size)
        return optimize.minimize(
            self.deviance, start, (measured,), "L-BFGS-B", bounds=limits,
            options={"ftol": 1e-11, "gtol": 1e-6, "maxfun": 10**5},
        )  # fmt: skip

    def q_tilde(self, measured):
        """Of the best strength at most that which is tested, since others count as 0."""
        fixed = self.fit(measured, (self.mu, self.mu)).fun
        return max(fixed - self.fit(measured, (0.0, self.mu)).fun, 0.0)

    def draw(self, mu, rng):
        best = self.fit(self.measured, (mu, mu)).x
        _, _, common, signal, shape = self.parts(best)
        inside, outside = self.means(best)
        while True:
            yield {
                "n": [rng.poisson(mean) for mean in inside],
                "m": [rng.poisson(mean) for mean in outside],
                "common": [rng.normal(mean) for mean in common],
                "signal": [rng.normal(mean) for mean in signal],
                "shape": [rng.normal(mean) for mean in shape],
            }

    def counts(self, toys):
        """As the library holds them, in which common parameters are rotated into one."""
        n, m, common, signal, shape = (
            np.array([toy[what] for toy in toys], dtype=float)
            for what in ("n", "m", "common", "signal", "shape")
        )
        length = math.hypot(*self.common)
        total = (common @ np.array(self.common))[:, np.newaxis] / length if length else common
        return Counts(n, m, signal, shape, total)


def experiment_of(spec):
    """With the direction of what is common as `Slow.counts` takes it."""
    experiment = Experiment.of_workspace(spec)
    return replace(experiment, common=np.abs(experiment.common))


@pytest.mark.parametrize("name", MODELS)
def test_slow_toys(name):
    """q̃ of a few toys, and CLs+b and CLb of many that the library did not draw."""
    channels, normalisation = MODELS[name]
    spec = counting_workspace(channels, normalisation, blinded=False)
    slow, rng = Slow(channels, normalisation, 1.0), np.random.default_rng(7)
    experiment, found = experiment_of(spec), cls_at(spec, 1.0)
    seen = slow.q_tilde(slow.measured)
    for mu, share in ((1.0, found.signal_and_background), (0.0, found.background)):
        toys = list(islice(slow.draw(mu, rng), 4000))
        values = experiment.statistic(slow.counts(toys), 1.0)
        # L-BFGS-B with numerical derivatives finds minima to 1e-4
        by_hand = [slow.q_tilde(toy) for toy in toys[:4]]
        assert values[:4] == pytest.approx(by_hand, abs=1e-3)
        error = math.sqrt(share * (1 - share) * (1 / len(toys) + 1 / TOYS))
        assert np.mean(values >= seen - 1e-4) == pytest.approx(share, abs=4 * error)


@pytest.mark.parametrize("name", ["half", "two"])
@pytest.mark.parametrize("mu", [0.3, 1.0, 3.0])
def test_statistic_is_pyhfs(name, mu):
    channels, normalisation = MODELS[name]
    spec = counting_workspace(channels, normalisation, blinded=False)
    slow = Slow(channels, normalisation, mu)
    toys = list(islice(slow.draw(mu, np.random.default_rng(2)), 10))
    found = experiment_of(spec).statistic(slow.counts(toys), mu)
    model = prepare(spec)
    config = model.pdf.config
    for toy, value in zip(toys, found, strict=True):
        counts = {f"{c.name}_sidebands": m for c, m in zip(channels, toy["m"], strict=True)}
        counts |= {c.name: n for c, n in zip(channels, toy["n"], strict=True)}
        measured = {
            f"signal_{what}": a for what, a in zip(normalisation, toy["common"], strict=True)
        }
        for i, c in enumerate(channels):
            measured[f"signal_statistics_{c.name}"] = toy["signal"][i]
            measured[f"background_shape_{c.name}"] = toy["shape"][i]
        names = [config.par_names[index] for index in model.pdf.constraints.index]
        data = [counts[c] for c in model.pdf.cells.channels] + [measured[a] for a in names]
        with backend(Optimizer(model.pdf)):
            reference = pyhf.infer.test_statistics.qmu_tilde(
                mu / model.unit,
                data,
                model.pdf,
                config.suggested_init(),
                config.suggested_bounds(),
                config.suggested_fixed(),
            )
        assert value == pytest.approx(float(reference), abs=1e-5)


def test_minuit_goes_on(monkeypatch):
    """Where iterations end before a fit has converged."""
    spec = counting_workspace(*MODELS["two"], blinded=False)
    experiment = Experiment.of_workspace(spec)
    toys = experiment.draw(experiment.fit(experiment.data, 1.0), 8, np.random.default_rng(1))
    known = experiment.statistic(toys, 1.0)
    monkeypatch.setattr(counting_likelihood, "MAX_ITERATIONS", 1)
    # MINUIT's tolerance
    assert experiment.statistic(toys, 1.0) == pytest.approx(known, abs=2e-3)


def test_two_empty_channels(monkeypatch):
    """Fits of pyhf's toys did not converge; these do, without MINUIT's help."""
    monkeypatch.setattr(Experiment, "_with_minuit", None)
    channels = [Channel(name, 2.0, 0.0, 0, background_stat=0.5) for name in "ab"]
    found = cls_at(counting_workspace(channels, {"trigger": 0.1}, blinded=False), toys=1500, seed=3)
    # no background is found in the sidebands nor in the windows: exp(-4), but for the uncertainty
    assert found.observed == pytest.approx(math.exp(-4), abs=4 * found.observed_error)
    assert found.toys == 1500


def test_reproducible():
    spec = counting_workspace(*MODELS["two"], blinded=False)
    first = cls_at(spec, toys=1000, seed=4)
    assert first == cls_at(spec, toys=1000, seed=4)
    assert first != cls_at(spec, toys=1000, seed=5)
    assert json.loads(json.dumps(first.as_json())) == first.as_json()


def test_errors():
    """CLs scatters as its error says."""
    spec = counting_workspace(*MODELS["half"], blinded=False)
    results = [cls_at(spec, toys=1000, seed=seed) for seed in range(12)]
    observed = np.std([r.observed for r in results]) / np.mean([r.observed_error for r in results])
    median = np.std([r.expected[2] for r in results])
    median /= np.mean([r.expected_errors[2] for r in results])
    # a standard deviation of 12 is known to 20%
    assert 0.6 < observed < 1.5
    assert 0.6 < median < 1.5


def test_blinded():
    channels, normalisation = MODELS["two"]
    hidden = cls_at(counting_workspace(channels, normalisation), toys=1000)
    assert hidden.toys == 1000
    assert (hidden.observed, hidden.observed_error, hidden.background) == (None, None, None)
    assert list(hidden.expected) == sorted(hidden.expected)
    counts = [replace(channel, observed=None) for channel in channels]
    assert cls_at(counting_workspace(counts, normalisation), toys=1000) == hidden


def test_extreme_data():
    """No probability is 0, though no toy is as far away."""
    deficit = cls_at(one(40.0, 5), 3.0, toys=1000)
    assert deficit.background == pytest.approx(1 / 1001)
    assert "none of the toys" in deficit.note
    far = cls_at(one(0.5, 0), 40.0)
    assert far.signal_and_background == pytest.approx(1e-4, rel=1e-3)
    assert 0 < far.observed < 3e-4


def test_which_statistics():
    """By default toys, where few events decide."""
    few, many = Channel("few", 1.0, 0.5, 0), Channel("many", 30.0, 100.0, 100)
    idle = Channel("idle", 0.01, 1000.0, 1000)
    for channels, needed in (
        ([few], TOYS),
        ([many], 0),
        # many events without signal change nothing
        ([few, idle], TOYS),
        ([many, idle], 0),
        # nor does a sensitive channel help that sees no events
        ([many, replace(few, background=0.001, signal=3.0)], TOYS),
        # many in the window, but predicted from four
        ([replace(many, background_stat=50.0)], TOYS),
    ):
        spec = counting_workspace(channels, {}, blinded=False)
        assert toys_needed(spec) == needed, channels
        assert cls_at(spec, 0.1).toys == needed
        assert toys_needed(spec, 0) == 0
        assert toys_needed(spec, 2000) == 2000
    # of one channel, the events that are expected
    assert Experiment.of_workspace(one(3.0, 0)).effective_events(4.0) == pytest.approx(7.0)
    with pytest.raises(InputError, match="1000 or more"):
        cls_at(one(3.0, 0), toys=999)


def test_refused():
    spec = one(3.0, 0, background_stat=1.0, background_shape=0.5)
    spec["channels"][0]["samples"][1]["modifiers"][0]["data"]["lo"] = 0.5
    with pytest.raises(ValueError, match="log-normal"):
        Experiment.of_workspace(spec)
    spec["channels"][0]["samples"][1]["modifiers"][0]["type"] = "histosys"
    with pytest.raises(ValueError, match="'histosys'"):
        Experiment.of_workspace(spec)
