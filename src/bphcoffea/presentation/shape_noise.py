"""Statistical part of the shift of a histogram by a shape variation.

A shape variation selects the same events again, with shifted momenta. Some of them cross an edge of
a bin, or a cut, and how many do so fluctuates: in bins with few events, the difference between a
variation and the nominal content is mostly such a fluctuation. It is no systematic uncertainty, and
the band has it already as the statistical one. Weights move no events and have no such part.
"""

from __future__ import annotations

import numpy as np

from bphcoffea.arrays import Floats


def moved_variance(nominal: Floats, varied: Floats, variance: Floats) -> Floats:
    """Return the smallest variance that the events which changed bins give to the shift of a bin.

    The net number of events over each edge follows from the sums of the shifts on one side of it.
    At least as many events have crossed it, each with the mean weight, and their number has a
    Poisson variance. What a variation adds or removes in total is taken as spread over all bins
    like the nominal content.

    Parameters
    ----------
    nominal, varied
        Contents of one dataset with underflow and overflow, shape (bins + 2,).
    variance
        Sums of squared weights of the nominal content, shape (bins + 2,).

    Returns
    -------
    Variance of the shift, shape (bins + 2,).

    Examples
    --------
    One event of weight 2 crosses the middle edge:

    >>> nominal, varied = np.array([0.0, 8, 8, 0]), np.array([0.0, 6, 10, 0])
    >>> moved_variance(nominal, varied, 2 * nominal)
    array([0., 4., 4., 0.])
    """
    size = float(np.sum(np.abs(nominal)))
    if size == 0:
        return np.square(varied)
    weight = float(np.sum(variance)) / size
    shift = varied - nominal
    entering = np.sum(shift) * np.abs(nominal) / size
    crossing = np.abs(np.cumsum(shift - entering)[:-1])
    moved = np.abs(entering)
    moved[1:] += crossing
    moved[:-1] += crossing
    return np.asarray(weight * moved)


def systematic_part(shift: Floats, variance: Floats) -> Floats:
    """Return a shift without its statistical part: its square is smaller by the variance, or 0."""
    squares = np.maximum(np.square(shift) - variance, 0)
    return np.asarray(np.copysign(np.sqrt(squares), shift))
