"""Fits of counting experiments by least squares, and the cache of fits, as pyhf's optimisers.

pyhf's NumPy backend has no gradients, and its optimisers vary one parameter after the other: a
limit on six categories takes about ten seconds. Its models can however be evaluated for a batch of
parameter sets in about the time of a single one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyhf
from iminuit import Minuit
from scipy import optimize, special
from typing_extensions import override

from bphcoffea.arrays import Floats
from bphcoffea.statistics.scaled_model import TINY, ScaledModel

#: Step of the finite differences, for parameters of order 1.
STEP = 1e-6
#: Fits stop when -2 ln L falls by less than this fraction of itself.
TOLERANCE = 1e-10


class CachingOptimizer(ABC):
    """Cache of fits with pyhf's optimiser interface.

    The points of a scan share all fits that don't depend on the strength.
    """

    name = "bphcoffea"

    def __init__(self) -> None:
        self._cache: dict[tuple[bytes, tuple[tuple[int, float], ...]], tuple[Floats, float]] = {}

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

    @abstractmethod
    def _minimise(self, data: Floats, fixed: Mapping[int, float]) -> tuple[Floats, float]:
        """Return the best parameters and the deviance."""


class LeastSquaresOptimizer(CachingOptimizer):
    """Bounded least squares of the deviance's residuals, with pyhf's optimiser interface.

    Up to a constant of the data, -2 ln L is the sum of 2[ν - n + n ln(n/ν)] over counts [Baker,
    Cousins, Nucl. Instrum. Meth. 221 (1984) 437] and of squares over the constraints. Written as
    squares of residuals it keeps its precision for large counts, and is parabolic enough for steps
    without second derivatives. A fit that does not converge is repeated by MINUIT.

    Parameters
    ----------
    model
        Model that all fits share.
    """

    def __init__(self, model: ScaledModel) -> None:
        super().__init__()
        self.batched, self.config = model.batched, model.batched.config

    @override
    def _minimise(self, data: Floats, fixed: Mapping[int, float]) -> tuple[Floats, float]:
        at = np.array(self.config.suggested_init(), dtype=np.float64)
        at[list(fixed)] = list(fixed.values())
        free = np.setdiff1d(np.arange(len(at)), list(fixed))
        low, high = np.array(self.config.suggested_bounds(), dtype=np.float64)[free].T
        counts = len(data) - len(self.config.auxdata)

        def evaluate(values: Floats) -> tuple[Floats, Floats]:
            at[free] = values
            steps = STEP * np.maximum(1.0, np.abs(at))
            rows = np.vstack([at + np.diag(steps), at])
            expected = np.asarray(self.batched.expected_data(rows))
            slopes = ((expected[:-1] - expected[-1]) / steps[:, np.newaxis])[free].T
            residuals = expected[-1] - data
            per_count, per_expected = _deviance_residuals(data[:counts], expected[-1, :counts])
            residuals[:counts] = per_count
            slopes[:counts] *= per_expected[:, np.newaxis]
            return residuals, slopes

        if not len(free):
            residuals, _ = evaluate(at[free])
            return at, float(np.sum(residuals**2))
        # SciPy asks for the residuals and the Jacobian in two calls
        latest: dict[bytes, tuple[Floats, Floats]] = {}

        def once(values: Floats) -> tuple[Floats, Floats]:
            if values.tobytes() not in latest:
                latest.clear()
                latest[values.tobytes()] = evaluate(values)
            return latest[values.tobytes()]

        begin = np.clip(at[free], low, high)
        result = optimize.least_squares(
            lambda values: once(values)[0],
            begin,
            jac=lambda values: once(values)[1],
            bounds=(low, high),
            x_scale="jac",
            ftol=TOLERANCE,
            xtol=1e-12,
            gtol=1e-12,
            max_nfev=1000,
        )
        if result.success and np.isfinite(result.cost):
            at[free] = result.x
            return at, float(2 * result.cost)
        minuit = Minuit(lambda values: float(np.sum(once(values)[0] ** 2)), begin)
        minuit.errordef = Minuit.LIKELIHOOD
        minuit.limits = list(zip(low, high, strict=True))
        minuit.strategy = 2
        if not minuit.migrad().valid:
            raise pyhf.exceptions.FailedMinimization(result)
        at[free] = minuit.values
        return at, float(minuit.fval)


def _deviance_residuals(seen: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Return signed square roots of the deviances of counts, and derivatives by the expectation."""
    positive = np.maximum(expected, TINY)
    excess = (positive - seen) / np.maximum(seen, TINY)
    # 2[ν - n + n ln(n/ν)] = n·d(x) with x = ν/n - 1; a series where it would lose digits
    near = np.abs(excess) < 1e-4
    exact = 2 * (positive - seen - special.xlogy(seen, positive / np.maximum(seen, TINY)))
    series = seen * excess**2 * (1 - 2 * excess / 3)
    residuals = np.sign(excess) * np.sqrt(np.maximum(np.where(near, series, exact), 0.0))
    safe = np.where(near, 1.0, residuals)
    slopes = np.where(
        near,
        (1 - 2 * excess / 3) / np.sqrt(np.maximum(seen, TINY)),
        (1 - seen / positive) / safe,
    )
    return residuals, slopes
