"""Maximum-likelihood fit of a template model: values, errors, pulls and correlations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy import optimize

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.statistics.inference.workspace_model import WorkspaceModel
from bphcoffea.statistics.model_parameters import Parameter
from bphcoffea.statistics.records import Record

#: Decimals of correlations in JSON.
DECIMALS = 6


@dataclass(frozen=True)
class ParameterResult(Record):
    """Result of one parameter.

    Attributes
    ----------
    name
        Name.
    value, error
        Best value, and its error from the second derivatives; None if fixed.
    before, before_error
        Value and standard deviation before the fit; None if it is free.
    pull
        (``value`` - ``before``) / ``before_error``; None if free or fixed.
    constraint
        ``error`` / ``before_error``: below 1 if the data determine it better than before.
    """

    name: str
    value: float
    error: float | None
    before: float | None
    before_error: float | None
    pull: float | None
    constraint: float | None

    @classmethod
    def of(cls, parameter: Parameter, value: float, error: float) -> ParameterResult:
        """Return the result of a parameter."""
        if parameter.fixed:
            return cls(parameter.name, value, None, None, None, None, None)
        if parameter.constraint == "free":
            return cls(parameter.name, value, error, None, None, None, None)
        before, width = parameter.center, parameter.width
        pull = (value - before) / width
        return cls(parameter.name, value, error, before, width, pull, error / width)


@dataclass(frozen=True)
class Fit(Record):
    """Result of a fit.

    Attributes
    ----------
    poi
        Name of the strength.
    parameters
        All parameters.
    correlation
        Correlation coefficients, in the order of the parameters; 0 for fixed ones.
    deviance
        -2 ln L relative to the saturated model.
    asimov
        Whether expected data were fitted.
    interval
        68% interval of the strength from the profile likelihood (MINOS), if requested.
    notes
        Remarks on the fit.
    """

    poi: str
    parameters: tuple[ParameterResult, ...]
    correlation: tuple[tuple[float, ...], ...]
    deviance: float
    asimov: bool
    interval: tuple[float, float] | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def strength(self) -> ParameterResult:
        """Result of the strength."""
        return self[self.poi]

    def __getitem__(self, name: str) -> ParameterResult:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def values(self) -> Floats:
        """Return the best values of all parameters."""
        return np.array([parameter.value for parameter in self.parameters])

    def covariance(self) -> Floats:
        """Return the covariance matrix of all parameters."""
        errors = np.array([parameter.error or 0.0 for parameter in self.parameters])
        return np.array(self.correlation) * np.outer(errors, errors)


def fit(model: WorkspaceModel, *, asimov: bool = False, minos: bool = False) -> Fit:
    """Fit a model to its data.

    Parameters
    ----------
    model
        The model. If it is blinded, expected data are fitted.
    asimov
        Fit the expected data, with the signal at its start value.
    minos
        Also find the interval in which -2 ln L of the profile rises by less than 1.

    Raises
    ------
    FitError
        If the fit does not converge, or the data do not determine some parameters.
    """
    data, expected = model.chosen_data(asimov=asimov)
    strength, best, deviance = model.fit(data)
    covariance, note = model.covariance(best, data)
    scales = model.scales
    errors = np.sqrt(np.diag(covariance))
    safe = np.where(errors > 0, errors, 1.0)
    correlation = np.round(covariance / np.outer(safe, safe), DECIMALS)
    config = model.pdf.config
    notes = [note] if note else []
    poi = config.parameters[model.poi]
    if not poi.low < best[model.poi] < poi.high:
        notes.append(f"{poi.name} is at the limit of its range")
    parameters = tuple(
        ParameterResult.of(parameter, float(value), float(error))
        for parameter, value, error in zip(
            config.parameters, best * scales, errors * scales, strict=True
        )
    )
    interval = None
    if minos:
        step = float(errors[model.poi]) * model.unit
        interval = (
            crossing(model, data, best, deviance + 1, strength, -step),
            crossing(model, data, best, deviance + 1, strength, step),
        )
    return Fit(
        poi.name,
        parameters,
        tuple(tuple(row) for row in correlation.tolist()),
        deviance,
        expected,
        interval,
        tuple(notes),
    )


def crossing(
    model: WorkspaceModel, data: Floats, best: Floats, level: float, strength: float, step: float
) -> float:
    """Return the strength at which the profile of -2 ln L crosses a level.

    Parameters
    ----------
    model, data
        The model and its data.
    best
        Parameters at the best fit, in units of the likelihood.
    level
        Value of -2 ln L.
    strength, step
        Best strength, and the distance to the first strength to try, with its sign.

    Returns
    -------
    Strength; the end of the range of the strength if -2 ln L remains below the level.
    """
    poi = model.pdf.config.parameters[model.poi]
    end = model.unit * (poi.low if step < 0 else poi.high)
    latest = best

    def rise(mu: float) -> float:
        nonlocal latest
        _, latest, deviance = model.fit(data, {model.poi: mu / model.unit}, latest)
        return deviance - level

    inner, outer = strength, strength + step
    for _ in range(30):
        if (outer - end) * math.copysign(1, step) >= 0:
            outer = end
        if rise(outer) >= 0:
            return float(optimize.brentq(rise, inner, outer, xtol=1e-4 * abs(step)))
        if outer == end:
            return end
        inner, outer = outer, outer + 2 * (outer - strength)
    raise FitError(f"{model.name}: the profile likelihood of '{poi.name}' does not rise")
