"""Collision energies of the LHC by year."""

from __future__ import annotations

from typing import Final

#: First year of each proton-proton collision energy, TeV; the latest first.
ENERGIES: Final = ((2022, 13.6), (2015, 13.0), (2012, 8.0), (2010, 7.0))


def collision_energy(era: str, energy: float | None = None) -> float | None:
    """Return the collision energy of a dataset, TeV; None if neither argument gives it.

    Parameters
    ----------
    era
        Era of the dataset, which begins with its year.
    energy
        Energy from its metadata, TeV, which takes precedence.

    Examples
    --------
    >>> collision_energy("2018D")
    13.0
    >>> collision_energy("2017G", 5.02)
    5.02
    """
    if energy is not None:
        return energy
    year = era[:4]
    if not (year.isascii() and year.isdigit()):
        return None
    return next((energy for first, energy in ENERGIES if int(year) >= first), None)
