"""Results of tests and limits: CLs of a strength, and upper limits on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from bphcoffea.statistics.records import Record

#: Expected results, in standard deviations of the data without signal: negative for fewer events,
#: which exclude more.
QUANTILES: Final = (-2, -1, 0, 1, 2)
#: Position of the median among them.
MEDIAN: Final = QUANTILES.index(0)

#: One number for each of `QUANTILES`.
Five = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Confidence(Record):
    """Compatibility of data with a signal of one strength.

    Attributes
    ----------
    strength
        Strength of the signal.
    observed
        Observed CLs; None if blinded, or if the data lie too far below the background.
    expected
        CLs without signal at each of `QUANTILES`.
    signal_and_background, background
        Observed CLs+b and CLb; None if ``observed`` is.
    note
        Reason why nothing is observed or expected, other than blinding.
    toys
        Number of toys per hypothesis; 0 for asymptotic formulae.
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


@dataclass(frozen=True)
class Limit(Record):
    """Upper limit on the strength of a signal.

    Attributes
    ----------
    observed
        Observed limit, infinite if nothing can be excluded; None if blinded, or if the data lie
        too far below the background.
    expected
        Limits without signal at each of `QUANTILES`.
    level
        Confidence level.
    note
        Reason why the limit is infinite or missing, other than blinding.
    toys
        Number of toys per hypothesis; 0 for asymptotic formulae.
    """

    observed: float | None
    expected: Five
    level: float
    note: str = ""
    toys: int = 0

    def scaled(self, unit: float) -> Limit:
        """Return the limit on a quantity that is ``unit`` at a strength of 1."""
        observed = None if self.observed is None else self.observed * unit
        return replace(self, observed=observed, expected=five(x * unit for x in self.expected))


def five(values: Iterable[float]) -> Five:
    """Return five numbers as a tuple of floats."""
    first, second, third, fourth, fifth = (float(value) for value in values)
    return first, second, third, fourth, fifth
