"""Which windows of the data a run hides, decided before its first chunk."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bphcoffea.analysis import Analysis, Hidden
from bphcoffea.datasets.fileset import Fileset
from bphcoffea.errors import InputError


class NothingToHideError(InputError):
    """An analysis hides windows around masses, and none is known."""


def blinded(
    analysis: Analysis,
    fileset: Fileset,
    masses: Iterable[float] = (),
    *,
    unblind: bool = False,
    signals: Fileset | None = None,
) -> Analysis:
    """Decide what a run of an analysis hides of its data.

    Parameters
    ----------
    analysis
        One that declares nothing to be blind is returned as it is.
    fileset
        What is run over.
    masses
        Masses that are searched for, GeV, in addition to those of simulated signal.
    unblind
        Hide nothing.
    signals
        Where simulated signal is looked for; by default the fileset.

    Raises
    ------
    NothingToHideError
        If there are data and the windows are made around masses, none of which is known.
    InputError
        If a mass is not positive, is given in vain, or is missing from simulated signal.
    """
    given = sorted(set(masses))
    for mass in given:
        if not (math.isfinite(mass) and mass > 0):
            raise InputError(f"the mass {mass:g} GeV must be positive")
    name, blind = analysis.name(), analysis.blind
    if given and (blind is None or blind.windows):
        hides = "no data" if blind is None else "fixed windows"
        raise InputError(f"analysis '{name}' hides {hides}, whatever the mass: give it no masses")
    if given and unblind:
        raise InputError("an unblinded run hides no data: give it no masses")
    if blind is None:
        return analysis
    has_data = any(not dataset.metadata.is_mc for dataset in fileset.root.values())
    if unblind or not has_data:
        return analysis.hiding(Hidden())
    if blind.windows:
        return analysis.hiding(Hidden(blind.around(()), by_category=blind.by_category))
    known = sorted({*given, *_generated(signals or fileset)})
    if not known:
        raise NothingToHideError(
            f"analysis '{name}' hides data around each mass that is searched for, but no mass is "
            "known; add simulated signal with its mass to the fileset, or give a mass"
        )
    return analysis.hiding(Hidden(blind.around(known), tuple(known)))


def _generated(fileset: Fileset) -> Iterable[float]:
    """Masses of simulated signal, GeV."""
    for name, dataset in fileset.root.items():
        metadata = dataset.metadata
        if metadata.is_mc and metadata.kind == "signal":
            if metadata.mass is None:
                raise InputError(
                    f"dataset '{name}': simulated signal without 'mass' in its metadata, so that "
                    "the window to hide is not known; add it, in GeV"
                )
            yield metadata.mass
