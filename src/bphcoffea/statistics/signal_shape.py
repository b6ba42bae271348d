"""Shape of a signal's mass peak, a Crystal Ball plus a Gaussian with one mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import erf, ndtr

from bphcoffea.arrays import Floats

#: Where mass spectra of τ → 3μ are fitted, GeV [PLB 853 (2024) 138633].
RANGE = (1.62, 2.00)
#: Part of the signal in the interval whose half is called its width.
CENTRAL = 0.683
#: Points at which the cumulative distribution is inverted: 0.1 MeV in the range of τ → 3μ.
POINTS = 4000


@dataclass(frozen=True)
class SignalShape:
    """Crystal Ball with a tail on the low side, plus a Gaussian of the same mean.

    Each of the two is normalised in ``range`` before they are added.

    Attributes
    ----------
    cb_fraction
        Part of the signal in the Crystal Ball; the rest is in the Gaussian.
    mean, cb_sigma, gauss_sigma
        GeV.
    cb_alpha, cb_n
        Where the tail begins, in ``cb_sigma`` below the mean, and the exponent of its power law.
    range
        Where the shape is normalised, GeV.
    """

    cb_fraction: float
    mean: float
    cb_sigma: float
    cb_alpha: float
    cb_n: float
    gauss_sigma: float
    range: tuple[float, float] = RANGE

    def cumulative(self, x: npt.ArrayLike) -> Floats:
        """Fraction of the signal between the lower end of the range and x (GeV); shapes (n,)."""
        ends = np.asarray(self.range)
        at = np.clip(np.append(np.asarray(x, dtype=np.float64), ends), *ends)
        ball = _crystal_ball((at - self.mean) / self.cb_sigma, self.cb_alpha, self.cb_n)
        gauss = ndtr((at - self.mean) / self.gauss_sigma)
        ball, gauss = ((area - area[-2]) / (area[-1] - area[-2]) for area in (ball, gauss))
        both: Floats = self.cb_fraction * ball + (1 - self.cb_fraction) * gauss
        return both[:-2]

    def fractions(self, edges: npt.ArrayLike) -> Floats:
        """Fraction of the signal in each bin; edges in GeV, shapes (bins + 1,) and (bins,)."""
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

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it, with the width."""
        return {**asdict(self), "range": list(self.range), "width": self.width}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SignalShape:
        """Read what :meth:`as_json` wrote; further keys are left aside."""
        low, high = content.get("range", RANGE)
        names = ("cb_fraction", "mean", "cb_sigma", "cb_alpha", "cb_n", "gauss_sigma")
        values = {name: float(content[name]) for name in names}
        return cls(**values, range=(float(low), float(high)))


def _crystal_ball(t: Floats, alpha: float, n: float) -> Floats:
    """Integral of a Crystal Ball from where its tail begins, -alpha, to t; shapes (n,).

    Unlike the whole integral it is finite for n below 1 as well.
    """
    core = np.sqrt(np.pi / 2) * (erf(np.maximum(t, -alpha) / np.sqrt(2)) + erf(alpha / np.sqrt(2)))
    # logarithm of how much the base of the power law has grown since the tail began
    growth = np.log1p(np.maximum(-alpha - t, 0.0) * alpha / n)
    power = growth if n == 1 else np.expm1((1 - n) * growth) / (1 - n)
    below: Floats = core - n / alpha * np.exp(-(alpha**2) / 2) * power
    return below
