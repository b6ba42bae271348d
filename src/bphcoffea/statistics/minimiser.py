"""Start values, and the search of a minimum that starts anew whenever parameters are fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from iminuit import Minuit

from bphcoffea.analysis.mass_model import Peak, Tails
from bphcoffea.statistics.mass_shapes import TAIL_PARAMETERS, Spectrum

#: Where a tail begins, in resolutions from the mean. Beyond 3 it holds next to nothing: no tail.
BETA_START, BETA_LIMITS = 2.0, (0.7, 3.0)
#: Exponent of the tail's power law: what data are fitted with, and its range in simulation.
TAIL_POWER, TAIL_POWER_LIMITS = 3.0, (1.1, 30.0)
#: How far a resolution may move from what the model declares, as factors.
WIDTH_FACTORS = (0.3, 3.0)
#: Largest ratio, as its logarithm, between the background at one end of the range and the other.
MAX_LOG_FALL = 20.0
#: A parameter this close to a limit, as a part of its range, is at the limit.
AT_LIMIT = 1e-3


@dataclass(frozen=True)
class Start:
    """Where a parameter starts, and between what it may move, in its unit."""

    value: float
    limits: tuple[float, float]
    unit: str = ""


def starts_of(spectrum: Spectrum, peaks: Sequence[Peak], tails: Tails) -> dict[str, Start]:
    """Start values and limits: the background from beside the peaks, the peaks from the rest."""
    edges, counts, total = spectrum.edges, spectrum.counts, spectrum.entries
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
    in_background = max(float(np.sum(background)), 0.01 * total)
    starts["n_background"] = Start(in_background, (0.0, 2 * total))
    starts["slope"] = Start(slope, (-falls, falls), "1/GeV")
    for beta, power in TAIL_PARAMETERS[tails]:
        starts[beta] = Start(BETA_START, BETA_LIMITS)
        starts[power] = Start(TAIL_POWER, TAIL_POWER_LIMITS)
    return starts


class Minimiser:
    """A minimum that is searched again whenever parameters are fixed."""

    def __init__(self, cost: Callable[..., float], starts: dict[str, Start]) -> None:
        self.cost = cost
        self.starts = starts
        self.limits = {name: start.limits for name, start in starts.items()}
        self.fixed: dict[str, float] = {}
        self.minuit = self._minuit({})

    def fix(self, **values: float) -> None:
        """Fix parameters, from the next search on."""
        self.fixed.update(values)

    def _minuit(self, start: Mapping[str, float]) -> Minuit:
        values = {name: start.get(name, first.value) for name, first in self.starts.items()}
        values.update(self.fixed)
        minuit = Minuit(self.cost, **values)
        for name in self.starts:
            if name in self.fixed:
                minuit.fixed[name] = True
            else:
                minuit.limits[name] = self.limits[name]
        return minuit

    def minimise(self) -> None:
        """Minimiser from where the last search ended and, if that fails, from other places."""
        last = self.minuit.values.to_dict()
        first = {name: start.value for name, start in self.starts.items()}
        attempts = []
        for start in (last, first, *(self._spread(first, factor) for factor in (0.6, 1.7))):
            minuit = self._minuit(start)
            minuit.migrad()
            if not minuit.valid:
                minuit.simplex().migrad()
            attempts.append(minuit)
            if minuit.valid:
                break
        self.minuit = min(attempts, key=lambda attempt: (not attempt.valid, attempt.fval))

    def _spread(self, values: Mapping[str, float], factor: float) -> dict[str, float]:
        """Other start values: wider or narrower peaks, a flatter or steeper background."""
        return {
            name: value * factor if name.startswith(("sigma", "slope")) else value
            for name, value in values.items()
        }

    def rise(self, **values: float) -> float:
        """How much -2 ln L rises when these parameters are fixed as well; 0 if they are."""
        without = Minimiser(self.cost, self.starts)
        without.limits = self.limits
        without.fixed = {**self.fixed, **values}
        without.minuit = self.minuit
        without.minimise()
        return float(without.minuit.fval - self.minuit.fval)

    def at_limit(self, name: str) -> float | None:
        """Limit that a free parameter has run to."""
        if name in self.fixed:
            return None
        low, high = self.limits[name]
        value, margin = self.minuit.values[name], AT_LIMIT * (high - low)
        if value - low < margin:
            return low
        return high if high - value < margin else None
