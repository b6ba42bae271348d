"""Calibrations of leptons and of the unclustered energy, loaded with their payloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bphcoffea.corrections.declaration import Declaration
from bphcoffea.corrections.energies.declaration import MuonMomentumSection
from bphcoffea.corrections.energies.electron_energy import ElectronEnergyPayload
from bphcoffea.corrections.energies.muon_momentum import MuonMomentumPayload
from bphcoffea.corrections.energies.muonscarekit import ScaRePayload
from bphcoffea.corrections.energies.rochester import RochesterPayload
from bphcoffea.corrections.energies.tau_energy import TauEnergyPayload
from bphcoffea.corrections.section import era_ending
from bphcoffea.documents import read_bytes
from bphcoffea.errors import CorrectionsError, InputError

#: Name of the uncertainty of the unclustered energy, with which its variations begin.
UNCLUSTERED = "unclustered"

_Section = TypeVar("_Section")
_Payload = TypeVar("_Payload")


@dataclass(frozen=True)
class EnergyCorrections:
    """Calibrations of an era.

    Attributes
    ----------
    muon_momentum, electron_energy, tau_energy
        Payloads by collection.
    unclustered_energy
        Name of the uncertainty by the missing momentum that has it.
    """

    muon_momentum: Mapping[str, MuonMomentumPayload] = field(default_factory=dict)
    electron_energy: Mapping[str, ElectronEnergyPayload] = field(default_factory=dict)
    tau_energy: Mapping[str, TauEnergyPayload] = field(default_factory=dict)
    unclustered_energy: Mapping[str, str] = field(default_factory=dict)

    def sections(self) -> Iterator[str]:
        """Yield the sections of the TOML, such as ``muon_momentum.Muon``."""
        for kind, payloads in vars(self).items():
            yield from (f"{kind}.{name}" for name in payloads)

    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""
        payloads: tuple[tuple[str, Mapping[str, _Described]], ...] = (
            ("muon_momentum", self.muon_momentum),
            ("electron_energy", self.electron_energy),
            ("tau_energy", self.tau_energy),
        )
        described: dict[str, object] = {
            kind: {name: payload.describe() for name, payload in of_kind.items()}
            for kind, of_kind in payloads
        }
        return described | {"unclustered_energy": dict(self.unclustered_energy)}


_Described = MuonMomentumPayload | ElectronEnergyPayload | TauEnergyPayload


def _load_muon_momentum(
    folder: Path, section: MuonMomentumSection, era: str
) -> MuonMomentumPayload:
    """Load the corrections that a section of an era's TOML declares.

    Raises
    ------
    CorrectionsError
        If the file is missing, or neither of Rochester corrections nor of ``muonscarekit``.
    """
    path = folder / section.file
    content = read_bytes(path, "file of muon momenta", CorrectionsError)
    ending = era_ending(era, decorrelated=section.decorrelated)
    if content.lstrip()[:1] == b"{":
        return ScaRePayload(path, section, ending)
    if section.min_pt is not None or section.max_pt is not None:
        raise CorrectionsError(
            f"{path}: Rochester corrections apply to all muons; leave min_pt and max_pt out"
        )
    return RochesterPayload(path, content, ending)


def load_energies(folder: Path, declared: Declaration) -> tuple[EnergyCorrections, list[str]]:
    """Load the calibrations that the TOML of an era declares.

    Returns
    -------
    The calibrations, and one line per fault of their sections.
    """
    era, faults = declared.name, list[str]()

    def load(
        kind: str, sections: Mapping[str, _Section], make: Callable[[str, _Section], _Payload]
    ) -> dict[str, _Payload]:
        loaded = {}
        for name, section in sections.items():
            where = f"{kind}.{name}"
            try:
                loaded[name] = make(where, section)
            except InputError as error:
                faults.extend(f"[{where}] {line}" for line in str(error).splitlines())
        return loaded

    energies = EnergyCorrections(
        load(
            "muon_momentum",
            declared.muon_momentum,
            lambda _, section: _load_muon_momentum(folder, section, era),
        ),
        load(
            "electron_energy",
            declared.electron_energy,
            lambda _, section: ElectronEnergyPayload(folder, section, era),
        ),
        load(
            "tau_energy",
            declared.tau_energy,
            lambda where, section: TauEnergyPayload(folder, section, where, era),
        ),
        load(
            "unclustered_energy",
            declared.unclustered_energy,
            lambda _, section: UNCLUSTERED + era_ending(era, decorrelated=section.decorrelated),
        ),
    )
    return energies, faults
