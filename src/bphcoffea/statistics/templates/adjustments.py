"""Smoothing and symmetrising of variations."""

from __future__ import annotations

import numpy as np

from bphcoffea.arrays import Floats


def smoothed(nominal: Floats, varied: Floats, neighbours: int) -> Floats:
    """Return a varied template whose relative difference is averaged over neighbouring bins.

    Each bin has the relative difference of the sum of the bins around it; the yield is kept.

    Parameters
    ----------
    nominal, varied
        Contents, shape (bins,).
    neighbours
        Number of bins on each side.

    Examples
    --------
    >>> smoothed(np.array([10.0, 10.0, 10.0]), np.array([10.0, 13.0, 10.0]), 1).round(2)
    array([11.17, 10.67, 11.17])
    """
    difference, total = varied - nominal, float(np.sum(nominal))
    window = np.ones(2 * neighbours + 1)
    sums = [
        np.convolve(each, window)[neighbours : neighbours + len(each)]
        for each in (difference, nominal)
    ]
    relative = np.divide(sums[0], sums[1], out=np.zeros_like(nominal), where=sums[1] > 0)
    averaged: Floats = nominal * (1 + relative)
    return averaged + nominal * (float(np.sum(varied)) - float(np.sum(averaged))) / total


def symmetrised(nominal: Floats, down: Floats, up: Floats, how: str) -> tuple[Floats, Floats]:
    """Return both sides with opposite differences; for `how` see :class:`VariationRule`.

    >>> symmetrised(*(np.array([x]) for x in (10.0, 9.0, 13.0)), "average")
    (array([8.]), array([12.]))
    """
    above, below = up - nominal, down - nominal
    difference = {
        "average": (above - below) / 2,
        "larger": np.where(np.abs(above) >= np.abs(below), above, -below),
        "up": above,
        "down": -below,
    }[how]
    return nominal - difference, nominal + difference
