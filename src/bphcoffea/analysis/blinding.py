"""Windows of a search's variable in which data stay hidden until the search is unblinded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bphcoffea.arrays import Booleans, Numbers
from bphcoffea.errors import DeclarationError
from bphcoffea.physics import Window, signal_window, united, within


@dataclass(frozen=True)
class Blind:
    """The variable of a search, and the windows in which a run hides data.

    Give either fixed windows, or the resolution, from which windows around the searched masses are
    made: the masses of simulated signal, and others that are given to the run.

    Attributes
    ----------
    histogram
        Name of a histogram of the variable.
    windows
        Fixed windows, lower and upper end, in the unit of the variable: for all candidates, or by
        category.
    resolution
        Standard deviation of the measured mass: relative to the mass, or a function from the mass
        to the standard deviation, both in GeV. Choose it slightly too large, so that the signal
        window of a limit lies inside.

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
        """Return the hidden windows for some searched masses, GeV.

        Overlapping windows are merged, also between categories. Fixed windows do not depend on the
        masses.
        """
        if self.windows:
            return united(self._all_windows())
        return united(signal_window(mass, self._width(mass)) for mass in masses)

    @property
    def by_category(self) -> dict[str, tuple[Window, ...]]:
        """Fixed windows of each category, merged if they overlap; empty if all have the same."""
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

    def _check(self, resolution: float) -> float:
        if not (math.isfinite(resolution) and resolution > 0):
            raise DeclarationError(
                f"Blind('{self.histogram}'): the resolution must be positive, not {resolution:g}"
            )
        return float(resolution)


@dataclass(frozen=True)
class Hidden:
    """Windows of the blind variable in which a run hides its data.

    Attributes
    ----------
    windows
        Lower and upper ends, ascending; empty if the run hides nothing.
    masses
        Masses that the windows were made for, GeV.
    by_category
        Windows of each category if they differ; `windows` is their union.
    """

    windows: tuple[Window, ...] = ()
    masses: tuple[float, ...] = ()
    by_category: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)

    def hides(self, values: Numbers, categories: Numbers, names: Sequence[str]) -> Booleans:
        """Return which candidates are hidden, shape (n,).

        Parameters
        ----------
        values
            Values of the blind variable, shape (n,).
        categories
            Position of each candidate's category among the names, shape (n,). A candidate without a
            category is hidden in the windows of all categories.
        names
            Names of the categories.
        """
        inside = within(values, self.windows)
        for position, name in enumerate(names):
            if name in self.by_category:
                of_category = categories == position
                inside[of_category] = within(values[of_category], self.by_category[name])
        return inside
