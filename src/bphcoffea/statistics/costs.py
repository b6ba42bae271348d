"""Functions that MINUIT minimises: -2 ln L of binned spectra, and constraints of parameters.

They are those of :mod:`iminuit.cost`, which compiles its functions with numba. Loading numba and
what it compiled takes longer than all mass fits of a run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from iminuit import Minuit
from typing_extensions import override

from bphcoffea.arrays import Floats


class Cost(ABC):
    """Function of named parameters that is -2 ln L up to a constant. Costs add up.

    Parameters
    ----------
    names
        Names of the parameters, in the order of the arguments.

    Attributes
    ----------
    differentiable
        Whether `gradient` is known.
    """

    errordef: ClassVar[float] = Minuit.LEAST_SQUARES
    differentiable = True

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        # where iminuit looks for the names
        self._parameters = dict.fromkeys(self.names)

    @abstractmethod
    def __call__(self, *values: float) -> float:
        """Return -2 ln L."""

    @abstractmethod
    def gradient(self, *values: float) -> Floats:
        """Return the derivatives of -2 ln L by the parameters, shape (parameters,)."""

    def __add__(self, other: Cost) -> Cost:
        """Return the sum, a function of the parameters of both."""
        return _Sum(self, other)


class _Sum(Cost):
    def __init__(self, *parts: Cost) -> None:
        super().__init__(tuple(dict.fromkeys(name for part in parts for name in part.names)))
        self.differentiable = all(part.differentiable for part in parts)
        self._parts = [(part, [self.names.index(name) for name in part.names]) for part in parts]

    @override
    def __call__(self, *values: float) -> float:
        return sum(part(*(values[i] for i in indices)) for part, indices in self._parts)

    @override
    def gradient(self, *values: float) -> Floats:
        slopes = np.zeros(len(self.names))
        for part, indices in self._parts:
            slopes[indices] += part.gradient(*(values[i] for i in indices))
        return slopes


class BinnedCost(Cost):
    """Likelihood ratio of Poisson counts [S. Baker, R. D. Cousins, NIM 221 (1984) 437].

    Weighted bins are scaled to the counts with the same relative precision [G. Bohm, G. Zech,
    NIM A 748 (2014) 1].

    Parameters
    ----------
    counts, variances
        Sum of the weights and of their squares in each bin, shape (bins,); `variances` is None for
        plain counts.
    expected
        Function from the parameters to the expected content of each bin, shape (bins,).
    names
        Names of the parameters.
    slopes
        Function from the parameters to the expected contents and their derivatives, shape
        (parameters, bins); None if unknown.

    Examples
    --------
    >>> cost = BinnedCost(np.array([4.0, 6.0]), None, lambda n: np.full(2, n / 2), ["n"])
    >>> round(cost(10.0), 3)
    0.403
    """

    def __init__(
        self,
        counts: Floats,
        variances: Floats | None,
        expected: Callable[..., Floats],
        names: Sequence[str],
        slopes: Callable[..., tuple[Floats, Floats]] | None = None,
    ) -> None:
        super().__init__(names)
        self._expected, self._slopes = expected, slopes
        self.differentiable = slopes is not None
        self._scale = None
        if variances is not None:
            filled = variances > 0
            scale = np.abs(counts) / np.where(filled, variances, 1.0)
            # the scale of empty bins is arbitrary
            self._scale = np.where(filled, scale, np.median(scale[filled]))
            counts = counts * self._scale
        self._counts = counts
        self._log_counts = _log(counts)

    @override
    def __call__(self, *values: float) -> float:
        expected = np.maximum(self._expected(*values), 0.0)  # rounding may make it negative
        if self._scale is not None:
            expected = expected * self._scale
        terms = self._counts * (self._log_counts - _log(expected)) + expected - self._counts
        return 2 * float(terms.sum())

    @override
    def gradient(self, *values: float) -> Floats:
        if self._slopes is None:
            raise TypeError("the derivatives of the expected contents are unknown")
        expected, slopes = self._slopes(*values)
        scale = 1.0 if self._scale is None else self._scale
        positive = expected > 0
        ratio = self._counts / np.where(positive, expected * scale, 1.0)
        by_content: Floats = 2 * scale * np.where(positive, 1 - ratio, 0.0)
        return slopes @ by_content


def _log(values: Floats) -> Floats:
    """Return the logarithm of positive values, and 0 of all others."""
    logarithm: Floats = np.log(np.where(values > 0, values, 1.0))
    return logarithm


class Constraint(Cost):
    """Gaussian constraint of some parameters.

    Parameters
    ----------
    names
        Names of the parameters.
    values, covariance
        Measured values and their covariance matrix, shapes (n,) and (n, n).
    """

    def __init__(self, names: Sequence[str], values: Floats, covariance: Floats) -> None:
        super().__init__(names)
        self._values = values
        self._inverse: Floats = np.linalg.inv(covariance).astype(np.float64)

    @override
    def __call__(self, *values: float) -> float:
        pull = self._values - values
        return float(pull @ self._inverse @ pull)

    @override
    def gradient(self, *values: float) -> Floats:
        slopes: Floats = -2 * self._inverse @ (self._values - values)
        return slopes
