"""Reweighting of samples to another lifetime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.errors import InputError


def lifetime_weight(proper_length: Floats, generated: float, target: float) -> Floats:
    """Return weights, shape (n,), that change the mean proper decay length of a sample.

    Weights are the ratio of the exponential densities, w = (c₀/c₁)·exp[l·(1/c₀ − 1/c₁)]; their
    mean over the sample is 1.

    Parameters
    ----------
    proper_length
        Generated proper decay length l of each decay, mm, shape (n,).
    generated
        Mean length c₀ of the sample, mm.
    target
        Mean length c₁ after weighting, mm.

    Raises
    ------
    InputError
        If a proper length is negative or not a number, as padding is.
    ValueError
        If a mean length is not positive and finite.
    """
    _check(proper_length, generated, target)
    weights: Floats = generated / target * np.exp(proper_length * (1 / generated - 1 / target))
    return weights


def mixture_weight(
    proper_length: Floats,
    generated: Sequence[float],
    shares: Sequence[float],
    target: float,
) -> Floats:
    """Return weights, shape (n,), that give a mixture of samples one mean proper decay length.

    Weights are the ratio of the densities, w = p(l|c) / Σ_k f_k p(l|c_k), whichever sample a decay
    is from. No weight exceeds the one of :func:`lifetime_weight` divided by the share of the
    sample, so the sample with the most similar lifetime dominates where it has events [the balance
    heuristic of Veach and Guibas, SIGGRAPH 95].

    Parameters
    ----------
    proper_length
        Generated proper decay length l of each decay, mm, shape (n,).
    generated
        Mean lengths c_k of the samples, mm, shape (k,).
    shares
        Fraction f_k of each sample in the mixture, shape (k,); the sum is 1.
    target
        Mean length c after weighting, mm.

    Raises
    ------
    InputError
        If a length is negative or not a number.
    ValueError
        If a mean length is not positive and finite.
    """
    _check(proper_length, *generated, target)
    # logarithms of f_k p(l|c_k) / p(l|c): the ratios may be beyond the range of doubles
    ratios = np.array(
        [
            np.log(share * target / mean) + proper_length * (1 / target - 1 / mean)
            for mean, share in zip(generated, shares, strict=True)
        ]
    )
    weights: Floats = np.exp(-np.logaddexp.reduce(ratios, axis=0))
    return weights


def _check(proper_length: Floats, *means: float) -> None:
    if not all(0 < mean < np.inf for mean in means):
        raise ValueError(
            "mean decay lengths must be positive and finite, not "
            + " and ".join(str(mean) for mean in means)
        )
    invalid = ~((proper_length >= 0) & (proper_length < np.inf))
    if np.any(invalid):
        raise InputError(
            f"the generated proper decay length is {proper_length[invalid][0]:g} mm for "
            f"{np.count_nonzero(invalid)} of {len(proper_length)} decays; is this padding? "
            "Give prompt decays the length 0"
        )
