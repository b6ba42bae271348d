"""Impacts of nuisance parameters on the strength, ranked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.statistics.inference.likelihood_fit import ParameterResult
from bphcoffea.statistics.inference.workspace_model import WorkspaceModel
from bphcoffea.statistics.records import Record


@dataclass(frozen=True)
class Impact(Record):
    """Shift of the strength if a parameter is fixed away from its best value.

    Attributes
    ----------
    parameter
        Result of the parameter.
    up, down
        Shift of the strength if the parameter is moved by its error up and down.
    before_up, before_down
        The same for its standard deviation before the fit; None if it is free.
    """

    parameter: ParameterResult
    up: float
    down: float
    before_up: float | None
    before_down: float | None

    @property
    def largest(self) -> float:
        """Larger absolute shift after the fit."""
        return max(abs(self.up), abs(self.down))


@dataclass(frozen=True)
class Ranking(Record):
    """Impacts of all parameters, largest first.

    Attributes
    ----------
    poi, best, error
        Name of the strength, its best value, and its error.
    impacts
        Impacts by the larger shift after the fit.
    asimov
        Whether expected data were fitted.
    """

    poi: str
    best: float
    error: float
    impacts: tuple[Impact, ...]
    asimov: bool


def rank(
    model: WorkspaceModel,
    *,
    asimov: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Ranking:
    """Fix each parameter one standard deviation from its best value, and fit all others again.

    Parameters
    ----------
    model
        The model. If it is blinded, expected data are used.
    asimov
        Use expected data, with the signal at its start value.
    progress
        Called after each parameter with the numbers of parameters done and of all.

    Raises
    ------
    FitError
        If a fit does not converge.
    """
    data, expected = model.chosen_data(asimov=asimov)
    strength, best, _ = model.fit(data)
    covariance, _ = model.covariance(best, data)
    errors = np.sqrt(np.diag(covariance))
    parameters = model.pdf.config.parameters
    chosen = [i for i, p in enumerate(parameters) if not p.fixed and i != model.poi]

    def shift(index: int, change: float) -> float:
        parameter = parameters[index]
        value = float(np.clip(best[index] + change, parameter.low, parameter.high))
        slope: Floats = covariance[index] / covariance[index, index]
        # where the others go if the likelihood is a parabola
        start = best + slope * (value - best[index])
        return model.fit(data, {index: value}, start)[0] - strength

    impacts = []
    for number, index in enumerate(chosen):
        parameter, error = parameters[index], float(errors[index])
        before: tuple[float | None, float | None] = None, None
        if parameter.constraint != "free":
            before = shift(index, parameter.width), shift(index, -parameter.width)
        result = ParameterResult.of(parameter, float(best[index]), error)
        impacts.append(Impact(result, shift(index, error), shift(index, -error), *before))
        progress(number + 1, len(chosen))
    impacts.sort(key=lambda impact: -impact.largest)
    return Ranking(
        parameters[model.poi].name,
        strength,
        float(errors[model.poi]) * model.unit,
        tuple(impacts),
        expected,
    )
