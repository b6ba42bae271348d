"""Exponential lifetimes: a sample of one mean proper decay length, weighted to another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bphcoffea.errors import InputError


def lifetime_weight(
    proper_length: npt.NDArray[np.float64], generated: float, wanted: float
) -> npt.NDArray[np.float64]:
    """Weights that give decays of one mean proper length cτ the distribution of another.

    The ratio of the two densities, w = (c₀/c₁)·exp[l·(1/c₀ − 1/c₁)]; its mean over the sample is 1.

    Parameters
    ----------
    proper_length
        Generated proper decay length l of each decay, mm, shape (n,).
    generated, wanted
        The mean lengths c₀ and c₁, mm.

    Raises
    ------
    InputError
        When a length is negative or no number, as padding is.
    ValueError
        When a mean length is not positive and finite.
    """
    if not (0 < generated < np.inf and 0 < wanted < np.inf):
        raise ValueError(
            f"mean decay lengths must be positive and finite, not {generated} and {wanted}"
        )
    wrong = ~((proper_length >= 0) & (proper_length < np.inf))
    if np.any(wrong):
        raise InputError(
            f"the generated proper decay length is {proper_length[wrong][0]:g} mm for "
            f"{np.count_nonzero(wrong)} of {len(proper_length)} decays: such is padding; "
            "give those that do not live long 0"
        )
    weights: npt.NDArray[np.float64] = (
        generated / wanted * np.exp(proper_length * (1 / generated - 1 / wanted))
    )
    return weights
