"""Fit of a signal's shape to simulated candidates.

The bins are so fine that the fit is equivalent to an unbinned one. Few candidates cannot determine
all parameters: the fewer there are, the simpler is the function. A function that does not converge,
or has a parameter at its limit, is replaced by the next simpler one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from iminuit import Minuit
from scipy.special import chdtrc

from bphcoffea.arrays import Floats
from bphcoffea.statistics.costs import BinnedCost, Cost
from bphcoffea.statistics.records import Record
from bphcoffea.statistics.signal_shape import RANGE, SignalShape

#: Bins of the fit: 1 MeV in the default range, a tenth of the best resolution of τ → 3μ.
FINE = 380
#: Effective entries below which nothing is fitted.
MIN_ENTRIES = 30
#: Fewest expected entries of a bin of the chi-square.
MIN_EXPECTED = 5.0
#: p-value below which a note says that the fit is poor.
POOR_FIT = 0.01
#: Fraction of its range by which a parameter must stay away from its limits.
AT_LIMIT = 1e-3
#: Start values of the widths of Crystal Ball and Gaussian, in widths of the distribution: either
#: may be the wider one, and each case has a minimum.
WIDTHS = ((1.3, 0.8), (0.8, 1.3))
PARAMETERS = ("cb_fraction", "mean", "cb_sigma", "cb_alpha", "cb_n", "gauss_sigma")
#: Fraction of the candidates that have a wrong particle, its start value and upper limit. Without
#: it a few masses far from the peak, where the shape vanishes, would determine all parameters.
FLAT = "flat"
FLAT_START, MOST_FLAT = 0.005, 0.3


@dataclass(frozen=True)
class _Stage:
    """A function: note, number of effective entries that it needs, and fixed parameters."""

    text: str
    least: float
    fixed: Mapping[str, float]


#: From the richest function to the simplest. Typical tails of final-state radiation begin at 1.5
#: resolutions, with an exponent of 3.
STAGES = (
    _Stage("", 2000, {}),
    _Stage("the exponent of the tail is fixed", 500, {"cb_n": 3.0}),
    _Stage("a Crystal Ball alone", 500, {"cb_fraction": 1.0, "cb_n": 3.0}),
    _Stage(
        "a Crystal Ball alone with a fixed tail",
        0,
        {"cb_fraction": 1.0, "cb_n": 3.0, "cb_alpha": 1.5},
    ),
)


@dataclass(frozen=True)
class SignalFit(Record):
    """Result of a fit of simulated signal.

    Attributes
    ----------
    shape
        The fitted shape; None if there were too few entries.
    mean_error
        Statistical error of the mean, GeV.
    width_error
        Relative statistical error of the width.
    entries
        Sum of the weights in the range.
    effective_entries
        Number of entries of equal weight with the same relative precision.
    flat
        Fraction of the entries that is spread evenly over the range: candidates with a wrong
        particle.
    chi2, ndof, p_value
        Pearson's chi-square in bins with enough entries; None if there are too few bins.
    problems
        Reasons why the fit must not be used, one sentence each; empty if it is valid.
    notes
        Decisions during the fit, one sentence each.
    """

    derived: ClassVar = ("valid",)

    shape: SignalShape | None
    mean_error: float
    width_error: float
    entries: float
    effective_entries: float
    flat: float = 0.0
    chi2: float | None = None
    ndof: int | None = None
    p_value: float | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the result may be used."""
        return not self.problems


