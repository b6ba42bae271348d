"""Upper limit on the strength, with asymptotic formulae or toys."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyhf

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.statistics.cls_limits import asymptotic_limit, asymptotic_test
from bphcoffea.statistics.inference.workspace_model import WorkspaceModel
from bphcoffea.statistics.likelihood import Likelihood
from bphcoffea.statistics.limit_results import QUANTILES, Confidence, Limit, five
from bphcoffea.statistics.optimizer import Optimizer, minimised
from bphcoffea.statistics.records import Record
from bphcoffea.statistics.sampling import confidence_from_toys
from bphcoffea.statistics.toy_experiments import Hypothesis, toy_statistics
from bphcoffea.statistics.toy_fits import minimised_together

#: Smallest number of toys: CLs of 0.05 has a relative error of about 30%.
FEWEST_TOYS = 200
#: Tested strengths, in units of the smallest and the largest asymptotic limit, and their number.
RANGE, TESTS = (0.5, 1.4), 25
#: The same for toys, and the ratio of further strengths if a limit lies beyond them.
TOY_RANGE, TOY_TESTS, EXTENSION, MOST_EXTENSIONS = (0.7, 1.3), 10, 1.3, 8


@dataclass(frozen=True)
class UpperLimit(Record):
    """Upper limit on the strength, and tests of single strengths.

    Attributes
    ----------
    poi
        Name of the strength.
    limit
        The limit.
    tests
        CLs of some strengths around the limits, ascending.
    """

    poi: str
    limit: Limit
    tests: tuple[Confidence, ...]


def limit(
    model: WorkspaceModel,
    *,
    level: float = 0.95,
    toys: int = 0,
    seed: int = 0,
    processes: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> UpperLimit:
    """Return the strength above which a signal is excluded, with CLs and the statistic q̃_µ.

    Expected limits are for data without signal, with the nuisance parameters that fit the data best
    without signal; in a blinded workspace these are at the prediction.

    Parameters
    ----------
    model
        The model. If it is blinded, there are only expected limits.
    level
        Confidence level: strengths with CLs below 1 - ``level`` are excluded.
    toys
        Number of toys per tested strength and hypothesis, at least `FEWEST_TOYS`; 0 for asymptotic
        formulae. Toys are tested at strengths around the asymptotic limits.
    seed
        Seed of the toys.
    processes
        Number of processes for toys, by default one per core if that saves time; results do not
        depend on it.
    progress
        Called with the numbers of tests, or of toys, done and of all.

    Raises
    ------
    FitError
        If the number of toys is too small, or a fit does not converge.
    """
    if toys and toys < FEWEST_TOYS:
        raise FitError(f"{toys} toys: use {FEWEST_TOYS} or more, or 0 for asymptotic formulae")
    optimizer, poi = Optimizer(model.pdf), model.pdf.config.par_names[model.poi]
    try:
        asymptotic = asymptotic_limit(model, optimizer, level=level, blinded=model.blinded)
        limits = [*asymptotic.expected, *([asymptotic.observed] if asymptotic.observed else [])]
        if toys:
            sampler = _Toys(model, toys, seed, processes, progress)
            tests = _around(sampler, min(limits), max(limits), level)
            return UpperLimit(poi, _crossings(tests, level, toys), tuple(tests))
        low, high = RANGE
        tests = []
        for mu in np.geomspace(low * min(limits), high * max(limits), TESTS).tolist():
            tests.append(asymptotic_test(model, mu, optimizer, blinded=model.blinded))
            progress(len(tests), TESTS)
    except pyhf.exceptions.FailedMinimization:
        raise FitError(f"{model.name}: a fit with a fixed strength does not converge") from None
    return UpperLimit(poi, asymptotic, tuple(tests))


class _Toys:
    """Tests of strengths with toys; all tests share the toys without signal."""

    def __init__(
        self,
        model: WorkspaceModel,
        toys: int,
        seed: int,
        processes: int | None,
        progress: Callable[[int, int], None],
    ) -> None:
        self.model, self.toys, self.seed = model, toys, seed
        self.processes, self.progress = processes, progress
        self.best, self.lowest = minimised(model.pdf, model.data, model.initial, lowest=0.0)
        self._tested = 0

    def test(self, strengths: Sequence[float]) -> list[Confidence]:
        """Return CLs of some strengths."""
        model = self.model
        scaled = [mu / model.unit for mu in strengths]
        without, *points = (self._fitted(mu) for mu in (0.0, *scaled))
        hypotheses = [Hypothesis(without[0], partial(_statistics, scaled), fits=1 + len(scaled))]
        for (at, _), mu in zip(points, scaled, strict=True):
            self._tested += 1
            hypotheses.append(Hypothesis(at, partial(_statistics, [mu]), self._tested, 2))
        background, *both = toy_statistics(
            model.pdf,
            hypotheses,
            self.toys,
            self.seed,
            processes=self.processes,
            progress=self.progress,
        )
        tests = []
        for number, (mu, (_, deviance)) in enumerate(zip(scaled, points, strict=True)):
            seen = 0.0 if self.best[model.poi] >= mu else max(deviance - self.lowest, 0.0)
            samples = np.sort(both[number][0]), np.sort(background[number])
            tests.append(
                confidence_from_toys(strengths[number], seen, *samples, blinded=model.blinded)
            )
        return tests

    def _fitted(self, scaled: float) -> tuple[Floats, float]:
        """Return the nuisance parameters that fit the data best at a strength, and -2 ln L."""
        return minimised(self.model.pdf, self.model.data, self.best, {self.model.poi: scaled})


def _statistics(
    strengths: Sequence[float], likelihood: Likelihood, data: Floats, at: Floats
) -> Floats:
    """Return q̃ of some strengths for each toy; 0 if more signal fits better."""
    poi = likelihood.config.poi_index
    best, lowest = minimised_together(likelihood, data, at, lowest=0.0)
    result = np.zeros((len(strengths), len(data)))
    start = best
    for row, mu in zip(result, strengths, strict=True):
        start, deviance = minimised_together(likelihood, data, start, {poi: mu})
        row[:] = np.where(best[:, poi] >= mu, 0.0, np.maximum(deviance - lowest, 0.0))
    return result


def _around(sampler: _Toys, lowest: float, highest: float, level: float) -> list[Confidence]:
    """Test strengths around the asymptotic limits, and beyond until all curves cross the level."""
    low, high = TOY_RANGE[0] * lowest, TOY_RANGE[1] * highest
    strengths = np.geomspace(low, high, TOY_TESTS)
    tests = sampler.test(strengths.tolist())
    for _ in range(MOST_EXTENSIONS):
        more = []
        if min(_curves(tests[0])) < 1 - level:
            more += [tests[0].strength / EXTENSION, tests[0].strength / EXTENSION**2]
        if max(_curves(tests[-1])) > 1 - level:
            more += [tests[-1].strength * EXTENSION, tests[-1].strength * EXTENSION**2]
        if not more:
            break
        tests = sorted([*tests, *sampler.test(more)], key=lambda test: test.strength)
    return tests


def _curves(test: Confidence) -> list[float]:
    """Return the expected CLs, and the observed one if there is one."""
    return [*test.expected, *([] if test.observed is None else [test.observed])]


def _crossings(tests: Sequence[Confidence], level: float, toys: int) -> Limit:
    """Interpolate the logarithm of CLs between tested strengths."""
    strengths = np.log([test.strength for test in tests])
    curves = [[test.expected[index] for test in tests] for index in range(len(QUANTILES))]
    expected = five(_crossing(strengths, np.log(curve), level) for curve in curves)
    seen = [test.observed for test in tests if test.observed is not None]
    observed = _crossing(strengths, np.log(seen), level) if len(seen) == len(tests) else None
    note = ""
    if math.inf in expected or observed == math.inf:
        note = "a limit lies above all tested strengths"
    return Limit(observed, expected, level, note, toys)


def _crossing(strengths: Floats, logarithms: Floats, level: float) -> float:
    """Return the strength at which CLs falls below 1 - level; infinite if it does not."""
    # CLs falls with the strength; toys fluctuate
    falling = np.minimum.accumulate(logarithms)
    below = np.flatnonzero(falling < math.log(1 - level))
    if not len(below):
        return math.inf
    last = int(below[0])
    if last == 0:
        return float(np.exp(strengths[0]))
    high, low = falling[last - 1], falling[last]
    share = (high - math.log(1 - level)) / (high - low)
    return float(np.exp(strengths[last - 1] + share * (strengths[last] - strengths[last - 1])))
