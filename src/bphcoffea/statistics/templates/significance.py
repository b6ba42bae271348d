"""Probability that a variation is a statistical fluctuation of the simulation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.statistics.templates.covariance import p_value, shape_part
from bphcoffea.statistics.templates.template import Sides


class Probabilities(NamedTuple):
    """Probabilities that fluctuations give as large a difference, of the more significant side.

    Attributes
    ----------
    whole
        Of yield and shape together.
    shape
        Of the shape alone.
    """

    whole: float
    shape: float


def probabilities(nominal: Floats, sides: Sides) -> Probabilities | None:
    """Return the probabilities of a variation; None if its covariance is unknown.

    Parameters
    ----------
    nominal
        Nominal content, shape (bins,).
    sides
        Both sides of the variation.
    """
    varied = [side for side in (sides.up, sides.down) if side is not None]
    found = []
    for side in varied:
        if side.covariance is None or np.sum(nominal) <= 0 or np.sum(side.values) <= 0:
            return None
        whole = p_value(side.values - nominal, side.covariance)
        found.append((whole, p_value(*shape_part(nominal, side.values, side.covariance))))
    return Probabilities(*(min(of) for of in zip(*found, strict=True))) if found else None
