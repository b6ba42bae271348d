"""Fits of a likelihood by Newton's method or MINUIT, with pyhf's optimiser interface.

All fits of workspaces use this module. Newton's method with the expected second derivatives
converges in a few steps, since they are cheap and nearly right; if it does not, it takes those for
the data. MINUIT continues fits that still do not converge, such as those in which limits of
parameters are in the way. For a model of 10 regions with 262 parameters, a fit takes 0.04 s of a
core with Newton's method, 0.12 s with MINUIT and these derivatives, 25 s with MINUIT and the
gradient alone, and minutes without (``benchmarks/template_inference.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyhf
from iminuit import Minuit

from bphcoffea.arrays import Floats, Integers
from bphcoffea.statistics.likelihood import Likelihood

#: Estimated distance to the minimum of -2 ln L at which MINUIT stops, in units of 2e-3.
TOLERANCE = 0.1
#: Estimated distance at which Newton's method stops, and its largest number of steps.
DISTANCE, STEPS = 1e-7, 50
#: Number of steps with the expected second derivatives; further ones use those for the data.
EXPECTED_STEPS = 8
#: Largest distance of a fit that counts as converged; rounding may prevent a smaller one.
ACCEPTED = 1e-3
#: A parameter this close to a limit is at the limit: MINUIT rounds.
AT_LIMIT = 1e-9


class Optimizer:
    """Fits of one likelihood with pyhf's optimiser interface, and their cache.

    The points of a scan share all fits that do not depend on the strength, and start from each
    other's results. A strength that must not be negative is fixed to zero if the likelihood falls
    from there, and free without a limit otherwise, because minimisers converge slowly at limits.

    Parameters
    ----------
    likelihood
        Model that all fits share.
    """

    name = "bphcoffea"

    def __init__(self, likelihood: Likelihood) -> None:
        self.likelihood = likelihood
        self._cache: dict[tuple[bytes, tuple[tuple[int, float], ...]], tuple[Floats, float]] = {}
        self._latest: dict[bytes, Floats] = {}

    def minimize(
        self,
        objective: object,  # noqa: ARG002
        data: npt.ArrayLike,
        pdf: object,  # noqa: ARG002
        init_pars: object,  # noqa: ARG002
        par_bounds: object,  # noqa: ARG002
        fixed_vals: Sequence[tuple[int, float]] | None = None,
        return_fitted_val: bool = False,
    ) -> Floats | tuple[Floats, Floats]:
        """Return the parameters at which -2 ln L is smallest.

        Parameters
        ----------
        objective, pdf, init_pars, par_bounds
            Function, model, start values and limits; those of the optimiser's model are used.
        data
            Counts, followed by the auxiliary measurements.
        fixed_vals
            Index and value of each fixed parameter.
        return_fitted_val
            Also return the deviance, which is -2 ln L up to a constant.

        Raises
        ------
        pyhf.exceptions.FailedMinimization
            If the fit does not converge.
        """
        fixed = {index: float(value) for index, value in fixed_vals or ()}
        parameters, value = self.fit(np.asarray(data, dtype=np.float64), fixed)
        best, deviance = parameters.copy(), np.asarray(value)
        return (best, deviance) if return_fitted_val else best

    def fit(self, data: Floats, fixed: Mapping[int, float]) -> tuple[Floats, float]:
        """Return the best parameters and the deviance, from the cache if possible."""
        key = (data.tobytes(), tuple(sorted(fixed.items())))
        if key not in self._cache:
            self._cache[key] = self._minimise(data, fixed)
        return self._cache[key]

    def _minimise(self, data: Floats, fixed: Mapping[int, float]) -> tuple[Floats, float]:
        poi = self.likelihood.config.poi_index
        if poi not in fixed:
            without = self.fit(data, {**fixed, poi: 0.0})
            if self.likelihood.gradient(without[0], data)[poi] >= 0:
                return without
            return minimised(self.likelihood, data, without[0], fixed, lowest=0.0)
        # the fits of a scan differ little: start from the latest
        begin = self._latest.get(data.tobytes(), self.likelihood.config.suggested_init())
        best = minimised(self.likelihood, data, begin, fixed)
        self._latest[data.tobytes()] = best[0]
        return best


def minimised(
    likelihood: Likelihood,
    data: Floats,
    start: Sequence[float] | Floats,
    fixed: Mapping[int, float] | None = None,
    *,
    lowest: float | None = -np.inf,
) -> tuple[Floats, float]:
    """Return the parameters at the minimum of -2 ln L, and its value up to a constant.

    MINUIT estimates the distance to the minimum with an approximate matrix, which is wrong if
    parameters are strongly correlated or at a limit. Newton's method therefore ends each fit.

    Parameters
    ----------
    likelihood, data
        Model, and counts followed by measured values of the constrained parameters.
    start
        Start values of all parameters.
    fixed
        Values of fixed parameters by position, besides those that the model fixes.
    lowest
        Lower limit of the strength; None for that of the model.

    Raises
    ------
    pyhf.exceptions.FailedMinimization
        If neither method converges.
    """
    at, free, (low, high) = free_and_limits(likelihood, start, fixed, lowest)
    at, value, distance = _newton(likelihood, data, at, free, (low, high))
    if distance < ACCEPTED:
        return at, value
    for strategy in (0, 1, 2):
        minuit = Minuit(
            lambda parameters: likelihood.deviance(parameters, data),
            at,
            grad=lambda parameters: likelihood.gradient(parameters, data),
            hessian=likelihood.hessian,
        )
        minuit.limits = list(zip(low, high, strict=True))
        minuit.fixed = ~np.isin(np.arange(len(at)), free)
        minuit.errordef = Minuit.LEAST_SQUARES
        minuit.strategy, minuit.tol = strategy, TOLERANCE
        minuit.migrad()
        at, value, distance = _newton(likelihood, data, np.array(minuit.values), free, (low, high))
        if distance < ACCEPTED:
            return at, value
    raise pyhf.exceptions.FailedMinimization(minuit)


def free_and_limits(
    likelihood: Likelihood,
    start: Sequence[float] | Floats,
    fixed: Mapping[int, float] | None,
    lowest: float | None,
) -> tuple[Floats, Integers, tuple[Floats, Floats]]:
    """Return start values, positions of free parameters, and limits, as `minimised` uses them."""
    config = likelihood.config
    held = {i: p.initial for i, p in enumerate(config.parameters) if p.fixed} | dict(fixed or {})
    at = np.array(start, dtype=np.float64)
    at[list(held)] = list(held.values())
    low, high = np.array(config.suggested_bounds()).T
    if lowest is not None:
        low[config.poi_index], high[config.poi_index] = lowest, np.inf
    low, high = (np.where(np.isin(np.arange(len(at)), list(held)), at, x) for x in (low, high))
    return np.clip(at, low, high), np.setdiff1d(np.arange(len(at)), list(held)), (low, high)


def _newton(
    likelihood: Likelihood,
    data: Floats,
    at: Floats,
    free: Integers,
    limits: tuple[Floats, Floats],
) -> tuple[Floats, float, float]:
    """Apply Newton's method within limits; return parameters, value and distance to the minimum.

    The expected second derivatives converge fast, but are far too large for empty bins in which
    nearly nothing is expected: those of the data, without the curvature of the expectation, must
    agree at the end. If steps are slow, all second derivatives are taken into account.
    """
    stages = (
        likelihood.hessian,
        lambda at: likelihood.hessian(at, data),
        lambda at: likelihood.observed_hessian(at, data),
    )
    value, distance, stage = likelihood.deviance(at, data), np.inf, 0
    low, high = (limit[free] for limit in limits)
    for number in range(STEPS):
        if number == EXPECTED_STEPS:
            stage = 2
        gradient = likelihood.gradient(at, data)[free]
        # a parameter at a limit that the step would cross stays there
        out = np.where(gradient > 0, at[free] <= low + AT_LIMIT, at[free] >= high - AT_LIMIT)
        moving, slopes = free[~out], gradient[~out]
        step = _solved(stages[stage](at)[np.ix_(moving, moving)], slopes)
        if slopes @ step < 0:  # the data have a saddle
            step = _solved(likelihood.hessian(at)[np.ix_(moving, moving)], slopes)
        distance = float(slopes @ step) / 2
        if distance < DISTANCE:
            if stage:
                break
            stage = 1
            continue
        # steps that limits cut may go uphill; one that ends at the first limit does not
        first = _to_limit(at[moving], step, low[~out], high[~out])
        for part in (*(0.5 ** np.arange(12)), first):
            tried = at.copy()
            tried[moving] -= part * step
            tried = np.clip(tried, *limits)
            lower = likelihood.deviance(tried, data)
            if lower < value or (part == first and lower <= value):
                at, value = tried, lower
                break
        else:
            if stage == 2:
                break
            stage += 1
    return at, value, distance


def _to_limit(at: Floats, step: Floats, low: Floats, high: Floats) -> float:
    """Return the fraction of a step, at most 1, that ends where the first limit is reached."""
    ends = np.where(step > 0, at - low, at - high)
    fractions = np.divide(ends, step, out=np.ones_like(ends), where=step != 0)
    return float(np.min(fractions, initial=1.0))


def _solved(matrix: Floats, vector: Floats) -> Floats:
    """Solve a symmetric system whose matrix may be singular."""
    diagonal = np.diag(matrix)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = matrix / np.outer(scale, scale)
    try:
        # Cholesky's decomposition would be cheaper, but for the threads of BLAS
        solution: Floats = np.linalg.solve(scaled, vector / scale) / scale
    except np.linalg.LinAlgError:
        solution = np.linalg.lstsq(scaled, vector / scale, rcond=1e-14)[0] / scale
    return solution
