"""Bins of a template: those of a histogram, merged as declared, in one row."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import hist
import numpy as np
import numpy.typing as npt

from bphcoffea.arrays import Floats, Integers


@dataclass(frozen=True)
class Binning:
    """How the bins of a histogram become those of a template.

    Attributes
    ----------
    edges
        Edges of the template's bins, shape (bins + 1,); numbers if there are several variables.
    starts
        Positions of the edges of each axis, among the bins with underflow.
    overflow
        Whether underflow and overflow are added to the first and last bin.
    """

    edges: Floats
    starts: tuple[Integers, ...]
    overflow: bool

    @classmethod
    def of(
        cls, histogram: hist.Hist, rebin: int | tuple[float, ...] | None, *, overflow: bool
    ) -> Binning:
        """Return the binning of a run's histogram.

        Raises
        ------
        ValueError
            If the histogram cannot be rebinned as asked; the message has no place.
        """
        axes = histogram.axes[3:]
        if len(axes) > 1 and rebin is not None:
            raise ValueError("rebin is possible for histograms of one variable only")
        all_edges = [np.asarray(axis.edges, dtype=np.float64) for axis in axes]
        positions = [_positions(edges, rebin) for edges in all_edges]
        if len(axes) == 1:
            edges = all_edges[0][positions[0]]
        else:
            edges = np.arange(np.prod([len(p) - 1 for p in positions]) + 1, dtype=np.float64)
        starts = tuple(
            position + int(axis.traits.underflow)
            for position, axis in zip(positions, axes, strict=True)
        )
        return cls(edges, starts, overflow)

    @property
    def ends(self) -> Floats:
        """Edges, the outer ones infinite if the outer bins contain underflow and overflow."""
        edges = self.edges.copy()
        if self.overflow:
            edges[0], edges[-1] = -np.inf, np.inf
        return edges

    def merged(self, content: npt.NDArray[np.float64]) -> Floats:
        """Return the content of the bins, shape (n, bins).

        Parameters
        ----------
        content
            Contents with underflow and overflow: first axis n, then those of the variables.
        """
        for number, starts in enumerate(self.starts):
            axis = number + 1
            moved = np.moveaxis(content, axis, -1)
            inner = [moved[..., a:b].sum(axis=-1) for a, b in pairwise(starts)]
            if self.overflow:
                inner[0] = inner[0] + moved[..., : starts[0]].sum(axis=-1)
                inner[-1] = inner[-1] + moved[..., starts[-1] :].sum(axis=-1)
            content = np.stack(inner, axis=axis)
        return content.reshape(len(content), -1)

    def with_flow(self, content: npt.NDArray[np.float64]) -> Floats:
        """Return the content of the bins of one variable between underflow and overflow.

        Parameters
        ----------
        content
            Contents with underflow and overflow, shape (n, all bins).

        Returns
        -------
        Array of shape (n, bins + 2).
        """
        (starts,) = self.starts
        ends = [0, *starts.tolist(), content.shape[-1]]
        return np.stack([content[:, a:b].sum(axis=-1) for a, b in pairwise(ends)], axis=-1)

    def without_flow(self, covariance: Floats) -> Floats:
        """Return the covariance of the bins, from that of :meth:`with_flow`."""
        inner = np.eye(len(covariance))[1:-1]
        if self.overflow:
            inner[0, 0] = inner[-1, -1] = 1
        return inner @ covariance @ inner.T


def _positions(edges: Floats, rebin: int | tuple[float, ...] | None) -> Integers:
    bins = len(edges) - 1
    if rebin is None or isinstance(rebin, int):
        merged = rebin or 1
        if bins % merged:
            raise ValueError(f"rebin = {merged}: the number of bins, {bins}, is no multiple of it")
        return np.arange(0, bins + 1, merged, dtype=np.int64)
    found = [int(np.argmin(np.abs(edges - edge))) for edge in rebin]
    for position, edge in zip(found, rebin, strict=True):
        if not np.isclose(edges[position], edge, rtol=1e-9, atol=1e-9 * (edges[-1] - edges[0])):
            raise ValueError(
                f"rebin: {edge:g} is no edge of the histogram; the nearest is {edges[position]:g}"
            )
    return np.array(found, dtype=np.int64)
