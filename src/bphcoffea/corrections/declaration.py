"""Declaration of an era's corrections: the content of its TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from bphcoffea.corrections.btag.declaration import AnyBTagSection, BTagSection, BTagShapeSection
from bphcoffea.corrections.energies.declaration import (
    ElectronEnergySection,
    MuonMomentumSection,
    TauEnergySection,
    UnclusteredEnergySection,
)
from bphcoffea.corrections.section import Name, PayloadSection, Section
from bphcoffea.documents import faults, read_toml
from bphcoffea.errors import CorrectionsError, alternatives

#: Kinds of particles whose momenta have uncertainties.
Particle = Literal["muon", "track"]
#: Name of the resolution among the uncertainties of jets.
RESOLUTION: Final = "jer"
Relative = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False, strict=True)]


class ObjectSection(PayloadSection):
    """A scale factor of objects, such as the isolation of muons.

    Attributes
    ----------
    fields
        Fields of the objects by the payload's input, for inputs named differently.
    keys
        For text inputs that depend on the object: keys, and for each the ranges of the objects that
        have it, by the name of a number, such as ``EBHighR9 = { abseta = [0, 1.5], r9 = [0.94,
        inf] }``. A range contains its lower end. The first key that fits is taken.
    """

    fields: Mapping[Name, Name] = {}
    keys: Mapping[Name, Mapping[Name, Mapping[Name, tuple[float, float]]]] = {}

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        for by_key in self.keys.values():
            for key, ranges in by_key.items():
                for name, (low, high) in ranges.items():
                    if not low < high:
                        raise ValueError(
                            f"keys: {key}: the range of '{name}' must begin below its end"
                        )
        return self


class TriggerSection(Section):
    """Trigger efficiencies of one muon, in data and in simulation."""

    data: PayloadSection
    simulation: PayloadSection


class ObjectTriggerSection(TriggerSection):
    """Trigger efficiencies of one object, for triggers that any object of an event can fire.

    Attributes
    ----------
    fields
        See :class:`ObjectSection`.
    """

    fields: Mapping[Name, Name] = {}


def _kind_of_objects(section: object) -> str:
    sides = isinstance(section, Mapping) and not {"data", "simulation"}.isdisjoint(section)
    return ObjectTriggerSection.__name__ if sides else ObjectSection.__name__


#: A section of objects is one payload, or the two of a trigger.
AnyObjectSection = Annotated[
    Annotated[ObjectSection, Tag(ObjectSection.__name__)]
    | Annotated[ObjectTriggerSection, Tag(ObjectTriggerSection.__name__)],
    Discriminator(_kind_of_objects),
]


class MomentumSection(Section):
    """Momentum uncertainties of a kind of particle.

    Attributes
    ----------
    scale
        Relative uncertainty of the transverse momentum.
    resolution
        Relative resolution to add in quadrature.
    """

    scale: Relative = 0
    resolution: Relative = 0


class JetEnergySection(Section):
    """Energy corrections of a collection of jets.

    Attributes
    ----------
    file
        Path of the correctionlib file, relative to the TOML.
    simulation, data
        Name of a compound correction, or of the levels in their order, which replace the energies
        in the files. None: the energies in the files are kept.
    simulation_offset, data_offset
        Name of the correction for pile-up alone (``L1FastJet``), for Type-1 missing momentum. None:
        the jets need none, such as those of PUPPI.
    resolution, scale_factor
        Names of the resolution of simulated jets and of its scale factor. None: jets are not
        smeared.
    resolution_file
        Path of the file with the resolution and its scale factor; by default `file`.
    sources
        Names of the uncertainties of the energy scale, by source.
    decorrelated
        Sources that are independent of those of other eras; ``jer`` for the resolution. The names
        of their variations end with the name of these corrections.
    """

    file: Name
    simulation: Name | tuple[Name, ...] | None = None
    data: Name | tuple[Name, ...] | None = None
    simulation_offset: Name | None = None
    data_offset: Name | None = None
    resolution: Name | None = None
    scale_factor: Name | None = None
    resolution_file: Name | None = None
    sources: Mapping[str, Name] = {}
    decorrelated: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _smears_or_not(self) -> Self:
        uncertainties = (*self.sources, *((RESOLUTION,) if self.resolution else ()))
        for name in self.decorrelated:
            if name not in uncertainties:
                raise ValueError(
                    f"decorrelated: there is no uncertainty '{name}'"
                    f"{alternatives(name, uncertainties)}"
                )
        if (self.resolution is None) != (self.scale_factor is None):
            raise ValueError("resolution and scale_factor need each other; give both or none")
        return self


class LuminositySection(Section):
    """Certified data, and their luminosity.

    Attributes
    ----------
    golden
        Path of the JSON of certified luminosity sections.
    table
        Path of the CSV of brilcalc with the luminosity of each section.
    uncertainty
        Relative uncertainty of the integrated luminosity.
    """

    golden: Name | None = None
    table: Name | None = None
    uncertainty: Relative = 0


class Declaration(Section):
    """Corrections of an era.

    Attributes
    ----------
    name
        Name in provenance and messages.
    eras
        Shell patterns of the eras of datasets, such as ``2018*``.
    pileup, muon_id, muon_reconstruction, trigger
        Payloads of the weights; None if there is none.
    objects
        Scale factors of objects, or their trigger efficiencies, by a name that analyses refer to.
    btag
        Scale factors of b tagging, by a name that analyses refer to.
    momentum
        Momentum uncertainties by kind of particle.
    jet_energy
        Energy corrections of jets by collection.
    muon_momentum, electron_energy, tau_energy
        Calibrations of leptons by collection.
    unclustered_energy
        Uncertainty of the unclustered energy by the missing momentum that has it.
    luminosity
        Certified data, and their luminosity.
    """

    name: Name
    eras: Annotated[tuple[Name, ...], Field(min_length=1)]
    pileup: PayloadSection | None = None
    muon_id: PayloadSection | None = None
    muon_reconstruction: PayloadSection | None = None
    trigger: TriggerSection | None = None
    objects: Mapping[Name, AnyObjectSection] = {}
    btag: Mapping[Name, AnyBTagSection] = {}
    momentum: Mapping[Particle, MomentumSection] = {}
    jet_energy: Mapping[str, JetEnergySection] = {}
    muon_momentum: Mapping[Name, MuonMomentumSection] = {}
    electron_energy: Mapping[Name, ElectronEnergySection] = {}
    tau_energy: Mapping[Name, TauEnergySection] = {}
    unclustered_energy: Mapping[Name, UnclusteredEnergySection] = {}
    luminosity: LuminositySection = LuminositySection()


#: Messages that replace those of pydantic, by the type of the fault.
_MEANINGS: Final = {
    "extra_forbidden": "is not known here",
    "tuple_type": "must be a list",
    "string_type": "must be a text in quotes",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "mapping_type": "must be a section",
    "model_type": "must be a section",
    "dict_type": "must be a section",
}
_HINTS: Final = {"out_of_range": ': say "clamp" (take the nearest bin) or "error"'}


def read_declaration(path: str | Path) -> Declaration:
    """Read the TOML of an era.

    Raises
    ------
    CorrectionsError
        If it cannot be read, is no TOML, or has missing, unknown or wrong entries; one line for
        each.
    """
    content = read_toml(path, "file of corrections", CorrectionsError)
    try:
        return Declaration.model_validate(content)
    except ValidationError as error:
        kinds = (ObjectSection, ObjectTriggerSection, BTagSection, BTagShapeSection)
        tags = [kind.__name__ for kind in kinds]
        lines = (
            f"{path}: {'.'.join(part for part in place if part not in tags)}: "
            f"{text}{_HINTS.get(place[-1], '') if place else ''}"
            for place, text, _ in faults(error, _MEANINGS)
        )
        raise CorrectionsError("\n".join(lines)) from None
