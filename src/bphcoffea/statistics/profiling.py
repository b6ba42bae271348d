"""The model of a workspace, ready for many fits: parameters of order 1, gradients from one call.

pyhf's NumPy backend has no gradients, and its optimisers ask for one parameter after the other;
a limit on six categories takes them most of ten seconds. Its models can however be evaluated for a
batch of parameters at about the price of one.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyhf
from iminuit import Minuit
from scipy import optimize, special
from typing_extensions import override

from bphcoffea.arrays import Floats
from bphcoffea.statistics.likelihood import Likelihood

#: What a factor between two uncertainties means: log-normal, also far out, where the polynomial
#: that pyhf takes by default inside one sigma would not be monotonous.
INTERPOLATION = {"normsys": {"interpcode": "code1"}, "histosys": {"interpcode": "code4p"}}
#: Step of the finite differences, for parameters of order 1.
STEP = 1e-6
#: Upper limit of the strength, in units of about its upper limit without signal.
HIGHEST = 1e6
#: Fits stop when -2 ln L falls by less than this part of itself.
TOLERANCE = 1e-10
#: What stands for no event where a division needs some.
TINY = 1e-30


@dataclass(frozen=True)
class Model:
    """A model and its data, in which a strength of 1 is about where the upper limit will be.

    Attributes
    ----------
    pdf, data
        pyhf's model, and observed counts with auxiliary data. Of spectra, a `Likelihood`.
    batched
        The same model for as many parameter sets as it has parameters, and one. None of spectra.
    unit
        Strength in the workspace that a strength of 1 stands for. Infinite where no channel has
        any signal; there is no model then.
    """

    pdf: Any
    data: Any
    batched: Any
    unit: float


def prepare(spec: Mapping[str, Any]) -> Model:
    """Build the model of a workspace.

    Parameters
    ----------
    spec
        A workspace with a strength as its parameter of interest: one bin a channel, or spectra.

    Raises
    ------
    pyhf.exceptions.InvalidSpecification
        When it is no workspace.
    """
    unit = unit_of(spec)
    if unit == np.inf:
        return Model(None, None, None, unit)
    spec = copy.deepcopy(dict(spec))
    config = spec["measurements"][0]["config"]
    for sample in _signals(spec):
        _scale(sample, unit)
    if has_spectra(spec):
        likelihood = Likelihood(spec)
        return Model(likelihood, likelihood.data, None, unit)
    config["parameters"] = [
        *(known for known in config["parameters"] if known["name"] != config["poi"]),
        {"name": config["poi"], "inits": [1.0], "bounds": [[0.0, HIGHEST]]},
    ]
    with backend(), schemas():
        workspace = pyhf.Workspace(spec)
        options = {"modifier_settings": INTERPOLATION, "validate": False}
        pdf = workspace.model(**options)
        batched = workspace.model(batch_size=pdf.config.npars + 1, **options)
        return Model(pdf, workspace.data(pdf), batched, unit)


def unit_of(spec: Mapping[str, Any]) -> float:
    """Estimate the upper limit on the strength of a workspace; infinite without signal."""
    signals = _signals(spec)
    information = 0.0
    for channel in spec["channels"]:
        bins = len(channel["samples"][0]["data"])
        signal, variance = np.zeros(bins), np.zeros(bins)
        for sample in channel["samples"]:
            expected = np.array(sample["data"])
            if any(sample is other for other in signals):
                signal += expected
                continue
            variance += expected
            # of spectra, the shape as a whole is uncertain: no bin is by so much
            for modifier in sample["modifiers"] if bins == 1 else ():
                if modifier["type"] == "normsys":
                    variance += (expected * (modifier["data"]["hi"] - 1)) ** 2
        total = float(np.sum(signal))
        if total > 0:
            # variance of one bin that would be worth as much
            alike = total**2 / float(np.sum(signal**2 / np.maximum(variance, TINY)))
            # of no event at all, three are excluded: two sigma of 1.5
            information += total**2 / (alike + 1.5**2)
    return 2 / float(np.sqrt(information)) if information else np.inf


def has_spectra(spec: Mapping[str, Any]) -> bool:
    """Return whether a channel of a workspace has more than one bin."""
    return any(len(entry["data"]) > 1 for entry in spec["observations"])


def _scale(sample: dict[str, Any], factor: float) -> None:
    """Multiply the contents of a sample."""
    sample["data"] = [factor * value for value in sample["data"]]
    for modifier in sample["modifiers"]:
        if modifier["type"] == "histosys":
            modifier["data"] = {
                key: [factor * value for value in values]
                for key, values in modifier["data"].items()
            }


def _signals(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    strength = spec["measurements"][0]["config"]["poi"]
    return [
        sample
        for channel in spec["channels"]
        for sample in channel["samples"]
        if any(modifier["name"] == strength for modifier in sample["modifiers"])
    ]


class Arrays(pyhf.tensor.numpy_backend):  # type: ignore[misc]
    """pyhf's NumPy backend, of which 0.7 asks `numpy.percentile` for what NumPy 2.4 took away."""

    @override
    def percentile(
        self, tensor_in: Any, q: Any, axis: Any = None, interpolation: str = "linear"
    ) -> Any:
        return np.percentile(tensor_in, q, axis=axis, method=interpolation)  # type: ignore[call-overload]


