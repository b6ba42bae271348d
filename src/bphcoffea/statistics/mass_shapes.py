"""Components of a mass fit: their integrals over bins, and their likelihood."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import hist
import numpy as np
from scipy.special import erf

from bphcoffea.analysis import MassModel, Peak, Tails
from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.statistics.costs import BinnedCost

#: Name of the component below the peaks.
BACKGROUND = "background"
#: Names of the parameters of each tail: its beginning, in resolutions from the mean, and the
#: exponent of its power law.
TAIL_PARAMETERS: Final[Mapping[Tails, tuple[tuple[str, str], ...]]] = {
    "low": (("beta", "m"),),
    "both": (("beta", "m"), ("beta_high", "m_high")),
}


@dataclass(frozen=True)
class Spectrum:
    """Bins inside the range of a fit: model, edges (GeV), contents and variances."""

    model: MassModel
    edges: Floats
    counts: Floats
    variances: Floats

    @classmethod
    def of(cls, histogram: hist.Hist, model: MassModel) -> Spectrum:
        """Return the bins of a histogram in the range of a fit.

        Raises
        ------
        FitError
            If the range holds fewer than two bins, or a peak lies outside.
        """
        edges = np.asarray(histogram.axes[0].edges, dtype=np.float64)
        low, high = model.range or (edges[0], edges[-1])
        rounding = 1e-6 * (edges[1] - edges[0])
        inside = np.flatnonzero((edges >= low - rounding) & (edges <= high + rounding))
        if len(inside) < 3:
            raise FitError(
                f"histogram '{model.histogram}' has fewer than two bins in {low:g}-{high:g} GeV"
            )
        for peak in model.peaks:
            if not edges[inside[0]] < peak.mass < edges[inside[-1]]:
                raise FitError(
                    f"the peak '{peak.name}' at {peak.mass:g} GeV lies outside the range of the "
                    f"fit, {edges[inside[0]]:g}-{edges[inside[-1]]:g} GeV"
                )
        bins = slice(inside[0], inside[-1])
        counts = np.asarray(histogram.values(), dtype=np.float64)
        variances = histogram.variances()
        variances = counts if variances is None else np.asarray(variances, dtype=np.float64)
        return cls(model, edges[inside], counts[bins], variances[bins])

    @property
    def window(self) -> tuple[float, float]:
        """Lower and upper end of the range, GeV."""
        return float(self.edges[0]), float(self.edges[-1])

    @property
    def entries(self) -> float:
        """Sum of the contents."""
        return float(np.sum(self.counts))

    @property
    def effective(self) -> float:
        """Number of entries of equal weight with the same relative precision."""
        variance = float(np.sum(self.variances))
        return self.entries**2 / variance if variance > 0 else 0.0

    @property
    def weighted(self) -> bool:
        """Whether the entries have weights other than 1."""
        return not np.array_equal(self.counts, self.variances)


def integrals(
    x: Floats, window: tuple[float, float], peaks: Sequence[Peak], values: Mapping[str, float]
) -> dict[str, Floats]:
    """Return the integral of each component from the lower end of the window to each ``x``.

    The peaks have a tail on the high side if ``values`` holds ``beta_high`` and ``m_high``.
    """
    low, high = window
    names = [peak.name for peak in peaks]
    mean, sigma, n = (
        np.array([values[f"{kind}_{name}"] for name in names])[:, np.newaxis]
        for kind in ("mean", "sigma", "n")
    )
    cdf = _cumulative((np.append(x, window) - mean) / sigma, values)
    of_peaks = n * ((cdf[:, :-2] - cdf[:, -2:-1]) / (cdf[:, -1:] - cdf[:, -2:-1]))
    slope = values["slope"]
    # avoid 0/0 for a flat background
    fall = max(abs(slope), 1e-6 / (high - low))
    at = np.clip(x, low, high)
    at = high - at if slope > 0 else at - low
    fraction = np.expm1(-fall * at) / math.expm1(-fall * (high - low))
    background = values["n_background"] * (1 - fraction if slope > 0 else fraction)
    return {**dict(zip(names, of_peaks, strict=True)), BACKGROUND: background}


def _cumulative(z: Floats, values: Mapping[str, float]) -> Floats:
    """Return the integral of a Crystal Ball from -∞ to ``z``, in resolutions from its mean.

    The density is 1 at the mean. A Crystal Ball with tails on both sides is made of two halves,
    which are evaluated together.
    """
    if "beta_high" not in values:
        return _crystal_ball(z, values["beta"], values["m"])
    betas, powers = (
        np.array([[[values[name]]] for name in of_tails])
        for of_tails in zip(*TAIL_PARAMETERS["both"], strict=True)
    )
    below, above = _crystal_ball(np.array([np.minimum(z, 0), np.minimum(-z, 0)]), betas, powers)
    beta, m = values["beta_high"], values["m_high"]
    half = math.sqrt(math.pi / 2) * math.erf(beta / math.sqrt(2))
    half += m / (beta * (m - 1)) * math.exp(-(beta**2) / 2)
    integral: Floats = below + half - above
    return integral


def _crystal_ball(z: Floats, beta: Floats | float, m: Floats | float) -> Floats:
    """Return the integral of a Crystal Ball with a tail on the low side, see `_cumulative`.

    The function of numba-stats takes seconds to compile in each process, and half a minute in the
    first.
    """
    tail = m / (beta * (m - 1)) * np.exp(-(beta**2) / 2)
    tails = tail * (1 - beta / m * (beta + np.minimum(z, -beta))) ** (1 - m)
    core = erf(np.maximum(z, -beta) / math.sqrt(2)) - erf(-beta / math.sqrt(2))
    integral: Floats = tails + math.sqrt(math.pi / 2) * core
    return integral


def parameter_names(model: MassModel) -> list[str]:
    """Return all parameters of a model, in the order of the arguments of the likelihood."""
    of_peaks = [f"{kind}_{peak.name}" for peak in model.peaks for kind in ("n", "mean", "sigma")]
    of_tails = [name for pair in TAIL_PARAMETERS[model.tails] for name in pair]
    return [*of_peaks, "n_background", "slope", *of_tails]


def cost_of(spectrum: Spectrum, renamed: Mapping[str, str] | None = None) -> BinnedCost:
    """Return the extended binned likelihood of the peaks and a background.

    Parameters
    ----------
    spectrum
        Bins of the histogram, and the model.
    renamed
        New names of parameters that are not shared when likelihoods are added.
    """
    names = parameter_names(spectrum.model)

    def expected(*parameters: float) -> Floats:
        values = dict(zip(names, parameters, strict=True))
        components = integrals(spectrum.edges, spectrum.window, spectrum.model.peaks, values)
        return np.diff(sum(components.values()))

    variances = spectrum.variances if spectrum.weighted else None
    public = [(renamed or {}).get(name, name) for name in names]
    return BinnedCost(spectrum.counts, variances, expected, public)
