"""Background of a mass spectrum, an exponential fitted beside the windows that are blinded.

A power law and a positive polynomial of second order are fitted to the same data; their differences
from the exponential are the systematic uncertainty of the choice.

Few events can't tell a slope. With fewer than `FEW` it is limited, so that the density changes by
no more than exp(`MAX_SLOPE_OF_FEW`) from one end of the range to the other, and there are no
alternatives. Without any event, one is assumed in the sidebands, with no slope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bphcoffea.arrays import Floats
from bphcoffea.errors import InputError
from bphcoffea.physics.windows import Window, gaps, in_words, within
from bphcoffea.statistics.backgrounds import Bins, Family, Shape, fit_shape
from bphcoffea.statistics.sidebands import FEW, MAX_SLOPE, MAX_SLOPE_OF_FEW
from bphcoffea.statistics.signal_shape import RANGE

#: The shape that is used.
EXPONENTIAL = "exponential"
#: The other shapes, with their orders.
ALTERNATIVES: Mapping[Family, int] = {"power": 1, "polynomial": 2}
#: Bins of the fit, GeV: as good as unbinned.
BIN = 1e-3
#: Points in each bin of a spectrum at which an alternative is evaluated.
POINTS = 20


@dataclass(frozen=True)
class Background:
    """An exponential background, and alternatives fitted to the same data.

    Attributes
    ----------
    events
        Expected in the whole range, windows included.
    slope, slope_error
        1/GeV: the density is proportional to exp(slope · mass); negative when it falls.
    events_error
        Statistical error of ``events``. None if not known.
    range
        GeV.
    alternatives
        Other functions by name, fitted to the same data. Without them there is no uncertainty from
        the choice of the shape.
    entries
        Events that were fitted. None if the background was not fitted.
    windows
        Intervals that were left out of the fit, GeV.
    notes
        What was decided during the fit.
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
        """Events in each bin of the exponential or an alternative; edges in GeV, (bins + 1,)."""
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

    def per_gev(self, masses: npt.ArrayLike, name: str = EXPONENTIAL) -> Floats:
        """Events per GeV at masses in the range (GeV), for figures; shapes (n,)."""
        at = np.asarray(masses, dtype=np.float64)
        if name != EXPONENTIAL:
            return self.alternatives[name].per_gev(at)
        whole = _growth(np.array(self.range), self.slope, self.range)
        density: Floats = np.exp(self.slope * (at - self.range[0])) / (whole[1] - whole[0])
        return self.events * density

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            **asdict(self),
            "range": list(self.range),
            "windows": [list(window) for window in self.windows],
            "alternatives": {
                name: {
                    **asdict(shape),
                    "range": list(shape.range),
                    "parameters": list(shape.parameters),
                    "covariance": [list(row) for row in shape.covariance],
                }
                for name, shape in self.alternatives.items()
            },
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Background:
        """Read what :meth:`as_json` wrote; further keys are left aside."""
        known = {name: content[name] for name in cls.__dataclass_fields__}
        low, high = known["range"]
        known["range"] = (low, high)
        known["windows"] = tuple((low, high) for low, high in known["windows"])
        known["alternatives"] = {
            name: Shape.from_json(shape) for name, shape in known["alternatives"].items()
        }
        known["notes"] = tuple(known["notes"])
        return cls(**known)


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
        GeV, shape (n,). Those in the windows are not looked at, not even counted.
    windows
        What is left out, GeV; none for a fit of the whole range.
    range_
        What is fitted, GeV.

    Raises
    ------
    InputError
        When windows leave nothing of the range.
    """
    low, high = range_
    sidebands = gaps(range_, windows)
    if not sidebands:
        raise InputError(
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
    """Integral of exp[slope (x - low)] from the lower end of a range, GeV; shapes (n,)."""
    distance = x - range_[0]
    # without a slope the limit, which rounding would otherwise spoil
    if abs(slope) * (range_[1] - range_[0]) < 1e-9:
        return distance
    growth: Floats = np.expm1(slope * distance) / slope
    return growth
