"""CLs and upper limits on the strength of a signal, with pyhf.

The test statistic is q̃_µ [Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554], the
criterion CLs = CLs+b / CLb [Read, J. Phys. G 28 (2002) 2693]. Its distribution is asymptotic where
many events are expected, and sampled with toys where few are: the asymptotic formulae exclude 1.9
events where none is expected nor seen, and 3.0 is right.

What is expected without signal is taken at the nuisance parameters that fit the data best; in a
blinded workspace that is the prediction itself. A blinded workspace gives no observed results.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyhf
from pyhf.infer.intervals.upper_limits import toms748_scan
from scipy import stats

from bphcoffea.errors import InputError
from bphcoffea.statistics.counting import is_blinded
from bphcoffea.statistics.likelihood import Likelihood
from bphcoffea.statistics.minuit_optimizer import MinuitOptimizer
from bphcoffea.statistics.profiling import (
    CachingOptimizer,
    Model,
    Optimizer,
    backend,
    has_spectra,
    prepare,
    unit_of,
)
from bphcoffea.statistics.sampling import SAME, Experiment

#: Where the expected results stand, in standard deviations of what is observed without signal:
#: negative for fewer events, which exclude more.
QUANTILES = (-2, -1, 0, 1, 2)
#: Between what strengths a limit is first looked for, in units of its rough estimate.
FIRST_BOUNDS = (0.2, 4.0)
#: Relative precision of asymptotic limits; between what strengths those of toys are interpolated.
PRECISION, TOY_PRECISION = 1e-3, 0.1
#: Toys of each hypothesis unless a number is given: CLs of 0.05 is known to 7% of itself.
TOYS = 10_000
#: The fewest: of 1000, a downward fluctuation by two sigma leaves 23 to find CLs = 0.05 with.
MIN_TOYS = 1000
#: Toys that are fitted at once, which bounds the memory.
BATCH = 10_000
#: Below how many effective events (`sampling.Experiment.effective_events`) toys are the default.
FEW_EVENTS = 10.0
#: CLb below which data lie too far below the background: by 20 sigma. CLs is soon 0/0 there.
MIN_BACKGROUND_CL = 1e-89

#: Limits of toys that are not found below are infinite, in units of their rough estimate.
HIGHEST_LIMIT = 1e3
#: Part of the expected limit below which CLs is 1, to 2 per mille; fits would lose the difference.
FAINT = 1e-3

NO_SIGNAL = "no signal is expected in any channel: no strength can be excluded"
TOO_FAINT = "the signal is a thousand times too faint to be excluded"
RARE = "none of the toys without signal has as few events as the data: CLs is overestimated"
DEFICIT = "the data lie more than 20 sigma below the background: nothing can be said of a signal"

Five = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Confidence:
    """How compatible data are with a signal.

    Attributes
    ----------
    strength
        Of the signal.
    observed
        CLs; none when blinded, and where the data lie too far below the background to tell.
    expected
        CLs without signal at each of `QUANTILES`; the median is the third.
    signal_and_background, background
        The observed CLs+b and CLb; none where ``observed`` is.
    note
        Why nothing is observed or expected, unless it is blinding.
    toys
        How many toys of each hypothesis were drawn; 0 where the formulae are asymptotic.
    observed_error, expected_errors
        Statistical errors of ``observed`` and ``expected``, from the number of toys.
    """

    strength: float
    observed: float | None
    expected: Five
    signal_and_background: float | None
    background: float | None
    note: str = ""
    toys: int = 0
    observed_error: float | None = None
    expected_errors: Five | None = None

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        errors = self.expected_errors and list(self.expected_errors)
        return {**asdict(self), "expected": list(self.expected), "expected_errors": errors}


@dataclass(frozen=True)
class Limit:
    """Upper limit on the strength of a signal.

    Attributes
    ----------
    observed
        The limit; infinite when nothing can be excluded. None when blinded, and where the data lie
        too far below the background to tell.
    expected
        Limits without signal at each of `QUANTILES`; the median is the third.
    level
        Confidence level.
    note
        Why it is infinite or there is none, unless it is blinding.
    toys
        How many toys of each hypothesis were drawn; 0 where the formulae are asymptotic.
    """

    observed: float | None
    expected: Five
    level: float
    note: str = ""
    toys: int = 0

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it: ``"inf"`` for what is infinite, for which JSON has no number."""

        def number(value: float | None) -> float | str | None:
            return "inf" if value == np.inf else value

        expected = [number(value) for value in self.expected]
        return {**asdict(self), "observed": number(self.observed), "expected": expected}


