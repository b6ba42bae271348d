"""Mass models made of zfit's PDFs, for binned fits of this package and for the user's own fits.

zfit is imported when a model is made, which takes many seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from bphcoffea.analysis import MassModel
from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.statistics.mass_fit import MassFit
from bphcoffea.statistics.mass_shapes import (
    BACKGROUND,
    POINTS,
    TAIL_PARAMETERS,
    WEIGHTS,
    background_parameters,
    bernstein_fractions,
    parameter_names,
)
from bphcoffea.statistics.spectrum import Contents, Spectrum

#: Name of the observable, the mass in GeV.
MASS = "mass"


def zfit_model(fit: MassFit) -> Any:
    """Return the model of a fit as an extended PDF of zfit, at the fitted values.

    Its observable is called ``mass`` and has the range of the fit. Its parameters have the names of
    ``fit.parameters``; those that were fixed are fixed. For an example see the page on fits and
    limits.

    Raises
    ------
    FitError
        If zfit is not installed, or nothing was fitted.
    """
    zfit = _zfit()
    if not fit.parameters:
        raise FitError(f"nothing was fitted: {'; '.join(fit.problems)}")
    parameters = {}
    for name, found in fit.parameters.items():
        low, high = found.limits or (None, None)
        parameters[name] = zfit.Parameter(name, found.value, low, high, floating=not found.fixed)
    return _sum(fit.model, fit.range, parameters)


def expected_contents(spectrum: Spectrum) -> Contents:
    """Return the function from the parameters of the model to the expected contents of bins.

    It is that of :func:`~.statistics.spectrum.expected_contents`, evaluated by zfit.

    Raises
    ------
    FitError
        If zfit is not installed.
    """
    zfit = _zfit()
    tensorflow = import_module("tensorflow")
    parameters = {name: zfit.Parameter(name, 1.0) for name in parameter_names(spectrum.model)}
    model = _sum(spectrum.model, spectrum.window, parameters)
    # zfit integrates over bins one by one, not precisely for a Voigtian, and takes a minute
    half = np.diff(spectrum.edges)[:, np.newaxis] / 2
    points = zfit.Data(np.ravel(spectrum.edges[:-1, np.newaxis] + half * (1 + POINTS)), model.space)
    weights = half * WEIGHTS

    # a graph: eager evaluation takes ten times as long
    @tensorflow.function(autograph=False)  # type: ignore[untyped-decorator]
    def contents(values: Any) -> Any:
        for index, parameter in enumerate(parameters.values()):
            parameter.assign(values[index])
        density = tensorflow.reshape(model.ext_pdf(points), weights.shape)
        return tensorflow.reduce_sum(density * weights, axis=1)

    def expected(*values: float) -> Floats:
        return np.asarray(contents(tensorflow.constant(values, tensorflow.float64)))

    return Contents(expected)


def _zfit() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # zfit warns that it hides the warnings of TensorFlow
            warnings.simplefilter("ignore")
            return import_module("zfit")
    except ModuleNotFoundError as error:
        if error.name != "zfit":
            raise
        raise FitError(
            "zfit is not installed; install it with: pip install 'bphcoffea[zfit]'"
        ) from None


def _sum(model: MassModel, window: tuple[float, float], of: Mapping[str, Any]) -> Any:
    """Return the sum of the components of a model in a window, GeV, with some parameters."""
    zfit = _zfit()
    space = zfit.Space(MASS, *window)
    tails = [of[name] for pair in TAIL_PARAMETERS[model.shape] for name in pair]
    kinds = {
        "crystal_ball": zfit.pdf.CrystalBall,
        "double_crystal_ball": zfit.pdf.DoubleCB,
        "gaussian": zfit.pdf.Gauss,
        "voigtian": zfit.pdf.Voigt,
    }
    components = []
    for peak in model.peaks:
        shape = [of[f"mean_{peak.name}"], of[f"sigma_{peak.name}"], *tails]
        if model.shape == "voigtian":
            gamma = of[f"gamma_{peak.name}"]
            shape.append(_derived(f"half_{gamma.name}", lambda width: width / 2, [gamma]))
        components.append(
            kinds[model.shape](*shape, obs=space, extended=of[f"n_{peak.name}"], name=peak.name)
        )
    number = of[f"n_{BACKGROUND}"]
    parameters = [of[name] for name in background_parameters(model)]
    if model.background == "exponential":
        below = zfit.pdf.Exponential(*parameters, obs=space, extended=number, name=BACKGROUND)
    else:
        coefficients = [
            _derived(
                f"bernstein_fraction_{index}",
                lambda *fractions, index=index: bernstein_fractions(fractions)[index],
                parameters,
            )
            for index in range(len(parameters) + 1)
        ]
        below = zfit.pdf.Bernstein(space, coefficients, extended=number, name=BACKGROUND)
    return zfit.pdf.SumPDF([*components, below])


def _derived(name: str, function: Callable[..., Any], parameters: list[Any]) -> Any:
    return _zfit().ComposedParameter(name, function, params=parameters, unpack_params=True)
