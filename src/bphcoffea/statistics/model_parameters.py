"""Parameters of a HistFactory workspace, with the defaults of pyhf."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from bphcoffea.arrays import Floats, Integers
from bphcoffea.errors import FitError
from bphcoffea.statistics.workspace import ParameterSpec

#: Constraint of a parameter: none, a Gaussian, or a Poisson count.
Constraint: TypeAlias = Literal["free", "normal", "poisson"]
#: Limits of factors of bins.
FACTOR_BOUNDS = (1e-10, 10.0)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a model.

    Attributes
    ----------
    name
        Name, with the number of the bin for parameters of bins: ``stat[3]``.
    constraint
        Distribution of the auxiliary measurement.
    initial, low, high
        Start value and limits.
    fixed
        Whether fits keep the start value.
    measured
        Result of the auxiliary measurement.
    width
        Standard deviation of the constraint around the measured value; infinite if free.
    """

    name: str
    constraint: Constraint = "free"
    initial: float = 1.0
    low: float = 0.0
    high: float = math.inf
    fixed: bool = False
    measured: float = 0.0
    width: float = math.inf

    @property
    def center(self) -> float:
        """Value that agrees with the auxiliary measurement."""
        return self.measured * self.width**2 if self.constraint == "poisson" else self.measured

    @classmethod
    def nuisance(cls, name: str) -> Parameter:
        """Return a parameter in units of its standard deviation, 0 by default."""
        return cls(name, "normal", 0.0, -math.inf, math.inf, width=1.0)

    @classmethod
    def of_bin(cls, name: str, constraint: Constraint, relative: float) -> Parameter:
        """Return the factor of a bin with a relative uncertainty; fixed to 1 if that is 0."""
        valid = 0 < relative < math.inf
        measured = 1.0
        if constraint == "poisson" and valid:
            measured = relative**-2
        width = relative if valid else 1.0
        return cls(name, constraint, 1.0, *FACTOR_BOUNDS, not valid, measured, width)

    def configured(self, spec: ParameterSpec, index: int) -> Parameter:
        """Return the parameter with the settings of a measurement, at a position of its lists."""
        changes: dict[str, object] = {}
        for key, name in (("inits", "initial"), ("auxdata", "measured"), ("sigmas", "width")):
            if spec.get(key):
                changes[name] = float(spec[key][index])  # type: ignore[literal-required]
        if spec.get("bounds"):
            low, high = spec["bounds"][index]
            changes |= {"low": float(low), "high": float(high)}
        if spec.get("fixed"):
            changes["fixed"] = True
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Config:
    """Parameters of a likelihood, with the attributes that pyhf's models have.

    Attributes
    ----------
    parameters
        All parameters.
    poi_index
        Position of the strength.
    """

    parameters: tuple[Parameter, ...]
    poi_index: int

    @classmethod
    def scaled(cls, parameters: Sequence[Parameter], poi_index: int, unit: float) -> Config:
        """Return the configuration in which a strength of 1 is `unit` of the workspace."""
        changed = list(parameters)
        poi = changed[poi_index]
        changed[poi_index] = replace(
            poi, initial=poi.initial / unit, low=poi.low / unit, high=poi.high / unit
        )
        return cls(tuple(changed), poi_index)

    @property
    def par_names(self) -> tuple[str, ...]:
        """Names of all parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def npars(self) -> int:
        """Number of parameters."""
        return len(self.parameters)

    def suggested_init(self) -> list[float]:
        """Return the start values."""
        return [parameter.initial for parameter in self.parameters]

    def suggested_bounds(self) -> list[tuple[float, float]]:
        """Return the lower and upper limits."""
        return [(parameter.low, parameter.high) for parameter in self.parameters]

    def suggested_fixed(self) -> list[bool]:
        """Return whether each parameter is fixed."""
        return [parameter.fixed for parameter in self.parameters]


class Constraints:
    """Auxiliary measurements of constrained parameters, as terms of the deviance.

    Attributes
    ----------
    index
        Positions of the constrained parameters, shape (n,).
    measured
        Auxiliary data, shape (n,).
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        chosen = [i for i, p in enumerate(parameters) if p.constraint != "free"]
        self.index: Integers = np.array(chosen, dtype=np.int64)
        self.measured: Floats = np.array([parameters[i].measured for i in chosen])
        widths = np.array([parameters[i].width for i in chosen])
        self.poisson = np.array([parameters[i].constraint == "poisson" for i in chosen], dtype=bool)
        #: inverse variances of Gaussians, and expected counts of Poisson terms, per unit
        self.precision: Floats = widths**-2.0

    def expected(self, parameters: Floats) -> Floats:
        """Return the expected auxiliary data, shape (n,)."""
        values: Floats = parameters[self.index]
        return np.where(self.poisson, self.precision * values, values)

    def deviance(self, parameters: Floats, measured: Floats) -> Floats:
        """Return the sum of the terms of some experiments, shape (experiments,).

        Parameters
        ----------
        parameters, measured
            All parameters and the auxiliary data, shapes (parameters, experiments) and
            (n, experiments).
        """
        values, precision = parameters[self.index], self.precision[:, np.newaxis]
        normal, poisson = ~self.poisson, self.poisson
        terms = precision[normal] * (values[normal] - measured[normal]) ** 2
        result: Floats = np.sum(terms, axis=0)
        if np.any(poisson):
            expected = precision[poisson] * np.maximum(values[poisson], 1e-300)
            result += poisson_deviance(measured[poisson], expected)
        return result

    def gradient(self, parameters: Floats, measured: Floats) -> Floats:
        """Return the derivatives by the constrained parameters, shape (n, experiments)."""
        values, precision = parameters[self.index], self.precision[:, np.newaxis]
        result = 2 * precision * (values - measured)
        if np.any(poisson := self.poisson):
            safe = np.maximum(values[poisson], 1e-300)
            result[poisson] = 2 * (precision[poisson] - measured[poisson] / safe)
        return result

    def curvature(self, parameters: Floats) -> Floats:
        """Return the second derivatives for measurements that are as expected, shape (n,)."""
        values = np.where(self.poisson, np.maximum(parameters[self.index], 1e-300), 1.0)
        return 2 * self.precision / values

    def draw(self, parameters: Floats, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Draw auxiliary measurements of some toys, shape (*shape, n)."""
        expected = self.expected(parameters)
        size = (*shape, len(expected))
        normal = expected + rng.standard_normal(size) / np.sqrt(self.precision)
        if not np.any(self.poisson):
            return normal
        counts = rng.poisson(np.where(self.poisson, expected, 0.0), size)
        return np.where(self.poisson, counts, normal)


def poisson_deviance(seen: Floats, expected: Floats) -> Floats:
    """Return Σ 2[ν - n + n ln(n/ν)] [Baker, Cousins, Nucl. Instrum. Meth. 221 (1984) 437].

    The sum is over the first axis. The form n [x - ln(1 + x)] with x = ν/n - 1 keeps its digits for
    large counts.
    """
    safe = np.where(seen > 0, seen, 1.0)
    excess = (expected - seen) / safe
    logarithm = np.where(excess > -0.5, np.log1p(np.maximum(excess, -0.5)), np.log(expected / safe))
    terms = np.where(seen > 0, seen * (excess - logarithm), expected)
    return np.asarray(2 * np.sum(terms, axis=0))


def configured(
    parameters: Sequence[Parameter],
    groups: Mapping[str, Sequence[int]],
    spec: Sequence[ParameterSpec],
) -> list[Parameter]:
    """Return parameters with the settings of a measurement.

    Parameters
    ----------
    parameters
        The parameters.
    groups
        Positions of the parameters of each modifier, by its name.
    spec
        The settings; those of unknown parameters are ignored, as pyhf does.

    Raises
    ------
    FitError
        If a list of a setting has a wrong length.
    """
    result = list(parameters)
    for settings in spec:
        places = groups.get(settings["name"], ())
        for key in ("inits", "bounds", "auxdata", "sigmas"):
            values: list[object] = settings.get(key) or []  # type: ignore[assignment]
            if places and values and len(values) != len(places):
                raise FitError(
                    f"parameter '{settings['name']}': {len(values)} {key}, but {len(places)} bins; "
                    "give one for each"
                )
        for index, place in enumerate(places):
            result[place] = result[place].configured(settings, index)
    return result
