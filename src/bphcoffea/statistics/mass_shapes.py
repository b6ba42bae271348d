"""Components of a mass fit: their parameters, and their integrals over bins.

Every component is normalised inside the range of the fit, so that its yield is the number of its
candidates there. The parameters of a polynomial are recursive fractions: ``bernstein_1`` is the
fraction of the background in the first basis polynomial, ``bernstein_2`` that of the rest in the
second, and so on; what remains is in the one that is highest at the lower end. Any values between
0 and 1 thus make a background that is not negative.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from scipy.special import betainc, erf, voigt_profile

from bphcoffea.analysis import MassModel, Peak, PeakShape
from bphcoffea.arrays import Floats

#: Name of the component below the peaks.
BACKGROUND = "background"
#: Names of the parameters of each tail: its beginning, in resolutions from the mean, and the
#: exponent of its power law.
TAIL_PARAMETERS: Final[Mapping[PeakShape, tuple[tuple[str, str], ...]]] = {
    "crystal_ball": (("beta", "m"),),
    "double_crystal_ball": (("beta", "m"), ("beta_high", "m_high")),
    "gaussian": (),
    "voigtian": (),
}
#: Points and weights of the quadrature of densities on -1 to 1. That of a Voigtian over two
#: resolutions is exact to 1e-10.
POINTS, WEIGHTS = np.polynomial.legendre.leggauss(8)


def peak_parameters(model: MassModel, peak: Peak) -> list[str]:
    """Return the parameters that a peak does not share: yield, mean, resolution, natural width."""
    kinds = ("n", "mean", "sigma", *(["gamma"] if model.shape == "voigtian" else []))
    return [f"{kind}_{peak.name}" for kind in kinds]


def background_parameters(model: MassModel) -> list[str]:
    """Return the parameters of the shape of the background.

    >>> peak = Peak(name="jpsi", label="", mass=3.1, width=0.03)
    >>> background_parameters(MassModel(histogram="m", peaks=(peak,), background="bernstein2"))
    ['bernstein_1', 'bernstein_2']
    """
    if model.background == "exponential":
        return ["slope"]
    return [f"bernstein_{index + 1}" for index in range(int(model.background[-1]))]


def parameter_names(model: MassModel) -> list[str]:
    """Return all parameters of a model, in the order of the arguments of the likelihood."""
    of_peaks = [name for peak in model.peaks for name in peak_parameters(model, peak)]
    of_tails = [name for pair in TAIL_PARAMETERS[model.shape] for name in pair]
    return [*of_peaks, f"n_{BACKGROUND}", *background_parameters(model), *of_tails]


def integrals(
    x: Floats, window: tuple[float, float], model: MassModel, values: Mapping[str, float]
) -> dict[str, Floats]:
    """Return the integral of each component from the lower end of the window to each ``x``.

    Parameters
    ----------
    x
        Masses inside the window in ascending order, GeV; shape (n,).
    window
        Range of the fit, GeV.
    model
        Peaks and background.
    values
        Values of the parameters of the model.
    """
    at = np.concatenate([window[:1], x, window[1:]])
    names = [peak.name for peak in model.peaks]
    if model.shape == "voigtian":
        cdf = np.array([_voigt(at, *(values[f"{k}_{n}"] for k in _OF_VOIGT)) for n in names])
    else:
        mean, sigma = (
            np.array([values[f"{kind}_{name}"] for name in names])[:, np.newaxis]
            for kind in ("mean", "sigma")
        )
        cdf = cumulative(model.shape, (at - mean) / sigma, values)
    fractions = (cdf[:, 1:-1] - cdf[:, :1]) / (cdf[:, -1:] - cdf[:, :1])
    components = {
        name: values[f"n_{name}"] * part for name, part in zip(names, fractions, strict=True)
    }
    shape = [values[name] for name in background_parameters(model)]
    low, high = window
    if model.background == "exponential":
        below = exponential(np.clip(x, low, high) - low, high - low, shape[0])
    else:
        basis = bernstein_basis(np.clip((x - low) / (high - low), 0, 1), len(shape))
        below = np.array(bernstein_fractions(shape)) @ basis
    return {**components, BACKGROUND: values[f"n_{BACKGROUND}"] * below}


_OF_VOIGT = ("mean", "sigma", "gamma")


def cumulative(shape: PeakShape, z: Floats, values: Mapping[str, float]) -> Floats:
    """Return the integral of a peak from -∞ to ``z``, in resolutions from its mean.

    The density is 1 at the mean. A Crystal Ball with tails on both sides is made of two halves,
    which are evaluated together.
    """
    if shape == "gaussian":
        core: Floats = math.sqrt(math.pi / 2) * erf(z / math.sqrt(2))
        return core
    if shape == "crystal_ball":
        return _crystal_ball(z, values["beta"], values["m"])
    betas, powers = (
        np.array([[[values[name]]] for name in of_tails])
        for of_tails in zip(*TAIL_PARAMETERS[shape], strict=True)
    )
    below, above = _crystal_ball(np.array([np.minimum(z, 0), np.minimum(-z, 0)]), betas, powers)
    beta, m = values["beta_high"], values["m_high"]
    half = math.sqrt(math.pi / 2) * math.erf(beta / math.sqrt(2))
    half += m / (beta * (m - 1)) * math.exp(-(beta**2) / 2)
    integral: Floats = below + half - above
    return integral


def _crystal_ball(z: Floats, beta: Floats | float, m: Floats | float) -> Floats:
    """Return the integral of a Crystal Ball with a tail on the low side, see `cumulative`.

    The function of numba-stats takes seconds to compile in each process, and half a minute in the
    first.
    """
    tail = m / (beta * (m - 1)) * np.exp(-(beta**2) / 2)
    tails = tail * (1 - beta / m * (beta + np.minimum(z, -beta))) ** (1 - m)
    core = erf(np.maximum(z, -beta) / math.sqrt(2)) - erf(-beta / math.sqrt(2))
    integral: Floats = tails + math.sqrt(math.pi / 2) * core
    return integral


def _voigt(x: Floats, mean: float, sigma: float, gamma: float) -> Floats:
    """Return the integral of a Voigtian from the first of ascending ``x`` to each, shape (n,).

    Its integral has no closed form that scipy knows. Each interval is divided into parts that are
    at most two resolutions wide.
    """
    widths = np.diff(x)
    parts = max(1, math.ceil(np.max(widths) / (2 * sigma)))
    half = widths[:, np.newaxis, np.newaxis] / (2 * parts)
    low = x[:-1, np.newaxis, np.newaxis] + 2 * half * np.arange(parts)[:, np.newaxis]
    density = voigt_profile(low + half * (1 + POINTS) - mean, sigma, gamma / 2)
    contents = np.sum(density * WEIGHTS * half, axis=(1, 2))
    return np.concatenate([[0.0], np.cumsum(contents)])


def exponential(x: Floats, length: float, slope: float) -> Floats:
    """Return the fraction of an exponential below ``x``, the distance from the lower end."""
    # avoid 0/0 for a flat background
    fall = max(abs(slope), least_fall(length))
    at = length - x if slope > 0 else x
    fraction: Floats = np.expm1(-fall * at) / math.expm1(-fall * length)
    return 1 - fraction if slope > 0 else fraction


def least_fall(length: float) -> float:
    """Return the slope, 1/GeV, that replaces any smaller one, which would give 0/0."""
    return 1e-6 / length


def bernstein_fractions(parameters: Sequence[float]) -> list[float]:
    """Return the fraction of the background in each basis polynomial, from recursive fractions.

    >>> bernstein_fractions([0.5, 0.4])
    [0.3, 0.5, 0.2]
    """
    rest, fractions = 1.0, []
    for parameter in parameters:
        fractions.append(rest * parameter)
        rest *= 1 - parameter
    return [rest, *fractions]


def bernstein_basis(t: Floats, degree: int) -> Floats:
    """Return the fraction of each basis polynomial below ``t``, from 0 to 1 in the window.

    Shapes (n,) and (degree + 1, n).
    """
    k = np.arange(degree + 1)[:, np.newaxis]
    fractions: Floats = betainc(k + 1, degree + 1 - k, t)
    return fractions
