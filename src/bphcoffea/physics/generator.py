"""Uncertainties of a generator: weights of alternative QCD scales."""

from __future__ import annotations

import awkward as ak
import numpy as np

#: Positions of the seven-point variations, without the nominal, in NanoAOD's list of (μ_R, μ_F):
#: all nine combinations but (½, 2) and (2, ½). Lists of eight leave out the nominal.
_SEVEN_POINTS = {9: [0, 1, 3, 5, 7, 8], 8: [0, 1, 3, 4, 6, 7]}


def scale_envelope(weights: ak.Array) -> tuple[ak.Array, ak.Array]:
    """Return the smallest and largest weight of the seven-point variation of the QCD scales.

    Parameters
    ----------
    weights
        NanoAOD's ``LHEScaleWeight``: one list per event of the weights of nine (or eight) pairs of
        scales, relative to the nominal weight.

    Returns
    -------
    tuple of two arrays
        One number per event each; 1 for events with another number of weights, see
        :func:`scales_without_envelope`.
    """
    lengths = ak.num(weights)
    low, high = np.ones(len(weights)), np.ones(len(weights))
    for length, positions in _SEVEN_POINTS.items():
        selected = ak.to_numpy(lengths == length)
        if np.any(selected):
            values = ak.to_numpy(weights[selected]).astype(np.float64)[:, positions]
            low[selected], high[selected] = np.min(values, axis=1), np.max(values, axis=1)
    return ak.Array(low), ak.Array(high)


def scales_without_envelope(weights: ak.Array) -> ak.Array:
    """Return the number of scale weights per event; NaN if :func:`scale_envelope` accepts them.

    Some samples hold 44 or 45 weights, for several dynamic scales, in an undocumented order.

    Parameters
    ----------
    weights
        NanoAOD's ``LHEScaleWeight``, one list per event.
    """
    lengths = ak.to_numpy(ak.num(weights))
    return ak.Array(np.where(np.isin(lengths, list(_SEVEN_POINTS)), np.nan, lengths))
