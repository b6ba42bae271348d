"""Mass spectra as a datacard of Combine, with templates in a ROOT file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bphcoffea.inference.shape_workspace import MassChannel


def write_shape_datacard(
    channels: Sequence[MassChannel],
    normalisation: Mapping[str, float],
    card: Path,
    templates: Path,
) -> None:
    """Write a datacard and the ROOT file of its templates.

    Parameters
    ----------
    channels
        The categories. Where one has no observed counts, those expected without signal stand there.
    normalisation
        Relative uncertainties of the signal by name, common to all channels.
    card, templates
        Where text and histograms go; the card names the histograms' file relative to itself.
    """
    raise NotImplementedError
