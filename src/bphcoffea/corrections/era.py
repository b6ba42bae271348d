"""Corrections of eras, loaded with all payloads."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from typing_extensions import override

from bphcoffea.corrections.btag.declaration import BTagShapeSection
from bphcoffea.corrections.btag.shape import BTagShapeFactor
from bphcoffea.corrections.btag.working_points import BTagFactor
from bphcoffea.corrections.declaration import (
    MomentumSection,
    ObjectTriggerSection,
    Particle,
    read_declaration,
)
from bphcoffea.corrections.energies.energy_corrections import EnergyCorrections, load_energies
from bphcoffea.corrections.energies.jet_energy import JetEnergyPayload
from bphcoffea.corrections.factors import MuonFactor, PileupFactor, TriggerFactor
from bphcoffea.corrections.object_factors import ObjectFactor, ObjectTriggerFactor
from bphcoffea.errors import CorrectionsError, InputError
from bphcoffea.luminosity import GoldenJson, LuminosityTable

#: Sections of the TOML that weight events, in the order of reports.
SECTIONS = ("pileup", "muon_id", "muon_reconstruction", "trigger")
#: Section of the TOML whose parts are scale factors of objects.
OBJECTS = "objects"
#: Section of the TOML whose parts are scale factors of b tagging.
BTAG = "btag"

_Declared = TypeVar("_Declared")
_Loaded = TypeVar("_Loaded")


@dataclass(frozen=True)
class EraCorrections:
    """Corrections of some eras.

    Attributes
    ----------
    name
        Name of these corrections.
    eras
        Shell patterns of the eras.
    source
        Path of the TOML.
    sha256
        Hash of the TOML.
    pileup, muon_id, muon_reconstruction, trigger
        Factors of the weight; None if the TOML does not declare them.
    objects
        Scale factors of objects, or their trigger efficiencies, by name.
    btag
        Scale factors of b tagging by name.
    momentum
        Momentum uncertainties of muons and tracks.
    jet_energy
        Energy corrections of jets by collection.
    energies
        Calibrations of leptons and of the unclustered energy.
    golden
        Certified luminosity sections; None for all sections.
    table
        Luminosity of each section; None if the TOML does not declare it.
    luminosity_uncertainty
        Relative uncertainty of the integrated luminosity.
    """

    name: str
    eras: tuple[str, ...]
    source: Path
    sha256: str
    pileup: PileupFactor | None = None
    muon_id: MuonFactor | None = None
    muon_reconstruction: MuonFactor | None = None
    trigger: TriggerFactor | None = None
    objects: Mapping[str, ObjectFactor | ObjectTriggerFactor] = field(default_factory=dict)
    btag: Mapping[str, BTagFactor | BTagShapeFactor] = field(default_factory=dict)
    momentum: Mapping[Particle, MomentumSection] = field(default_factory=dict)
    jet_energy: Mapping[str, JetEnergyPayload] = field(default_factory=dict)
    energies: EnergyCorrections = field(default_factory=EnergyCorrections)
    golden: GoldenJson | None = None
    table: LuminosityTable | None = None
    luminosity_uncertainty: float = 0

    @override
    def __reduce__(self) -> tuple[Callable[[bytes], EraCorrections], tuple[bytes]]:
        # workers need no luminosities, and results don't depend on them
        state = vars(self) | {"table": None}
        # Checkpoints are keyed by these bytes. A normal pickler writes references to strings that
        # are the same object, which differs from one loading to the next; a fast one does not
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer, protocol=5)
        pickler.fast = True
        pickler.dump(state)
        return _unpickled, (buffer.getvalue(),)

    def declared(self) -> tuple[str, ...]:
        """Return the sections of the TOML that weight events, such as ``objects.muon_id``."""
        return (
            *(name for name in SECTIONS if getattr(self, name) is not None),
            *(f"{OBJECTS}.{name}" for name in self.objects),
            *(f"{BTAG}.{name}" for name in self.btag),
        )

    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""
        files = {"golden": self.golden, "table": self.table}
        return {
            "name": self.name,
            "eras": list(self.eras),
            "file": str(self.source.absolute()),
            "sha256": self.sha256,
            **{
                name: getattr(self, name).describe()
                for name in SECTIONS
                if getattr(self, name) is not None
            },
            OBJECTS: {name: factor.describe() for name, factor in self.objects.items()},
            BTAG: {name: factor.describe() for name, factor in self.btag.items()},
            "momentum": {
                particle: section.model_dump() for particle, section in self.momentum.items()
            },
            "jet_energy": {name: jets.describe() for name, jets in self.jet_energy.items()},
            **self.energies.describe(),
            "luminosity": {
                "uncertainty": self.luminosity_uncertainty,
                **{
                    key: {"file": str(Path(file.path).absolute()), "sha256": file.sha256}
                    for key, file in files.items()
                    if file is not None
                },
            },
        }


def _unpickled(content: bytes) -> EraCorrections:
    return EraCorrections(**pickle.loads(content))  # noqa: S301 - part of a trusted pickle


class Corrections:
    """The corrections of a run, by era.

    Parameters
    ----------
    eras
        Corrections for different eras.

    Examples
    --------
    >>> from pathlib import Path
    >>> corrections = Corrections(
    ...     [
    ...         EraCorrections("Run 2, 2017", ("2017*",), Path("2017.toml"), sha256=""),
    ...         EraCorrections("Run 2, 2018", ("2018*",), Path("2018.toml"), sha256=""),
    ...     ]
    ... )
    >>> corrections.for_era("2018D").name
    'Run 2, 2018'
    """

    def __init__(self, eras: Iterable[EraCorrections] = ()) -> None:
        self.eras = tuple(eras)

    def __iter__(self) -> Iterator[EraCorrections]:
        return iter(self.eras)

    def __bool__(self) -> bool:
        return bool(self.eras)

    def for_era(self, era: str) -> EraCorrections | None:
        """Return the corrections of an era; None if there are no corrections at all.

        Raises
        ------
        CorrectionsError
            If none or several of the corrections are for this era.
        """
        if not self.eras:
            return None
        found = [
            corrections
            for corrections in self.eras
            if any(fnmatchcase(era, pattern) for pattern in corrections.eras)
        ]
        if not found:
            available = "; ".join(f"'{c.name}' for {', '.join(c.eras)}" for c in self.eras)
            raise CorrectionsError(f"no corrections for the era {era}; there are: {available}")
        if len(found) > 1:
            raise CorrectionsError(
                f"more than one set of corrections for the era {era}: "
                f"{' and '.join(str(corrections.source) for corrections in found)}; give one of "
                "them"
            )
        return found[0]


def load_corrections(paths: Iterable[str | Path]) -> Corrections:
    """Load the corrections that TOML files declare, with all the files that they name.

    Parameters
    ----------
    paths
        TOML files, for different eras.

    Raises
    ------
    CorrectionsError
        If a file is missing or wrong; one line for each fault.
    """
    loaded, faults = [], []
    for path in paths:
        try:
            loaded.append(_load(Path(path)))
        except CorrectionsError as error:
            faults += str(error).splitlines()
    CorrectionsError.raise_for(faults)
    return Corrections(loaded)


def _load(path: Path) -> EraCorrections:
    declared = read_declaration(path)
    era = declared.name
    folder, luminosity = path.parent, declared.luminosity
    faults: list[str] = []

    def load(
        name: str, section: _Declared | None, make: Callable[[_Declared], _Loaded]
    ) -> _Loaded | None:
        if section is None:
            return None
        try:
            return make(section)
        except InputError as error:
            faults.extend(f"{path}: [{name}] {line}" for line in str(error).splitlines())
            return None

    def factor(
        name: str,
        section: _Declared | None,
        kind: Callable[[Path, _Declared, str, str], _Loaded],
    ) -> _Loaded | None:
        return load(name, section, lambda declared: kind(folder, declared, name, era))

    objects: dict[str, ObjectFactor | ObjectTriggerFactor] = {}
    for name, section in declared.objects.items():
        where = f"{OBJECTS}.{name}"
        loaded = (
            factor(where, section, ObjectTriggerFactor)
            if isinstance(section, ObjectTriggerSection)
            else factor(where, section, ObjectFactor)
        )
        if loaded is not None:
            objects[name] = loaded
    btag: dict[str, BTagFactor | BTagShapeFactor] = {}
    for name, tagging in declared.btag.items():
        where = f"{BTAG}.{name}"
        tagger = (
            factor(where, tagging, BTagShapeFactor)
            if isinstance(tagging, BTagShapeSection)
            else factor(where, tagging, BTagFactor)
        )
        if tagger is not None:
            btag[name] = tagger
    jet_energies = {
        name: load(f"jet_energy.{name}", section, lambda jets: JetEnergyPayload(folder, jets, era))
        for name, section in declared.jet_energy.items()
    }
    energies, faults_of_energies = load_energies(folder, declared)
    faults += [f"{path}: {line}" for line in faults_of_energies]
    corrections = EraCorrections(
        name=era,
        eras=declared.eras,
        source=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        pileup=factor("pileup", declared.pileup, PileupFactor),
        muon_id=factor("muon_id", declared.muon_id, MuonFactor),
        muon_reconstruction=factor("muon_reconstruction", declared.muon_reconstruction, MuonFactor),
        trigger=factor("trigger", declared.trigger, TriggerFactor),
        objects=objects,
        btag=btag,
        momentum=declared.momentum,
        jet_energy={name: jets for name, jets in jet_energies.items() if jets is not None},
        energies=energies,
        golden=load("luminosity", luminosity.golden, lambda f: GoldenJson.load(folder / f)),
        table=load("luminosity", luminosity.table, lambda f: LuminosityTable.load(folder / f)),
        luminosity_uncertainty=luminosity.uncertainty,
    )
    CorrectionsError.raise_for(faults)
    return corrections
