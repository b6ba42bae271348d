"""Goodness of fit, from the saturated model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyhf
from scipy import stats

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.statistics.inference.workspace_model import WorkspaceModel
from bphcoffea.statistics.likelihood import Likelihood
from bphcoffea.statistics.records import Record
from bphcoffea.statistics.toy_experiments import Hypothesis, share_error, toy_statistics
from bphcoffea.statistics.toy_fits import minimised_together


@dataclass(frozen=True)
class GoodnessOfFit(Record):
    """Comparison of a fit with the saturated model, whose expectation is the data.

    Attributes
    ----------
    statistic
        -2 ln of the likelihood ratio of both models, with the constraints.
    ndof
        Number of bins minus that of the free parameters.
    p_value
        Probability of a larger value, if that has a χ² distribution; None without any degree of
        freedom.
    toys, toys_p_value, toys_error
        Number of toys, the fraction of them with a larger value, and its error; None without toys.
    """

    statistic: float
    ndof: int
    p_value: float | None
    toys: int = 0
    toys_p_value: float | None = None
    toys_error: float | None = None


def goodness_of_fit(
    model: WorkspaceModel,
    *,
    toys: int = 0,
    seed: int = 0,
    processes: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> GoodnessOfFit:
    """Compare the fit with the saturated model [R. D. Cousins, 2013].

    Parameters
    ----------
    model
        The model, unblinded.
    toys, seed
        Number of toys, drawn at the best parameters, and their seed.
    processes
        Number of processes, by default one per core if that saves time; results do not depend on
        it.
    progress
        Called with the numbers of toys done and of all.

    Raises
    ------
    FitError
        If the workspace is blinded, or a fit does not converge.
    """
    if model.blinded:
        raise FitError(f"{model.name}: blinded, so that no data can be compared with the fit")
    _, best, statistic = model.fit(model.data)
    free = sum(p.constraint == "free" and not p.fixed for p in model.pdf.config.parameters)
    ndof = model.pdf.bins - free
    p_value = float(stats.chi2.sf(statistic, ndof)) if ndof > 0 else None
    if not toys:
        return GoodnessOfFit(statistic, ndof, p_value)
    try:
        (found,) = toy_statistics(
            model.pdf,
            [Hypothesis(best, _statistics)],
            toys,
            seed,
            processes=processes,
            progress=progress,
        )
    except pyhf.exceptions.FailedMinimization:
        raise FitError(f"{model.name}: the fit of a toy does not converge") from None
    share = float(np.mean(found >= statistic))
    return GoodnessOfFit(statistic, ndof, p_value, toys, share, share_error(share, toys))


def _statistics(likelihood: Likelihood, data: Floats, at: Floats) -> Floats:
    return minimised_together(likelihood, data, at, lowest=None)[1][np.newaxis]
