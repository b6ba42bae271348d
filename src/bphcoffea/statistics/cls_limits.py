"""CLs and upper limits on the strength of a signal, with pyhf.

The test statistic is q̃_µ [Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554], the
criterion CLs = CLs+b / CLb [Read, J. Phys. G 28 (2002) 2693]. The distribution of q̃_µ is asymptotic
if many events are expected, and sampled with toys if few are: without any expected or seen event,
the asymptotic formulae exclude 1.9 events, while 3.0 is right.

Expected results use the nuisance parameters that fit the data best without signal; in a blinded
workspace these are at the prediction. A blinded workspace gives no observed results.
"""

from __future__ import annotations

import numpy as np
import pyhf
from pyhf.infer.intervals.upper_limits import toms748_scan

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.statistics.limit_results import Confidence, Limit, five
from bphcoffea.statistics.optimizer import Optimizer
from bphcoffea.statistics.pyhf_backend import backend
from bphcoffea.statistics.sampling import (
    FIRST_BOUNDS,
    Experiment,
    ToySampler,
    limit_from_toys,
)
from bphcoffea.statistics.scaled_model import ScaledModel, prepare, unit_of
from bphcoffea.statistics.workspace import Workspace, has_spectra, is_blinded

#: Relative precision of asymptotic limits.
PRECISION = 1e-3
#: Default number of toys per hypothesis: CLs of 0.05 has a relative error of 7%.
TOYS = 10_000
#: Smallest number: a downward fluctuation by two sigma leaves 23 of 1000 to find CLs = 0.05 with.
MIN_TOYS = 1000
#: Effective events (`sampling.Experiment.effective_events`) below which toys are the default.
FEW_EVENTS = 10.0
#: CLb below which the data lie too far below the background, by 20 sigma: CLs is nearly 0/0.
MIN_BACKGROUND_CL = 1e-89
#: Fraction of the expected limit below which CLs is 1 to 2 per mille; fits would lose the rest.
FAINT = 1e-3

NO_SIGNAL = "no signal is expected in any channel: no strength can be excluded"
TOO_FAINT = "the signal is a thousand times too faint to be excluded"
DEFICIT = "the data lie more than 20 sigma below the background: no statement about a signal"


def cls_at(
    spec: Workspace, mu: float = 1.0, *, toys: int | None = None, seed: int = 0
) -> Confidence:
    """Test a signal of a given strength.

    Parameters
    ----------
    spec
        Workspace of :func:`bphcoffea.statistics.counting.counting_workspace` or
        :func:`bphcoffea.statistics.shape_workspace.mass_workspace`.
    mu
        The strength.
    toys
        Number of toys per hypothesis; 0 for the asymptotic formulae. By default `TOYS` if fewer
        than `FEW_EVENTS` effective events are expected with a signal of about the upper limit, else
        0.
    seed
        Seed of the toys, which depend on nothing else.

    Raises
    ------
    FitError
        If the number of toys is neither 0 nor at least `MIN_TOYS`, or not 0 for mass spectra.
    ValueError
        If the strength is not positive.
    pyhf.exceptions.FailedMinimization
        If an asymptotic fit does not converge.
    """
    if not (np.isfinite(mu) and mu > 0):
        raise ValueError(f"a strength that is tested must be positive, not {mu}")
    toys, unit, blinded = toys_needed(spec, toys), unit_of(spec), is_blinded(spec)
    if mu < FAINT * unit:
        certain, note = None if blinded else 1.0, NO_SIGNAL if unit == np.inf else TOO_FAINT
        return Confidence(mu, certain, (1.0,) * 5, certain, certain, note)
    if toys:
        return ToySampler(spec, toys, seed).test(mu)
    model = prepare(spec)
    return asymptotic_test(model, mu, Optimizer(model.pdf), blinded=blinded)


def asymptotic_test(
    model: ScaledModel, mu: float, optimizer: Optimizer, *, blinded: bool
) -> Confidence:
    """Test a positive strength of a model with asymptotic formulae; see :func:`cls_at`."""
    with backend(optimizer):
        data, note = _usable(model, mu / model.unit)
        observed, (both, background), expected = pyhf.infer.hypotest(
            mu / model.unit,
            data,
            model.pdf,
            par_bounds=_bounds(model),
            return_expected_set=True,
            return_tail_probs=True,
            test_stat="qtilde",
        )
    if blinded or note:
        return Confidence(mu, None, five(expected), None, None, note)
    return Confidence(mu, float(observed), five(expected), float(both), float(background), note)


