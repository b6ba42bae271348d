"""Fitted strength of a signal in mass spectra, and its significance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from bphcoffea.arrays import Floats
from bphcoffea.statistics.likelihood import Likelihood
from bphcoffea.statistics.optimizer import minimised
from bphcoffea.statistics.scaled_model import prepare
from bphcoffea.statistics.workspace import Workspace, has_spectra, is_blinded


@dataclass(frozen=True)
class Strength:
    """Best-fit strength, which may be negative.

    Attributes
    ----------
    value, error
        Strength in units of the workspace's signal, and the error at which a parabola through
        -2 ln L rises by 1. No bin has a negative expectation, which limits the value from below;
        at that limit the error is the one expected without signal.
    p_value, significance
        Asymptotic probability of data at least as signal-like if there is no signal, and the same
        in standard deviations of a Gaussian; 0.5 and 0 for a strength that is not positive.
    parameters
        All other parameters at the best fit, by name.
    """

    value: float
    error: float
    p_value: float
    significance: float
    parameters: Mapping[str, float]


def fit_strength(spec: Workspace) -> Strength:
    """Fit the strength of the signal in mass spectra.

    Parameters
    ----------
    spec
        Unblinded workspace of :func:`bphcoffea.statistics.shape_workspace.mass_workspace`.

    Raises
    ------
    ValueError
        If the workspace is blinded, has no signal, or holds no spectra.
    pyhf.exceptions.FailedMinimization
        If MINUIT does not converge.
    """
    if is_blinded(spec):
        raise ValueError("a strength is not fitted to a blinded workspace")
    if not has_spectra(spec):
        raise ValueError("a strength is fitted to mass spectra, not to counts")
    model = prepare(spec)
    likelihood, data = model.pdf, model.data
    config = likelihood.config
    poi = config.poi_index
    best, zero = minimised(likelihood, data, config.suggested_init(), {poi: 0.0})
    # where a bin is empty the likelihood ends, so that its curvature has no meaning
    error = math.sqrt(2 * np.linalg.inv(likelihood.hessian(best))[poi, poi])
    best, deviance = minimised(likelihood, data, best)
    value = float(best[poi])
    if np.min(likelihood.expected_data(best, False)) > 0:
        error = _error(likelihood, best, data)
    gain = max(zero - deviance, 0.0) if value > 0 else 0.0
    names = config.par_names
    return Strength(
        value=model.unit * value,
        error=model.unit * error,
        p_value=float(ndtr(-math.sqrt(gain))),
        significance=math.sqrt(gain),
        parameters={name: float(best[i]) for i, name in enumerate(names) if i != poi},
    )


def _error(likelihood: Likelihood, at: Floats, data: Floats) -> float:
    """Return the error of the strength from the curvature; MINUIT's fails at a limit."""
    poi = likelihood.config.poi_index
    variance = 2 * np.linalg.inv(likelihood.observed_hessian(at, data))[poi, poi]
    if not variance > 0:
        variance = 2 * np.linalg.inv(likelihood.hessian(at))[poi, poi]
    return float(np.sqrt(variance))
