"""Toys of counting experiments, and the CLs and limits at low counts that follow from them.

Toys are those of pyhf: at the nuisance parameters that fit the data best under the hypothesis, with
counts, sidebands and the auxiliary measurements of the Gaussian constraints all drawn anew.
Gaussian parameters that only appear in a sum are replaced by that sum, which is exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from bphcoffea.arrays import Floats
from bphcoffea.statistics.counting_likelihood import CountingModel, Counts, Point
from bphcoffea.statistics.limit_results import QUANTILES, Confidence, Limit, five
from bphcoffea.statistics.workspace import NormSys, SampleSpec, Workspace, is_blinded

#: Difference below which two values of q̃ are equal: equal counts give equal values.
SAME = 1e-5
#: Toys that are fitted at once, which bounds the memory.
BATCH = 10_000
#: Strengths between which a limit is searched first, in units of its rough estimate.
FIRST_BOUNDS = (0.2, 4.0)
#: Interval of ln(strength) within which the limit is interpolated.
TOY_PRECISION = 0.1
#: Limits above this are infinite, in units of their rough estimate.
HIGHEST_LIMIT = 1e3

RARE = "none of the toys without signal has as few events as the data: CLs is overestimated"


@dataclass(frozen=True)
class Experiment(CountingModel):
    """A counting experiment with its result.

    Attributes
    ----------
    data
        Observed counts and auxiliary measurements of the one experiment.
    """

    data: Counts

    @classmethod
    def of_workspace(cls, spec: Workspace) -> Experiment:
        """Read a workspace of :func:`bphcoffea.statistics.counting.counting_workspace`.

        Raises
        ------
        ValueError
            If the workspace holds anything that such workspaces lack.
        """
        strength = spec["measurements"][0]["config"]["poi"]
        observed = {entry["name"]: entry["data"][0] for entry in spec["observations"]}
        # channel and expected count of the sidebands, by the parameter θ that they constrain
        constraints: dict[str, tuple[str, float]] = {}
        windows: list[tuple[str, dict[str, SampleSpec]]] = []
        for channel in spec["channels"]:
            samples = {}
            for sample in channel["samples"]:
                names = [modifier["name"] for modifier in sample["modifiers"]]
                samples["signal" if strength in names else "background"] = sample
            if "signal" in samples:
                windows.append((channel["name"], samples))
            else:
                (name,) = (modifier["name"] for modifier in samples["background"]["modifiers"])
                constraints[name] = channel["name"], samples["background"]["data"][0]
        size = len(windows)
        sidebands, seen = np.zeros(size), np.zeros(size)
        widths: dict[str, dict[str, Floats]] = {"signal": {}, "background": {}}
        for index, (name, samples) in enumerate(windows):
            for process, sample in samples.items():
                for modifier in sample["modifiers"]:
                    if modifier["name"] in constraints:
                        constraint, sidebands[index] = constraints[modifier["name"]]
                        seen[index] = observed[constraint]
                    elif modifier["type"] == "normsys":
                        shifts = widths[process].setdefault(modifier["name"], np.zeros(size))
                        shifts[index] = _width(modifier, name)
                    elif modifier["name"] != strength:
                        raise ValueError(f"channel '{name}': toys cannot use '{modifier['type']}'")
        local, shared = _split(widths["signal"], size)
        background, correlated = _split(widths["background"], size)
        if correlated.size or widths["signal"].keys() & widths["background"].keys():
            raise ValueError("toys cannot use uncertainties that several backgrounds share")
        zeros = np.zeros((1, size))
        return cls(
            signal=np.array([samples["signal"]["data"][0] for _, samples in windows]),
            background=np.array([samples["background"]["data"][0] for _, samples in windows]),
            sidebands=sidebands,
            signal_width=local,
            background_width=background,
            common=shared,
            data=Counts(
                np.array([[observed[name] for name, _ in windows]], dtype=np.float64),
                seen[np.newaxis],
                zeros,
                zeros,
                np.zeros((1, shared.shape[1])),
            ),
        )

    def effective_events(self, mu: float) -> float:
        """Estimate the number of events on which a test of a strength depends.

        The likelihood ratio of µ and 0 is a sum over events with the weights ln(1 + µs/b), minus
        the background that is predicted from sidebands. The result is the count whose Poisson
        distribution is as skewed as that sum, (Σw²ν)³ / (Σw³ν)². For one channel with a known
        background it is µs + b; for several channels, the events of the sensitive ones, however
        many events the others have.
        """
        weights = np.log1p(mu * self.signal / self.background)
        # background in the window per event in the sidebands
        transfer = self.background / np.where(self.sidebands > 0, self.sidebands, 1.0)
        seen = self.data.sidebands[0]
        events = mu * self.signal + self.background
        second = float(np.sum(weights**2 * (events + transfer**2 * seen)))
        third = float(np.sum(weights**3 * (events + transfer**3 * seen)))
        return second**3 / third**2

    def draw(self, at: Point, size: int, rng: np.random.Generator) -> Counts:
        """Draw toy experiments at the best parameters of one experiment."""
        signal, background = self._yields(at)
        theta, _ = self._theta(self.data, signal, background)

        def around(center: Floats) -> Floats:
            return center + rng.standard_normal((size, center.shape[1]))

        shape = (size, len(self.signal))
        return Counts(
            rng.poisson(signal + theta * background, shape).astype(np.float64),
            rng.poisson(theta * self.sidebands, shape).astype(np.float64),
            around(at.signal),
            around(at.background),
            around(at.common),
        )

    def statistic(self, counts: Counts, mu: float) -> Floats:
        """Return q̃ of a strength for each experiment; 0 if more signal fits better.

        The deviance as a function of the strength, at the best nuisance parameters, is assumed to
        have a single minimum: its slope gives the side of the strength on which that lies.
        """
        result = np.zeros(len(counts))
        at = self.fit(counts, mu)
        below = np.flatnonzero(np.sum(self._slopes(counts, at).u, axis=1) > 0)
        counts, at = counts[below], at[below]
        best = self.fit(counts, 0.0)
        # derivative by the strength at 0, where the derivative by its logarithm vanishes
        slopes = self._slopes(counts, replace(best, mu=np.full(len(counts), 1e-9 * mu)))
        inside = np.flatnonzero(np.sum(slopes.u, axis=1) < 0)
        lowest = best.deviance
        free = self.fit(counts[inside], mu, at[inside])
        lowest[inside] = np.minimum(lowest[inside], free.deviance)
        result[below] = np.maximum(at.deviance - lowest, 0.0)
        return result


def _width(modifier: NormSys, channel: str) -> float:
    """Return the uncertainty of the logarithm of a yield."""
    high, low = modifier["data"]["hi"], modifier["data"]["lo"]
    if not np.isclose(high * low, 1.0, rtol=1e-6, atol=0.0):
        raise ValueError(f"channel '{channel}': toys need '{modifier['name']}' to be log-normal")
    return float(np.log(high))


def _split(widths: Mapping[str, Floats], size: int) -> tuple[Floats, Floats]:
    """Combine parameters of single yields, and rotate shared ones into as few as possible."""
    single = [width for width in widths.values() if np.count_nonzero(width) < 2]
    shared = [width for width in widths.values() if np.count_nonzero(width) > 1]
    local = np.sqrt(np.sum(np.square([np.zeros(size), *single]), axis=0))
    left, scales, _ = np.linalg.svd(np.array(shared).reshape(-1, size).T, full_matrices=False)
    return local, (left * scales)[:, scales > 1e-9 * np.max(scales, initial=0.0)]


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
        """Return CLs of a strength; see :func:`confidence_from_toys`."""
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
        seen = float(experiment.statistic(experiment.data, mu)[0])
        return confidence_from_toys(mu, seen, both, background, blinded=self.blinded)


def confidence_from_toys(
    mu: float, seen: float, both: Floats, background: Floats, *, blinded: bool
) -> Confidence:
    """Return CLs of a strength, with errors.

    The data count as one more toy, so that no probability is 0.

    Parameters
    ----------
    mu
        The strength.
    seen
        Test statistic of the data.
    both, background
        Test statistics of as many toys with and without signal, ascending; shape (toys,).
    blinded
        Whether nothing observed is returned.
    """
    toys = len(both)
    # values of q̃ at the quantiles of CLs without signal: many events first
    shares = ndtr([-shift for shift in QUANTILES])
    typical = background[np.minimum((shares * toys).astype(int), toys - 1)]
    values = np.append(seen, typical)
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
    if blinded:
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
