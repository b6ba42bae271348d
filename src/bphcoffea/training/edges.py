"""Edges of the bins of a score, chosen for the best expected limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bphcoffea.arrays import Floats

#: Fewest candidates of the sidebands in a bin: a background is fitted to them.
FEWEST: Final = 10
#: Scores that are tried as edges, at most.
_TRIED: Final = 200
#: Decimals of an edge.
_DECIMALS: Final = 4


@dataclass(frozen=True)
class Bins:
    """Bins of the score in a category.

    Attributes
    ----------
    edges
        Lower edges, ascending.
    signal
        Fraction of the signal in each bin.
    sidebands
        Candidates of the sidebands in each bin.
    merit
        Σ s²/b over the bins, relative to that of the category without a classifier; None if the
        category has no sidebands or no signal.
    """

    edges: tuple[float, ...]
    signal: tuple[float, ...]
    sidebands: tuple[int, ...]
    merit: float | None


def given_bins(
    edges: tuple[float, ...], signal: Floats, weights: Floats, sidebands: Floats
) -> Bins:
    """Return what is in bins of given edges; parameters as of :func:`best_bins`."""
    limits = [*edges, np.inf]
    s = np.histogram(signal, limits, weights=weights)[0] / (np.sum(weights) or 1.0)
    b = np.histogram(sidebands, limits)[0]
    merit = None
    if len(sidebands) and np.any(s > 0) and np.all(b > 0):
        merit = float(np.sum(np.square(s) / b) * len(sidebands))
    return Bins(tuple(edges), tuple(map(float, s)), tuple(map(int, b)), merit)


def best_bins(signal: Floats, weights: Floats, sidebands: Floats, bins: int) -> Bins:
    """Return the bins with the largest Σ s²/b, each with enough candidates of the sidebands.

    The background b in the window of the signal is taken as proportional to the sidebands. Its
    factor, the same for all bins, does not change which edges are best. If there are too few
    candidates for the number of bins, there are fewer bins; at last a single one from 0 on.

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
    b_above = _from(np.histogram(sidebands, limits)[0])
    # of a bin from start i to start j
    s = s_above[:, None] - s_above[None, :]
    b = b_above[:, None] - b_above[None, :]
    enough = (b >= FEWEST) & np.triu(np.ones(b.shape, dtype=np.bool_), 1)
    merit = np.where(enough, np.square(s) / np.maximum(b, 1), -np.inf)
    best = merit[:-1, -1]  # a single bin from start i on
    after: list[npt.NDArray[np.int64]] = []
    found = best
    for _ in range(bins - 1):
        total = merit[:-1, :-1] + found[None, :]
        if not np.any(np.isfinite(total)):
            break
        after.append(np.argmax(total, axis=1))
        found = np.max(total, axis=1)
    if not np.any(np.isfinite(found)):
        return given_bins((0.0,), signal, weights, sidebands)
    place = int(np.argmax(found))
    edges = [float(starts[place])]
    for following in reversed(after):
        place = int(following[place])
        edges.append(float(starts[place]))
    return given_bins(tuple(edges), signal, weights, sidebands)


def _from(content: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sum of each bin and all above it, and 0."""
    return np.concatenate([np.cumsum(content[::-1])[::-1], [0.0]])