def fit_signal_shape(
    masses: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    range_: tuple[float, float] = RANGE,
) -> SignalFit:
    """Fit the masses of simulated candidates.

    Parameters
    ----------
    masses
        Masses in GeV, shape (n,); those outside the range are left out.
    weights
        Weights, shape (n,); 1 by default.
    range_
        Range of the fit and the normalisation, GeV.
    """
    x = np.asarray(masses, dtype=np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    inside = (x >= range_[0]) & (x < range_[1])
    x, w = x[inside], w[inside]
    total, squares = float(np.sum(w)), float(np.sum(w**2))
    effective = total**2 / squares if total > 0 else 0.0
    if effective < MIN_ENTRIES:
        problem = (
            f"only {effective:.3g} effective simulated entries in {range_[0]:g}-{range_[1]:g} GeV: "
            f"a fit of the signal needs at least {MIN_ENTRIES}"
        )
        return SignalFit(None, 0.0, 0.0, total, effective, problems=(problem,))
    edges = np.linspace(*range_, FINE + 1)
    counts, variances = (np.histogram(x, edges, weights=power)[0] for power in (w, w**2))
    start = _start(x, w, range_)

    def cumulative(at: Floats, *values: float) -> Floats:
        fraction, mean, cb_sigma, alpha, n, gauss_sigma, flat = values
        shape = SignalShape(fraction, mean, cb_sigma, alpha, n, gauss_sigma, range_)
        even = (at - range_[0]) / (range_[1] - range_[0])
        both: Floats = (1 - flat) * shape.cumulative(at) + flat * even
        return both

    def expected_bins(*values: float) -> Floats:
        return total * np.diff(cumulative(edges, *values))

    names = (*PARAMETERS, FLAT)
    cost = BinnedCost(counts, None if weights is None else variances, expected_bins, names)
    stages = [stage for stage in STAGES if effective >= stage.least]
    for stage in stages:
        fits = [_fitted(cost, start, stage.fixed, factors) for factors in WIDTHS]
        minuit = min(fits, key=lambda fit: (not _is_good(fit), fit.fval))
        if _is_good(minuit):
            break
    problems = () if _is_good(minuit) else ("the fit of the signal's shape did not converge",)
    found = minuit.values.to_dict()
    flat = float(found.pop(FLAT))
    shape = replace(start, **found)
    expected = expected_bins(*found.values(), flat)
    chi2, bins = _chi2(expected, counts, squares / total)
    ndof = bins - 1 - minuit.nfit
    p_value = float(chdtrc(ndof, chi2)) if ndof > 0 else None
    notes = [stage.text] if stage.text else []
    if p_value is not None and p_value < POOR_FIT:
        notes.append(f"the shape describes the simulation poorly: p-value {p_value:.2g}")
    return SignalFit(
        shape=shape,
        mean_error=float(minuit.errors["mean"]),
        width_error=0.0 if problems else _width_error(shape, minuit),
        entries=total,
        effective_entries=effective,
        flat=flat,
        chi2=chi2 if ndof > 0 else None,
        ndof=ndof if ndof > 0 else None,
        p_value=p_value,
        problems=problems,
        notes=tuple(notes),
    )


def _start(x: Floats, w: Floats, range_: tuple[float, float]) -> SignalShape:
    """Return start values with mean and width from quantiles, which are robust against tails."""
    order = np.argsort(x)
    shares = np.cumsum(w[order]) / np.sum(w)
    places = np.minimum(np.searchsorted(shares, [0.16, 0.5, 0.84]), len(x) - 1)
    low, middle, high = map(float, x[order][places])
    width = max((high - low) / 2, (range_[1] - range_[0]) / FINE)
    return SignalShape(0.5, middle, width, 1.5, 3.0, width, range_)


def _fitted(
    cost: Cost,
    start: SignalShape,
    fixed: Mapping[str, float],
    factors: tuple[float, float],
) -> Minuit:
    values = {name: getattr(start, name) for name in PARAMETERS}
    width = start.cb_sigma
    values |= {"cb_sigma": factors[0] * width, "gauss_sigma": factors[1] * width, FLAT: FLAT_START}
    minuit = Minuit(cost, **{**values, **fixed})
    limits = {
        "cb_fraction": (0.0, 1.0),
        "mean": (start.mean - 2 * width, start.mean + 2 * width),
        "cb_sigma": (0.2 * width, 4 * width),
        "cb_alpha": (0.3, 5.0),
        "cb_n": (0.1, 30.0),
        "gauss_sigma": (0.2 * width, 4 * width),
        FLAT: (0.0, MOST_FLAT),
    }
    for name, ends in limits.items():
        minuit.limits[name] = ends
    for name in fixed:
        minuit.fixed[name] = True
    if "cb_fraction" in fixed:
        minuit.fixed["gauss_sigma"] = True
    minuit.strategy = 2
    minuit.migrad()
    # parameters of a tail or a flat part that simulation cannot determine stay at their limit
    stuck = {"cb_alpha", "cb_n", FLAT} & set(_at_limits(minuit))
    for name in stuck:
        minuit.fixed[name] = True
    return minuit.migrad() if stuck else minuit


def _free(minuit: Minuit) -> list[str]:
    return [name for name in (*PARAMETERS, FLAT) if not minuit.fixed[name]]


def _at_limits(minuit: Minuit) -> list[str]:
    def distance(name: str) -> float:
        low, high = minuit.limits[name]
        return float(min(minuit.values[name] - low, high - minuit.values[name]) / (high - low))

    return [name for name in _free(minuit) if distance(name) < AT_LIMIT]


def _is_good(minuit: Minuit) -> bool:
    return bool(minuit.valid and minuit.accurate and not _at_limits(minuit))


def _width_error(shape: SignalShape, minuit: Minuit) -> float:
    """Return the relative error of the width, from the covariance of the parameters."""
    free = _free(minuit)
    slopes = np.zeros(len(free))
    for index, name in enumerate(free):
        if name == FLAT:
            continue
        value = float(minuit.values[name])
        low, high = minuit.limits[name]
        step = min(0.1 * minuit.errors[name], (value - low) / 2, (high - value) / 2)
        up, down = (replace(shape, **{name: value + sign * step}).width for sign in (1, -1))
        slopes[index] = (up - down) / (2 * step)
    covariance = np.asarray(minuit.covariance[free])
    return math.sqrt(max(float(slopes @ covariance @ slopes), 0.0)) / shape.width


def _chi2(expected: Floats, counts: Floats, weight: float) -> tuple[float, int]:
    """Return chi-square and number of bins; bins are merged until each expects enough entries."""
    chi2, bins, seen, mean = 0.0, 0, 0.0, 0.0
    left = float(np.sum(expected))
    for content, expectation in zip(counts, expected, strict=True):
        seen, mean, left = seen + content, mean + expectation, left - expectation
        if mean >= MIN_EXPECTED * weight and left >= MIN_EXPECTED * weight:
            chi2 += (seen - mean) ** 2 / (mean * weight)
            bins, seen, mean = bins + 1, 0.0, 0.0
    return chi2 + (seen - mean) ** 2 / (mean * weight), bins + 1
