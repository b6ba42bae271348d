"""Energy scale of hadronic taus: the correction ``tau_energy_scale`` of the Tau POG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bphcoffea.arrays import Booleans, Floats, Integers
from bphcoffea.corrections.energies.declaration import TauEnergySection
from bphcoffea.corrections.payload_factor import PayloadFactor, listed
from bphcoffea.corrections.section import era_ending
from bphcoffea.errors import CorrectionsError

#: Decay modes that have a scale; others keep their energy [CMS, TAU: TauIDRecommendation].
_DECAY_MODES: Final = (0, 1, 2, 10, 11)
#: Numeric inputs that the correction may have.
_INPUTS: Final = ("pt", "eta", "abseta", "dm", "genmatch")
#: Name of the uncertainty, with which the names of variations begin.
SCALE: Final = "tau_scale"


@dataclass(frozen=True)
class _Part:
    """Simulated taus with an uncertainty of their own: their origins and decay modes."""

    origins: tuple[int, ...]
    decay_modes: tuple[int, ...] = _DECAY_MODES


#: Parts by the ending of their names. Origins are the numbers of NanoAOD's ``genPartFlav``:
#: 5 for hadronic taus, 1 and 3 for electrons, 2 and 4 for muons.
_PARTS: Final[Mapping[str, _Part]] = {
    "dm0": _Part((5,), (0,)),
    "dm1": _Part((5,), (1, 2)),
    "dm10": _Part((5,), (10,)),
    "dm11": _Part((5,), (11,)),
    "electron_dm0": _Part((1, 3), (0,)),
    "electron_dm1": _Part((1, 3), (1, 2)),
    "muon": _Part((2, 4)),
}


class TauEnergyPayload:
    """Energy scale of simulated taus, which can be pickled.

    Parameters
    ----------
    folder
        Folder of the TOML.
    section
        The declared payload.
    where
        Name of the section, for messages.
    era
        Name of the era, appended to the names of decorrelated uncertainties.

    Attributes
    ----------
    sources
        Names of the uncertainties.

    Raises
    ------
    CorrectionsError
        If the file, the correction or a key is missing, or an input is unknown.
    """

    def __init__(self, folder: Path, section: TauEnergySection, where: str, era: str) -> None:
        self._payload = PayloadFactor(folder, section, where, era)
        source = f"{self._payload.payload.path}: correction '{section.name}'"
        unknown = [name for name in self._payload.numbers if name not in _INPUTS]
        if unknown:
            raise CorrectionsError(
                f"{source} takes {listed(self._payload.payload)}; the numbers that the energy "
                f"scale of taus may depend on are {', '.join(_INPUTS)}"
            )
        self._parts: dict[str, _Part | None] = {}
        ending = era_ending(era, decorrelated=section.decorrelated)
        if self._payload.shifted and section.split:
            self._parts = {f"{SCALE}_{name}{ending}": part for name, part in _PARTS.items()}
        elif self._payload.shifted:
            self._parts = {SCALE + ending: None}
        self.sources = tuple(self._parts)

    def factor(self, numbers: Mapping[str, Floats | Integers]) -> Floats:
        """Return the factor to the energy of each tau, shape (taus,).

        Parameters
        ----------
        numbers
            ``pt`` (GeV), ``eta``, ``dm`` (decay mode) and ``genmatch`` (origin), shape (taus,).
        """
        return self._factors(numbers)[0]

    def varied(self, numbers: Mapping[str, Floats | Integers], source: str, *, up: bool) -> Floats:
        """Return the factors in a variation, shape (taus,); see :meth:`factor`."""
        nominal, *sides = self._factors(numbers)
        part = self._parts[source]
        if part is None:
            return sides[0 if up else 1]
        moved: Booleans = np.isin(numbers["genmatch"], part.origins)
        moved &= np.isin(numbers["dm"], part.decay_modes)
        return np.where(moved, sides[0 if up else 1], nominal)

    def outside(self, numbers: Mapping[str, Floats | Integers]) -> Booleans:
        """Return which taus are outside the bins, shape (taus,); see :meth:`factor`."""
        found: Booleans = np.isin(numbers["dm"], _DECAY_MODES)
        every = {**numbers, "abseta": np.abs(numbers["eta"])}
        chosen = {name: every[name][found] for name in self._payload.numbers}
        found[found] = self._payload.outside(chosen)
        return found

    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""
        return {**self._payload.describe(), "uncertainties": list(self.sources)}

    def _factors(self, numbers: Mapping[str, Floats | Integers]) -> tuple[Floats, Floats, Floats]:
        """Return the nominal factors and those up and down; 1 for other decay modes."""
        known: Booleans = np.isin(numbers["dm"], _DECAY_MODES)
        every = {**numbers, "abseta": np.abs(numbers["eta"])}
        nominal, up, down = (np.ones(len(known)) for _ in range(3))
        if np.any(known):
            chosen = {name: every[name][known] for name in self._payload.numbers}
            found = self._payload.factor(chosen, shifted=True)
            nominal[known] = found.nominal
            up[known], down[known] = next(
                iter(found.shifts.values()), (found.nominal, found.nominal)
            )
        return nominal, up, down