def upper_limit(
    spec: Workspace, *, level: float = 0.95, toys: int | None = None, seed: int = 0
) -> Limit:
    """Return the strength above which a signal is excluded.

    Parameters
    ----------
    spec
        Workspace of :func:`bphcoffea.statistics.counting.counting_workspace` or
        :func:`bphcoffea.statistics.shape_workspace.mass_workspace`.
    level
        Confidence level: strengths with CLs below 1 - ``level`` are excluded.
    toys, seed
        See :func:`cls_at`. A limit with toys takes dozens of tests: 15 s for six channels.

    Raises
    ------
    FitError
        If the number of toys is neither 0 nor at least `MIN_TOYS`, or not 0 for mass spectra.
    ValueError
        If the level is not between 0 and 1.
    pyhf.exceptions.FailedMinimization
        If an asymptotic fit does not converge.
    """
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")
    toys, unit, blinded = toys_needed(spec, toys), unit_of(spec), is_blinded(spec)
    if unit == np.inf:
        return Limit(None if blinded else np.inf, (np.inf,) * 5, level, NO_SIGNAL)
    if toys:
        return limit_from_toys(ToySampler(spec, toys, seed), unit, level)
    model = prepare(spec)
    return asymptotic_limit(model, Optimizer(model.pdf), level=level, blinded=blinded)


def asymptotic_limit(
    model: ScaledModel, optimizer: Optimizer, *, level: float, blinded: bool
) -> Limit:
    """Return the upper limit of a model with asymptotic formulae; see :func:`upper_limit`."""
    with backend(optimizer):
        data, note = _usable(model, FIRST_BOUNDS[1])
        # CLs is 0/0 at a strength of 0, so the lower bound is above; pyhf moves both as needed
        observed, expected = toms748_scan(
            data,
            model.pdf,
            *FIRST_BOUNDS,
            level=1 - level,
            rtol=PRECISION,
            test_stat="qtilde",
            par_bounds=_bounds(model),
        )
    limits = five(model.unit * value for value in expected)
    hidden = blinded or bool(note)
    return Limit(None if hidden else model.unit * float(observed), limits, level, note)


def toys_needed(spec: Workspace, toys: int | None = None) -> int:
    """Return the number of toys per hypothesis: the requested one, else what the counts require.

    Raises
    ------
    FitError
        If the requested number is neither 0 nor at least `MIN_TOYS`, or not 0 for mass spectra.
    """
    if has_spectra(spec):
        if toys:
            raise FitError("limits from mass spectra have no toys: use asymptotic formulae, 0 toys")
        return 0
    if toys is not None:
        if toys and toys < MIN_TOYS:
            raise FitError(f"{toys} toys: use {MIN_TOYS} or more, or 0 for asymptotic formulae")
        return toys
    unit = unit_of(spec)
    if unit == np.inf:
        return 0
    few = Experiment.of_workspace(spec).effective_events(unit) < FEW_EVENTS
    return TOYS if few else 0


def _bounds(model: ScaledModel) -> list[tuple[float, float]]:
    """Return the limits of all parameters; the test statistic is for strengths from 0."""
    bounds = model.pdf.config.suggested_bounds()
    bounds[model.pdf.config.poi_index] = 0.0, np.inf
    return bounds


def _usable(model: ScaledModel, strength: float) -> tuple[Floats, str]:
    """Return the data or, if they lie too far below the background, its expectation and a note."""
    calculator = pyhf.infer.calculators.AsymptoticCalculator(
        model.data, model.pdf, par_bounds=_bounds(model)
    )
    statistic = calculator.teststatistic(strength)
    _, background = calculator.distributions(strength)
    if background.pvalue(statistic) > MIN_BACKGROUND_CL:
        return model.data, ""
    parameters = np.asarray(model.pdf.config.suggested_init())
    parameters[model.pdf.config.poi_index] = 0.0
    return model.pdf.expected_data(parameters), DEFICIT
