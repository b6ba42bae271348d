"""Choose which windows of the data a run hides."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bphcoffea.analysis import Analysis, Hidden
from bphcoffea.datasets import Fileset
from bphcoffea.errors import RunError


class NothingToHideError(RunError):
    """An analysis hides data around masses, but no mass is known."""


def blinded(
    analysis: Analysis,
    fileset: Fileset,
    masses: Iterable[float] = (),
    *,
    unblind: bool = False,
    signals: Fileset | None = None,
) -> Analysis:
    """Return a copy of an analysis that hides its blind windows from a run.

    Parameters
    ----------
    analysis
        Analysis to run; it is returned unchanged if it declares nothing blind.
    fileset
        Fileset to run over.
    masses
        Mass hypotheses, GeV, in addition to the masses of simulated signal.
    unblind
        Hide nothing.
    signals
        Fileset with the simulated signal; by default `fileset`.

    Raises
    ------
    NothingToHideError
        If there are data, and windows around masses, but no mass is known.
    RunError
        If a mass is not positive or has no effect, or a simulated signal has no mass.
    """
    requested = sorted(set(masses))
    for mass in requested:
        if not (math.isfinite(mass) and mass > 0):
            raise RunError(f"the mass {mass:g} GeV must be positive")
    name, blind = analysis.name(), analysis.blind
    if requested and (blind is None or blind.windows):
        hides = "no data" if blind is None else "fixed windows"
        raise RunError(f"analysis '{name}' hides {hides}, whatever the mass: give no masses")
    if requested and unblind:
        raise RunError("an unblinded run hides no data: give no masses")
    if blind is None:
        return analysis
    has_data = any(not dataset.metadata.is_mc for dataset in fileset.root.values())
    if unblind or not has_data:
        return analysis.hiding(Hidden())
    if blind.windows:
        return analysis.hiding(Hidden(blind.around(()), by_category=blind.by_category))
    centres = sorted({*requested, *_generated(signals or fileset)})
    if not centres:
        raise NothingToHideError(
            f"analysis '{name}' hides data around each mass hypothesis, but no mass is known; "
            "add simulated signal with its mass to the fileset, or give a mass"
        )
    return analysis.hiding(Hidden(blind.around(centres), tuple(centres)))


def _generated(fileset: Fileset) -> Iterable[float]:
    """Yield the masses of simulated signal, GeV."""
    for name, dataset in fileset.root.items():
        metadata = dataset.metadata
        if metadata.is_mc and metadata.kind == "signal":
            if metadata.mass is None:
                raise RunError(
                    f"dataset '{name}': simulated signal without 'mass' in its metadata, so the "
                    "window to hide is unknown; add the mass in GeV"
                )
            yield metadata.mass
