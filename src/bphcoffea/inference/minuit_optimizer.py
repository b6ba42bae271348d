"""Fits of a likelihood with many bins by MINUIT, as pyhf's optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyhf
from iminuit import Minuit
from typing_extensions import override

from bphcoffea.inference.likelihood import Likelihood
from bphcoffea.inference.profiling import CachingOptimizer, Floats

#: Estimated distance to the minimum of -2 ln L at which fits stop, in units of 2e-3.
TOLERANCE = 1e-2


class MinuitOptimizer(CachingOptimizer):
    """MINUIT with analytic derivatives; pyhf's optimiser interface.

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
            minuit = minimised(self.likelihood, data, without[0], fixed)
            if minuit.values[poi] < 0:
                return without
        else:
            # fits of a scan differ little
            begin = self.latest.get(data.tobytes(), np.array(start))
            minuit = minimised(self.likelihood, data, begin, fixed)
            self.latest[data.tobytes()] = np.array(minuit.values)
        return np.array(minuit.values), float(minuit.fval)


def minimised(
    likelihood: Likelihood,
    data: Floats,
    start: Sequence[float] | Floats,
    fixed: Mapping[int, float] | None = None,
    *,
    lowest: float | None = None,
) -> Minuit:
    """Find the minimum of -2 ln L.

    Parameters
    ----------
    likelihood, data
        The model, and counts with measured values of the constrained parameters.
    start
        Start values of all parameters.
    fixed
        Values of parameters that are fixed, by position.
    lowest
        Lower limit of the strength; none if not given.

    Raises
    ------
    pyhf.exceptions.FailedMinimization
        When MINUIT does not converge.
    """
    at = np.array(start, dtype=np.float64)
    for index, value in (fixed or {}).items():
        at[index] = value
    minuit = Minuit(
        lambda parameters: likelihood.deviance(parameters, data),
        at,
        grad=lambda parameters: likelihood.gradient(parameters, data),
        hessian=lambda parameters: likelihood.hessian(parameters, data),
    )
    poi = likelihood.config.poi_index
    for index, (low, high) in enumerate(likelihood.config.bounds):
        minuit.limits[index] = (lowest if index == poi else low, high)
        minuit.fixed[index] = index in (fixed or {})
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.strategy = 0
    minuit.tol = TOLERANCE
    minuit.migrad()
    if not minuit.valid:
        minuit.strategy = 2
        minuit.migrad()
    if not minuit.valid:
        raise pyhf.exceptions.FailedMinimization(minuit)
    return minuit
