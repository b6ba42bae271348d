"""Mass spectra of several categories as a HistFactory workspace that pyhf reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bphcoffea.inference.mass_background import Background
from bphcoffea.inference.signal_shape import SignalShape


@dataclass(frozen=True)
class MassChannel:
    """What is known of the mass spectrum of one category.

    Attributes
    ----------
    name
        The category, with its year where there are several; unique in a workspace.
    edges
        Edges of the bins, GeV. Shape (bins + 1,).
    signal
        Events expected between the first and the last edge at a strength of 1.
    shape
        Distribution of the signal.
    background
        Expected without signal. Its yield and slope are free in fits.
    observed
        Events seen in each bin, shape (bins,); None if blinded.
    signal_stat
        Relative statistical uncertainty of ``signal``.
    mean_error
        Uncertainty of the signal's mean, GeV.
    width_error
        Relative uncertainty of the signal's width.
    signal_shifts
        Relative change of ``signal`` when a named source rises by one standard deviation; above -1.
        Sources of the same name are fully correlated between channels.
    """

    name: str
    edges: tuple[float, ...]
    signal: float
    shape: SignalShape
    background: Background
    observed: tuple[float, ...] | None = None
    signal_stat: float = 0.0
    mean_error: float = 0.0
    width_error: float = 0.0
    signal_shifts: Mapping[str, float] = field(default_factory=dict)


def shape_workspace(
    channels: Sequence[MassChannel],
    normalisation: Mapping[str, float] | None = None,
    *,
    blinded: bool = True,
) -> dict[str, Any]:
    """Make the workspace of mass spectra, to be given to ``limits.upper_limit``.

    Parameters
    ----------
    channels
        The categories.
    normalisation
        Relative uncertainties of the signal by name, common to all channels.
    blinded
        Take what is expected without signal in place of ``observed``, which is not looked at.

    Returns
    -------
    What pyhf's schema calls a workspace, to be written as JSON. Its measurement is called
    ``counting.BLINDED`` or ``counting.OBSERVED``.

    Raises
    ------
    ValueError
        When the channels are not usable: none, two of one name, numbers that are negative or not
        finite, edges that do not rise, or no ``observed`` although not blinded.
    """
    raise NotImplementedError
