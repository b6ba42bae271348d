"""Bins of a mass spectrum in the range of a fit, and the likelihood of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import hist
import numpy as np

from bphcoffea.analysis import MassModel
from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.statistics.costs import BinnedCost
from bphcoffea.statistics.mass_shapes import integrals, parameter_names
from bphcoffea.statistics.mass_slopes import content_slopes


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


class Contents(NamedTuple):
    """Expected contents of bins, as functions of the parameters of a model.

    Attributes
    ----------
    values
        Contents, shape (bins,), of the parameters in the order of `mass_shapes.parameter_names`.
    slopes
        Contents, and their derivatives of shape (parameters, bins); None if unknown.
    """

    values: Callable[..., Floats]
    slopes: Callable[..., tuple[Floats, Floats]] | None = None


#: Function that makes the expected contents of bins.
Expectation: TypeAlias = Callable[[Spectrum], Contents]


def expected_contents(spectrum: Spectrum) -> Contents:
    """Return the functions from the parameters of the model to the expected contents of bins."""
    names, model = parameter_names(spectrum.model), spectrum.model

    def values(*parameters: float) -> Floats:
        at = dict(zip(names, parameters, strict=True))
        components = integrals(spectrum.edges, spectrum.window, model, at)
        return np.diff(sum(components.values()))

    def slopes(*parameters: float) -> tuple[Floats, Floats]:
        at = dict(zip(names, parameters, strict=True))
        return content_slopes(spectrum.edges, model, at)

    return Contents(values, None if model.shape == "voigtian" else slopes)


def cost_of(
    spectrum: Spectrum,
    renamed: Mapping[str, str] | None = None,
    expectation: Expectation = expected_contents,
) -> BinnedCost:
    """Return the extended binned likelihood of the peaks and a background.

    Parameters
    ----------
    spectrum
        Bins of the histogram, and the model.
    renamed
        New names of parameters that are not shared when likelihoods are added.
    expectation
        Function that makes the expected contents of bins.
    """
    variances = spectrum.variances if spectrum.weighted else None
    public = [(renamed or {}).get(name, name) for name in parameter_names(spectrum.model)]
    contents = expectation(spectrum)
    return BinnedCost(spectrum.counts, variances, contents.values, public, contents.slopes)