@contextmanager
def backend(optimizer: Any = None) -> Iterator[None]:
    """Let pyhf use NumPy and an optimiser, or its own, and what it used before thereafter."""
    before = pyhf.get_backend()
    pyhf.set_backend(Arrays(precision="64b"), optimizer)
    try:
        yield
    finally:
        pyhf.set_backend(*before)


@contextmanager
def schemas() -> Iterator[None]:
    """Let pyhf 0.7 resolve its JSON schemas, with a class that jsonschema deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "jsonschema.RefResolver", DeprecationWarning)
        yield


class CachingOptimizer:
    """Fits that are done once: those of a scan that don't depend on the strength are the same.

    pyhf's optimiser interface.
    """

    name = "bphcoffea"

    def __init__(self) -> None:
        self.known: dict[Any, tuple[Floats, float]] = {}

    def minimize(
        self,
        objective: Callable[..., Any],  # noqa: ARG002
        data: Any,
        pdf: Any,  # noqa: ARG002
        init_pars: Sequence[float],
        par_bounds: Sequence[tuple[float, float]],
        fixed_vals: Sequence[tuple[int, float]] | None = None,
        return_fitted_val: bool = False,
    ) -> Any:
        """Find the parameters at which -2 ln L is smallest, as pyhf asks for it.

        Parameters
        ----------
        objective, pdf
            -2 ln L of parameters, data and model; the model. Not used.
        data
            Counts, and what the constraints were measured to be.
        init_pars, par_bounds, fixed_vals
            Start values and limits of all parameters; index and value of those that are fixed.
        return_fitted_val
            Give the deviance as well, which is -2 ln L up to a constant.

        Raises
        ------
        pyhf.exceptions.FailedMinimization
            When it does not converge.
        """
        measured = np.asarray(data, dtype=np.float64)
        fixed = {index: float(value) for index, value in fixed_vals or ()}
        parameters, value = self.found(measured, init_pars, par_bounds, fixed)
        best, deviance = parameters.copy(), np.asarray(value)
        return (best, deviance) if return_fitted_val else best

    def found(
        self,
        data: Floats,
        start: Sequence[float],
        limits: Sequence[tuple[float, float]],
        fixed: Mapping[int, float],
    ) -> tuple[Floats, float]:
        """Return the best parameters and the deviance, from an earlier fit if there was one."""
        key = (data.tobytes(), tuple(sorted(fixed.items())))
        if key not in self.known:
            self.known[key] = self._search(data, start, limits, fixed)
        return self.known[key]

    def _search(
        self,
        data: Floats,
        start: Sequence[float],
        limits: Sequence[tuple[float, float]],
        fixed: Mapping[int, float],
    ) -> tuple[Floats, float]:
        raise NotImplementedError


class Optimizer(CachingOptimizer):
    """Bounded least squares of the deviance's residuals; pyhf's optimiser interface.

    Up to a constant of the data, -2 ln L is the sum of 2[ν - n + n ln(n/ν)] over counts [Baker,
    Cousins, Nucl. Instrum. Meth. 221 (1984) 437] and of squares over the constraints. As squares
    of residuals it keeps its digits however large the counts are, and is parabolic enough for
    steps that need no second derivatives. MINUIT is tried where it does not converge.

    Parameters
    ----------
    model
        The model that all fits are of.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.batched = model.batched
        self.constraints = len(model.pdf.config.auxdata)

    @override
    def _search(
        self,
        data: Floats,
        start: Sequence[float],
        limits: Sequence[tuple[float, float]],
        fixed: Mapping[int, float],
    ) -> tuple[Floats, float]:
        at = np.array(start, dtype=np.float64)
        at[list(fixed)] = list(fixed.values())
        free = np.setdiff1d(np.arange(len(at)), list(fixed))
        low, high = np.array([limits[index] for index in free]).reshape(-1, 2).T
        counts = len(data) - self.constraints

        def evaluate(values: Floats) -> tuple[Floats, Floats]:
            at[free] = values
            steps = STEP * np.maximum(1.0, np.abs(at))
            rows = np.vstack([at + np.diag(steps), at])
            expected = np.asarray(self.batched.expected_data(rows))
            slopes = ((expected[:-1] - expected[-1]) / steps[:, np.newaxis])[free].T
            residuals = expected[-1] - data
            per_count, per_expected = _deviance_residuals(data[:counts], expected[-1, :counts])
            residuals[:counts] = per_count
            slopes[:counts] *= per_expected[:, np.newaxis]
            return residuals, slopes

        if not len(free):
            residuals, _ = evaluate(at[free])
            return at, float(np.sum(residuals**2))
        cache: dict[bytes, tuple[Floats, Floats]] = {}

        def once(values: Floats) -> tuple[Floats, Floats]:
            if values.tobytes() not in cache:
                cache.clear()
                cache[values.tobytes()] = evaluate(values)
            return cache[values.tobytes()]

        begin = np.clip(at[free], low, high)
        result = optimize.least_squares(
            lambda values: once(values)[0],
            begin,
            jac=lambda values: once(values)[1],
            bounds=(low, high),
            x_scale="jac",
            ftol=TOLERANCE,
            xtol=1e-12,
            gtol=1e-12,
            max_nfev=1000,
        )
        if result.success and np.isfinite(result.cost):
            at[free] = result.x
            return at, float(2 * result.cost)
        minuit = Minuit(lambda values: float(np.sum(once(values)[0] ** 2)), begin)
        minuit.errordef = Minuit.LIKELIHOOD
        minuit.limits = list(zip(low, high, strict=True))
        minuit.strategy = 2
        if not minuit.migrad().valid:
            raise pyhf.exceptions.FailedMinimization(result)
        at[free] = minuit.values
        return at, float(minuit.fval)


def _deviance_residuals(seen: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Signed square roots of the deviances of counts, and their derivatives by the expectation."""
    positive = np.maximum(expected, TINY)
    excess = (positive - seen) / np.maximum(seen, TINY)
    # 2[ν - n + n ln(n/ν)] = n·d(x) with x = ν/n - 1; by its series where it would lose digits
    near = np.abs(excess) < 1e-4
    exact = 2 * (positive - seen - special.xlogy(seen, positive / np.maximum(seen, TINY)))
    series = seen * excess**2 * (1 - 2 * excess / 3)
    residuals = np.sign(excess) * np.sqrt(np.maximum(np.where(near, series, exact), 0.0))
    safe = np.where(near, 1.0, residuals)
    slopes = np.where(
        near,
        (1 - 2 * excess / 3) / np.sqrt(np.maximum(seen, TINY)),
        (1 - seen / positive) / safe,
    )
    return residuals, slopes
