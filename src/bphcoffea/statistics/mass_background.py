"""Background of a mass spectrum: an exponential that is fitted beside the blinded windows.

A power law and a positive polynomial of second order are fitted to the same data; their differences
from the exponential are the systematic uncertainty of the choice.

Few events cannot determine a slope. With fewer than `FEW` events it is limited, so that the density
changes by at most a factor exp(`MAX_SLOPE_OF_FEW`) over the range, and there are no alternatives.
Without any event, one is assumed in the sidebands, with no slope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.physics import Window, gaps, in_words, within
from bphcoffea.statistics.backgrounds import Bins, Family, Shape, fit_shape
from bphcoffea.statistics.records import Record
from bphcoffea.statistics.sidebands import FEW, MAX_SLOPE, MAX_SLOPE_OF_FEW
from bphcoffea.statistics.signal_shape import RANGE

#: Name of the nominal shape.
EXPONENTIAL = "exponential"
#: Alternative shapes, with their orders.
ALTERNATIVES: Mapping[Family, int] = {"power": 1, "polynomial": 2}
#: Width of the bins of the fit, GeV: equivalent to an unbinned fit.
BIN = 1e-3
#: Points in each bin of a spectrum at which an alternative is evaluated.
POINTS = 20


@dataclass(frozen=True)
class Background(Record):
    """An exponential background, and alternatives fitted to the same data.

    Attributes
    ----------
    events
        Events expected in the whole range, windows included.
    slope, slope_error
        Slope of the density exp(slope · mass), 1/GeV; negative if it falls.
    events_error
        Statistical error of ``events``; None if unknown.
    range
        Range of the fit, GeV.
    alternatives
        Other functions by name, fitted to the same data. Without them the choice of the shape has
        no uncertainty.
    entries
        Number of fitted events; None if the background was not fitted.
    windows
        Intervals that the fit leaves out, GeV.
    notes
        Decisions during the fit, one sentence each.
    """

    events: float
    slope: float
    slope_error: float
    events_error: float | None = None
    range: Window = RANGE
    alternatives: Mapping[str, Shape] = field(default_factory=dict)
    entries: int | None = None
    windows: tuple[Window, ...] = ()
    notes: tuple[str, ...] = ()

    def expected(self, edges: npt.ArrayLike, name: str = EXPONENTIAL) -> Floats:
        """Return the events per bin of a shape, (bins,); edges in GeV, shape (bins + 1,)."""
        at = np.asarray(edges, dtype=np.float64)
        if name == EXPONENTIAL:
            whole = _growth(np.array(self.range), self.slope, self.range)
            growth = _growth(at, self.slope, self.range)
            events: Floats = self.events * np.diff(growth) / (whole[1] - whole[0])
            return events
        parts = (np.arange(POINTS) + 0.5) / POINTS
        points = at[:-1, np.newaxis] + np.diff(at)[:, np.newaxis] * parts
        density = self.alternatives[name].per_gev(points.ravel()).reshape(points.shape)
        counts: Floats = density.mean(axis=1) * np.diff(at)
        return counts

    def per_gev(self, masses: npt.ArrayLike) -> Floats:
        """Return events per GeV at masses in the range, GeV; shapes (n,)."""
        at = np.asarray(masses, dtype=np.float64)
        whole = _growth(np.array(self.range), self.slope, self.range)
        density: Floats = np.exp(self.slope * (at - self.range[0])) / (whole[1] - whole[0])
        return self.events * density


def fit_background(
    masses: npt.ArrayLike,
    *,
    windows: Sequence[Window] = (),
    range_: Window = RANGE,
) -> Background:
    """Fit an exponential and its alternatives to the masses outside of windows.

    Parameters
    ----------
    masses
        Masses in GeV, shape (n,). Those in the windows are ignored, and not even counted.
    windows
        Intervals to leave out, GeV; empty for a fit of the whole range.
    range_
        Range of the fit, GeV.

    Raises
    ------
    FitError
        If the windows leave nothing of the range.
    """
    low, high = range_
    sidebands = gaps(range_, windows)
    if not sidebands:
        raise FitError(
            f"no sidebands are left of {low:g}-{high:g} GeV beside {in_words(windows, 'GeV')}"
        )
    x = np.asarray(masses, dtype=np.float64)
    x = x[(x >= low) & (x < high) & ~within(x, windows)]
    edges = [np.linspace(a, b, max(1, round((b - a) / BIN)) + 1) for a, b in sidebands]
    counts = np.concatenate([np.histogram(x, part)[0] for part in edges]).astype(np.float64)
    whole = np.linspace(low, high, max(1, round((high - low) / BIN)) + 1)
    beside, everywhere = Bins.of(edges, range_), Bins.of([whole], range_)
    fitted_windows = tuple((float(a), float(b)) for a, b in windows)
    if len(x) == 0:
        one = (high - low) / sum(b - a for a, b in sidebands)
        return Background(
            events=one,
            slope=0.0,
            slope_error=MAX_SLOPE_OF_FEW / (high - low),
            events_error=one,
            range=(low, high),
            entries=0,
            windows=fitted_windows,
            notes=("no event in the sidebands: one is assumed, without a slope",),
        )
    few = len(x) < FEW
    limit = MAX_SLOPE_OF_FEW if few else MAX_SLOPE
    notes: tuple[str, ...] = ()
    if few:
        notes = (
            f"fewer than {FEW} events in the sidebands: the slope is limited, and no other "
            "shapes are fitted",
        )

    def fitted(family: Family, order: int) -> Shape:
        return fit_shape(family, order, counts, beside, everywhere, (low, high), max_slope=limit)

    shape = fitted("exponential", 1)
    return Background(
        events=shape.prediction,
        slope=shape.parameters[1] / (high - low),
        slope_error=shape.covariance[1][1] ** 0.5 / (high - low),
        events_error=shape.stat,
        range=(low, high),
        alternatives={} if few else {name: fitted(name, n) for name, n in ALTERNATIVES.items()},
        entries=len(x),
        windows=fitted_windows,
        notes=notes,
    )


def _growth(x: Floats, slope: float, range_: Window) -> Floats:
    """Return the integral of exp[slope (x - low)] from the lower end of a range; shapes (n,)."""
    distance = x - range_[0]
    # the limit of a vanishing slope, which rounding would spoil
    if abs(slope) * (range_[1] - range_[0]) < 1e-9:
        return distance
    growth: Floats = np.expm1(slope * distance) / slope
    return growth
