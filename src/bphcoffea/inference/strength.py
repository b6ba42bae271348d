"""Fitted strength of a signal in mass spectra, and its significance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Strength:
    """Best-fit strength, which may be negative.

    Attributes
    ----------
    value, error
        In units of the workspace's signal; the error is where -2 ln L rises by 1 in a parabola.
    p_value, significance
        Probability of data at least as signal-like without signal (asymptotic), and the same in
        standard deviations of a Gaussian; 0.5 and 0 for a strength that is not positive.
    parameters
        All parameters at the best fit, by name.
    """

    value: float
    error: float
    p_value: float
    significance: float
    parameters: Mapping[str, float]


def fit_strength(spec: Mapping[str, Any]) -> Strength:
    """Fit the strength of the signal of a workspace of mass spectra.

    Raises
    ------
    ValueError
        When the workspace is blinded.
    """
    raise NotImplementedError