def cls_at(
    spec: Mapping[str, Any], mu: float = 1.0, *, toys: int | None = None, seed: int = 0
) -> Confidence:
    """Test a signal of a given strength.

    Parameters
    ----------
    spec
        What :func:`bphcoffea.statistics.counting.workspace` or
        :func:`bphcoffea.statistics.shape_workspace.shape_workspace` made.
    mu
        The strength.
    toys
        How many toys of each hypothesis to sample the test statistic with; 0 for the asymptotic
        formulae. If not given, `TOYS` where fewer than `FEW_EVENTS` effective events are expected
        with a signal of about the upper limit, else 0.
    seed
        Of the toys. Toys of the same seed are the same.

    Raises
    ------
    InputError
        If fewer toys than `MIN_TOYS` are asked for, but some; or any for mass spectra.
    ValueError
        When the strength is not positive.
    pyhf.exceptions.FailedMinimization
        When an asymptotic fit does not converge.
    """
    if not (np.isfinite(mu) and mu > 0):
        raise ValueError(f"a strength that is tested must be positive, not {mu}")
    toys, unit, blinded = toys_needed(spec, toys), unit_of(spec), is_blinded(spec)
    if mu < FAINT * unit:
        sure, note = None if blinded else 1.0, NO_SIGNAL if unit == np.inf else TOO_FAINT
        return Confidence(mu, sure, (1.0,) * 5, sure, sure, note)
    if toys:
        return _Sampler(spec, toys, seed).test(mu)
    model = prepare(spec)
    with backend(_optimizer(model)):
        data, note = _usable(model, mu / model.unit)
        observed, (both, background), expected = pyhf.infer.hypotest(
            mu / model.unit,
            data,
            model.pdf,
            return_expected_set=True,
            return_tail_probs=True,
            test_stat="qtilde",
        )
    if blinded or note:
        return Confidence(mu, None, _five(expected), None, None, note)
    return Confidence(mu, float(observed), _five(expected), float(both), float(background), note)


def upper_limit(
    spec: Mapping[str, Any], *, level: float = 0.95, toys: int | None = None, seed: int = 0
) -> Limit:
    """Find the strength above which a signal is excluded.

    Parameters
    ----------
    spec
        What :func:`bphcoffea.statistics.counting.workspace` or
        :func:`bphcoffea.statistics.shape_workspace.shape_workspace` made.
    level
        Confidence level: excluded is where CLs is below 1 - ``level``.
    toys, seed
        As of :func:`cls_at`. A limit with toys takes dozens of tests: 15 s of six channels.

    Raises
    ------
    InputError
        If fewer toys than `MIN_TOYS` are asked for, but some; or any for mass spectra.
    ValueError
        When the level is not between 0 and 1.
    pyhf.exceptions.FailedMinimization
        When an asymptotic fit does not converge.
    """
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")
    toys, unit, blinded = toys_needed(spec, toys), unit_of(spec), is_blinded(spec)
    if unit == np.inf:
        return Limit(None if blinded else np.inf, (np.inf,) * 5, level, NO_SIGNAL)
    if toys:
        return _limit_of_toys(_Sampler(spec, toys, seed), unit, level)
    model = prepare(spec)
    with backend(_optimizer(model)):
        data, note = _usable(model, FIRST_BOUNDS[1])
        # at a strength of 0, CLs is 0/0: the lower bound is above; pyhf moves both as needed
        observed, expected = toms748_scan(
            data, model.pdf, *FIRST_BOUNDS, level=1 - level, rtol=PRECISION, test_stat="qtilde"
        )
    limits = _five([unit * value for value in expected])
    hidden = blinded or bool(note)
    return Limit(None if hidden else unit * float(observed), limits, level, note)


def toys_needed(spec: Mapping[str, Any], toys: int | None = None) -> int:
    """Return how many toys a test takes: as many as asked for, else what the counts require.

    Raises
    ------
    InputError
        If fewer than `MIN_TOYS` are asked for, but some.
    """
    if has_spectra(spec):
        if toys:
            raise InputError("limits from mass spectra have no toys: take asymptotic formulae, 0")
        return 0
    if toys is not None:
        if toys and toys < MIN_TOYS:
            raise InputError(f"{toys} toys: take {MIN_TOYS} or more, or 0 for asymptotic formulae")
        return toys
    unit = unit_of(spec)
    if unit == np.inf:
        return 0
    few = Experiment.of_workspace(spec).effective_events(unit) < FEW_EVENTS
    return TOYS if few else 0


