"""Extended binned likelihood fits of a mass spectrum: Crystal Balls on an exponential.

Every component is normalised inside the range of the fit, so that a yield is the number of
candidates that the component has there. The peaks share the shape of their tail, which the data
constrain poorly and which is strongly correlated with the yields; it comes from simulation where
the run holds any.

A peak that the data don't show has no measurable position or width. Those are then fixed to what
the model declares, and its yield may be negative: it stays an unbiased estimate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import hist
import numpy as np
from scipy.stats import chi2 as chi2_distribution

from bphcoffea.inference.model import MassModel, Peak
from bphcoffea.inference.search import BETA_LIMITS, BETA_START, TAIL_POWER, Search, Start, starts_of
from bphcoffea.inference.shapes import BACKGROUND, Floats, Spectrum, cost_of, integrals

#: Effective entries below which no fit is tried, and below which no tail is taken from simulation.
MIN_ENTRIES = 20
MIN_SIMULATED = 500
#: Rise of -2 ln L without a peak below which it is not seen: three parameters at about 2 sigma.
SEEN = 9.0
#: The same for a peak whose mean or width runs to its limit: a wrong model only if it is prominent.
PROMINENT = 25.0
#: The same for a background: its yield and slope.
BACKGROUND_SEEN = 4.0
#: A p-value below this is worth a remark.
POOR_FIT = 0.01


@dataclass(frozen=True)
class Parameter:
    """A parameter of the fit: value, error, both in ``unit``; a fixed one has no error."""

    value: float
    error: float | None
    fixed: bool
    limits: tuple[float, float] | None
    unit: str


@dataclass(frozen=True)
class Tail:
    """The tail that all peaks share.

    Attributes
    ----------
    beta
        Where it begins, in resolutions below the mean.
    m
        Exponent of its power law.
    source
        Where it was taken from, for people.
    """

    beta: float
    m: float
    source: str


@dataclass(frozen=True)
class MassFit:
    """What a mass fit found.

    Attributes
    ----------
    model
        What was fitted.
    edges
        Bin edges inside the range, GeV. Shape (bins + 1,).
    entries
        Candidates, or the sum of their weights, in the range.
    parameters
        ``n_<peak>``, ``mean_<peak>`` and ``sigma_<peak>`` (GeV), ``n_background`` and ``slope``
        (1/GeV, negative when the background falls), ``beta`` and ``m`` of the tail. Empty when
        there were too few entries to fit.
    names, covariance
        The free parameters, and their covariance matrix in that order.
    chi2, ndof, p_value
        Baker-Cousins chi-square at the minimum; the p-value is asymptotic.
    problems
        Why the fit must not be used, a sentence each; none when it is valid.
    notes
        What was decided during the fit.
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
        """Where it was fitted, GeV."""
        return self.edges[0], self.edges[-1]

    def expected(self, edges: Floats | None = None) -> dict[str, Floats]:
        """Count the candidates of each component in each bin, as fitted.

        Parameters
        ----------
        edges
            Bin edges inside the range, GeV; those of the fit when not given. Shape (bins + 1,).

        Returns
        -------
        By the peak's name or ``background``, shape (bins,). Empty when nothing was fitted.
        """
        if not self.parameters:
            return {}
        values = {name: parameter.value for name, parameter in self.parameters.items()}
        at = np.asarray(self.edges if edges is None else edges, dtype=np.float64)
        return {
            name: np.diff(integral)
            for name, integral in integrals(at, self.range, self.model.peaks, values).items()
        }

    def curve(self, points: int = 500) -> tuple[Floats, dict[str, Floats]]:
        """Smooth curves of the components, in candidates per bin of the mean width.

        Returns
        -------
        Masses in GeV and, by component, the curve's heights; shapes (points,).
        """
        edges = np.linspace(*self.range, points + 1)
        per_bin = points / (len(self.edges) - 1)
        curves = {name: counts * per_bin for name, counts in self.expected(edges).items()}
        return (edges[1:] + edges[:-1]) / 2, curves

    def as_json(self) -> dict[str, Any]:
        """As it stands in ``fit.json``."""
        return {
            "valid": self.valid,
            "problems": list(self.problems),
            "notes": list(self.notes),
            "parameters": {name: asdict(value) for name, value in self.parameters.items()},
            "covariance": {
                "names": list(self.names),
                "matrix": [list(row) for row in self.covariance],
            },
            "goodness": {"chi2": self.chi2, "ndof": self.ndof, "p_value": self.p_value},
            "range": list(self.range),
            "entries": self.entries,
            "edges": list(self.edges),
            "model": self.model.model_dump(mode="json"),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> MassFit:
        """Read what :meth:`as_json` wrote; further keys are left aside."""
        parameters = {}
        for name, value in content["parameters"].items():
            limits = tuple(value["limits"]) if value["limits"] is not None else None
            parameters[name] = Parameter(**{**value, "limits": limits})
        return cls(
            model=MassModel.model_validate(content["model"]),
            edges=tuple(content["edges"]),
            entries=content["entries"],
            parameters=parameters,
            names=tuple(content["covariance"]["names"]),
            covariance=tuple(tuple(row) for row in content["covariance"]["matrix"]),
            **content["goodness"],
            problems=tuple(content["problems"]),
            notes=tuple(content["notes"]),
        )


def fit_mass(histogram: hist.Hist, model: MassModel, *, tail: Tail | None = None) -> MassFit:
    """Fit a mass histogram.

    Parameters
    ----------
    histogram
        One axis, the mass in GeV; plain or weighted storage.
    model
        Peaks and range.
    tail
        The tail to be held fixed. Without one, where it begins is fitted, with the exponent fixed
        to `TAIL_POWER`; where the data show no tail, it is fixed at the upper limit of ``beta``.

    Raises
    ------
    InputError
        When the range holds less than two bins, or a peak lies outside.
    """
    spectrum = Spectrum.of(histogram, model)
    low, high = spectrum.window
    if spectrum.entries < 0:
        problem = (
            f"the weights in {low:g}-{high:g} GeV add up to {spectrum.entries:.6g}: "
            "a fit needs a positive sum"
        )
        return _unfitted(spectrum, model, problem)
    if spectrum.effective < MIN_ENTRIES:
        problem = (
            f"only {spectrum.effective:.3g} effective entries in {low:g}-{high:g} GeV: "
            f"a fit needs at least {MIN_ENTRIES}"
        )
        return _unfitted(spectrum, model, problem)

    fit = Search(cost_of(spectrum, model.peaks), starts_of(spectrum, model.peaks))
    notes = []
    if tail is not None:
        fit.fix(beta=tail.beta, m=tail.m)
        notes.append(f"tail fixed to that of {tail.source}")
    else:
        fit.fix(m=TAIL_POWER)
    fit.minimise()
    if fit.rise(n_background=0.0, slope=0.0) < BACKGROUND_SEEN:
        fit.fix(n_background=0.0, slope=0.0)
        fit.minimise()
        notes.append("the data show no background: it is fixed to zero")
    unseen = [peak for peak in model.peaks if not _is_seen(fit, peak)]
    for peak in unseen:
        _fix_unseen(fit, peak, spectrum.window)
        notes.append(
            f"{peak.name} is not seen clearly: its mean and width are fixed to the model's"
        )
    if tail is None and len(unseen) == len(model.peaks):
        fit.fix(beta=BETA_START)
    if unseen:
        fit.minimise()
    if tail is None and fit.at_limit("beta") == BETA_LIMITS[1]:
        fit.fix(beta=BETA_LIMITS[1])
        fit.minimise()
        notes.append(f"the data show no tail: beta is fixed at {BETA_LIMITS[1]:g}")
    return _result(fit, spectrum, model, notes)


def fit_tail(simulation: Mapping[str, hist.Hist], model: MassModel, source: str) -> Tail | None:
    """Fit the common tail to simulated peaks, each of which may have a background of its own.

    Parameters
    ----------
    simulation
        Mass histograms of simulated candidates, by the name of the peak.
    model
        Peaks and range.
    source
        What they are, for people.

    Returns
    -------
    The tail, or none when no peak has enough entries or no fit of it converges.
    """
    cost: Any = 0.0
    starts: dict[str, Start] = {}
    backgrounds = []
    for peak in model.peaks:
        if peak.name not in simulation:
            continue
        spectrum = Spectrum.of(simulation[peak.name], model)
        if spectrum.entries <= 0 or spectrum.effective < MIN_SIMULATED:
            continue
        names = {"n_background": f"n_background_{peak.name}", "slope": f"slope_{peak.name}"}
        cost = cost + cost_of(spectrum, (peak,), names)
        for name, start in starts_of(spectrum, (peak,)).items():
            starts[names.get(name, name)] = start
        backgrounds.append(dict.fromkeys(names.values(), 0.0))
    if not starts:
        return None
    fit = Search(cost, starts)
    fit.minimise()
    absent = [background for background in backgrounds if fit.rise(**background) < BACKGROUND_SEEN]
    for background in absent:
        fit.fix(**background)
    if absent:
        fit.minimise()
    if not fit.minuit.valid:
        return None
    return Tail(fit.minuit.values["beta"], fit.minuit.values["m"], source)


def _shape(peak: Peak, n: float | None = None) -> dict[str, float]:
    """Mean and width as the model declares them, and a yield."""
    shape = {f"mean_{peak.name}": peak.mass, f"sigma_{peak.name}": peak.width}
    return shape if n is None else {f"n_{peak.name}": n, **shape}


def _is_seen(fit: Search, peak: Peak) -> bool:
    """Whether the data can tell a peak's mean and width."""
    strayed = any(fit.at_limit(name) is not None for name in _shape(peak))
    return fit.rise(**_shape(peak, n=0.0)) >= (PROMINENT if strayed else SEEN)


def _fix_unseen(fit: Search, peak: Peak, window: tuple[float, float]) -> None:
    """Fix a peak's shape and let its yield go below zero, as far as the total stays positive."""
    around = np.array([peak.mass - peak.width, peak.mass + peak.width])
    values = {**fit.minuit.values.to_dict(), **_shape(peak)}
    components = integrals(
        np.clip(around, *window), window, [peak], {**values, f"n_{peak.name}": 1}
    )
    below, unit = (float(np.diff(components[name])[0]) for name in (BACKGROUND, peak.name))
    fit.fix(**_shape(peak))
    if below > 0:
        name = f"n_{peak.name}"
        # the peak is somewhat higher than its average within one resolution
        fit.limits = {**fit.limits, name: (-0.8 * below / unit, fit.limits[name][1])}
    else:
        fit.fix(**_shape(peak, n=0.0))


def _unfitted(spectrum: Spectrum, model: MassModel, problem: str) -> MassFit:
    edges = tuple(map(float, spectrum.edges))
    return MassFit(model, edges, spectrum.entries, {}, problems=(problem,))


def _result(fit: Search, spectrum: Spectrum, model: MassModel, notes: Sequence[str]) -> MassFit:
    minuit = fit.minuit
    minuit.hesse()
    free = [name for name in fit.starts if name not in fit.fixed]
    if not np.all(np.isfinite([minuit.fval, *minuit.values])):
        problem = "the likelihood is not finite"
        return replace(_unfitted(spectrum, model, problem), notes=tuple(notes))
    covariance = None if minuit.covariance is None else np.asarray(minuit.covariance[free])
    problems = []
    if not minuit.valid:
        problems.append("the fit did not converge")
    if (
        covariance is None
        or not minuit.fmin.has_posdef_covar
        or minuit.fmin.has_made_posdef_covar
        or not np.all(np.isfinite(covariance))
    ):
        problems.append("the covariance matrix is not positive definite: the errors mean nothing")
        covariance = None
    for name in free:
        limit = fit.at_limit(name)
        if limit is not None:
            problems.append(f"{name} is at its limit, {limit:g} {fit.starts[name].unit}".rstrip())
    parameters = {
        name: Parameter(
            value=float(minuit.values[name]),
            error=None if name in fit.fixed or covariance is None else float(minuit.errors[name]),
            fixed=name in fit.fixed,
            limits=None if name in fit.fixed else fit.limits[name],
            unit=start.unit,
        )
        for name, start in fit.starts.items()
    }
    ndof = len(spectrum.counts) - len(free)
    p_value = float(chi2_distribution.sf(minuit.fval, ndof)) if ndof > 0 else None
    if p_value is not None and p_value < POOR_FIT:
        notes = [*notes, f"the model describes the data poorly: p-value {p_value:.2g}"]
    return MassFit(
        model=model,
        edges=tuple(map(float, spectrum.edges)),
        entries=spectrum.entries,
        parameters=parameters,
        names=tuple(free) if covariance is not None else (),
        covariance=() if covariance is None else tuple(tuple(map(float, r)) for r in covariance),
        chi2=float(minuit.fval),
        ndof=ndof,
        p_value=p_value,
        problems=tuple(problems),
        notes=tuple(notes),
    )
