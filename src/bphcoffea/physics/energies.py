"""Collision energies of the LHC by year."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: First year of each proton-proton collision energy, TeV; the latest first.
ENERGIES: Final = ((2022, 13.6), (2015, 13.0), (2012, 8.0), (2010, 7.0))


def collision_energy(metadata: Mapping[str, Any]) -> float | None:
    """Return the collision energy of a dataset, TeV; None if its metadata do not give it.

    Parameters
    ----------
    metadata
        Metadata of the dataset. ``energy`` takes precedence over ``era``, which begins with the
        year.

    Examples
    --------
    >>> collision_energy({"era": "2018D"})
    13.0
    >>> collision_energy({"era": "2017G", "energy": 5.02})
    5.02
    """
    if metadata.get("energy") is not None:
        return float(metadata["energy"])
    year = str(metadata.get("era", ""))[:4]
    if not (year.isascii() and year.isdigit()):
        return None
    return next((energy for first, energy in ENERGIES if int(year) >= first), None)
