"""Result of a fit of a mass spectrum: parameters, their covariance and the fitted components."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bphcoffea.analysis import MassModel
from bphcoffea.arrays import Floats
from bphcoffea.html_table import html_table
from bphcoffea.rounding import with_error
from bphcoffea.statistics.mass_shapes import TAIL_PARAMETERS, integrals
from bphcoffea.statistics.records import JsonObject, Record, plain


@dataclass(frozen=True)
class Parameter(Record):
    """A parameter of a fit: value and error in ``unit``; a fixed parameter has no error."""

    value: float
    error: float | None
    fixed: bool
    limits: tuple[float, float] | None
    unit: str

    def __str__(self) -> str:
        """Return value and error, rounded to two digits of the error, without the unit."""
        if self.error is not None:
            return with_error(self.value, self.error)
        return f"{self.value:.6g}{' (fixed)' if self.fixed else ''}"


@dataclass(frozen=True)
class Tail:
    """Shape of the tails that all peaks share, from simulation.

    Attributes
    ----------
    values
        ``beta``, the beginning of the tail in resolutions below the mean, and ``m``, the exponent
        of its power law; ``beta_high`` and ``m_high`` for a tail above the mean.
    source
        Origin of the values, for notes.
    names, covariance
        Names of the constrained parameters, and their covariance matrix in that order; the other
        parameters are fixed.
    """

    values: Mapping[str, float]
    source: str
    names: tuple[str, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def of(cls, fits: Iterable[MassFit], source: str) -> Tail | None:
        """Return the tail of simulated peaks that were fitted together.

        None if no fit is valid, or if their shape has no tails.
        """
        for fit in fits:
            if fit.valid:
                shared = [name for pair in TAIL_PARAMETERS[fit.model.shape] for name in pair]
                values = {name: fit.parameters[name].value for name in shared}
                if not values:
                    return None
                free = [fit.names.index(name) for name in shared if name in fit.names]
                covariance = tuple(tuple(fit.covariance[i][j] for j in free) for i in free)
                names = tuple(fit.names[index] for index in free)
                return cls(values, source, names, covariance)
        return None


@dataclass(frozen=True)
class MassFit:
    """Result of a mass fit.

    Attributes
    ----------
    model
        Fitted model.
    edges
        Bin edges inside the range, GeV; shape (bins + 1,).
    entries
        Number of candidates in the range, or the sum of their weights.
    parameters
        ``n_<peak>``, ``mean_<peak>`` and ``sigma_<peak>`` (GeV), and ``gamma_<peak>``, the full
        natural width of a Voigtian (GeV). ``n_background``, and ``slope`` of an exponential (1/GeV,
        negative if it falls) or ``bernstein_1`` and so on of a polynomial (see
        :mod:`~.statistics.mass_shapes`). ``beta`` and ``m`` of the tail of a Crystal Ball,
        ``beta_high`` and ``m_high`` of one on the high side. Empty if there were too few entries to
        fit.
    names, covariance
        Names of the free parameters, and their covariance matrix in that order.
    chi2, ndof, p_value
        Baker-Cousins chi-square at the minimum, constraints included, and its asymptotic p-value.
    problems
        Reasons why the fit must not be used, one sentence each; empty if it is valid.
    notes
        Decisions during the fit, one sentence each.
    """

    model: MassModel
    edges: tuple[float, ...]
    entries: float
    parameters: dict[str, Parameter]
    names: tuple[str, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()
    chi2: float | None = None
    ndof: int | None = None
    p_value: float | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the result may be used."""
        return not self.problems

    @property
    def range(self) -> tuple[float, float]:
        """Range of the fit, GeV."""
        return self.edges[0], self.edges[-1]

    def expected(self, edges: Floats | None = None) -> dict[str, Floats]:
        """Return the fitted candidates per bin, shape (bins,), by peak and ``background``.

        Parameters
        ----------
        edges
            Bin edges inside the range, GeV, shape (bins + 1,); the bins of the fit by default.

        Returns
        -------
        Candidates by component; empty if nothing was fitted.
        """
        if not self.parameters:
            return {}
        values = {name: parameter.value for name, parameter in self.parameters.items()}
        at = np.asarray(self.edges if edges is None else edges, dtype=np.float64)
        return {
            name: np.diff(integral)
            for name, integral in integrals(at, self.range, self.model, values).items()
        }

    def curve(self, points: int = 500) -> tuple[Floats, dict[str, Floats]]:
        """Return masses, GeV, and smooth curves of the components; shapes (points,).

        The curves are in candidates per bin of the mean width.
        """
        edges = np.linspace(*self.range, points + 1)
        per_bin = points / (len(self.edges) - 1)
        curves = {name: counts * per_bin for name, counts in self.expected(edges).items()}
        return (edges[1:] + edges[:-1]) / 2, curves

    def __repr__(self) -> str:
        goodness = "" if self.p_value is None else f", p-value {self.p_value:.2g}"
        yields = ", ".join(
            f"{name} = {found}" for name, found in self.parameters.items() if name.startswith("n_")
        )
        return f"MassFit({'valid' if self.valid else 'not valid'}: {yields}{goodness})"

    def _repr_html_(self) -> str:
        """Return a table of the parameters for notebooks."""
        rows = [(name, str(found), found.unit) for name, found in self.parameters.items()]
        caption = "; ".join(("mass fit", *(f"not valid: {text}" for text in self.problems)))
        return html_table(("parameter", "value", "unit"), rows, caption)

    def as_json(self) -> JsonObject:
        """Return the content of ``fit.json`` about this fit."""
        return {
            "valid": self.valid,
            "problems": list(self.problems),
            "notes": list(self.notes),
            "parameters": plain(self.parameters),
            "covariance": {"names": list(self.names), "matrix": plain(self.covariance)},
            "goodness": {"chi2": self.chi2, "ndof": self.ndof, "p_value": self.p_value},
            "range": list(self.range),
            "entries": self.entries,
            "edges": list(self.edges),
            "model": self.model.model_dump(mode="json"),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> MassFit:
        """Return the fit that :meth:`as_json` wrote; unknown keys are ignored."""
        parameters = content["parameters"].items()
        return cls(
            model=MassModel.model_validate(content["model"]),
            edges=tuple(content["edges"]),
            entries=content["entries"],
            parameters={name: Parameter.from_json(value) for name, value in parameters},
            names=tuple(content["covariance"]["names"]),
            covariance=tuple(tuple(row) for row in content["covariance"]["matrix"]),
            **content["goodness"],
            problems=tuple(content["problems"]),
            notes=tuple(content["notes"]),
        )
