"""Significance of a signal: the discovery test of the hypothesis without it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyhf
from scipy.special import ndtr

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.statistics.inference.workspace_model import WorkspaceModel
from bphcoffea.statistics.likelihood import Likelihood
from bphcoffea.statistics.records import Record
from bphcoffea.statistics.sampling import SAME
from bphcoffea.statistics.toy_experiments import Hypothesis, share_error, toy_statistics
from bphcoffea.statistics.toy_fits import minimised_together


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
    toys, toys_p_value, toys_error
        Number of toys without signal, the fraction of them that is at least as signal-like as the
        data, and its error; None without toys.
    """

    observed: float | None
    p_value: float | None
    expected: float
    expected_p_value: float
    strength: float
    toys: int = 0
    toys_p_value: float | None = None
    toys_error: float | None = None


def significance(
    model: WorkspaceModel,
    *,
    strength: float = 1.0,
    toys: int = 0,
    seed: int = 0,
    processes: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Significance:
    """Test the hypothesis without signal, with asymptotic formulae and, if requested, toys.

    The test statistic is q0 [Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554]. The
    expectation uses the nuisance parameters that fit the data best with the signal; in a blinded
    workspace they are at the prediction.

    Parameters
    ----------
    model
        The model.
    strength
        Strength of the expected signal.
    toys, seed
        Number of toys, drawn with the nuisance parameters that fit the data best without signal,
        and their seed. None are drawn for a blinded workspace.
    processes
        Number of processes, by default one per core if that saves time; results do not depend on
        it.
    progress
        Called with the numbers of toys done and of all.

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
    result = Significance(observed, p_value, expected, median, strength)
    if not toys:
        return result
    _, without, _ = model.fit(model.data, {model.poi: 0.0})
    try:
        (found,) = toy_statistics(
            model.pdf,
            [Hypothesis(without, _statistics, fits=2)],
            toys,
            seed,
            processes=processes,
            progress=progress,
        )
    except pyhf.exceptions.FailedMinimization:
        raise FitError(f"{model.name}: the fit of a toy does not converge") from None
    share = float(np.mean(found >= observed**2 - SAME))
    return replace(result, toys=toys, toys_p_value=share, toys_error=share_error(share, toys))


def _statistics(likelihood: Likelihood, data: Floats, at: Floats) -> Floats:
    """Return q0 of each toy."""
    poi = likelihood.config.poi_index
    best, lowest = minimised_together(likelihood, data, at, lowest=0.0)
    _, without = minimised_together(likelihood, data, best, {poi: 0.0})
    return np.maximum(without - lowest, 0.0)[np.newaxis]


def _root(model: WorkspaceModel, data: Floats) -> float:
    """Return √q0."""
    best, parameters, lowest = model.fit(data)
    if best <= 0:
        return 0.0
    _, _, without = model.fit(data, {model.poi: 0.0}, parameters)
    return math.sqrt(max(without - lowest, 0.0))
