"""Statistical part of the shift of a histogram by a shape variation.

A shape variation selects the same events again, with shifted momenta. Some of them cross an edge of
a bin, or a cut, and how many do so fluctuates: in bins with few events, the difference between a
variation and the nominal content is mostly such a fluctuation. It is no systematic uncertainty, and
the band has it already as the statistical one. Weights move no events and have no such part.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from bphcoffea.arrays import Floats

#: Bins that are merged to smooth a shift, and the fewest bins with content that are smoothed.
MERGED: Final = 5
#: Standard deviations from the smooth shift beyond which a bin keeps its own.
SIGNIFICANT: Final = 4.0
#: Median of the square of a standard normal variable.
_MEDIAN: Final = 0.4549
#: Variance of the second difference, in units of that of a bin, if neighbours exchange events.
_CURVATURE: Final = 2.5
#: Variance of a shift, in units of that of the content, if all events are other ones.
_MOST: Final = 2.0


def systematic_part(shift: Floats, nominal: Floats, variance: Floats) -> Floats:
    """Return the shift of a histogram without fluctuations of events that cross edges of bins.

    The relative shift is that of five merged bins, in which the exchange of events cancels, unless
    the shift of a bin itself differs significantly from it, as at a narrow peak. The standard
    deviation of a shift is the larger of two: that of the events whose net number makes the shift,
    and the typical difference of a bin from its neighbours, which smooth effects do not have.

    Parameters
    ----------
    shift
        Difference of the varied from the nominal content, shape (bins,).
    nominal, variance
        Nominal content and its sum of squared weights, shape (bins,).

    Returns
    -------
    The shift that counts as systematic, shape (bins,).
    """
    filled = variance > 0
    if np.count_nonzero(filled) < MERGED:
        return shift
    error = np.sqrt(variance)
    relative = shift[filled] / error[filled]
    differences = relative[1:-1] - (relative[:-2] + relative[2:]) / 2
    typical = np.median(np.square(differences)) / (_MEDIAN * _CURVATURE)
    size = np.abs(nominal)
    weight = np.divide(variance, size, out=np.zeros_like(size), where=size > 0)
    noise = np.maximum(min(float(typical), _MOST) * variance, np.abs(shift) * weight)
    window = np.ones(MERGED)
    content = np.convolve(size, window, mode="same")
    merged = np.convolve(shift, window, mode="same")
    smooth = size * np.divide(merged, content, out=np.zeros_like(size), where=content > 0)
    own = np.abs(shift - smooth) > SIGNIFICANT * np.sqrt(noise)
    return np.where(own & filled, shift, smooth)
