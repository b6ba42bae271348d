"""What of the data an analysis does not want to be seen before it is finished."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bphcoffea.errors import DeclarationError


@dataclass(frozen=True)
class Blind:
    """A variable of which figures hide data.

    All histograms of the variable are blind: also those of categories, and the N-1 distribution.

    Attributes
    ----------
    histogram
        Name of the analysis's histogram of that variable.
    windows
        Ends of what is hidden, in the unit of the variable. Without any, what is hidden are the
        signal windows of the simulated masses and of all masses that a limit was set for; if there
        are none of these either, all data.

    Raises
    ------
    DeclarationError
        If a window is empty.

    Examples
    --------
    >>> Blind("hnl_mass", windows=((1.7, 1.9),)).windows
    ((1.7, 1.9),)
    """

    histogram: str
    windows: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        for low, high in self.windows:
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise DeclarationError(
                    f"Blind('{self.histogram}'): the window {low:g} to {high:g} is empty; "
                    "give its lower end first, then a higher one"
                )
