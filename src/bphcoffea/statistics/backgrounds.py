"""Smooth functions for a background, and their fits to bins beside a window.

There are three families: an exponential, a power law, and Bernstein polynomials with non-negative
coefficients, which are never negative. Positions u run from 0 at the lower end of a range to 1 at
its upper end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from iminuit import Minuit
from scipy import special

from bphcoffea.arrays import Floats
from bphcoffea.statistics.records import Record

Family = Literal["exponential", "power", "polynomial"]

#: Smallest expectation: events where none is expected would make the likelihood vanish.
TINY = 1e-300


@dataclass(frozen=True)
class Bins:
    """Bins so fine that the density is constant within each.

    Attributes
    ----------
    middles, widths
        Positions u of the middles, and widths in units of the range; shapes (n,).
    """

    middles: Floats
    widths: Floats

    @classmethod
    def of(cls, edges: Sequence[Floats], range_: tuple[float, float]) -> Bins:
        """Make bins between edges of several intervals in a range, GeV."""
        positions = [(part - range_[0]) / (range_[1] - range_[0]) for part in edges]
        return cls(
            middles=np.concatenate([(u[1:] + u[:-1]) / 2 for u in positions]),
            widths=np.concatenate([np.diff(u) for u in positions]),
        )


@dataclass(frozen=True)
class Shape(Record):
    """A fitted function.

    Attributes
    ----------
    family, order
        Kind of the function, and its order; 1 for an exponential and a power law.
    range
        Masses at which u is 0 and 1, GeV.
    parameters
        Polynomial: coefficients in the Bernstein basis. Exponential h·exp[s(u - ½)]: the height h
        and s, the logarithm of the ratio of its ends; power law: the same, with the logarithm of
        the mass in place of u. A height is the number of events of the whole range at that density.
    covariance
        Covariance matrix of the parameters, from the expected information.
    deviance
        -2 ln L up to a constant of the data, see :func:`deviance_of`.
    prediction
        Events expected in the window.
    stat
        Statistical uncertainty of ``prediction``, events.
    """

    family: Family
    order: int
    range: tuple[float, float]
    parameters: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    deviance: float
    prediction: float
    stat: float

    def per_range(self, u: Floats) -> Floats:
        """Return the events of the whole range at the density at u; shapes (n,)."""
        return density_of(self.family, u, np.array(self.parameters), self.range)[0]

    def per_gev(self, x: Floats) -> Floats:
        """Return events per GeV at masses in the range, GeV; shapes (n,)."""
        low, high = self.range
        return self.per_range((np.asarray(x, dtype=np.float64) - low) / (high - low)) / (high - low)


def density_of(
    family: Family, u: Floats, parameters: Floats, range_: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Return a function and its derivatives by the parameters.

    Returns
    -------
    Values, shape (n,), and derivatives, shape (n, parameters).
    """
    if family != "polynomial":
        height, slope = parameters
        if family == "power":
            low, high = range_
            u = np.log1p(u * (high - low) / low) / np.log(high / low)
        growth = np.exp(slope * (u - 0.5))
        return height * growth, np.column_stack([growth, height * (u - 0.5) * growth])
    basis = _bernstein(len(parameters) - 1, u)
    return basis @ parameters, basis


def _bernstein(order: int, u: Floats) -> Floats:
    """Return the polynomials of the Bernstein basis, shape (n, order + 1)."""
    k = np.arange(order + 1)
    basis: Floats = (
        special.binom(order, k) * u[:, np.newaxis] ** k * (1 - u[:, np.newaxis]) ** (order - k)
    )
    return basis


def deviance_of(counts: Floats, expected: Floats) -> float:
    """Return Σ 2[ν - n + n ln(n/ν)] [Baker, Cousins, Nucl. Instrum. Meth. 221 (1984) 437]."""
    ratio = np.where(counts > 0, counts, 1.0) / np.maximum(expected, TINY)
    return float(2 * np.sum(expected - counts + special.xlogy(counts, ratio)))


def fit_shape(
    family: Family,
    order: int,
    counts: Floats,
    beside: Bins,
    window: Bins,
    range_: tuple[float, float],
    *,
    max_slope: float,
) -> Shape:
    """Fit a function to counts, and integrate it in the window.

    Parameters
    ----------
    family, order
        Kind of the function, and its order.
    counts, beside
        Contents and positions of the bins of the sidebands; not all may be empty.
    window
        Bins of the window.
    range_
        Range of the positions, GeV.
    max_slope
        Largest |s| of an exponential or a power law.
    """
    height = float(np.sum(counts) / np.sum(beside.widths))
    sloping = family != "polynomial"
    # heights are relative to the mean, so that all parameters are of order 1
    scales = np.array([height, 1.0]) if sloping else np.full(order + 1, height)

    # the derivatives of a polynomial, which its parameters do not change
    basis = None if sloping else _bernstein(order, beside.middles)
    steady = None if basis is None else basis * beside.widths[:, np.newaxis]

    def expected(parameters: Floats) -> tuple[Floats, Floats]:
        widths = beside.widths
        if basis is not None and steady is not None:
            return np.maximum(basis @ parameters * widths, TINY), steady
        values, slopes = density_of(family, beside.middles, parameters, range_)
        return np.maximum(values * widths, TINY), slopes * widths[:, np.newaxis]

    def deviance(relative: Floats) -> float:
        return deviance_of(counts, expected(relative * scales)[0])

    def gradient(relative: Floats) -> Floats:
        values, slopes = expected(relative * scales)
        fall: Floats = 2 * ((1 - counts / values) @ slopes) * scales
        return fall

    best = scales
    if len(scales) > 1:  # a constant needs no fit: the mean is its best height
        start = [1.0, 0.0] if sloping else np.ones(order + 1)
        minuit = Minuit(deviance, start, grad=gradient)
        minuit.limits = [(0.0, None)] * len(scales)
        if sloping:
            minuit.limits["x1"] = (-max_slope, max_slope)
        minuit.tol = 1e-3
        minuit.migrad()
        best = np.array(minuit.values) * scales
    values, slopes = expected(best)
    # expected information, which is positive even if a coefficient is zero
    covariance = np.linalg.pinv((slopes / values[:, np.newaxis]).T @ slopes, hermitian=True)
    density, slopes = density_of(family, window.middles, best, range_)
    lever = window.widths @ slopes
    variance = float(lever @ covariance @ lever)
    return Shape(
        family=family,
        order=order,
        range=range_,
        parameters=tuple(map(float, best)),
        covariance=tuple(tuple(map(float, row)) for row in covariance),
        deviance=deviance_of(counts, values),
        prediction=float(window.widths @ density),
        stat=max(variance, 0.0) ** 0.5,
    )
