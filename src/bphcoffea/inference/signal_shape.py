"""Shape of a signal's mass peak, a Crystal Ball plus a Gaussian with one mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


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
    range: tuple[float, float] = (1.62, 2.00)

    def cumulative(self, x: Floats) -> Floats:
        """Fraction of the signal between the lower end of the range and x (GeV); shapes (n,)."""
        raise NotImplementedError

    def fractions(self, edges: npt.ArrayLike) -> Floats:
        """Fraction of the signal in each bin; edges in GeV, shapes (bins + 1,) and (bins,)."""
        raise NotImplementedError

    @property
    def width(self) -> float:
        """Half of the central interval that holds 68.3% of the signal, GeV."""
        raise NotImplementedError

    def shifted(self, mean: float = 0.0, width: float = 1.0) -> SignalShape:
        """Return the shape with its mean moved (GeV) and both widths multiplied."""
        raise NotImplementedError

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SignalShape:
        """Read what :meth:`as_json` wrote; further keys are left aside."""
        raise NotImplementedError


@dataclass(frozen=True)
class SignalFit:
    """Result of a fit of simulated signal.

    Attributes
    ----------
    shape
        As fitted; None if there was too little to fit.
    mean_error
        Statistical error of the mean, GeV.
    width_error
        Relative statistical error of the width.
    entries
        Sum of the weights in the range.
    effective_entries
        Number of entries of equal weight that would be known as precisely.
    edges, counts
        Bins in which goodness was computed, GeV, and the sums of weights in them.
    chi2, ndof, p_value
        Goodness.
    problems
        Why the fit must not be used, a sentence each; none when it is valid.
    notes
        What was decided during the fit.
    """

    shape: SignalShape | None
    mean_error: float
    width_error: float
    entries: float
    effective_entries: float
    edges: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()
    chi2: float | None = None
    ndof: int | None = None
    p_value: float | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the result may be used."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SignalFit:
        """Read what :meth:`as_json` wrote; further keys are left aside."""
        raise NotImplementedError


def fit_signal_shape(
    masses: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    range_: tuple[float, float] = (1.62, 2.00),
) -> SignalFit:
    """Fit the masses of simulated candidates.

    Parameters
    ----------
    masses
        GeV, shape (n,). Masses outside the range are left out.
    weights
        Shape (n,); 1 if not given.
    range_
        Where the shape is fitted and normalised, GeV.
    """
    raise NotImplementedError
