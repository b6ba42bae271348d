"""Background of a mass spectrum, an exponential fitted beside the windows that are blinded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bphcoffea.inference.backgrounds import Floats, Shape
from bphcoffea.physics.windows import Window

#: The shape that is used, and the alternatives, whose differences from it are a systematic.
Name = Literal["exponential", "power", "polynomial"]


@dataclass(frozen=True)
class Background:
    """An exponential background, and alternatives fitted to the same data.

    Attributes
    ----------
    events
        Expected in the whole range, window included.
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
        Intervals inside the range that were left out of the fit, GeV.
    notes
        What was decided during the fit.
    """

    events: float
    slope: float
    slope_error: float
    events_error: float | None = None
    range: tuple[float, float] = (1.62, 2.00)
    alternatives: Mapping[str, Shape] = field(default_factory=dict)
    entries: int | None = None
    windows: tuple[Window, ...] = ()
    notes: tuple[str, ...] = ()

    def expected(self, edges: npt.ArrayLike, name: str = "exponential") -> Floats:
        """Events in each bin of the exponential or an alternative; edges in GeV, (bins + 1,)."""
        raise NotImplementedError

    def per_gev(self, masses: npt.ArrayLike, name: str = "exponential") -> Floats:
        """Events per GeV at masses in the range (GeV), for figures; shapes (n,)."""
        raise NotImplementedError

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Background:
        """Read what :meth:`as_json` wrote; further keys are left aside."""
        raise NotImplementedError


def fit_background(
    masses: npt.ArrayLike,
    *,
    windows: Sequence[Window] = (),
    range_: tuple[float, float] = (1.62, 2.00),
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
    raise NotImplementedError
