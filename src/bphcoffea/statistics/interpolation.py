"""Interpolation of yields and templates between their variations, as HistFactory defines it.

The variations are given one standard deviation up and down. Factors (`normsys`) follow ``code4``,
a polynomial within one standard deviation and exponentials beyond, or ``code1``, exponentials
everywhere. Templates (`histosys`) follow ``code4p``, a polynomial within and lines beyond [K.
Cranmer et al., CERN-OPEN-2012-016].
"""

from __future__ import annotations

from typing import Final

import numpy as np

from bphcoffea.arrays import Booleans, Floats

#: Largest logarithm of a factor, since minimisers may try any value.
HIGHEST: Final = 100.0
#: Coefficients a_1 ... a_6 of the polynomial 1 + Σ a_i α^i of ``code4``, from value, first and
#: second derivative at one standard deviation up and down.
_COEFFICIENTS: Final = (
    np.array(
        [
            [15, -15, -7, -7, 1, -1],
            [24, 24, -9, 9, 1, 1],
            [-10, 10, 10, 10, -2, 2],
            [-24, -24, 14, -14, -2, -2],
            [3, -3, -3, -3, 1, -1],
            [8, 8, -5, 5, 1, 1],
        ],
        dtype=np.float64,
    )
    / 16
)


class Factors:
    """Logarithms of factors as functions of nuisance parameters.

    Parameters
    ----------
    high, low
        Factors one standard deviation up and down, positive; shape (n,).
    smooth
        Use ``code4`` instead of ``code1``.
    """

    def __init__(self, high: Floats, low: Floats, *, smooth: bool) -> None:
        high, low = high[:, np.newaxis], low[:, np.newaxis]
        self.up, self.down, self.smooth = np.log(high), -np.log(low), smooth
        ends = [high - 1, low - 1, self.up * high, self.down * low]
        ends += [self.up**2 * high, self.down**2 * low]
        self.coefficients = np.einsum("ij,jnk->ink", _COEFFICIENTS, np.array(ends))

    def logarithms(self, pulls: Floats) -> tuple[Floats, Floats]:
        """Return the logarithm of each factor and its derivative, shapes (n, experiments)."""
        slopes = np.where(pulls >= 0, self.up, self.down)
        values = np.clip(slopes * pulls, -HIGHEST, HIGHEST)
        if self.smooth:
            x, a = np.clip(pulls, -1, 1), self.coefficients
            factor, slope = a[5], 6 * a[5]
            for power in range(4, -1, -1):
                factor = factor * x + a[power]
                slope = slope * x + (power + 1) * a[power]
            factor = np.maximum(1 + factor * x, np.exp(-HIGHEST))
            inside = np.abs(pulls) < 1
            values = np.where(inside, np.log(factor), values)
            slopes = np.where(inside, slope / factor, slopes)
        return values, slopes


def curved(pulls: Floats) -> tuple[Floats, Floats]:
    """Return the curved part of ``code4p`` and its slope.

    A template with the contents n, up and down is n + α (up - down) / 2 + c(α) (up + down - 2n) /
    16, with this function c.
    """
    x = np.clip(pulls, -1, 1)
    inside: Booleans = np.abs(pulls) <= 1
    curve = np.where(inside, x**2 * (15 + x**2 * (3 * x**2 - 10)), 8 * np.abs(pulls))
    slope = np.where(inside, x * (30 + x**2 * (18 * x**2 - 40)), 8 * np.sign(pulls))
    return curve, slope
