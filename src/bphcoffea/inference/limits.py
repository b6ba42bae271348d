"""CLs and upper limits on the strength of a signal, with pyhf.

The test statistic is q̃_µ [Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554], the
criterion CLs = CLs+b / CLb [Read, J. Phys. G 28 (2002) 2693]. Its distribution is the asymptotic
one, or sampled; the asymptotic one is optimistic where less than a few events are expected.

What is expected without signal is taken at the nuisance parameters that fit the data best; in a
blinded workspace that is the prediction itself. A blinded workspace gives no observed results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyhf
from pyhf.infer.intervals.upper_limits import toms748_scan

from bphcoffea.inference.counting import is_blinded
from bphcoffea.inference.profiling import Model, Optimizer, backend, prepare

#: Where the expected results stand, in standard deviations of what is observed without signal:
#: negative for fewer events, which exclude more.
QUANTILES = (-2, -1, 0, 1, 2)
#: Between what strengths a limit is first looked for, in units of its rough estimate.
FIRST_BOUNDS = (0.2, 4.0)
#: Relative precision of limits: asymptotic ones, and those of toys, which jitter.
PRECISION, TOY_PRECISION = 1e-3, 2e-2
#: CLb below which data lie too far below the background: by 20 sigma. CLs is soon 0/0 there.
MIN_BACKGROUND_CL = 1e-89

#: Part of the expected limit below which CLs is 1, to 2 per mille; fits would lose the difference.
FAINT = 1e-3

NO_SIGNAL = "no signal is expected in any channel: no strength can be excluded"
TOO_FAINT = "the signal is a thousand times too faint to be excluded"
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
    """

    strength: float
    observed: float | None
    expected: Five
    signal_and_background: float | None
    background: float | None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "expected": list(self.expected)}


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
    """

    observed: float | None
    expected: Five
    level: float
    note: str = ""

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
        What :func:`bphcoffea.inference.counting.workspace` made.
    mu
        The strength.
    toys
        How many toys of each hypothesis to sample the test statistic with; asymptotic when none.
    seed
        Of the toys.

    Raises
    ------
    ValueError
        When the strength is not positive.
    pyhf.exceptions.FailedMinimization
        When a fit does not converge.
    """
    if not (np.isfinite(mu) and mu > 0):
        raise ValueError(f"a strength that is tested must be positive, not {mu}")
    model, blinded = prepare(spec), is_blinded(spec)
    if mu < FAINT * model.unit:
        sure, note = None if blinded else 1.0, NO_SIGNAL if model.pdf is None else TOO_FAINT
        return Confidence(mu, sure, (1.0,) * 5, sure, sure, note)
    with _ready(model, toys, seed) as options:
        data, note = _usable(model, mu / model.unit)
        observed, (both, background), expected = pyhf.infer.hypotest(
            mu / model.unit,
            data,
            model.pdf,
            return_expected_set=True,
            return_tail_probs=True,
            **options,
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
        What :func:`bphcoffea.inference.counting.workspace` made.
    level
        Confidence level: excluded is where CLs is below 1 - ``level``.
    toys
        How many toys of each hypothesis to sample the test statistic with; asymptotic when none.
        A limit takes dozens of tests: minutes.
    seed
        Of the toys.

    Raises
    ------
    ValueError
        When the level is not between 0 and 1.
    pyhf.exceptions.FailedMinimization
        When a fit does not converge.
    """
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")
    model, blinded = prepare(spec), is_blinded(spec)
    if model.pdf is None:
        return Limit(None if blinded else np.inf, (np.inf,) * 5, level, NO_SIGNAL)
    with _ready(model, toys, seed) as options:
        data, note = _usable(model, FIRST_BOUNDS[1])
        # at a strength of 0, CLs is 0/0: the lower bound is above; pyhf moves both as needed
        precision = PRECISION if toys is None else TOY_PRECISION
        observed, expected = toms748_scan(
            data, model.pdf, *FIRST_BOUNDS, level=1 - level, rtol=precision, **options
        )
    limits = _five([model.unit * value for value in expected])
    hidden = blinded or bool(note)
    return Limit(None if hidden else model.unit * float(observed), limits, level, note)


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


@contextmanager
def _ready(model: Model, toys: int | None, seed: int) -> Iterator[dict[str, Any]]:
    """Options of pyhf's tests, and its backend set up for them."""
    with backend(Optimizer(model, remember=toys is None)):
        if toys is None:
            yield {"test_stat": "qtilde"}
            return
        # pyhf samples through SciPy from NumPy's global generator
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield {
                "test_stat": "qtilde",
                "calctype": "toybased",
                "ntoys": toys,
                "track_progress": False,
            }
        finally:
            np.random.set_state(state)  # noqa: NPY002
