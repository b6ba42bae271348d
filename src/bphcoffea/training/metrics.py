"""Separation of scores, agreement of two samples, and correlation with other variables."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import kolmogorov
from scipy.stats import rankdata

from bphcoffea.arrays import Floats


def roc_curve(
    signal: Floats, signal_weights: Floats, background: Floats, background_weights: Floats
) -> tuple[Floats, Floats]:
    """Return the efficiencies of signal and background above each score, from 0 to 1.

    Parameters
    ----------
    signal, background
        Scores, shapes (s,) and (b,).
    signal_weights, background_weights
        Weights, shapes (s,) and (b,).
    """
    thresholds = np.unique(np.concatenate([signal, background]))[::-1]

    def efficiency(scores: Floats, weights: Floats) -> Floats:
        order = np.argsort(scores)
        below = np.concatenate([[0.0], np.cumsum(weights[order])])
        left = below[np.searchsorted(scores[order], thresholds, side="left")]
        return np.concatenate([[0.0], 1 - left / below[-1]])

    return efficiency(signal, signal_weights), efficiency(background, background_weights)


def area_under_curve(
    signal: Floats, signal_weights: Floats, background: Floats, background_weights: Floats
) -> float:
    """Return the probability that signal scores higher than background; ties count half.

    >>> ones = np.ones(2)
    >>> area_under_curve(np.array([0.4, 0.9]), ones, np.array([0.1, 0.4]), ones)
    0.875
    """
    of_signal, of_background = roc_curve(signal, signal_weights, background, background_weights)
    return float(np.trapezoid(of_signal, of_background))


def kolmogorov_smirnov(
    first: Floats, first_weights: Floats, second: Floats, second_weights: Floats
) -> float:
    """Return the p-value of the hypothesis that two weighted samples have the same distribution.

    It is asymptotic, with effective numbers of entries (Σw)²/Σw².
    """
    points = np.sort(np.concatenate([first, second]))

    def cumulative(values: Floats, weights: Floats) -> Floats:
        order = np.argsort(values)
        sums = np.concatenate([[0.0], np.cumsum(weights[order])])
        below: Floats = sums[np.searchsorted(values[order], points, side="right")] / sums[-1]
        return below

    def effective(weights: Floats) -> float:
        return float(np.sum(weights) ** 2 / np.sum(np.square(weights)))

    steps = cumulative(first, first_weights) - cumulative(second, second_weights)
    n, m = effective(first_weights), effective(second_weights)
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
