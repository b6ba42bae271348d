"""Start values of mass fits, and minimisation that is repeated when parameters are fixed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from iminuit import Minuit

from bphcoffea.statistics.costs import Cost
from bphcoffea.statistics.mass_shapes import TAIL_PARAMETERS, background_parameters
from bphcoffea.statistics.spectrum import Spectrum

#: Beginning of a tail, in resolutions from the mean. Beyond 3 the tail is negligible.
BETA_START, BETA_LIMITS = 2.0, (0.7, 3.0)
#: Exponent of the power law of a tail in fits of data, and its limits in fits of simulation.
TAIL_POWER, TAIL_POWER_LIMITS = 3.0, (1.1, 30.0)
#: Limits of a resolution, relative to the declared one.
WIDTH_FACTORS = (0.3, 3.0)
#: Start value and upper limit of a natural width, relative to the declared resolution.
NATURAL_WIDTH_FACTORS = (0.3, 5.0)
#: Largest logarithm of the ratio of the background at the ends of the range.
MAX_LOG_FALL = 20.0
#: Tolerance of MINUIT with derivatives: -2 ln L is at most 2e-6 above its minimum, so that
#: parameters are right to 0.0014 of their errors.
TOLERANCE = 1e-3
#: Fraction of its range within which a parameter is at a limit.
AT_LIMIT = 1e-3


@dataclass(frozen=True)
class Start:
    """Start value and limits of a parameter, in its unit."""

    value: float
    limits: tuple[float, float]
    unit: str = ""


def starts_of(spectrum: Spectrum) -> dict[str, Start]:
    """Return start values and limits: of the background beside the peaks, then of the peaks."""
    peaks, edges = spectrum.model.peaks, spectrum.edges
    counts, total = spectrum.counts, spectrum.entries
    low, high = spectrum.window
    centers, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    beside = np.ones(len(counts), dtype=bool)
    for peak in peaks:
        beside &= np.abs(centers - peak.mass) > 4 * peak.width
    if np.count_nonzero(beside) < 3:
        beside[:] = True
    positive = np.maximum(counts, 0.5 * total / spectrum.effective)
    falls = MAX_LOG_FALL / (high - low)
    slope, height = np.polyfit(
        centers[beside], np.log(positive / widths)[beside], 1, w=np.sqrt(positive[beside])
    )
    slope = float(np.clip(slope, -falls / 2, falls / 2))
    background = np.exp(height + slope * centers) * widths
    background *= min(1.0, total / float(np.sum(background)))
    starts = {}
    for peak in peaks:
        around = np.abs(centers - peak.mass) < 3 * peak.width
        excess = float(np.sum((counts - background)[around]))
        yield_limits = (0.0, 2 * total)
        starts[f"n_{peak.name}"] = Start(max(excess, 0.01 * total), yield_limits)
        window = (peak.mass - peak.mass_window, peak.mass + peak.mass_window)
        starts[f"mean_{peak.name}"] = Start(peak.mass, window, "GeV")
        factors = (WIDTH_FACTORS[0] * peak.width, WIDTH_FACTORS[1] * peak.width)
        starts[f"sigma_{peak.name}"] = Start(peak.width, factors, "GeV")
        if spectrum.model.shape == "voigtian":
            start, highest = (factor * peak.width for factor in NATURAL_WIDTH_FACTORS)
            starts[f"gamma_{peak.name}"] = Start(start, (0.0, highest), "GeV")
    in_background = max(float(np.sum(background)), 0.01 * total)
    starts["n_background"] = Start(in_background, (0.0, 2 * total))
    if spectrum.model.background == "exponential":
        starts["slope"] = Start(slope, (-falls, falls), "1/GeV")
    else:
        names = background_parameters(spectrum.model)
        fractions = _polynomial(slope * (high - low), len(names))
        starts |= {n: Start(x, (0.0, 1.0)) for n, x in zip(names, fractions, strict=True)}
    for beta, power in TAIL_PARAMETERS[spectrum.model.shape]:
        starts[beta] = Start(BETA_START, BETA_LIMITS)
        starts[power] = Start(TAIL_POWER, TAIL_POWER_LIMITS)
    return starts


def _polynomial(log_ratio: float, degree: int) -> list[float]:
    """Return the recursive fractions of a polynomial that is similar to an exponential.

    Parameters
    ----------
    log_ratio
        Logarithm of the ratio of the exponential at the ends of the range.
    degree
        Degree of the polynomial.
    """
    heights = np.exp(log_ratio * np.linspace(0, 1, degree + 1))
    fractions = heights / np.sum(heights)
    taken = np.concatenate([[0.0], np.cumsum(fractions[1:-1])])
    return [float(fraction) for fraction in fractions[1:] / (1 - taken)]


class Minimiser:
    """Minimisation with MINUIT that is repeated when parameters are fixed.

    Parameters
    ----------
    cost
        Function to minimise, such as -2 ln L.
    starts
        Start values and limits of its parameters.
    """

    def __init__(self, cost: Cost, starts: dict[str, Start]) -> None:
        self.cost = cost
        self.starts = starts
        self.limits = {name: start.limits for name, start in starts.items()}
        self.fixed: dict[str, float] = {}
        self.minuit = self._minuit({})

    def fix(self, **values: float) -> None:
        """Fix parameters to values, from the next minimisation on."""
        self.fixed.update(values)

    def with_covariance(self) -> Minuit:
        """Return the minimum with errors from the second derivatives for the data (HESSE)."""
        self.minuit.strategy = 1
        return self.minuit.hesse()

    def _minuit(self, start: Mapping[str, float]) -> Minuit:
        values = {name: start.get(name, first.value) for name, first in self.starts.items()}
        values.update(self.fixed)
        gradient = self.cost.gradient if self.cost.differentiable else None
        minuit = Minuit(self.cost, **values, grad=gradient)
        if gradient:
            # MINUIT's second derivatives take most calls, and are needed at the end alone
            minuit.strategy, minuit.tol = 0, TOLERANCE
        for name in self.starts:
            if name in self.fixed:
                minuit.fixed[name] = True
            else:
                minuit.limits[name] = self.limits[name]
        return minuit

    def minimise(self) -> None:
        """Minimise from the latest parameters and, if that fails, from other start values."""
        latest = self.minuit.values.to_dict()
        first = {name: start.value for name, start in self.starts.items()}
        attempts = []
        for start in (latest, first, *(self._spread(first, factor) for factor in (0.6, 1.7))):
            minuit = self._minuit(start)
            minuit.migrad()
            if not minuit.valid:
                minuit.simplex().migrad()
            attempts.append(minuit)
            if minuit.valid:
                break
        self.minuit = min(attempts, key=lambda attempt: (not attempt.valid, attempt.fval))

    def _spread(self, values: Mapping[str, float], factor: float) -> dict[str, float]:
        """Return start values with wider or narrower peaks, and a flatter or steeper background."""
        return {
            name: value * factor if name.startswith(("sigma", "slope")) else value
            for name, value in values.items()
        }

    def rise(self, **values: float) -> float:
        """Return the rise of -2 ln L if these parameters are also fixed; 0 if they already are."""
        without = copy.copy(self)
        without.fixed = {**self.fixed, **values}
        without.minimise()
        return float(without.minuit.fval - self.minuit.fval)

    def at_limit(self, name: str) -> float | None:
        """Return the limit that a free parameter is at; None if it is at none."""
        if name in self.fixed:
            return None
        low, high = self.limits[name]
        value, margin = self.minuit.values[name], AT_LIMIT * (high - low)
        if value - low < margin:
            return low
        return high if high - value < margin else None
