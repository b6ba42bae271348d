"""Data that an analysis hides before it is finished."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bphcoffea.errors import DeclarationError
from bphcoffea.physics.windows import Window, signal_window, united, within


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
        Fixed ends of what is hidden, in the unit of the variable: the same for all candidates, or
        for each category its own.
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
    >>> Blind("mass", windows=((1.7, 1.9),)).around([])
    ((1.7, 1.9),)
    >>> Blind("mass", resolution=0.01).around([1.0])
    ((0.97, 1.03),)
    >>> Blind("mass", windows={"A": ((1.75, 1.80),), "B": ((1.74, 1.81),)}).around([])
    ((1.74, 1.81),)
    """

    histogram: str
    windows: tuple[Window, ...] | Mapping[str, tuple[Window, ...]] = ()
    resolution: float | Callable[[float], float] | None = None

    def __post_init__(self) -> None:
        for low, high in self._all_windows():
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

        Overlapping windows are merged, also those of different categories; fixed windows don't
        depend on the masses.
        """
        if self.windows:
            return united(self._all_windows())
        return united(signal_window(mass, self._width(mass)) for mass in masses)

    @property
    def by_category(self) -> dict[str, tuple[Window, ...]]:
        """The windows of each category, merged where they overlap; empty if all have the same."""
        if not isinstance(self.windows, Mapping):
            return {}
        return {name: united(windows) for name, windows in self.windows.items()}

    def _all_windows(self) -> Iterable[Window]:
        if not isinstance(self.windows, Mapping):
            return self.windows
        return [window for windows in self.windows.values() for window in windows]

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
    by_category
        The windows of each category, where these differ; ``windows`` is their union then.
    """

    windows: tuple[Window, ...] = ()
    masses: tuple[float, ...] = ()
    by_category: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)

    def hides(
        self, values: npt.NDArray[Any], categories: npt.NDArray[np.int64], names: Sequence[str]
    ) -> npt.NDArray[np.bool_]:
        """Return which candidates are hidden, shape (n,).

        Parameters
        ----------
        values
            The blind variable of the candidates, shape (n,).
        categories
            Positions of their categories among the names, shape (n,). A candidate that is in none
            is hidden in the windows of all.
        names
            The categories.
        """
        inside = within(values, self.windows)
        for position, name in enumerate(names):
            if name in self.by_category:
                here = categories == position
                inside[here] = within(values[here], self.by_category[name])
        return inside
