"""Data that an analysis hides before it is finished."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bphcoffea.errors import DeclarationError
from bphcoffea.physics.windows import Window, signal_window, united


@dataclass(frozen=True)
class Blind:
    """The variable in whose windows a run hides data, and how the windows are found.

    Give either fixed windows, or the resolution with which windows are made around the masses that
    are searched: those of simulated signal, and others that are given to the run.

    Attributes
    ----------
    histogram
        Name of the analysis's histogram of that variable.
    windows
        Fixed ends of what is hidden, in the unit of the variable.
    resolution
        Standard deviation of the measured mass: relative to the mass, or a function from the mass
        to it, GeV. Choose it somewhat too large: the window that a limit takes from simulated
        signal must lie inside.

    Raises
    ------
    DeclarationError
        If a window is empty, or not exactly one of ``windows`` and ``resolution`` is given.

    Examples
    --------
    >>> Blind("hnl_mass", windows=((1.7, 1.9),)).around([])
    ((1.7, 1.9),)
    >>> Blind("hnl_mass", resolution=0.01).around([1.0])
    ((0.97, 1.03),)
    """

    histogram: str
    windows: tuple[Window, ...] = ()
    resolution: float | Callable[[float], float] | None = None

    def __post_init__(self) -> None:
        for low, high in self.windows:
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise DeclarationError(
                    f"Blind('{self.histogram}'): the window {low:g} to {high:g} is empty; "
                    "give its lower end first, then a higher one"
                )
        if bool(self.windows) == (self.resolution is not None):
            raise DeclarationError(
                f"Blind('{self.histogram}'): give either windows, or the resolution that makes a "
                "window around each mass that is searched"
            )
        if not callable(self.resolution) and self.resolution is not None:
            self._check(self.resolution)

    def around(self, masses: Iterable[float]) -> tuple[Window, ...]:
        """Return the windows that are hidden if these masses are searched, GeV.

        Overlapping windows are merged; fixed windows don't depend on the masses.
        """
        if self.windows:
            return united(self.windows)
        return united(signal_window(mass, self._width(mass)) for mass in masses)

    def _width(self, mass: float) -> float:
        if callable(self.resolution):
            return self._check(self.resolution(mass))
        return mass * (self.resolution or 0.0)

    def _check(self, resolution: Any) -> float:
        if not (math.isfinite(resolution) and resolution > 0):
            raise DeclarationError(
                f"Blind('{self.histogram}'): the resolution must be positive, not {resolution:g}"
            )
        return float(resolution)


@dataclass(frozen=True)
class Hidden:
    """What a run hides of its data.

    Attributes
    ----------
    windows
        Ends of the windows of the blind variable, ascending; none if the run is unblinded.
    masses
        The masses that they are made for, GeV.
    """

    windows: tuple[Window, ...] = ()
    masses: tuple[float, ...] = ()
