"""Costs against those of iminuit."""

import numpy as np
import pytest
from iminuit import Minuit
from iminuit.cost import ExtendedBinnedNLL, NormalConstraint

from bphcoffea.statistics.costs import BinnedCost, Constraint

EDGES = np.linspace(0, 3, 8)
COUNTS = np.array([9.0, 7.0, 0.0, 4.0, 3.0, 0.0, 1.0])
VARIANCES = np.array([12.0, 3.0, 0.0, 8.0, 9.0, 0.0, 1.0])


def integral(x, n, slope):
    return n * (1 - np.exp(-slope * x))


def expected(n, slope):
    return np.diff(integral(EDGES, n, slope))


@pytest.mark.parametrize("weighted", [False, True])
def test_costs_are_those_of_iminuit(weighted):
    counts = np.column_stack([COUNTS, VARIANCES]) if weighted else COUNTS
    measured, covariance = np.array([1.1, 20.0]), np.array([[0.04, 0.1], [0.1, 9.0]])
    names = ["slope", "n"]
    theirs = ExtendedBinnedNLL(counts, EDGES, integral)
    theirs += NormalConstraint(names, measured, covariance)
    ours = BinnedCost(COUNTS, VARIANCES if weighted else None, expected, ["n", "slope"])
    ours += Constraint(names, measured, covariance)
    assert ours.names == ("n", "slope")
    for point in ((24.0, 0.7), (1.0, 3.0), (-2.0, 0.5)):
        assert ours(*point) == pytest.approx(theirs(*point), rel=1e-12)
    fits = [Minuit(cost, n=20, slope=1).migrad() for cost in (ours, theirs)]
    assert list(fits[0].values) == pytest.approx(list(fits[1].values), rel=1e-6)
    assert list(fits[0].errors) == pytest.approx(list(fits[1].errors), rel=1e-4)
