"""Extended binned likelihood fits of mass spectra: peaks on a smooth background.

Every component is normalised inside the range of the fit, so that its yield is the number of its
candidates there. The peaks share the shape of their tails, which the data constrain poorly and
which is strongly correlated with the yields; simulation constrains it if the run has any.

A peak that the data do not show has no measurable position or width. Both are then fixed to the
values of the model, and the yield may be negative, so that it remains an unbiased estimate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import hist
import numpy as np
from scipy.special import chdtrc

from bphcoffea.analysis import MassModel, Peak
from bphcoffea.arrays import Floats
from bphcoffea.statistics.costs import Constraint, Cost
from bphcoffea.statistics.mass_fit import MassFit, Parameter, Tail
from bphcoffea.statistics.mass_shapes import (
    BACKGROUND,
    TAIL_PARAMETERS,
    background_parameters,
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
from bphcoffea.statistics.spectrum import Expectation, Spectrum, cost_of, expected_contents

#: Effective entries below which data, and simulation, are not fitted.
MIN_ENTRIES = 20
MIN_SIMULATED = 100
#: Rise of -2 ln L without a peak below which it is not seen: three parameters at about 2 sigma.
SEEN = 9.0
#: Rise without a peak whose mean or width is at its limit, above which the model is wrong.
PROMINENT = 25.0
#: Rise without a background, its yield and shape, below which it is not seen.
BACKGROUND_SEEN = 4.0
#: Number of its errors above which a background of simulation is evident.
EVIDENT = 5.0
#: p-value below which a note says that the fit is poor.
POOR_FIT = 0.01


def fit_histogram(
    histogram: hist.Hist,
    model: MassModel,
    *,
    tail: Tail | None = None,
    expectation: Expectation = expected_contents,
) -> MassFit:
    """Fit a mass histogram.

    Parameters
    ----------
    histogram
        Histogram with one axis, the mass in GeV, and plain or weighted storage.
    model
        Peaks and range.
    tail
        Tail of simulation. Without it the beginnings of the tails are fitted, and the exponents
        fixed to `TAIL_POWER`; a tail that the data do not show is fixed at the upper limit of
        ``beta``.
    expectation
        Function that makes the expected contents of bins.

    Raises
    ------
    FitError
        If the range holds fewer than two bins, or a peak lies outside.
    """
    spectrum = Spectrum.of(histogram, model)
    if problem := _unfit(spectrum, MIN_ENTRIES):
        return _unfitted(spectrum, problem)
    pairs = TAIL_PARAMETERS[model.shape]
    no_background = dict.fromkeys(("n_background", *background_parameters(model)), 0.0)
    cost: Cost = cost_of(spectrum, expectation=expectation)
    if tail is not None and tail.names:
        values = np.array([tail.values[name] for name in tail.names])
        cost = cost + Constraint(tail.names, values, np.array(tail.covariance))
    fit = Minimiser(cost, starts_of(spectrum))
    notes = []
    if tail is not None:
        fit.fix(**{name: x for name, x in tail.values.items() if name not in tail.names})
        how = "constrained" if tail.names else "fixed"
        notes.append(f"tail {how} to that of {tail.source}")
    else:
        fit.fix(**{power: TAIL_POWER for _, power in pairs})
    if model.shape == "voigtian":
        fit.fix(**{f"gamma_{p.name}": p.natural_width for p in model.peaks if p.natural_width})
    fit.minimise()
    notes += _fix_at_bounds(fit)
    if fit.rise(**no_background) < BACKGROUND_SEEN:
        fit.fix(**no_background)
        fit.minimise()
        notes.append("the data show no background: it is fixed to zero")
    unseen = [peak for peak in model.peaks if not _is_seen(fit, peak)]
    for peak in unseen:
        _fix_unseen(fit, peak, spectrum)
        notes.append(
            f"{peak.name} is not seen clearly: its mean and width are fixed to the model's"
        )
    if tail is None and len(unseen) == len(model.peaks):
        fit.fix(**{beta: BETA_START for beta, _ in pairs})
    if unseen:
        fit.minimise()
    notes += _fix_absent_tails(fit, pairs) + _fix_at_bounds(fit)
    constraints = 0 if tail is None else len(tail.names)
    return _result(fit, spectrum, notes, constraints=constraints)


def fit_simulation(
    simulation: Mapping[str, hist.Hist],
    model: MassModel,
    *,
    expectation: Expectation = expected_contents,
) -> dict[str, MassFit]:
    """Fit simulated peaks together, with separate backgrounds and a common tail.

    Parameters
    ----------
    simulation
        Mass histograms of simulated candidates, by the name of the peak.
    model
        Peaks and range.
    expectation
        Function that makes the expected contents of bins.

    Returns
    -------
    Fit of each simulated peak with a model of this peak only, by its name. A fit of too few entries
    is not valid.
    """
    cost: Cost | None = None
    starts: dict[str, Start] = {}
    fits: dict[str, MassFit] = {}
    parts: dict[str, _Part] = {}
    for peak in model.peaks:
        if peak.name not in simulation:
            continue
        alone = model.model_copy(update={"peaks": (peak,)})
        spectrum = Spectrum.of(simulation[peak.name], alone)
        if problem := _unfit(spectrum, MIN_SIMULATED):
            fits[peak.name] = _unfitted(spectrum, problem)
            continue
        background = ("n_background", *background_parameters(model))
        renamed = {name: f"{name}_{peak.name}" for name in background}
        part = _Part(spectrum, renamed, cost_of(spectrum, renamed, expectation))
        cost = part.cost if cost is None else cost + part.cost
        for name, start in starts_of(spectrum).items():
            starts[renamed.get(name, name)] = start
        parts[peak.name] = part
    if cost is None:
        return fits
    fit = Minimiser(cost, starts)
    if model.shape == "voigtian":
        natural = {peak.name: peak.natural_width for peak in model.peaks}
        fit.fix(**{f"gamma_{name}": natural[name] for name in parts if natural[name]})
    fit.minimise()
    notes = _fix_absent_tails(fit, TAIL_PARAMETERS[model.shape]) + _fix_at_bounds(fit)
    for name, part in parts.items():
        no_background = dict.fromkeys(part.renamed.values(), 0.0)
        number = part.renamed["n_background"]
        # the fit without an evident background would fail after seconds
        evident = fit.minuit.values[number] > EVIDENT * fit.minuit.errors[number]
        if not evident and fit.rise(**no_background) < BACKGROUND_SEEN:
            fit.fix(**no_background)
            fit.minimise()
            notes.append(f"the simulation of {name} shows no background: it is fixed to zero")
    notes += _fix_absent_tails(fit, TAIL_PARAMETERS[model.shape]) + _fix_at_bounds(fit)
    for name, part in parts.items():
        fits[name] = _result(fit, part.spectrum, notes, part=part)
    return fits


@dataclass(frozen=True)
class _Part:
    """One peak of a common fit of simulations.

    ``renamed`` maps parameters of its `MassFit` to those of the common likelihood.
    """

    spectrum: Spectrum
    renamed: Mapping[str, str]
    cost: Cost

    def chi2(self, fit: Minimiser) -> float:
        """Return the chi-square of the bins of this peak."""
        return float(self.cost(*(fit.minuit.values[name] for name in self.cost.names)))


def _fix_absent_tails(fit: Minimiser, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Fix tails that are not seen, and exponents that are at their limits; return notes."""
    notes: list[str] = []
    # with a fixed exponent, a tail may turn out not to be seen
    for beta, power in (*pairs, *pairs):
        side = "above" if beta.endswith("_high") else "below"
        limit = fit.at_limit(power)
        if fit.at_limit(beta) == BETA_LIMITS[1]:
            fit.fix(**{beta: BETA_LIMITS[1], power: fit.fixed.get(power, TAIL_POWER)})
            notes.append(f"no tail {side} the peaks is seen: {beta} is fixed at {BETA_LIMITS[1]:g}")
        elif limit is not None:
            # a steep tail is nearly exponential; a flat tail of a few events is background
            fixed = TAIL_POWER_LIMITS[1] if limit == TAIL_POWER_LIMITS[1] else TAIL_POWER
            fit.fix(**{power: fixed})
            notes.append(f"{power} runs to its limit, {limit:g}: it is fixed at {fixed:g}")
        else:
            continue
        fit.minimise()
    return notes


