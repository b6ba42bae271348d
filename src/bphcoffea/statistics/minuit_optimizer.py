"""Fits of a likelihood with many bins by MINUIT, as pyhf's optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyhf
from iminuit import Minuit
from typing_extensions import override

from bphcoffea.arrays import Floats
from bphcoffea.statistics.likelihood import Likelihood
from bphcoffea.statistics.profiling import CachingOptimizer

#: Estimated distance to the minimum of -2 ln L at which MINUIT stops, in units of 2e-3.
TOLERANCE = 0.1
#: Estimated distance at which a fit ends, and the most steps that its end takes.
DISTANCE, STEPS = 1e-6, 50
#: Distance beyond which a fit has not converged; rounding may prevent a better one.
ACCEPTED = 1e-3
#: A parameter this close to a limit is at the limit: MINUIT rounds.
AT_LIMIT = 1e-9
#: Part of the lowest strength, if that is negative, beyond which a strength is at its limit.
NEARLY = 0.999


class MinuitOptimizer(CachingOptimizer):
    """MINUIT with analytic derivatives, and Newton's method; pyhf's optimiser interface.

    MINUIT converges slowly at limits. Where the strength must not be negative, it is therefore zero
    if the likelihood falls from there, else free.

    Parameters
    ----------
    likelihood
        The model that all fits are of.
    """

    def __init__(self, likelihood: Likelihood) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.latest: dict[bytes, Floats] = {}

    @override
    def _search(
        self,
        data: Floats,
        start: Sequence[float],
        limits: Sequence[tuple[float, float]],
        fixed: Mapping[int, float],
    ) -> tuple[Floats, float]:
        poi = self.likelihood.config.poi_index
        if poi not in fixed and limits[poi][0] == 0:
            without = self.found(data, start, limits, {**fixed, poi: 0.0})
            if self.likelihood.gradient(without[0], data)[poi] >= 0:
                return without
            return minimised(self.likelihood, data, without[0], fixed, lowest=0.0)
        # fits of a scan differ little
        begin = self.latest.get(data.tobytes(), np.array(start))
        best = minimised(self.likelihood, data, begin, fixed)
        self.latest[data.tobytes()] = best[0]
        return best


def minimised(
    likelihood: Likelihood,
    data: Floats,
    start: Sequence[float] | Floats,
    fixed: Mapping[int, float] | None = None,
    *,
    lowest: float = -np.inf,
) -> tuple[Floats, float]:
    """Find the minimum of -2 ln L: its parameters and value.

    MINUIT judges the distance to the minimum with an approximate matrix, which deceives it where
    parameters are strongly correlated or at a limit. Newton's method ends the search.

    Parameters
    ----------
    likelihood, data
        The model, and counts with measured values of the constrained parameters.
    start
        Start values of all parameters.
    fixed
        Values of parameters that are fixed, by position.
    lowest
        Lower limit of the strength.

    Raises
    ------
    pyhf.exceptions.FailedMinimization
        When neither converges.
    """
    fixed, poi = fixed or {}, likelihood.config.poi_index
    at = np.array(start, dtype=np.float64)
    at[list(fixed)] = list(fixed.values())
    low, high = np.array(likelihood.config.bounds).T
    low[poi] = lowest
    at = np.clip(at, low, high)
    free = np.setdiff1d(np.arange(len(at)), list(fixed))
    for strategy in (0, 1, 2):
        minuit = Minuit(
            lambda parameters: likelihood.deviance(parameters, data),
            at,
            grad=lambda parameters: likelihood.gradient(parameters, data),
            hessian=likelihood.hessian,
        )
        minuit.limits = list(zip(low, high, strict=True))
        minuit.fixed = [index in fixed for index in range(len(at))]
        minuit.errordef = Minuit.LEAST_SQUARES
        minuit.strategy, minuit.tol = strategy, TOLERANCE
        minuit.migrad()
        at, value, distance = _ended(likelihood, data, np.array(minuit.values), free, (low, high))
        # at the lowest strength, bins without content have a kink: no minimum is smooth there
        if distance < ACCEPTED or at[poi] <= NEARLY * lowest < 0:
            return at, value
    raise pyhf.exceptions.FailedMinimization(minuit)


def _ended(
    likelihood: Likelihood, data: Floats, at: Floats, free: Any, limits: tuple[Floats, Floats]
) -> tuple[Floats, float, float]:
    """Newton's method within limits: parameters, value, and estimated distance to the minimum."""
    value, distance = likelihood.deviance(at, data), np.inf
    for _ in range(STEPS):
        gradient = likelihood.gradient(at, data)[free]
        # what stands at a limit and would go beyond stays
        low, high = (limit[free] for limit in limits)
        out = np.where(gradient > 0, at[free] <= low + AT_LIMIT, at[free] >= high - AT_LIMIT)
        moving = free[~out]
        matrix = likelihood.hessian(at)[np.ix_(moving, moving)]
        step = np.linalg.lstsq(matrix, gradient[~out], rcond=1e-14)[0]
        distance = float(gradient[~out] @ step) / 2
        if distance < DISTANCE:
            break
        for part in 0.5 ** np.arange(12):
            tried = at.copy()
            tried[moving] -= part * step
            tried = np.clip(tried, *limits)
            lower = likelihood.deviance(tried, data)
            if lower < value:
                at, value = tried, lower
                break
        else:
            break
    return at, value, distance
