"""A workspace with its likelihood and data, ready for fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyhf

from bphcoffea.arrays import Floats
from bphcoffea.documents import read_json
from bphcoffea.errors import FitError
from bphcoffea.statistics.counting import validate
from bphcoffea.statistics.likelihood import Likelihood
from bphcoffea.statistics.optimizer import minimised
from bphcoffea.statistics.scaled_model import ScaledModel, unit_of
from bphcoffea.statistics.workspace import WORKSPACE_FILE, Workspace, is_blinded

#: Ratio of the variance of a parameter to that with all others fixed, beyond which the data do not
#: determine it.
UNDETERMINED = 1e7


@dataclass(frozen=True)
class WorkspaceModel(ScaledModel):
    """Likelihood of a workspace, its data, and fits of it.

    Uncertainties are interpolated as pyhf does by default. Strengths that methods take and return
    are those of the workspace; ``pdf`` has a unit of about the upper limit, so that searches test
    strengths of order 1.

    Attributes
    ----------
    name
        Path or other name of the workspace, for messages.
    blinded
        Whether the workspace has expectations in place of observed counts.

    Examples
    --------
    >>> strength = {"name": "mu", "type": "normfactor", "data": None}
    >>> size = {"name": "lumi", "type": "normsys", "data": {"hi": 1.02, "lo": 0.98}}
    >>> signal = {"name": "signal", "data": [5.0], "modifiers": [strength]}
    >>> background = {"name": "background", "data": [50.0], "modifiers": [size]}
    >>> spec = {
    ...     "channels": [{"name": "region", "samples": [signal, background]}],
    ...     "observations": [{"name": "region", "data": [54.0]}],
    ...     "measurements": [{"name": "observed", "config": {"poi": "mu", "parameters": []}}],
    ...     "version": "1.0.0",
    ... }
    >>> model = WorkspaceModel.of(spec)
    >>> strength, parameters, deviance = model.fit(model.data)
    >>> round(strength, 3)
    0.8
    """

    name: str = "workspace"
    blinded: bool = False

    @classmethod
    def read(cls, path: Path) -> WorkspaceModel:
        """Read ``workspace.json`` of a folder, or another file.

        Raises
        ------
        FitError
            If there is no such file, or it is no valid workspace.
        """
        file = path / WORKSPACE_FILE if path.is_dir() else path
        if not file.is_file():
            raise FitError(
                f"{file}: no such workspace; give its file, or a folder with {WORKSPACE_FILE}"
            )
        return cls.of(read_json(file, "workspace", FitError), str(file))

    @classmethod
    def of(cls, spec: Workspace, name: str = "workspace") -> WorkspaceModel:
        """Return the model of a workspace.

        Raises
        ------
        FitError
            If the workspace is not valid, or no signal is expected.
        """
        try:
            validate(spec)
        except pyhf.exceptions.InvalidSpecification as error:
            raise FitError(f"{name}: not a valid workspace: {error}") from None
        try:
            rough = unit_of(spec)
            if rough == np.inf:
                raise FitError(
                    "no signal is expected in any channel: its strength cannot be fitted"
                )
            likelihood = Likelihood(spec, unit=rough)
            without = np.array(likelihood.config.suggested_init())
            without[likelihood.config.poi_index] = 0.0
            width = math.sqrt(_variances(likelihood, without)[likelihood.config.poi_index])
            # twice the error is about the upper limit
            unit = 2 * width * rough if 1e-6 < width < 1e6 else rough
            likelihood = Likelihood(spec, unit=unit)
        except FitError as error:
            raise FitError(*(f"{name}: {line}" for line in str(error).splitlines())) from None
        except (KeyError, ValueError) as error:
            raise FitError(f"{name}: not a consistent workspace: {error}") from None
        return cls(likelihood, likelihood.data, unit, name, is_blinded(spec))

    @property
    def poi(self) -> int:
        """Position of the strength among the parameters."""
        return self.pdf.config.poi_index

    @property
    def initial(self) -> Floats:
        """Start values of all parameters, the strength in units of the likelihood."""
        return np.array(self.pdf.config.suggested_init())

    @property
    def scales(self) -> Floats:
        """Value of each parameter in the workspace that is 1 in the likelihood."""
        scales = np.ones(self.pdf.config.npars)
        scales[self.poi] = self.unit
        return scales

    def asimov(self, strength: float | None = None) -> Floats:
        """Return the expected data before a fit, by default at the start value of the strength."""
        parameters = self.initial
        if strength is not None:
            parameters[self.poi] = strength / self.unit
        return self.pdf.expected_data(parameters)

    def chosen_data(self, *, asimov: bool) -> tuple[Floats, bool]:
        """Return the data to fit, and whether they are expected ones: always so if blinded."""
        expected = asimov or self.blinded
        return (self.asimov() if expected else self.data), expected

    def fit(
        self,
        data: Floats,
        fixed: Mapping[int, float] | None = None,
        start: Floats | None = None,
    ) -> tuple[float, Floats, float]:
        """Fit the model.

        Parameters
        ----------
        data
            Counts and auxiliary data.
        fixed
            Fixed parameters by position, in units of the likelihood.
        start
            Start values in units of the likelihood.

        Returns
        -------
        Strength in units of the workspace, all parameters in units of the likelihood, and
        -2 ln L up to a constant of the data.

        Raises
        ------
        FitError
            If the fit does not converge.
        """
        begin = self.initial if start is None else start
        try:
            best, deviance = minimised(self.pdf, data, begin, fixed, lowest=None)
        except pyhf.exceptions.FailedMinimization:
            raise FitError(
                f"{self.name}: the fit does not converge; look for bins without background and "
                "for samples that cannot be told apart"
            ) from None
        return float(best[self.poi]) * self.unit, best, deviance

    def covariance(self, at: Floats, data: Floats) -> tuple[Floats, str]:
        """Return the covariance of the parameters, in units of the likelihood, and a note.

        It is twice the inverse of the second derivatives of -2 ln L (HESSE); those that are
        expected, with a note, if those of the data have no minimum; and those without signal if a
        negative one empties a bin, beyond which the likelihood ends. Fixed parameters have none.
        """
        free = np.flatnonzero([not p.fixed for p in self.pdf.config.parameters])
        covariance = np.zeros((len(at), len(at)))
        place = np.ix_(free, free)
        note, inverse = "", None
        if np.min(self.pdf.expected_data(at, False)) > 0:
            inverse = _inverse(self.pdf.observed_hessian(at, data)[place])
        elif at[self.poi] < 0:
            at = np.where(np.arange(len(at)) == self.poi, 0.0, at)
            inverse = _inverse(self.pdf.hessian(at)[place])
            note = "the errors are those without signal, because the fitted one empties a bin"
        if inverse is None:
            inverse = _inverse(self.pdf.hessian(at)[place])
            note = "the errors are expected ones, because the likelihood is not parabolic"
        if inverse is None:
            raise FitError(
                f"{self.name}: the errors cannot be computed, because the data do not determine "
                "some parameters"
            )
        covariance[place] = 2 * inverse
        return covariance, note


def _variances(likelihood: Likelihood, at: Floats) -> Floats:
    """Return the expected variances of all parameters."""
    variances: Floats = 2 * np.diag(np.linalg.pinv(likelihood.hessian(at), hermitian=True))
    return np.maximum(variances, 0.0)


def _inverse(matrix: Floats) -> Floats | None:
    """Return the inverse of a symmetric matrix; None if it is not positive."""
    diagonal = np.diag(matrix)
    if not np.all(diagonal > 0):
        return None
    scale = np.sqrt(diagonal)
    try:
        lower = np.linalg.cholesky(matrix / np.outer(scale, scale))
    except np.linalg.LinAlgError:
        return None
    half = np.linalg.inv(lower)
    scaled: Floats = half.T @ half
    if np.max(np.diag(scaled)) > UNDETERMINED:
        return None
    inverse: Floats = scaled / np.outer(scale, scale)
    return inverse
