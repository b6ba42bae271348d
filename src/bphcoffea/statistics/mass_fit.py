"""Extended binned likelihood fits of a mass spectrum: Crystal Balls on an exponential.

Every component is normalised inside the range of the fit, so that a yield is the number of
candidates that the component has there. The peaks share the shape of their tails, which the data
constrain poorly and which is strongly correlated with the yields; simulation constrains it where
the run holds any.

A peak that the data don't show has no measurable position or width. Those are then fixed to what
the model declares, and its yield may be negative: it stays an unbiased estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import hist
import numpy as np
from iminuit.cost import NormalConstraint
from iminuit.util import describe
from scipy.stats import chi2 as chi2_distribution

from bphcoffea.analysis.mass_model import MassModel, Peak
from bphcoffea.arrays import Floats
from bphcoffea.statistics.mass_shapes import (
    BACKGROUND,
    TAIL_PARAMETERS,
    Spectrum,
    cost_of,
    integrals,
    parameter_names,
)
from bphcoffea.statistics.minimiser import (
    BETA_LIMITS,
    BETA_START,
    TAIL_POWER,
    TAIL_POWER_LIMITS,
    Minimiser,
    Start,
    starts_of,
)

#: Effective entries below which no fit is tried, and below which no simulation is fitted.
MIN_ENTRIES = 20
MIN_SIMULATED = 100
#: Rise of -2 ln L without a peak below which it is not seen: three parameters at about 2 sigma.
SEEN = 9.0
#: The same for a peak whose mean or width runs to its limit: a wrong model only if it is prominent.
PROMINENT = 25.0
#: The same for a background: its yield and slope.
BACKGROUND_SEEN = 4.0
#: A background of simulation that is so many of its errors large is there.
EVIDENT = 5.0
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
    """What simulation knows of the tails that all peaks share.

    Attributes
    ----------
    values
        ``beta``, where the tail begins, in resolutions below the mean, and ``m``, the exponent of
        its power law; ``beta_high`` and ``m_high`` of a tail above the mean.
    source
        Where it was taken from, for people.
    names, covariance
        Those that are constrained, and their covariance matrix in that order; the others are fixed.
    """

    values: Mapping[str, float]
    source: str
    names: tuple[str, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def of(cls, fits: Iterable[MassFit], source: str) -> Tail | None:
        """Take the tail of simulated peaks that were fitted together; None if no fit is valid."""
        for fit in fits:
            if fit.valid:
                shared = [name for pair in TAIL_PARAMETERS[fit.model.tails] for name in pair]
                values = {name: fit.parameters[name].value for name in shared}
                places = [fit.names.index(name) for name in shared if name in fit.names]
                covariance = tuple(tuple(fit.covariance[i][j] for j in places) for i in places)
                names = tuple(fit.names[place] for place in places)
                return cls(values, source, names, covariance)
        return None


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
        (1/GeV, negative when the background falls), ``beta`` and ``m`` of the tail, ``beta_high``
        and ``m_high`` of one on the high side. Empty when there were too few entries to fit.
    names, covariance
        The free parameters, and their covariance matrix in that order.
    chi2, ndof, p_value
        Baker-Cousins chi-square at the minimum, with that of the constraints; the p-value is
        asymptotic.
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
        What is known of the tails. Without it, where they begin is fitted, with the exponents fixed
        to `TAIL_POWER`; a tail that the data don't show is fixed at the upper limit of ``beta``.

    Raises
    ------
    InputError
        When the range holds less than two bins, or a peak lies outside.
    """
    spectrum = Spectrum.of(histogram, model)
    problem = _unfit(spectrum, MIN_ENTRIES)
    if problem:
        return _unfitted(spectrum, model, problem)
    pairs = TAIL_PARAMETERS[model.tails]
    cost: Any = cost_of(spectrum, model.peaks, model.tails)
    if tail is not None and tail.names:
        known = [tail.values[name] for name in tail.names]
        cost = cost + NormalConstraint(list(tail.names), known, np.array(tail.covariance))
    fit = Minimiser(cost, starts_of(spectrum, model.peaks, model.tails))
    notes = []
    if tail is not None:
        fit.fix(**{name: x for name, x in tail.values.items() if name not in tail.names})
        how = "constrained" if tail.names else "fixed"
        notes.append(f"tail {how} to that of {tail.source}")
    else:
        fit.fix(**{power: TAIL_POWER for _, power in pairs})
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
        fit.fix(**{beta: BETA_START for beta, _ in pairs})
    if unseen:
        fit.minimise()
    notes += _fix_absent_tails(fit, pairs)
    constraints = 0 if tail is None else len(tail.names)
    return _result(fit, spectrum, model, notes, constraints=constraints)


