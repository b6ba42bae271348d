"""Significance of a signal: the discovery test of the hypothesis without it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtr

from bphcoffea.arrays import Floats
from bphcoffea.statistics.inference.workspace_model import WorkspaceModel
from bphcoffea.statistics.records import Record


@dataclass(frozen=True)
class Significance(Record):
    """Result of the discovery test.

    Attributes
    ----------
    observed, p_value
        Significance in standard deviations, and the probability of data at least as signal-like
        without signal; None if blinded. 0 and 0.5 if the best strength is not positive.
    expected, expected_p_value
        The same for the median of data with the signal at ``strength``.
    strength
        Strength of the expected signal.
    """

    observed: float | None
    p_value: float | None
    expected: float
    expected_p_value: float
    strength: float


def significance(model: WorkspaceModel, *, strength: float = 1.0) -> Significance:
    """Test the hypothesis without signal, with asymptotic formulae.

    The test statistic is q0 [Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554]. The
    expectation uses the nuisance parameters that fit the data best with the signal; in a blinded
    workspace they are at the prediction.

    Parameters
    ----------
    model
        The model.
    strength
        Strength of the expected signal.

    Raises
    ------
    FitError
        If a fit does not converge.
    """
    if model.blinded:
        with_signal = model.asimov(strength)
    else:
        _, at, _ = model.fit(model.data, {model.poi: strength / model.unit})
        with_signal = model.pdf.expected_data(at)
    # the nuisance parameters that were fitted with signal are best for these data
    expected = _root(model, with_signal)
    if model.blinded:
        return Significance(None, None, expected, float(ndtr(-expected)), strength)
    observed = _root(model, model.data)
    p_value, median = float(ndtr(-observed)), float(ndtr(-expected))
    return Significance(observed, p_value, expected, median, strength)


def _root(model: WorkspaceModel, data: Floats) -> float:
    """Return √q0."""
    best, parameters, lowest = model.fit(data)
    if best <= 0:
        return 0.0
    _, _, without = model.fit(data, {model.poi: 0.0}, parameters)
    return math.sqrt(max(without - lowest, 0.0))
