"""Record of the mass fits of a run, the content of ``fit.json``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from bphcoffea.errors import FitError, RunError
from bphcoffea.results import RunFolder
from bphcoffea.statistics.mass_fit import MassFit, Parameter
from bphcoffea.statistics.records import JsonObject, plain

#: Name of the file in the folder of a run.
FILE = "fit.json"
#: Fields of a record about the fitted data, which stand beside the fit.
_OF_DATA = ("analysis", "histogram", "datasets", "complete", "partial", "luminosity")


@dataclass(frozen=True)
class SimulationFit:
    """Fit of one simulated peak, with the names of its datasets."""

    datasets: tuple[str, ...]
    fit: MassFit


@dataclass(frozen=True)
class ModelFit:
    """Fit of a spectrum with one model, and of the simulated peaks with the same model."""

    fit: MassFit
    simulation: Mapping[str, SimulationFit] = field(default_factory=dict)

    def as_json(self) -> JsonObject:
        """Return the content of ``fit.json`` about these fits."""
        content = self.fit.as_json()
        if self.simulation:
            content["simulation"] = {
                peak: {"datasets": list(of_peak.datasets), **of_peak.fit.as_json()}
                for peak, of_peak in self.simulation.items()
            }
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ModelFit:
        """Return the fits that :meth:`as_json` wrote; unknown keys are ignored."""
        simulation = {
            peak: SimulationFit(tuple(of_peak["datasets"]), MassFit.from_json(of_peak))
            for peak, of_peak in content.get("simulation", {}).items()
        }
        return cls(MassFit.from_json(content), simulation)


@dataclass(frozen=True)
class FitRecord:
    """Mass fit of a run, with those of its simulation and of parts of its data.

    Attributes
    ----------
    analysis, histogram
        Names of the analysis and the fitted histogram.
    datasets
        Names of the fitted datasets.
    complete, partial
        Whether the run processed all requested chunks, and whether these are less than the whole
        datasets.
    luminosity
        Luminosity of the fitted data, fb⁻¹; None if it is unknown, and for simulation.
    nominal
        Fits with the declared model.
    alternative
        Fits with the alternative model; None without simulation of a peak.
    by
        Fits of single datasets, eras, years or categories, if they were requested.
    category
        Name of the fitted category or region; None for all candidates.
    """

    analysis: str
    histogram: str
    datasets: tuple[str, ...]
    complete: bool
    partial: bool
    luminosity: float | None
    nominal: ModelFit
    alternative: ModelFit | None = None
    by: Mapping[str, FitRecord] = field(default_factory=dict)
    category: str | None = None

    @property
    def fit(self) -> MassFit:
        """Fit of the spectrum with the declared model."""
        return self.nominal.fit

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Parameters of :attr:`fit`."""
        return self.fit.parameters

    def as_json(self) -> JsonObject:
        """Return the content of ``fit.json``."""
        content = {name: plain(getattr(self, name)) for name in _OF_DATA} | self.nominal.as_json()
        if self.category is not None:
            content["category"] = self.category
        if self.alternative is not None:
            content["alternative"] = self.alternative.as_json()
        if self.by:
            content["by"] = {group: record.as_json() for group, record in self.by.items()}
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FitRecord:
        """Return the record that :meth:`as_json` wrote; unknown keys are ignored.

        Raises
        ------
        FitError
            If the content does not match, as when an older version wrote it.
        """
        alternative = content.get("alternative")
        try:
            of_data = {name: content[name] for name in _OF_DATA}
            of_data["datasets"] = tuple(of_data["datasets"])
            return cls(
                **of_data,
                nominal=ModelFit.from_json(content),
                alternative=None if alternative is None else ModelFit.from_json(alternative),
                by={name: cls.from_json(each) for name, each in content.get("by", {}).items()},
                category=content.get("category"),
            )
        except (KeyError, TypeError, ValidationError) as error:
            reason = " ".join(str(error).split())
            raise FitError(f"the stored fit is unusable ({reason}); fit the run again") from None

    @classmethod
    def of_run(cls, run: RunFolder) -> FitRecord:
        """Return the fit of a run.

        Raises
        ------
        RunError
            If the run was not fitted.
        FitError
            If its ``fit.json`` is unusable.
        """
        if not run.place(FILE).is_file():
            path = shlex.quote(str(run.path))
            raise RunError(f"{run.path}: not fitted; do so with: bphcoffea fit {path}")
        return cls.from_json(run.read(FILE))

    def __repr__(self) -> str:
        return f"FitRecord({self.histogram} of {', '.join(self.datasets)}: {self.fit!r})"

    def _repr_html_(self) -> str:
        """Return a table of the parameters for notebooks."""
        return self.fit._repr_html_()
