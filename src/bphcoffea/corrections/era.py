"""The corrections of an era, loaded: what the analysis of a dataset asks."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from typing_extensions import override

from bphcoffea.corrections.declaration import (
    Declaration,
    MomentumSection,
    Particle,
    read_declaration,
)
from bphcoffea.corrections.factors import MuonFactor, PileupFactor, TriggerFactor
from bphcoffea.errors import InputError
from bphcoffea.luminosity import GoldenJson, LuminosityTable

#: The sections of the TOML that weigh events, in the order in which they are told.
SECTIONS = ("pileup", "muon_id", "muon_reconstruction", "trigger")


@dataclass(frozen=True)
class EraCorrections:
    """What is known of some eras.

    Attributes
    ----------
    name
        Of these corrections.
    eras
        Patterns of the eras that they are for.
    pileup, muon_id, muon_reconstruction, trigger
        None where the TOML does not declare them.
    momentum
        Momentum uncertainties of muons and tracks.
    golden
        The certified luminosity sections; None for all.
    luminosity_uncertainty
        Relative.
    source
        The TOML.
    sha256
        Its hash.
    """

    name: str
    eras: tuple[str, ...]
    source: Path
    sha256: str
    pileup: PileupFactor | None = None
    muon_id: MuonFactor | None = None
    muon_reconstruction: MuonFactor | None = None
    trigger: TriggerFactor | None = None
    momentum: Mapping[Particle, MomentumSection] = field(default_factory=dict)
    golden: GoldenJson | None = None
    table: LuminosityTable | None = None
    luminosity_uncertainty: float = 0

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        # workers need no luminosities, and results don't depend on them
        state = vars(self) | {"table": None}
        # checkpoints are keyed by these bytes. A pickler tells equal strings from one that is met
        # twice, which differs from one loading to the next; a fast one does not
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer, protocol=5)
        pickler.fast = True
        pickler.dump(state)
        return _unpickled, (buffer.getvalue(),)

    def declared(self) -> tuple[str, ...]:
        """The sections that weigh events and are there."""
        return tuple(name for name in SECTIONS if getattr(self, name) is not None)

    def describe(self) -> dict[str, Any]:
        """What they are, for ``provenance.json``."""
        files = {"golden": self.golden, "table": self.table}
        return {
            "name": self.name,
            "eras": list(self.eras),
            "file": str(self.source.absolute()),
            "sha256": self.sha256,
            **{name: getattr(self, name).describe() for name in self.declared()},
            "momentum": {
                particle: section.model_dump() for particle, section in self.momentum.items()
            },
            "luminosity": {
                "uncertainty": self.luminosity_uncertainty,
                **{
                    key: {"file": str(Path(each.path).absolute()), "sha256": each.sha256}
                    for key, each in files.items()
                    if each is not None
                },
            },
        }


def _unpickled(content: bytes) -> EraCorrections:
    return EraCorrections(**pickle.loads(content))  # noqa: S301 - a part of the pickle that is read


class Corrections:
    """The corrections of a run: those of each era.

    Parameters
    ----------
    eras
        Each for eras of its own.
    """

    def __init__(self, eras: Iterable[EraCorrections] = ()) -> None:
        self.eras = tuple(eras)

    def __iter__(self) -> Iterator[EraCorrections]:
        return iter(self.eras)

    def __bool__(self) -> bool:
        return bool(self.eras)

    def for_era(self, era: str) -> EraCorrections | None:
        """Those of an era; None where there are no corrections at all.

        Raises
        ------
        InputError
            When there are some, but none, or more than one, for this era.
        """
        if not self.eras:
            return None
        found = [each for each in self.eras if any(fnmatchcase(era, p) for p in each.eras)]
        if not found:
            known = "; ".join(f"'{each.name}' for {', '.join(each.eras)}" for each in self.eras)
            raise InputError(f"no corrections for the era {era}; there are: {known}")
        if len(found) > 1:
            raise InputError(
                f"more than one set of corrections for the era {era}: "
                f"{' and '.join(str(each.source) for each in found)}; give one of them"
            )
        return found[0]


def load_corrections(paths: Iterable[str | Path]) -> Corrections:
    """Load the corrections that TOML files declare, with all the files that they name.

    Raises
    ------
    InputError
        When anything is missing or wrong, every fault in a line.
    """
    loaded, faults = [], []
    for path in paths:
        try:
            loaded.append(_load(Path(path)))
        except InputError as error:
            faults += str(error).splitlines()
    if faults:
        raise InputError("\n".join(faults))
    return Corrections(loaded)


def _load(path: Path) -> EraCorrections:
    declared: Declaration = read_declaration(path)
    folder = path.parent
    makers: dict[str, Any] = {
        "pileup": PileupFactor,
        "muon_id": MuonFactor,
        "muon_reconstruction": MuonFactor,
        "trigger": TriggerFactor,
    }
    parts: dict[str, Any] = {}
    faults: list[str] = []
    for name, make in makers.items():
        section = getattr(declared, name)
        if section is not None:
            try:
                parts[name] = make(folder, section, name)
            except InputError as error:
                faults += [f"{path}: [{name}] {line}" for line in str(error).splitlines()]
    readers = {"golden": GoldenJson.load, "table": LuminosityTable.load}
    for name, read in readers.items():
        file = getattr(declared.luminosity, name)
        if file is not None:
            try:
                parts[name] = read(folder / file)
            except InputError as error:
                faults += [f"{path}: [luminosity] {line}" for line in str(error).splitlines()]
    if faults:
        raise InputError("\n".join(faults))
    return EraCorrections(
        name=declared.name,
        eras=declared.eras,
        source=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        momentum=declared.momentum,
        luminosity_uncertainty=declared.luminosity.uncertainty,
        **parts,
    )