def fit_simulation(simulation: Mapping[str, hist.Hist], model: MassModel) -> dict[str, MassFit]:
    """Fit simulated peaks together: each may have a background of its own, the tail is common.

    Parameters
    ----------
    simulation
        Mass histograms of simulated candidates, by the name of the peak.
    model
        Peaks and range.

    Returns
    -------
    By the peak's name, the fit of its simulation: of the model with this peak alone. It is not
    valid if the simulation has too few entries.
    """
    cost: Any = 0.0
    starts: dict[str, Start] = {}
    fits: dict[str, MassFit] = {}
    parts: dict[str, _Part] = {}
    for peak in model.peaks:
        if peak.name not in simulation:
            continue
        alone = model.model_copy(update={"peaks": (peak,)})
        spectrum = Spectrum.of(simulation[peak.name], alone)
        problem = _unfit(spectrum, MIN_SIMULATED)
        if problem:
            fits[peak.name] = _unfitted(spectrum, alone, problem)
            continue
        own = {"n_background": f"n_background_{peak.name}", "slope": f"slope_{peak.name}"}
        part = _Part(alone, spectrum, own, cost_of(spectrum, (peak,), model.tails, own))
        cost = cost + part.cost
        for name, start in starts_of(spectrum, (peak,), model.tails).items():
            starts[own.get(name, name)] = start
        parts[peak.name] = part
    if not parts:
        return fits
    fit = Minimiser(cost, starts)
    fit.minimise()
    notes = _fix_absent_tails(fit, TAIL_PARAMETERS[model.tails])
    for name, part in parts.items():
        background = dict.fromkeys(part.own.values(), 0.0)
        number = part.own["n_background"]
        # without a background that is there the peaks can't be fitted, and a search takes seconds
        evident = fit.minuit.values[number] > EVIDENT * fit.minuit.errors[number]
        if not evident and fit.rise(**background) < BACKGROUND_SEEN:
            fit.fix(**background)
            fit.minimise()
            notes.append(f"the simulation of {name} shows no background: it is fixed to zero")
    notes += _fix_absent_tails(fit, TAIL_PARAMETERS[model.tails])
    for name, part in parts.items():
        fits[name] = _result(fit, part.spectrum, part.model, notes, part=part)
    return fits


@dataclass(frozen=True)
class _Part:
    """One peak of a fit of several simulations: its likelihood, and what its parameters are called.

    ``own`` maps the names in a `MassFit` to those in the common likelihood.
    """

    model: MassModel
    spectrum: Spectrum
    own: Mapping[str, str]
    cost: Any

    def chi2(self, fit: Minimiser) -> float:
        """Chi-square of this peak's bins."""
        return float(self.cost(*(fit.minuit.values[name] for name in describe(self.cost))))


