"""Test statistics of toy experiments, computed in several processes.

Toys are drawn and fitted in batches, whose size and random numbers do not depend on the number of
processes, so that results do not either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.statistics.in_processes import computed
from bphcoffea.statistics.likelihood import Likelihood

#: Toys that are fitted at once: enough to make Python's overhead small.
BATCH: Final = 200

#: Function of the likelihood, the data of some toys and the parameters they were drawn at. It
#: returns test statistics, shape (statistics, toys).
Statistic: TypeAlias = Callable[[Likelihood, Floats, Floats], Floats]


@dataclass(frozen=True)
class Hypothesis:
    """A hypothesis of which toys are drawn.

    Attributes
    ----------
    at
        Parameters, shape (parameters,).
    statistic
        Test statistics of the toys; a function that can be sent to another process.
    key
        Number of the hypothesis, on which the random numbers depend.
    fits
        Number of fits per toy.
    """

    at: Floats
    statistic: Statistic
    key: int = 0
    fits: int = 1


@dataclass(frozen=True)
class _Batch:
    likelihood: Likelihood
    hypothesis: Hypothesis
    seed: int
    first: int
    last: int

    def __call__(self) -> Floats:
        hypothesis = self.hypothesis
        seed = np.random.SeedSequence(self.seed, spawn_key=(hypothesis.key, self.first))
        rng, toys = np.random.default_rng(seed), self.last - self.first
        data = self.likelihood.draw(hypothesis.at, rng, toys)
        return hypothesis.statistic(self.likelihood, data, hypothesis.at)


def toy_statistics(
    likelihood: Likelihood,
    hypotheses: Sequence[Hypothesis],
    toys: int,
    seed: int,
    *,
    processes: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Floats]:
    """Draw toys of some hypotheses, and return their test statistics.

    Parameters
    ----------
    likelihood
        The model.
    hypotheses
        The hypotheses.
    toys, seed
        Number of toys of each hypothesis, and their seed.
    processes
        Number of processes; by default one per core if that saves time.
    progress
        Called with the numbers of toys done and of all.

    Returns
    -------
    Test statistics of each hypothesis, shape (statistics, toys).
    """
    firsts = range(0, toys, BATCH)
    batches = [
        _Batch(likelihood, hypothesis, seed, first, min(first + BATCH, toys))
        for hypothesis in hypotheses
        for first in firsts
    ]
    results: list[Floats] = []
    costs = [batch.hypothesis.fits * (batch.last - batch.first) for batch in batches]
    for result in computed(batches, costs, processes):
        results.append(result)
        progress(sum(found.shape[1] for found in results), toys * len(hypotheses))
    return [
        np.concatenate(results[place : place + len(firsts)], axis=1)
        for place in range(0, len(results), len(firsts))
    ]


def share_error(share: float, toys: int) -> float:
    """Return the statistical error of a fraction of toys, which is not 0 if none or all count."""
    return float(np.sqrt(max(share * (1 - share), 1 / toys) / toys))
