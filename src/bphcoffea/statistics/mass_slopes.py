"""Derivatives of the contents of bins of a mass spectrum by the parameters of its model.

With C(z) the integral of a peak from -∞ to z, in resolutions from its mean, the fraction between
the lower end a and an edge x of the range (a, b) is F = [C(x) - C(a)] / [C(b) - C(a)], so that

    dF/dp = [C'(x) - C'(a) - F · (C'(b) - C'(a))] / [C(b) - C(a)]

for any parameter p of its shape, with C' = dC/dp. Those of mean and resolution follow from the
density dC/dz.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from bphcoffea.analysis import MassModel, PeakShape
from bphcoffea.arrays import Floats
from bphcoffea.statistics.mass_shapes import (
    TAIL_PARAMETERS,
    background_parameters,
    bernstein_basis,
    bernstein_fractions,
    cumulative,
    exponential,
    least_fall,
)


def content_slopes(
    edges: Floats, model: MassModel, values: Mapping[str, float]
) -> tuple[Floats, Floats]:
    """Return the contents of bins and their derivatives by all parameters.

    Parameters
    ----------
    edges
        Edges of the bins, GeV, shape (bins + 1,); the first and the last are the range of the fit.
    model
        Peaks and background; there are no derivatives of Voigtians.
    values
        Values of the parameters of the model.

    Returns
    -------
    Contents of shape (bins,), and derivatives of shape (parameters, bins), in the order of
    :func:`~.statistics.mass_shapes.parameter_names`.
    """
    numbers, means, sigmas = (
        np.array([[values[f"{kind}_{peak.name}"]] for peak in model.peaks])
        for kind in ("n", "mean", "sigma")
    )
    z = (edges - means) / sigmas
    below = cumulative(model.shape, z, values)
    whole = below[:, -1:] - below[:, :1]
    fractions = (below - below[:, :1]) / whole
    contents = np.diff(fractions)
    density, tails = _peak_slopes(model.shape, z, values)

    def by_shape(slope: Floats) -> Floats:
        change = slope - slope[:, :1]
        moved: Floats = numbers * np.diff((change - fractions * change[:, -1:]) / whole)
        return moved

    by_mean, by_sigma = by_shape(-density / sigmas), by_shape(-z * density / sigmas)
    of_peaks = np.stack([contents, by_mean, by_sigma], axis=1).reshape(-1, len(edges) - 1)
    background = _background(edges, model, values)
    of_tails = [np.sum(by_shape(slope), axis=0) for slope in tails]
    expected = np.sum(numbers * contents, axis=0) + values["n_background"] * background[0]
    return expected, np.vstack([of_peaks, *background, *of_tails])


def _peak_slopes(
    shape: PeakShape, z: Floats, values: Mapping[str, float]
) -> tuple[Floats, list[Floats]]:
    """Return the derivatives of `cumulative` by z and by each parameter of the tails."""
    if shape == "gaussian":
        return np.exp(-(z**2) / 2), []
    (beta, m), *above = ([values[name] for name in pair] for pair in TAIL_PARAMETERS[shape])
    if not above:
        low = _crystal_ball(z, beta, m)
        return low.density, [low.by_beta, low.by_m]
    ((beta_high, m_high),) = above
    low = _crystal_ball(np.minimum(z, 0), beta, m)
    high = _crystal_ball(np.minimum(-z, 0), beta_high, m_high)
    half = _crystal_ball(np.zeros(1), beta_high, m_high)
    density = np.where(z < 0, low.density, high.density)
    of_high = [half.by_beta - high.by_beta, half.by_m - high.by_m]
    return density, [low.by_beta, low.by_m, *of_high]


class _CrystalBall(NamedTuple):
    density: Floats
    by_beta: Floats
    by_m: Floats


def _crystal_ball(z: Floats, beta: float, m: float) -> _CrystalBall:
    """Return the derivatives of the integral of a Crystal Ball with a tail on the low side.

    Below -β it is T B^(1-m) with T = m exp(-β²/2) / (β (m-1)) and B = 1 + β (-β - z) / m; above, T
    and the integral of the Gaussian from -β on.
    """
    in_tail = z < -beta
    excess = np.maximum(-beta - z, 0.0)
    base = 1 + beta * excess / m
    height = math.exp(-(beta**2) / 2)
    area = m / (beta * (m - 1)) * height
    power = base**-m
    of_core = np.exp(-(np.maximum(z, -beta) ** 2) / 2)
    density = of_core * power
    by_beta = -area * (1 / beta + beta) * power * base
    # the tail begins elsewhere, or the core does
    by_beta += np.where(in_tail, -height / beta * power * (excess - beta), height)
    by_m = area * power * base * (1 / m - 1 / (m - 1) - np.log(base))
    by_m += height * power * excess / m
    return _CrystalBall(density, by_beta, by_m)


def _background(edges: Floats, model: MassModel, values: Mapping[str, float]) -> list[Floats]:
    """Return the derivatives by the yield of the background and by its shape."""
    number, shape = values["n_background"], [values[n] for n in background_parameters(model)]
    length = edges[-1] - edges[0]
    if model.background == "exponential":
        x, (slope,) = edges - edges[0], shape
        fractions = exponential(x, length, slope)
        fall = math.copysign(max(abs(slope), least_fall(length)), slope)
        # relative to the higher end, which does not overflow
        top = max(fall, 0.0) * length
        change = x * np.exp(fall * x - top) - fractions * length * math.exp(fall * length - top)
        change /= math.exp(fall * length - top) - math.exp(-top)
        return [np.diff(fractions), number * np.diff(change)]
    basis = np.diff(bernstein_basis((edges - edges[0]) / length, len(shape)))

    def by(index: int) -> Floats:
        # fractions are linear in each parameter
        ends = [bernstein_fractions([*shape[:index], end, *shape[index + 1 :]]) for end in (1, 0)]
        slope: Floats = number * ((np.array(ends[0]) - np.array(ends[1])) @ basis)
        return slope

    return [np.array(bernstein_fractions(shape)) @ basis, *map(by, range(len(shape)))]