def _fix_absent_tails(fit: Minimiser, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Fix what is not measured: tails that are not there, exponents that run to their limits."""
    notes: list[str] = []
    # an exponent that is fixed may reveal that there is no tail
    for beta, power in (*pairs, *pairs):
        side = "above" if beta.endswith("_high") else "below"
        limit = fit.at_limit(power)
        if fit.at_limit(beta) == BETA_LIMITS[1]:
            fit.fix(**{beta: BETA_LIMITS[1], power: fit.fixed.get(power, TAIL_POWER)})
            notes.append(f"no tail {side} the peaks is seen: {beta} is fixed at {BETA_LIMITS[1]:g}")
        elif limit is not None:
            # a steep tail is an exponential; a flat one, of a few events, is background
            fixed = TAIL_POWER_LIMITS[1] if limit == TAIL_POWER_LIMITS[1] else TAIL_POWER
            fit.fix(**{power: fixed})
            notes.append(f"{power} runs to its limit, {limit:g}: it is fixed at {fixed:g}")
        else:
            continue
        fit.minimise()
    return notes


def _shape(peak: Peak, n: float | None = None) -> dict[str, float]:
    """Mean and width as the model declares them, and a yield."""
    shape = {f"mean_{peak.name}": peak.mass, f"sigma_{peak.name}": peak.width}
    return shape if n is None else {f"n_{peak.name}": n, **shape}


def _is_seen(fit: Minimiser, peak: Peak) -> bool:
    """Whether the data can tell a peak's mean and width."""
    strayed = any(fit.at_limit(name) is not None for name in _shape(peak))
    return fit.rise(**_shape(peak, n=0.0)) >= (PROMINENT if strayed else SEEN)


def _fix_unseen(fit: Minimiser, peak: Peak, window: tuple[float, float]) -> None:
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


def _unfit(spectrum: Spectrum, least: int) -> str:
    """Say why a spectrum can't be fitted; empty if it can."""
    low, high = spectrum.window
    if spectrum.entries < 0:
        return (
            f"the weights in {low:g}-{high:g} GeV add up to {spectrum.entries:.6g}: "
            "a fit needs a positive sum"
        )
    if spectrum.effective < least:
        return (
            f"only {spectrum.effective:.3g} effective entries in {low:g}-{high:g} GeV: "
            f"a fit needs at least {least}"
        )
    return ""


def _unfitted(spectrum: Spectrum, model: MassModel, problem: str) -> MassFit:
    edges = tuple(map(float, spectrum.edges))
    return MassFit(model, edges, spectrum.entries, {}, problems=(problem,))


def _result(
    fit: Minimiser,
    spectrum: Spectrum,
    model: MassModel,
    notes: Sequence[str],
    *,
    constraints: int = 0,
    part: _Part | None = None,
) -> MassFit:
    """Collect the result of a fit, or of the part of it that one simulated peak is."""
    minuit = fit.minuit
    minuit.hesse()
    public = {name: name for name in fit.starts}
    if part is not None:
        public = {part.own.get(n, n): n for n in parameter_names(model.peaks, model.tails)}
    free = [name for name in public if name not in fit.fixed]
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
        called: Parameter(
            value=float(minuit.values[name]),
            error=None if name in fit.fixed or covariance is None else float(minuit.errors[name]),
            fixed=name in fit.fixed,
            limits=None if name in fit.fixed else fit.limits[name],
            unit=fit.starts[name].unit,
        )
        for name, called in public.items()
    }
    chi2 = float(minuit.fval) if part is None else part.chi2(fit)
    ndof = len(spectrum.counts) + constraints - len(free)
    p_value = float(chi2_distribution.sf(chi2, ndof)) if ndof > 0 else None
    if p_value is not None and p_value < POOR_FIT:
        notes = [*notes, f"the model describes the data poorly: p-value {p_value:.2g}"]
    return MassFit(
        model=model,
        edges=tuple(map(float, spectrum.edges)),
        entries=spectrum.entries,
        parameters=parameters,
        names=tuple(public[name] for name in free) if covariance is not None else (),
        covariance=() if covariance is None else tuple(tuple(map(float, r)) for r in covariance),
        chi2=chi2,
        ndof=ndof,
        p_value=p_value,
        problems=tuple(problems),
        notes=tuple(notes),
    )
