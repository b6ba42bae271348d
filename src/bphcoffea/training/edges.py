"""Edges of the bins of a classifier score, chosen for the best expected limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from bphcoffea.arrays import Floats, Integers

#: Smallest number of sideband candidates in a bin, to which a background is fitted.
FEWEST: Final = 10
#: Largest number of scores that are tried as edges.
_TRIED: Final = 200
#: Number of decimals of an edge.
_DECIMALS: Final = 4


@dataclass(frozen=True)
class Bins:
    """Bins of the score in a category.

    Attributes
    ----------
    edges
        Lower edges, ascending.
    signal_fractions
        Fraction of the signal in each bin.
    sidebands
        Number of sideband candidates in each bin.
    merit
        Σ s²/b over the bins, relative to the category without a classifier; None if the category
        has no sidebands or no signal.
    """

    edges: tuple[float, ...]
    signal_fractions: tuple[float, ...]
    sidebands: tuple[int, ...]
    merit: float | None


def given_bins(
    edges: tuple[float, ...], signal: Floats, weights: Floats, sidebands: Floats
) -> Bins:
    """Return the bins with the given lower edges; for the parameters see :func:`best_bins`."""
    limits = [*edges, np.inf]
    s = np.histogram(signal, limits, weights=weights)[0] / (np.sum(weights) or 1.0)
    b = np.histogram(sidebands, limits)[0]
    merit = None
    if len(sidebands) and np.any(s > 0) and np.all(b > 0):
        merit = float(np.sum(np.square(s) / b) * len(sidebands))
    return Bins(tuple(edges), tuple(map(float, s)), tuple(map(int, b)), merit)


def best_bins(signal: Floats, weights: Floats, sidebands: Floats, bins: int) -> Bins:
    """Return the bins with the largest Σ s²/b, each with enough sideband candidates.

    The background b in the signal window is proportional to the sidebands; the factor is the same
    for all bins and does not matter. Too few candidates give fewer bins, at worst a single one that
    begins at 0.

    Parameters
    ----------
    signal, weights
        Scores and weights of the signal, shape (s,).
    sidebands
        Scores of the sidebands, shape (b,).
    bins
        Number of bins.
    """
    scores = np.concatenate([signal, sidebands, [0.0]])
    tried = np.quantile(scores, np.linspace(0, 1, _TRIED + 1)[:-1])
    starts = np.unique([0.0, *np.floor(tried * 10**_DECIMALS) / 10**_DECIMALS])
    starts = starts[starts < 1]
    limits = [*starts, np.inf]
    s_above = _from(np.histogram(signal, limits, weights=weights)[0])
    b_above = _from(np.histogram(sidebands, limits)[0].astype(np.float64))
    # signal and sidebands of a bin from start i to start j
    s = s_above[:, None] - s_above[None, :]
    b = b_above[:, None] - b_above[None, :]
    enough = (b >= FEWEST) & np.triu(np.ones(b.shape, dtype=np.bool_), 1)
    merit = np.where(enough, np.square(s) / np.maximum(b, 1), -np.inf)
    best = merit[:-1, -1]  # a single bin from start i on
    after: list[Integers] = []
    found = best
    for _ in range(bins - 1):
        total = merit[:-1, :-1] + found[None, :]
        if not np.any(np.isfinite(total)):
            break
        after.append(np.argmax(total, axis=1))
        found = np.max(total, axis=1)
    if not np.any(np.isfinite(found)):
        return given_bins((0.0,), signal, weights, sidebands)
    start = int(np.argmax(found))
    edges = [float(starts[start])]
    for following in reversed(after):
        start = int(following[start])
        edges.append(float(starts[start]))
    return given_bins(tuple(edges), signal, weights, sidebands)


def _from(content: Floats) -> Floats:
    """Return the sum of each bin and all above it, followed by 0."""
    return np.concatenate([np.cumsum(content[::-1])[::-1], [0.0]])
