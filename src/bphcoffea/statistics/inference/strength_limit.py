"""Upper limit on the strength, with asymptotic formulae or toys."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyhf

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.statistics.cls_limits import asymptotic_limit, asymptotic_test
from bphcoffea.statistics.inference.workspace_model import WorkspaceModel
from bphcoffea.statistics.limit_results import QUANTILES, Confidence, Limit, five
from bphcoffea.statistics.optimizer import Optimizer, minimised
from bphcoffea.statistics.records import Record
from bphcoffea.statistics.sampling import confidence_from_toys

#: Smallest number of toys: CLs of 0.05 has a relative error of about 30%.
FEWEST_TOYS = 200
#: Tested strengths, in units of the smallest and the largest asymptotic limit, and their number.
RANGE, TESTS = (0.5, 1.4), 25
#: The same for toys.
TOY_RANGE, TOY_TESTS = (0.7, 1.4), 6


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
    progress
        Called after each test with the numbers of tests done and of all.

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
        low, high = TOY_RANGE if toys else RANGE
        strengths = np.geomspace(
            low * min(limits), high * max(limits), TOY_TESTS if toys else TESTS
        ).tolist()
        sampler = _Toys(model, toys, seed) if toys else None
        tests = []
        for number, mu in enumerate(strengths):
            if sampler:
                tests.append(sampler.test(mu))
            else:
                tests.append(asymptotic_test(model, mu, optimizer, blinded=model.blinded))
            progress(number + 1, len(strengths))
    except pyhf.exceptions.FailedMinimization:
        raise FitError(f"{model.name}: a fit with a fixed strength does not converge") from None
    found = _crossings(tests, level, toys) if toys else asymptotic
    return UpperLimit(poi, found, tuple(tests))


@dataclass(frozen=True)
class _Toy:
    """Data, and their fit with a strength that is not negative."""

    data: Floats
    start: Floats
    strength: float
    lowest: float


class _Toys:
    """Tests of strengths with toys; all tests share the toys without signal."""

    def __init__(self, model: WorkspaceModel, toys: int, seed: int) -> None:
        self.model, self.toys = model, toys
        self.rng = np.random.default_rng(seed)
        self.seen = self._fitted(model.data, model.initial)
        self.without = self._draw(0.0)

    def test(self, mu: float) -> Confidence:
        """Return CLs of a strength."""
        scaled = mu / self.model.unit
        seen, both, background = (
            np.sort([self._statistic(toy, scaled) for toy in toys])
            for toys in ([self.seen], self._draw(scaled), self.without)
        )
        return confidence_from_toys(
            mu, float(seen[0]), both, background, blinded=self.model.blinded
        )

    def _draw(self, scaled: float) -> list[_Toy]:
        """Draw toys with the nuisance parameters that fit the data best at a strength."""
        fixed = {self.model.poi: scaled}
        at, _ = minimised(self.model.pdf, self.model.data, self.seen.start, fixed)
        return [self._fitted(self.model.pdf.draw(at, self.rng), at) for _ in range(self.toys)]

    def _fitted(self, data: Floats, start: Floats) -> _Toy:
        best, lowest = minimised(self.model.pdf, data, start, lowest=0.0)
        return _Toy(data, start, float(best[self.model.poi]), lowest)

    def _statistic(self, toy: _Toy, scaled: float) -> float:
        """Return q̃; 0 if more signal fits better."""
        if toy.strength >= scaled:
            return 0.0
        fixed = {self.model.poi: scaled}
        deviance = minimised(self.model.pdf, toy.data, toy.start, fixed)[1]
        return max(deviance - toy.lowest, 0.0)


def _crossings(tests: Sequence[Confidence], level: float, toys: int) -> Limit:
    """Interpolate the logarithm of CLs between tested strengths."""
    strengths = np.log([test.strength for test in tests])
    curves = [[test.expected[index] for test in tests] for index in range(len(QUANTILES))]
    expected = five(_crossing(strengths, np.log(curve), level) for curve in curves)
    seen = [test.observed for test in tests if test.observed is not None]
    observed = _crossing(strengths, np.log(seen), level) if len(seen) == len(tests) else None
    note = ""
    if math.inf in expected or observed == math.inf:
        note = "a limit lies above all tested strengths; use more toys"
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
