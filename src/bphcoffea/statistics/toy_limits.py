"""CLs and upper limits of counting experiments from toys."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from bphcoffea.statistics.limit_results import QUANTILES, Confidence, Limit, five
from bphcoffea.statistics.sampling import SAME, Experiment
from bphcoffea.statistics.workspace import Workspace, is_blinded

#: Toys that are fitted at once, which bounds the memory.
BATCH = 10_000
#: Strengths between which a limit is searched first, in units of its rough estimate.
FIRST_BOUNDS = (0.2, 4.0)
#: Interval of ln(strength) within which the limit is interpolated.
TOY_PRECISION = 0.1
#: Limits above this are infinite, in units of their rough estimate.
HIGHEST_LIMIT = 1e3

RARE = "none of the toys without signal has as few events as the data: CLs is overestimated"


class ToySampler:
    """Tests of strengths with toys; all tests share the toys without signal.

    Parameters
    ----------
    spec
        Workspace of a counting experiment.
    toys
        Number of toys per hypothesis.
    seed
        Seed of the toys.
    """

    def __init__(self, spec: Workspace, toys: int, seed: int) -> None:
        self.experiment, self.blinded = Experiment.of_workspace(spec), is_blinded(spec)
        self.toys, self.seed = toys, seed

    def test(self, mu: float) -> Confidence:
        """Return CLs of a strength, with errors.

        The data count as one more toy, so that no probability is 0.
        """
        experiment, toys = self.experiment, self.toys
        rng = np.random.default_rng(self.seed)
        sizes = np.diff([*range(0, toys, BATCH), toys])
        background, both = (
            np.sort(
                np.concatenate(
                    [experiment.statistic(experiment.draw(at, size, rng), mu) for size in sizes]
                )
            )
            for at in (experiment.fit(experiment.data, strength) for strength in (0.0, mu))
        )
        # values of q̃ at the quantiles of CLs without signal: many events first
        shares = stats.norm.cdf([-shift for shift in QUANTILES])
        typical = background[np.minimum((shares * toys).astype(int), toys - 1)]
        seen = experiment.statistic(experiment.data, mu)
        values = np.concatenate([seen, typical])
        # fraction of the toys that are at least as far from the hypothesis
        p_both, p_background = (
            (1 + toys - np.searchsorted(sample, values - SAME)) / (1 + toys)
            for sample in (both, background)
        )
        cls = np.minimum(p_both / p_background, 1.0)
        errors = cls * np.sqrt((1 / p_both + 1 / p_background - 2) / toys)
        # fewer events exclude more, even if too few toys are left to show it
        expected = five(np.minimum.accumulate(cls[:0:-1])[::-1])
        spread = five(errors[1:])
        if self.blinded:
            return Confidence(mu, None, expected, None, None, "", toys, None, spread)
        note = RARE if p_background[0] * (1 + toys) < 1.5 else ""
        observed, tails = float(cls[0]), (float(p_both[0]), float(p_background[0]))
        return Confidence(mu, observed, expected, *tails, note, toys, float(errors[0]), spread)


def limit_from_toys(sampler: ToySampler, unit: float, level: float) -> Limit:
    """Return the strengths at which the observed and expected CLs cross 1 - ``level``.

    Parameters
    ----------
    sampler
        Tests of single strengths.
    unit
        Rough estimate of the limit.
    level
        Confidence level.
    """
    # ln(CLs / (1 - level)), five expected ones and the observed one, by ln(strength / unit)
    tested: dict[float, tuple[float, ...]] = {}

    def excess(position: float, index: int) -> float:
        if position not in tested:
            result = sampler.test(unit * math.exp(position))
            values = (*result.expected, 1.0 if result.observed is None else result.observed)
            tested[position] = tuple(math.log(value / (1 - level)) for value in values)
        return tested[position][index]

    def crossing(index: int) -> float:
        low, high = (math.log(bound) for bound in FIRST_BOUNDS)
        while excess(low, index) < 0:
            low -= 1.0
        while excess(high, index) > 0:
            if high > math.log(HIGHEST_LIMIT):
                return math.inf
            high += 1.0
        # the other searches have tested further strengths
        low = max(at for at in tested if at < high and excess(at, index) >= 0)
        high = min(at for at in tested if at > low and excess(at, index) <= 0)
        while high - low > TOY_PRECISION:
            middle = 0.5 * (low + high)
            low, high = (middle, high) if excess(middle, index) > 0 else (low, middle)
        above, below = excess(low, index), excess(high, index)
        share = above / (above - below) if above > below else 0.0
        return unit * math.exp(low + share * (high - low))

    expected = five(crossing(index) for index in range(len(QUANTILES)))
    if sampler.blinded:
        return Limit(None, expected, level, "", sampler.toys)
    observed = crossing(len(QUANTILES))
    return Limit(observed, expected, level, RARE if observed == math.inf else "", sampler.toys)
