"""Mass windows, in which a signal is searched for or data are hidden."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bphcoffea.arrays import Booleans, Floats

#: Lower and upper end.
Window = tuple[float, float]

#: Quantiles of a Gaussian at one standard deviation below and above its mean.
_SIGMA: Final = (0.158655, 0.841345)
#: Half width of the signal window, in resolutions.
WINDOW: Final = 3.0


def signal_window(mass: float, resolution: float) -> Window:
    """Return the ends of the window in which a signal is searched for, GeV.

    Parameters
    ----------
    mass
        Mass of the signal, GeV.
    resolution
        Mass resolution of the signal, GeV.
    """
    half = WINDOW * resolution
    return mass - half, mass + half


def width_of(masses: Floats) -> float:
    """Return half the width of the central 68% of measured masses, GeV, shape (n,)."""
    import numpy as np

    low, high = np.quantile(masses, _SIGMA)
    return float(high - low) / 2


def united(windows: Iterable[Window]) -> tuple[Window, ...]:
    """Return windows in ascending order, with overlapping and touching ones merged.

    >>> united([(1.4, 1.6), (0.9, 1.1), (1.5, 1.7)])
    ((0.9, 1.1), (1.4, 1.7))
    """
    merged: list[Window] = []
    for low, high in sorted(windows):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def within(values: npt.NDArray[np.floating], windows: Iterable[Window]) -> Booleans:
    """Return which values, shape (n,), lie in a window, ends included, in double precision."""
    import numpy as np

    x = values.astype(np.float64)
    inside = np.zeros(len(x), dtype=np.bool_)
    for low, high in windows:
        inside |= (x >= low) & (x <= high)
    return inside


def covered(window: Window, windows: Iterable[Window]) -> bool:
    """Return whether the union of `windows` contains all of `window`."""
    return any(low <= window[0] and window[1] <= high for low, high in united(windows))


def gaps(whole: Window, windows: Iterable[Window]) -> tuple[Window, ...]:
    """Return the parts of a range that no window covers, in ascending order.

    >>> gaps((0.0, 2.0), [(0.5, 0.6), (1.9, 2.5)])
    ((0.0, 0.5), (0.6, 1.9))
    """
    start, end = whole
    uncovered: list[Window] = []
    for low, high in united(windows):
        if start < min(low, end):
            uncovered.append((start, min(low, end)))
        start = max(start, high)
    if start < end:
        uncovered.append((start, end))
    return tuple(uncovered)


def in_words(windows: Iterable[Window], unit: str = "") -> str:
    """Return windows as text.

    >>> in_words([(0.95, 1.05), (1.4, 1.6)], "GeV")
    '0.95–1.05 and 1.4–1.6 GeV'
    """
    return f"{' and '.join(f'{low:.4g}–{high:.4g}' for low, high in windows)} {unit}".rstrip()