class _Sampler:
    """Tests of strengths with toys: the same toys without signal for all of them."""

    def __init__(self, spec: Mapping[str, Any], toys: int, seed: int) -> None:
        self.experiment, self.blinded = Experiment.of_workspace(spec), is_blinded(spec)
        self.toys, self.seed = toys, seed

    def test(self, mu: float) -> Confidence:
        """CLs, with errors. The data count as one more toy, so that no probability is 0."""
        experiment, toys = self.experiment, self.toys
        rng = np.random.default_rng(self.seed)
        sizes = np.diff([*range(0, toys, BATCH), toys])
        background, both = (
            np.sort(
                np.concatenate(
                    [experiment.statistic(experiment.draw(at, size, rng), mu) for size in sizes]
                )
            )
            for at in (experiment.fit(experiment.data, strength) for strength in (0.0, mu))
        )
        # values of q̃ where CLs without signal has its quantiles: many events first
        shares = stats.norm.cdf([-shift for shift in QUANTILES])
        typical = background[np.minimum((shares * toys).astype(int), toys - 1)]
        seen = experiment.statistic(experiment.data, mu)
        values = np.concatenate([seen, typical])
        # the share of toys at least as far from the hypothesis
        p_both, p_background = (
            (1 + toys - np.searchsorted(sample, values - SAME)) / (1 + toys)
            for sample in (both, background)
        )
        cls = np.minimum(p_both / p_background, 1.0)
        errors = cls * np.sqrt((1 / p_both + 1 / p_background - 2) / toys)
        # fewer events exclude more; of the fewest, too few toys may be left to show it
        expected = _five(np.minimum.accumulate(cls[:0:-1])[::-1])
        spread = _five(errors[1:])
        if self.blinded:
            return Confidence(mu, None, expected, None, None, "", toys, None, spread)
        note = RARE if p_background[0] * (1 + toys) < 1.5 else ""
        observed, tails = float(cls[0]), (float(p_both[0]), float(p_background[0]))
        return Confidence(mu, observed, expected, *tails, note, toys, float(errors[0]), spread)


def _limit_of_toys(sampler: _Sampler, unit: float, level: float) -> Limit:
    """Where the observed CLs and each expected one cross 1 - ``level``."""
    # ln(CLs / (1 - level)) of all six, by ln(strength / unit)
    known: dict[float, tuple[float, ...]] = {}

    def excess(position: float, index: int) -> float:
        if position not in known:
            tested = sampler.test(unit * math.exp(position))
            values = (*tested.expected, 1.0 if tested.observed is None else tested.observed)
            known[position] = tuple(math.log(value / (1 - level)) for value in values)
        return known[position][index]

    def crossing(index: int) -> float:
        low, high = (math.log(bound) for bound in FIRST_BOUNDS)
        while excess(low, index) < 0:
            low -= 1.0
        while excess(high, index) > 0:
            if high > math.log(HIGHEST_LIMIT):
                return math.inf
            high += 1.0
        # what is known from the other searches
        low = max(at for at in known if at < high and excess(at, index) >= 0)
        high = min(at for at in known if at > low and excess(at, index) <= 0)
        while high - low > TOY_PRECISION:
            middle = 0.5 * (low + high)
            low, high = (middle, high) if excess(middle, index) > 0 else (low, middle)
        above, below = excess(low, index), excess(high, index)
        share = above / (above - below) if above > below else 0.0
        return unit * math.exp(low + share * (high - low))

    expected = _five([crossing(index) for index in range(len(QUANTILES))])
    if sampler.blinded:
        return Limit(None, expected, level, "", sampler.toys)
    observed = crossing(len(QUANTILES))
    return Limit(observed, expected, level, RARE if observed == math.inf else "", sampler.toys)


def _optimizer(model: Model) -> CachingOptimizer:
    if isinstance(model.pdf, Likelihood):
        return MinuitOptimizer(model.pdf)
    return Optimizer(model)


def _usable(model: Model, strength: float) -> tuple[Any, str]:
    """The data or, if they lie too far below the background, its expectation and a note."""
    calculator = pyhf.infer.calculators.AsymptoticCalculator(model.data, model.pdf)
    statistic = calculator.teststatistic(strength)
    _, background = calculator.distributions(strength)
    if background.pvalue(statistic) > MIN_BACKGROUND_CL:
        return model.data, ""
    parameters = np.asarray(model.pdf.config.suggested_init())
    parameters[model.pdf.config.poi_index] = 0.0
    return model.pdf.expected_data(parameters), DEFICIT


def _five(values: Any) -> Five:
    first, second, third, fourth, fifth = (float(value) for value in values)
    return first, second, third, fourth, fifth
