"""Statistical covariance of the difference between a varied and the nominal template.

Varied events are copies of the nominal ones, so that the variance of the difference is not the sum
of both variances. A run stores Σw and Σw² of each bin under each variation, from which it follows:

- *Variations of weights* (w' = r·w for the same events) have var(Δ) = Σw² + Σw'² − 2·Σw·w'. The
  product is not stored. If the nominal weights in a bin of a dataset are equal, or do not depend on
  r, it is Σw²·Σw'/Σw; the result is exact in the first case. It is never smaller than the bound
  (√Σw'² − √Σw²)², which holds for any weights. Bins are independent.
- *Shape variations* move events between bins, or in and out of the region: var(Δ) is Σw² of those
  that move. Only net flows are known. The change of the yield counts as events that enter or leave
  in proportion to the bins, the rest as flow to neighbouring bins, among them underflow and
  overflow. That is exact if all events move in one direction by at most one bin, and too small if
  they move in both, as for a resolution. It is at least |Σw'² − Σw²|, and at most the sum of both
  variances.
- *Combinations* of several variations, such as the sides of a PDF set, have the nominal variance in
  the run. Then r is taken to be the same for all events of a bin: var(Δ) = (r − 1)²·Σw².
"""

from __future__ import annotations

import numpy as np
import scipy.stats

from bphcoffea.arrays import Floats


def weight_covariance(
    nominal: Floats, variance: Floats, varied: Floats, varied_variance: Floats
) -> Floats:
    """Return the covariance of a difference that is due to weights.

    Parameters
    ----------
    nominal, variance
        Σw and Σw² of a dataset, shape (bins,).
    varied, varied_variance
        The same under the variation.

    Returns
    -------
    Diagonal matrix of shape (bins, bins).

    Examples
    --------
    >>> weight_covariance(*(np.array([x]) for x in (100.0, 100.0, 110.0, 121.0))).round(9)
    array([[1.]])
    """
    ratio = _over(varied, nominal, np.ones_like(nominal))
    same_ratio = np.square(ratio - 1) * variance
    spread = variance + varied_variance - 2 * ratio * variance
    least = np.square(np.sqrt(varied_variance) - np.sqrt(variance))
    combined = (varied_variance == variance) & (varied != nominal)
    covariance: Floats = np.diag(np.where(combined, same_ratio, np.maximum(spread, least)))
    return covariance


def shape_covariance(
    nominal: Floats, variance: Floats, varied: Floats, varied_variance: Floats
) -> Floats:
    """Return the covariance of a difference that is due to events that change bins.

    The parameters are those of :func:`weight_covariance`. Neighbouring bins are neighbours in the
    arrays; the first and last one are underflow and overflow, where events may go. The matrix has
    the shape (bins, bins).
    """
    bins = len(nominal)
    total, varied_total = float(np.sum(nominal)), float(np.sum(varied))
    both, yields = variance + varied_variance, nominal + varied
    overall = float(np.sum(both) / np.sum(yields)) if np.sum(yields) > 0 else 0.0
    weight = _over(both, yields, np.full(bins, overall))
    change = varied_total / total - 1 if total > 0 else 0.0
    entered = change * nominal if total > 0 else varied - nominal
    covariance = np.diag(np.abs(weight * entered))
    flows = np.cumsum(varied - nominal - entered)[:-1]
    moved = np.abs(flows) * (weight[:-1] + weight[1:]) / 2
    lower, upper = np.arange(bins - 1), np.arange(1, bins)
    covariance[lower, lower] += moved
    covariance[upper, upper] += moved
    covariance[lower, upper] -= moved
    covariance[upper, lower] -= moved
    diagonal = np.diag(covariance)
    bounded = np.clip(diagonal, np.abs(varied_variance - variance), both)
    # correlations stay within their bounds
    scale = np.sqrt(_over(bounded, diagonal, np.zeros(bins)))
    scaled: Floats = covariance * np.outer(scale, scale)
    np.fill_diagonal(scaled, bounded)
    return scaled


def shape_part(nominal: Floats, varied: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Return the difference of the varied template at the nominal yield, and its covariance.

    The covariance is to first order in the difference.
    """
    total = float(np.sum(nominal))
    scale = total / float(np.sum(varied))
    projection = np.eye(len(nominal)) - np.outer(nominal / total, np.ones(len(nominal)))
    return varied * scale - nominal, projection @ covariance @ projection.T


def p_value(difference: Floats, covariance: Floats) -> float:
    """Return the probability that fluctuations give as large a difference; 1 if there is none.

    It is that of χ² with as many degrees of freedom as the covariance has non-zero eigenvalues.

    Examples
    --------
    >>> round(p_value(np.array([2.0, 0.0]), np.diag([1.0, 0.0])), 3)
    0.046
    """
    values, vectors = np.linalg.eigh(covariance)
    # rounding errors of cancelling weights are no fluctuations
    used = values > 1e-9 * max(float(np.max(values, initial=0.0)), 0.0)
    if not np.any(used):
        return 1.0 if np.allclose(difference, 0) else 0.0
    pulls = (vectors.T @ difference)[used] / np.sqrt(values[used])
    return float(scipy.stats.chi2.sf(np.sum(np.square(pulls)), np.count_nonzero(used)))


def _over(above: Floats, below: Floats, otherwise: Floats) -> Floats:
    ratio: Floats = np.divide(above, below, out=otherwise.copy(), where=below > 0)
    return ratio
