"""Shape of a signal's mass peak, a Crystal Ball plus a Gaussian with one mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import erf, ndtr

from bphcoffea.arrays import Floats
from bphcoffea.statistics.records import Record

#: Default range of a fit, GeV: that of τ → 3μ [PLB 853 (2024) 138633].
RANGE = (1.62, 2.00)
#: Fraction of the signal in the central interval whose half is the width.
CENTRAL = 0.683
#: Points at which the cumulative distribution is inverted: 0.1 MeV in the default range.
POINTS = 4000


@dataclass(frozen=True)
class SignalShape(Record):
    """Crystal Ball with a tail on the low side, plus a Gaussian of the same mean.

    Both are normalised in ``range`` before they are added.

    Attributes
    ----------
    cb_fraction
        Fraction of the signal in the Crystal Ball; the rest is in the Gaussian.
    mean, cb_sigma, gauss_sigma
        Common mean, and widths of the Crystal Ball and the Gaussian, GeV.
    cb_alpha, cb_n
        Beginning of the tail, in ``cb_sigma`` below the mean, and exponent of its power law.
    range
        Range of the normalisation, GeV.

    Examples
    --------
    >>> shape = SignalShape(0.5, 1.777, 0.01, 1.5, 3.0, 0.01)
    >>> float(shape.fractions([1.62, 2.00])[0])
    1.0
    """

    derived: ClassVar = ("width",)

    cb_fraction: float
    mean: float
    cb_sigma: float
    cb_alpha: float
    cb_n: float
    gauss_sigma: float
    range: tuple[float, float] = RANGE

    def cumulative(self, x: npt.ArrayLike) -> Floats:
        """Return the fraction of the signal below masses x, GeV; shapes (n,)."""
        ends = np.asarray(self.range)
        at = np.clip(np.append(np.asarray(x, dtype=np.float64), ends), *ends)
        ball = _crystal_ball((at - self.mean) / self.cb_sigma, self.cb_alpha, self.cb_n)
        gauss = ndtr((at - self.mean) / self.gauss_sigma)
        ball, gauss = ((area - area[-2]) / (area[-1] - area[-2]) for area in (ball, gauss))
        both: Floats = self.cb_fraction * ball + (1 - self.cb_fraction) * gauss
        return both[:-2]

    def fractions(self, edges: npt.ArrayLike) -> Floats:
        """Return the fraction in each bin, shape (bins,); edges in GeV, shape (bins + 1,)."""
        return np.diff(self.cumulative(edges))

    @property
    def width(self) -> float:
        """Half of the central interval that holds 68.3% of the signal, GeV."""
        x = np.linspace(*self.range, POINTS + 1)
        tails = [(1 - CENTRAL) / 2, (1 + CENTRAL) / 2]
        low, high = np.interp(tails, self.cumulative(x), x)
        return float(high - low) / 2

    def shifted(self, mean: float = 0.0, width: float = 1.0) -> SignalShape:
        """Return the shape with its mean moved (GeV) and both widths multiplied."""
        return replace(
            self,
            mean=self.mean + mean,
            cb_sigma=self.cb_sigma * width,
            gauss_sigma=self.gauss_sigma * width,
        )


def _crystal_ball(t: Floats, alpha: float, n: float) -> Floats:
    """Return the integral of a Crystal Ball from the beginning of its tail, -alpha, to t.

    Unlike the integral from -∞ it is also finite for n below 1. Shapes (n,).
    """
    core = np.sqrt(np.pi / 2) * (erf(np.maximum(t, -alpha) / np.sqrt(2)) + erf(alpha / np.sqrt(2)))
    # logarithm of how much the base of the power law has grown since the tail began
    growth = np.log1p(np.maximum(-alpha - t, 0.0) * alpha / n)
    power = growth if n == 1 else np.expm1((1 - n) * growth) / (1 - n)
    below: Floats = core - n / alpha * np.exp(-(alpha**2) / 2) * power
    return below
