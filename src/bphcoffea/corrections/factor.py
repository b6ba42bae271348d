"""Factors of the weight with their uncertainties."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import mul
from typing import Final

from bphcoffea.corrections.payload import Floats

#: Name of an uncertainty without parts.
WHOLE: Final = ""


@dataclass(frozen=True)
class Factor:
    """A factor of the weight, with its shifts by each uncertainty.

    Attributes
    ----------
    nominal
        Shape (n,).
    shifts
        The factor shifted up and down by each of its uncertainties, by name (:data:`WHOLE` for the
        only one); shape (n,) each.
    clamped
        Number of values outside the bins, which got the value of the nearest bin.
    points
        Factors for alternative hypotheses, relative to the nominal one, keyed by variation name;
        shape (n,) each.
    notes
        Remarks for the user, with the number of values that each applies to.

    Examples
    --------
    Uncertainties of the same name are correlated:

    >>> import numpy as np
    >>> leading = Factor(np.array([0.9]), {"stat": (np.array([1.0]), np.array([0.8]))})
    >>> both = leading * leading
    >>> both.nominal, both.shifts["stat"]
    (array([0.81]), (array([1.]), array([0.64])))
    """

    nominal: Floats
    shifts: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    clamped: int = 0
    points: Mapping[str, Floats] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)

    def __mul__(self, other: Factor) -> Factor:
        """Return the product; uncertainties of the same name are correlated."""
        names = dict.fromkeys((*self.shifts, *other.shifts))
        shifts = {}
        for name in names:
            up, down = self.shifts.get(name, (self.nominal, self.nominal))
            other_up, other_down = other.shifts.get(name, (other.nominal, other.nominal))
            shifts[name] = (up * other_up, down * other_down)
        points = dict(self.points)
        for name, values in other.points.items():
            points[name] = points[name] * values if name in points else values
        clamped = self.clamped + other.clamped
        notes = dict(Counter(self.notes) + Counter(other.notes))
        return Factor(self.nominal * other.nominal, shifts, clamped, points, notes)


def product(factors: Sequence[Factor]) -> Factor:
    """Return the product of factors; uncertainties of the same name are correlated."""
    return reduce(mul, factors)
