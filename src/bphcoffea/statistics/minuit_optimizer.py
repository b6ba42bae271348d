"""Fits of a likelihood with many bins by MINUIT, with pyhf's optimiser interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyhf
from iminuit import Minuit
from typing_extensions import override

from bphcoffea.arrays import Floats
from bphcoffea.statistics.least_squares import CachingOptimizer
from bphcoffea.statistics.likelihood import Likelihood

#: Estimated distance to the minimum of -2 ln L at which MINUIT stops, in units of 2e-3.
TOLERANCE = 0.1
#: Estimated distance at which Newton's method stops, and its largest number of steps.
DISTANCE, STEPS = 1e-6, 50
#: Largest distance of a fit that counts as converged; rounding may prevent a smaller one.
ACCEPTED = 1e-3
#: A parameter this close to a limit is at the limit: MINUIT rounds.
AT_LIMIT = 1e-9
#: Fraction of a negative lower limit of the strength beyond which a strength is at that limit.
NEARLY = 0.999


class MinuitOptimizer(CachingOptimizer):
    """MINUIT with analytic derivatives, followed by Newton's method.

    MINUIT converges slowly at limits. A strength that must not be negative is therefore fixed to
    zero if the likelihood falls from there, and free without a limit otherwise.

    Parameters
    ----------
    likelihood
        Model that all fits share.
    """

    def __init__(self, likelihood: Likelihood) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.latest: dict[bytes, Floats] = {}

    @override
    def _minimise(self, data: Floats, fixed: Mapping[int, float]) -> tuple[Floats, float]:
        poi = self.likelihood.config.poi_index
        if poi not in fixed:
            without = self.fit(data, {**fixed, poi: 0.0})
            if self.likelihood.gradient(without[0], data)[poi] >= 0:
                return without
            return minimised(self.likelihood, data, without[0], fixed, lowest=0.0)
        # the fits of a scan differ little: start from the latest
        begin = self.latest.get(data.tobytes(), np.array(self.likelihood.config.inits))
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
    """Return the parameters at the minimum of -2 ln L, and its value up to a constant.

    MINUIT estimates the distance to the minimum with an approximate matrix, which is wrong if
    parameters are strongly correlated or at a limit. Newton's method therefore ends the fit.

    Parameters
    ----------
    likelihood, data
        Model, and counts followed by measured values of the constrained parameters.
    start
        Start values of all parameters.
    fixed
        Values of fixed parameters by position.
    lowest
        Lower limit of the strength.

    Raises
    ------
    pyhf.exceptions.FailedMinimization
        If neither method converges.
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
        # bins that become empty at the lowest strength have a kink: no minimum is smooth there
        if distance < ACCEPTED or at[poi] <= NEARLY * lowest < 0:
            return at, value
    raise pyhf.exceptions.FailedMinimization(minuit)


def _ended(
    likelihood: Likelihood,
    data: Floats,
    at: Floats,
    free: npt.NDArray[np.intp],
    limits: tuple[Floats, Floats],
) -> tuple[Floats, float, float]:
    """Apply Newton's method within limits; return parameters, value and distance to the minimum."""
    value, distance = likelihood.deviance(at, data), np.inf
    for _ in range(STEPS):
        gradient = likelihood.gradient(at, data)[free]
        # a parameter at a limit that the step would cross stays there
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
