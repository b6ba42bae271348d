"""The background under a mass hypothesis, from the sidebands of the mass.

An exponential and polynomials are fitted to what lies beside the blinded window: extended Poisson
likelihoods in bins of a tenth of the resolution, which is as good as unbinned.

The order of the polynomial rises while a test says that a higher one is better. It is what the
field calls an F-test, but with a likelihood ratio, since bins of few events have no chi-square: the
fall of -2 ln L, which is a chi-square with as many degrees of freedom as there are more parameters
[Wilks, Ann. Math. Stat. 9 (1938) 60]. An order is kept if no higher one is better: not only the
next, for the sidebands of a symmetric valley show no slope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2 as chi2_distribution

from bphcoffea.arrays import Floats
from bphcoffea.errors import InputError
from bphcoffea.physics.windows import Window, gaps, in_words, signal_window, within
from bphcoffea.statistics.backgrounds import Bins, Shape, deviance_of, fit_shape

#: Half width of the range with its sidebands, in resolutions.
REACH = 10.0
#: Bins that are fitted, in one of about a resolution, of which goodness is told.
FINE = 10
#: Largest order of a polynomial, and the p-value above which a higher one is no better.
MAX_ORDER, STOP = 3, 0.05
#: What one more parameter must gain in -2 ln L, between the families as well: the same 5%.
PRICE = float(chi2_distribution.isf(STOP, 1))
#: Events below which no test is believed and a constant is taken.
FEW = 10
#: Largest logarithm of the ratio of an exponential at the ends of the range; with few events.
MAX_SLOPE, MAX_SLOPE_OF_FEW = 10.0, 3.0
#: Width that sidebands need at least, in resolutions.
MIN_SIDEBANDS = 1.0
#: Mean events in a bin of about a resolution below which their chi-square has no p-value.
MIN_MEAN = 5.0


@dataclass(frozen=True)
class OrderTest:
    """Whether a polynomial of a higher order is better.

    Attributes
    ----------
    order, higher
        The two orders.
    fall
        Of -2 ln L, from one to the other.
    p_value
        Of such a fall, if the lower order is right.
    """

    order: int
    higher: int
    fall: float
    p_value: float


@dataclass(frozen=True)
class SidebandFit:
    """The background of one mass hypothesis in one category.

    Attributes
    ----------
    mass, resolution
        The hypothesis, and the signal's width there, GeV.
    window
        Where the signal is searched for, GeV.
    sidebands
        What was fitted, GeV: the intervals that the window and hidden data leave of the range.
    entries
        Events in the sidebands.
    shapes
        All functions that were fitted: polynomials in rising order, and the exponential. Without
        any event, a constant of zero.
    tests
        Of the orders of the polynomial.
    chosen, other
        Where in ``shapes`` the function stands that is used, and the best of the other family.
        Without any event there is no other.
    chi2, ndof, p_value
        Baker-Cousins chi-square of the chosen function in bins of about one resolution; the p-value
        is asymptotic, and none where bins hold few events.
    notes
        What was decided.
    """

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
        """The function that is used."""
        return self.shapes[self.chosen]

    @property
    def prediction(self) -> float:
        """Background in the window, events."""
        return self.shape.prediction

    @property
    def stat(self) -> float:
        """Statistical uncertainty of the prediction, events.

        Without any event, what one would have predicted, spread evenly.
        """
        return self.shape.stat

    @property
    def shape_uncertainty(self) -> float:
        """How much more or less the best function of the other family predicts, events."""
        if self.other is None:
            return 0.0
        return abs(self.shapes[self.other].prediction - self.prediction)

    def curve(self, x: Floats) -> Floats:
        """The function that is used, in events per GeV at masses in its range; shapes (n,)."""
        return self.shape.per_gev(x)

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it, with what follows from the rest."""
        return {
            **_lists(asdict(self)),
            "prediction": self.prediction,
            "stat": self.stat,
            "shape_uncertainty": self.shape_uncertainty,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SidebandFit:
        """Read what :meth:`as_json` wrote; further keys are left aside."""
        known = {name: content[name] for name in cls.__dataclass_fields__}
        known["window"] = tuple(content["window"])
        known["sidebands"] = tuple(tuple(interval) for interval in content["sidebands"])
        known["shapes"] = tuple(Shape.from_json(shape) for shape in content["shapes"])
        known["tests"] = tuple(OrderTest(**test) for test in content["tests"])
        known["notes"] = tuple(content["notes"])
        return cls(**known)


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
        Masses of the candidates, GeV, shape (n,). Those in the window are not looked at, not even
        counted; nor are those beyond the sidebands.
    mass, resolution
        The hypothesis, and the signal's width there, GeV.
    allowed
        Masses that candidates can have, GeV: window and sidebands end there.
    hidden
        Windows whose data are missing from the values, GeV, as those of other masses: they don't
        enter the likelihood.

    Raises
    ------
    ValueError
        When the resolution is not positive.
    InputError
        When the mass is not allowed, or too little is left for sidebands.
    """
    if not (np.isfinite(resolution) and resolution > 0):
        raise ValueError(f"the resolution must be positive, not {resolution}")
    reach = REACH * resolution
    low, high = max(mass - reach, allowed[0]), min(mass + reach, allowed[1])
    if not low <= mass <= high:
        raise InputError(f"the mass {mass:g} GeV is not in {allowed[0]:g}-{allowed[1]:g} GeV")
    lower, upper = signal_window(mass, resolution)
    window = (max(lower, low), min(upper, high))
    left_out = (window, *hidden)
    sidebands = gaps((low, high), left_out)
    if sum(b - a for a, b in sidebands) < MIN_SIDEBANDS * resolution:
        raise InputError(
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
        p_value=float(chi2_distribution.sf(chi2, ndof)) if meaningful else None,
        notes=notes,
    )


def _fitted(
    counts: Floats, beside: Bins, window: Bins, range_: tuple[float, float]
) -> tuple[Shape, ...]:
    """All functions."""
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
    """Each order of the polynomial against all that are higher."""
    polynomials = [shape for shape in shapes if shape.family == "polynomial"]
    tests = []
    for order, shape in enumerate(polynomials):
        for higher in range(order + 1, len(polynomials)):
            fall = max(shape.deviance - polynomials[higher].deviance, 0.0)
            p_value = float(chi2_distribution.sf(fall, higher - order))
            tests.append(OrderTest(order, higher, fall, p_value))
    return tuple(tests)


def _choose(
    shapes: Sequence[Shape], tests: Sequence[OrderTest], entries: int
) -> tuple[int, int | None, tuple[str, ...]]:
    """The function to use, the best of the other family, and what to say of it."""
    if entries == 0:
        return 0, None, ("no event in the sidebands: the uncertainty is what one would predict",)
    exponential = len(shapes) - 1
    if entries < FEW:
        return 0, exponential, (f"fewer than {FEW} events in the sidebands: a constant",)
    surpassed = {test.order for test in tests if test.p_value < STOP}
    polynomial = min(order for order in range(MAX_ORDER + 1) if order not in surpassed)

    def cost(index: int) -> float:
        return shapes[index].deviance + PRICE * len(shapes[index].parameters)

    if cost(exponential) < cost(polynomial):
        return exponential, polynomial, ()
    return polynomial, exponential, ()


def _edges(interval: tuple[float, float], resolution: float) -> Floats:
    """Edges of fine bins, GeV."""
    low, high = interval
    return np.linspace(low, high, FINE * max(1, round((high - low) / resolution)) + 1)


def _lists(value: Any) -> Any:
    """Lists in place of tuples."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, list | tuple) else value