def _fix_at_bounds(fit: Minimiser) -> list[str]:
    """Fix natural widths that are zero and coefficients that are at a limit; return notes."""
    notes: list[str] = []
    while at := {name: bound for name in fit.starts if (bound := _bound(fit, name)) is not None}:
        fit.fix(**at)
        fit.minimise()
        notes += [f"{name} runs to its limit: it is fixed at {at[name]:g}" for name in at]
    return notes


def _bound(fit: Minimiser, name: str) -> float | None:
    """Return the limit that a parameter is at and may be fixed to; None if there is none."""
    limit = fit.at_limit(name)
    zero_width = name.startswith("gamma_") and limit == 0
    return limit if zero_width or name.startswith("bernstein_") else None


def _shape(fit: Minimiser, peak: Peak) -> dict[str, float]:
    """Return position and widths of a peak in the model."""
    shape = {f"mean_{peak.name}": peak.mass, f"sigma_{peak.name}": peak.width}
    gamma = f"gamma_{peak.name}"
    return {**shape, gamma: peak.natural_width} if gamma in fit.starts else shape


def _is_seen(fit: Minimiser, peak: Peak) -> bool:
    """Return whether the data determine the mean and width of a peak."""
    shape = _shape(fit, peak)
    at_limit = any(fit.at_limit(name) is not None for name in shape)
    return fit.rise(**{f"n_{peak.name}": 0.0, **shape}) >= (PROMINENT if at_limit else SEEN)


