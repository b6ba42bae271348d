"""Separation of scores, agreement of two samples, and correlation with other variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import kolmogorov
from scipy.stats import rankdata

from bphcoffea.arrays import Floats


@dataclass(frozen=True)
class Scores:
    """Scores of candidates, and their weights; shapes (n,)."""

    values: Floats
    weights: Floats

    def cumulative(self, points: Floats, side: Literal["left", "right"]) -> Floats:
        """Return the fraction of the weights below each point; on the right, also at the point."""
        order = np.argsort(self.values)
        sums = np.concatenate([[0.0], np.cumsum(self.weights[order])])
        below: Floats = sums[np.searchsorted(self.values[order], points, side=side)] / sums[-1]
        return below

    @property
    def effective(self) -> float:
        """Effective number of entries, (Σw)²/Σw²."""
        return float(np.sum(self.weights) ** 2 / np.sum(np.square(self.weights)))


def roc_curve(signal: Scores, background: Scores) -> tuple[Floats, Floats]:
    """Return the efficiencies of signal and background above each score, from 0 to 1."""
    thresholds = np.unique(np.concatenate([signal.values, background.values]))[::-1]
    of_signal, of_background = (
        np.concatenate([[0.0], 1 - scores.cumulative(thresholds, "left")])
        for scores in (signal, background)
    )
    return of_signal, of_background


def area_under_curve(signal: Scores, background: Scores) -> float:
    """Return the probability that signal scores higher than background; ties count half.

    >>> ones = np.ones(2)
    >>> area_under_curve(Scores(np.array([0.4, 0.9]), ones), Scores(np.array([0.1, 0.4]), ones))
    0.875
    """
    of_signal, of_background = roc_curve(signal, background)
    return float(np.trapezoid(of_signal, of_background))


def kolmogorov_smirnov(first: Scores, second: Scores) -> float:
    """Return the p-value of the hypothesis that two weighted samples have the same distribution.

    It is asymptotic, with effective numbers of entries.
    """
    points = np.sort(np.concatenate([first.values, second.values]))
    steps = first.cumulative(points, "right") - second.cumulative(points, "right")
    n, m = first.effective, second.effective
    return float(kolmogorov(np.max(np.abs(steps)) * np.sqrt(n * m / (n + m))))


def rank_correlation(x: npt.NDArray[np.generic], y: Floats) -> float:
    """Return Spearman's rank correlation of the finite pairs; 0 if either is constant.

    >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 1000.0]))
    1.0
    """
    values = np.asarray(x, dtype=np.float64)
    finite = np.isfinite(values) & np.isfinite(y)
    first, second = rankdata(values[finite]), rankdata(y[finite])
    spread = np.std(first) * np.std(second) if len(first) > 1 else 0.0
    if spread == 0:
        return 0.0
    covariance = np.mean((first - np.mean(first)) * (second - np.mean(second)))
    return float(np.clip(covariance / spread, -1, 1))
