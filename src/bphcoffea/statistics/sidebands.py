"""Background under a mass hypothesis, from the sidebands of the mass.

An exponential and polynomials are fitted beside the blinded window: extended Poisson likelihoods in
bins of a tenth of the resolution, which are equivalent to unbinned ones.

The order of the polynomial is the lowest one that no higher order improves. The test is known as an
F-test, but uses a likelihood ratio, since bins of few events have no chi-square: the fall of
-2 ln L is a chi-square with one degree of freedom per additional parameter [Wilks, Ann. Math. Stat.
9 (1938) 60]. Each order is compared with all higher ones, not only with the next: the sidebands of
a symmetric valley show no slope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, chdtri

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.physics import Window, gaps, in_words, signal_window, within
from bphcoffea.statistics.backgrounds import Bins, Shape, deviance_of, fit_shape
from bphcoffea.statistics.records import Record

#: Half width of the range with its sidebands, in resolutions.
REACH = 10.0
#: Bins of the fit per bin of about one resolution, in which the goodness of fit is computed.
FINE = 10
#: Largest order of a polynomial, and the p-value above which a higher one is no better.
MAX_ORDER, STOP = 3, 0.05
#: Penalty per extra parameter in -2 ln L (χ² with 1 degree of freedom at p = 5%), also between
#: families.
PENALTY = float(chdtri(1, STOP))
#: Number of events below which no test is made and a constant is used.
FEW = 10
#: Largest logarithm of the ratio of an exponential at the ends of the range, and with few events.
MAX_SLOPE, MAX_SLOPE_OF_FEW = 10.0, 3.0
#: Smallest total width of the sidebands, in resolutions.
MIN_SIDEBANDS = 1.0
#: Mean events per bin of about one resolution below which the chi-square has no p-value.
MIN_MEAN = 5.0


@dataclass(frozen=True)
class OrderTest(Record):
    """Comparison of two orders of a polynomial.

    Attributes
    ----------
    order, higher
        The two orders.
    fall
        Fall of -2 ln L from the lower to the higher order.
    p_value
        Probability of such a fall if the lower order is right.
    """

    order: int
    higher: int
    fall: float
    p_value: float


@dataclass(frozen=True)
class SidebandFit(Record):
    """Background of one mass hypothesis in one category.

    Attributes
    ----------
    mass, resolution
        Mass of the hypothesis, and width of its signal, GeV.
    window
        Window of the signal, GeV.
    sidebands
        Fitted intervals, GeV: the range without the window and hidden data.
    entries
        Events in the sidebands.
    shapes
        All fitted functions: polynomials in ascending order, and the exponential. Without any
        event, a constant of zero.
    tests
        Comparisons of the orders of the polynomial.
    chosen, other
        Positions in ``shapes`` of the chosen function, and of the best one of the other family;
        without any event there is no other.
    chi2, ndof, p_value
        Baker-Cousins chi-square of the chosen function in bins of about one resolution, and its
        asymptotic p-value; None if bins hold few events.
    notes
        Decisions during the fit, one sentence each.
    """

    derived: ClassVar = ("prediction", "stat", "shape_uncertainty")

    mass: float
    resolution: float
    window: tuple[float, float]
    sidebands: tuple[tuple[float, float], ...]
    entries: int
    shapes: tuple[Shape, ...]
    tests: tuple[OrderTest, ...]
    chosen: int
    other: int | None
    chi2: float
    ndof: int
    p_value: float | None
    notes: tuple[str, ...]

    @property
    def shape(self) -> Shape:
        """The chosen function."""
        return self.shapes[self.chosen]

    @property
    def prediction(self) -> float:
        """Background in the window, events."""
        return self.shape.prediction

    @property
    def stat(self) -> float:
        """Statistical uncertainty of the prediction, events.

        Without any event: the prediction of one event, spread evenly.
        """
        return self.shape.stat

    @property
    def shape_uncertainty(self) -> float:
        """Difference to the prediction of the best function of the other family, events."""
        if self.other is None:
            return 0.0
        return abs(self.shapes[self.other].prediction - self.prediction)


def fit_sidebands(
    values: npt.ArrayLike,
    *,
    mass: float,
    resolution: float,
    allowed: Window = (-np.inf, np.inf),
    hidden: Sequence[Window] = (),
) -> SidebandFit:
    """Predict the background in the window around a mass.

    Parameters
    ----------
    values
        Masses of the candidates, GeV, shape (n,). Those in the window or beyond the sidebands are
        ignored, and not even counted.
    mass, resolution
        Mass of the hypothesis, and width of its signal, GeV.
    allowed
        Masses that candidates can have, GeV: limits of window and sidebands.
    hidden
        Windows whose data are missing from the values, GeV, such as those of other masses; the
        likelihood leaves them out.

    Raises
    ------
    ValueError
        If the resolution is not positive.
    FitError
        If the mass is not allowed, or too little is left for sidebands.
    """
    if not (np.isfinite(resolution) and resolution > 0):
        raise ValueError(f"the resolution must be positive, not {resolution}")
    reach = REACH * resolution
    low, high = max(mass - reach, allowed[0]), min(mass + reach, allowed[1])
    if not low <= mass <= high:
        raise FitError(f"the mass {mass:g} GeV is not in {allowed[0]:g}-{allowed[1]:g} GeV")
    lower, upper = signal_window(mass, resolution)
    window = (max(lower, low), min(upper, high))
    left_out = (window, *hidden)
    sidebands = gaps((low, high), left_out)
    if sum(b - a for a, b in sidebands) < MIN_SIDEBANDS * resolution:
        raise FitError(
            f"no sidebands are left of the mass {mass:g} GeV: its window is "
            f"{window[0]:g}-{window[1]:g} GeV, allowed are {allowed[0]:g}-{allowed[1]:g} GeV"
            + (f", data are hidden in {in_words(hidden, 'GeV')}" if hidden else "")
        )
    x = np.asarray(values, dtype=np.float64)
    x = x[(x >= low) & (x <= high) & ~within(x, left_out)]
    edges = [_edges(side, resolution) for side in sidebands]
    counts = np.concatenate([np.histogram(x, side)[0] for side in edges]).astype(np.float64)
    beside, inside = (Bins.of(part, (low, high)) for part in (edges, [_edges(window, resolution)]))

    shapes = _fitted(counts, beside, inside, (low, high))
    tests = _tested(shapes)
    chosen, other, notes = _choose(shapes, tests, len(x))
    coarse = np.array([counts, beside.widths * shapes[chosen].per_range(beside.middles)])
    seen, expected = coarse.reshape(2, -1, FINE).sum(axis=2)
    chi2, ndof = deviance_of(seen, expected), len(seen) - len(shapes[chosen].parameters)
    meaningful = ndof > 0 and len(x) >= MIN_MEAN * len(seen)
    return SidebandFit(
        mass=mass,
        resolution=resolution,
        window=window,
        sidebands=sidebands,
        entries=len(x),
        shapes=shapes,
        tests=tests,
        chosen=chosen,
        other=other,
        chi2=chi2,
        ndof=ndof,
        p_value=float(chdtrc(ndof, chi2)) if meaningful else None,
        notes=notes,
    )


def _fitted(
    counts: Floats, beside: Bins, window: Bins, range_: tuple[float, float]
) -> tuple[Shape, ...]:
    """Return all fitted functions."""
    if not np.any(counts):
        width = float(np.sum(beside.widths))
        one = float(np.sum(window.widths)) / width
        return (Shape("polynomial", 0, range_, (0.0,), ((width**-2,),), 0.0, 0.0, one),)
    options = {"max_slope": MAX_SLOPE if np.sum(counts) >= FEW else MAX_SLOPE_OF_FEW}
    return (
        *(
            fit_shape("polynomial", order, counts, beside, window, range_, **options)
            for order in range(MAX_ORDER + 1)
        ),
        fit_shape("exponential", 1, counts, beside, window, range_, **options),
    )


def _tested(shapes: Sequence[Shape]) -> tuple[OrderTest, ...]:
    """Compare each order of the polynomial with all higher ones."""
    polynomials = [shape for shape in shapes if shape.family == "polynomial"]
    tests = []
    for order, shape in enumerate(polynomials):
        for higher in range(order + 1, len(polynomials)):
            fall = max(shape.deviance - polynomials[higher].deviance, 0.0)
            p_value = float(chdtrc(higher - order, fall))
            tests.append(OrderTest(order, higher, fall, p_value))
    return tuple(tests)


def _choose(
    shapes: Sequence[Shape], tests: Sequence[OrderTest], entries: int
) -> tuple[int, int | None, tuple[str, ...]]:
    """Return the positions of the chosen function and the best of the other family, and notes."""
    if entries == 0:
        return 0, None, ("no event in the sidebands: the uncertainty is the prediction of one",)
    exponential = len(shapes) - 1
    if entries < FEW:
        return 0, exponential, (f"fewer than {FEW} events in the sidebands: a constant is used",)
    surpassed = {test.order for test in tests if test.p_value < STOP}
    polynomial = min(order for order in range(MAX_ORDER + 1) if order not in surpassed)

    def cost(index: int) -> float:
        return shapes[index].deviance + PENALTY * len(shapes[index].parameters)

    if cost(exponential) < cost(polynomial):
        return exponential, polynomial, ()
    return polynomial, exponential, ()


def _edges(interval: tuple[float, float], resolution: float) -> Floats:
    """Return the edges of fine bins, GeV."""
    low, high = interval
    return np.linspace(low, high, FINE * max(1, round((high - low) / resolution)) + 1)