def _fix_unseen(fit: Minimiser, peak: Peak, spectrum: Spectrum) -> None:
    """Fix the shape of a peak; its yield may be negative if the total remains positive."""
    shape, window = _shape(fit, peak), spectrum.window
    around: Floats = np.clip([peak.mass - peak.width, peak.mass + peak.width], *window)
    values = {**fit.minuit.values.to_dict(), **shape, f"n_{peak.name}": 1.0}
    alone = spectrum.model.model_copy(update={"peaks": (peak,)})
    components = integrals(around, window, alone, values)
    below, unit = (float(np.diff(components[name])[0]) for name in (BACKGROUND, peak.name))
    fit.fix(**shape)
    if below > 0:
        name = f"n_{peak.name}"
        # the peak is somewhat higher than its average within one resolution
        fit.limits = {**fit.limits, name: (-0.8 * below / unit, fit.limits[name][1])}
    else:
        fit.fix(**{f"n_{peak.name}": 0.0})


def _unfit(spectrum: Spectrum, least: int) -> str:
    """Return the reason why a spectrum cannot be fitted; empty if it can."""
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


def _unfitted(spectrum: Spectrum, problem: str) -> MassFit:
    edges = tuple(map(float, spectrum.edges))
    return MassFit(spectrum.model, edges, spectrum.entries, {}, problems=(problem,))


def _result(
    fit: Minimiser,
    spectrum: Spectrum,
    notes: Sequence[str],
    *,
    constraints: int = 0,
    part: _Part | None = None,
) -> MassFit:
    """Return the result of a fit, or of one simulated peak of a common fit."""
    minuit = fit.with_covariance()
    # names in the result, by the names in the likelihood
    reported = {name: name for name in fit.starts}
    if part is not None:
        reported = {part.renamed.get(n, n): n for n in parameter_names(spectrum.model)}
    free = [name for name in reported if name not in fit.fixed]
    if not np.all(np.isfinite([minuit.fval, *minuit.values])):
        problem = "the likelihood is not finite"
        return replace(_unfitted(spectrum, problem), notes=tuple(notes))
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
        problems.append(
            "the covariance matrix is not positive definite: the errors are meaningless"
        )
        covariance = None
    for name in free:
        limit = fit.at_limit(name)
        if limit is not None:
            problems.append(f"{name} is at its limit, {limit:g} {fit.starts[name].unit}".rstrip())
    parameters = {
        reported_name: Parameter(
            value=float(minuit.values[name]),
            error=None if name in fit.fixed or covariance is None else float(minuit.errors[name]),
            fixed=name in fit.fixed,
            limits=None if name in fit.fixed else fit.limits[name],
            unit=fit.starts[name].unit,
        )
        for name, reported_name in reported.items()
    }
    chi2 = float(minuit.fval) if part is None else part.chi2(fit)
    ndof = len(spectrum.counts) + constraints - len(free)
    p_value = float(chdtrc(ndof, chi2)) if ndof > 0 else None
    if p_value is not None and p_value < POOR_FIT:
        notes = [*notes, f"the model describes the data poorly: p-value {p_value:.2g}"]
    return MassFit(
        model=spectrum.model,
        edges=tuple(map(float, spectrum.edges)),
        entries=spectrum.entries,
        parameters=parameters,
        names=tuple(reported[name] for name in free) if covariance is not None else (),
        covariance=() if covariance is None else tuple(tuple(map(float, r)) for r in covariance),
        chi2=chi2,
        ndof=ndof,
        p_value=p_value,
        problems=tuple(problems),
        notes=tuple(notes),
    )
