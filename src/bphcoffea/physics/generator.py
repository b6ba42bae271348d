"""What a generator says of its own uncertainty: weights of other scales and showers."""

from __future__ import annotations

import awkward as ak
import numpy as np

#: Positions of (μ_R, μ_F) in NanoAOD's list of nine, without (½, 2), (2, ½) and the nominal; files
#: that leave out the nominal have eight.
_SEVEN_POINTS = {9: [0, 1, 3, 5, 7, 8], 8: [0, 1, 3, 4, 6, 7]}


def scale_envelope(weights: ak.Array) -> tuple[ak.Array, ak.Array]:
    """Smallest and largest of the weights of the seven-point variation of the QCD scales.

    Parameters
    ----------
    weights
        NanoAOD's ``LHEScaleWeight``: for each event the weights of nine pairs of scales, or eight,
        relative to the nominal one.

    Returns
    -------
    One number an event each; 1 for an event with another number of weights, see
    :func:`scales_without_envelope`.
    """
    lengths = ak.num(weights)
    low, high = np.ones(len(weights)), np.ones(len(weights))
    for length, chosen in _SEVEN_POINTS.items():
        here = ak.to_numpy(lengths == length)
        if np.any(here):
            values = ak.to_numpy(weights[here]).astype(np.float64)[:, chosen]
            low[here], high[here] = np.min(values, axis=1), np.max(values, axis=1)
    return ak.Array(low), ak.Array(high)


def scales_without_envelope(weights: ak.Array) -> ak.Array:
    """Number of scale weights of each event that :func:`scale_envelope` can't interpret, else NaN.

    Some samples hold 44 or 45 weights, for several dynamic scales, in an order that the list does
    not tell.

    Parameters
    ----------
    weights
        NanoAOD's ``LHEScaleWeight``, a list an event.
    """
    lengths = ak.to_numpy(ak.num(weights))
    return ak.Array(np.where(np.isin(lengths, list(_SEVEN_POINTS)), np.nan, lengths))
