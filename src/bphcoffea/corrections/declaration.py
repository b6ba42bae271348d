"""What the TOML of an era's corrections may say."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import override

from bphcoffea.corrections.payload import Policy
from bphcoffea.errors import InputError

Name = Annotated[str, Field(min_length=1)]
#: Kinds of particles whose momenta have uncertainties.
Particle = Literal["muon", "track"]
Relative = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False, strict=True)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        # pydantic pickles a set of names, whose order differs between interpreters
        return type(self).model_validate, (self.model_dump(),)


class PayloadSection(_Section):
    """Where a correction is found, and how it is evaluated.

    Attributes
    ----------
    file
        Path of the correctionlib file, relative to the TOML.
    name
        The correction's name in it.
    out_of_range
        What becomes of values outside the bins: ``clamp`` or ``error``.
    inputs
        Values of inputs that are the same for everything, such as ``year`` of older files.
    """

    file: Name
    name: Name
    out_of_range: Policy
    inputs: Mapping[str, str] = {}


class TriggerSection(_Section):
    """Trigger efficiencies of one muon, in data and in simulation."""

    data: PayloadSection
    simulation: PayloadSection


class MomentumSection(_Section):
    """Uncertainties of the momenta of a kind of particle.

    Attributes
    ----------
    scale
        Relative uncertainty of the transverse momentum.
    resolution
        Relative resolution that is added in quadrature.
    """

    scale: Relative = 0
    resolution: Relative = 0


class LuminositySection(_Section):
    """Which data are good, and how many inverse femtobarns they are.

    Attributes
    ----------
    golden
        Path of the JSON of certified luminosity sections.
    table
        Path of the CSV of brilcalc, by luminosity section.
    uncertainty
        Relative uncertainty of the integrated luminosity.
    """

    golden: Name | None = None
    table: Name | None = None
    uncertainty: Relative = 0


class Declaration(_Section):
    """Corrections of an era.

    Attributes
    ----------
    name
        What they are called in provenance and messages.
    eras
        Patterns of the eras of datasets, as in a shell: ``2018*``.
    pileup, muon_id, muon_reconstruction, trigger, momentum, luminosity
        Each may be left out.
    """

    name: Name
    eras: Annotated[tuple[Name, ...], Field(min_length=1)]
    pileup: PayloadSection | None = None
    muon_id: PayloadSection | None = None
    muon_reconstruction: PayloadSection | None = None
    trigger: TriggerSection | None = None
    momentum: Mapping[Particle, MomentumSection] = {}
    luminosity: LuminositySection = LuminositySection()


#: What pydantic's faults are called here; the others are clear in its words.
_MEANING = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_too_short": "is empty",
    "too_short": "is empty",
    "tuple_type": "must be a list",
    "string_type": "must be a text in quotes",
    "float_type": "must be a number",
    "mapping_type": "must be a section",
    "model_type": "must be a section",
    "dict_type": "must be a section",
}
_HINTS = {"out_of_range": ': say "clamp" (take the nearest bin) or "error"'}


def read_declaration(path: str | Path) -> Declaration:
    """Read the TOML of an era.

    Raises
    ------
    InputError
        When it can't be read, is no TOML, or says what it may not: every fault in a line.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of corrections") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: not a TOML file ({error})") from None
    try:
        return Declaration.model_validate(content)
    except ValidationError as error:
        raise InputError("\n".join(f"{path}: {fault}" for fault in _faults(error))) from None


def _faults(error: ValidationError) -> list[str]:
    faults = []
    for fault in error.errors():
        place = [str(part) for part in fault["loc"] if part != "[key]"]
        text = _MEANING.get(fault["type"]) or fault["msg"]
        hint = _HINTS.get(place[-1], "") if place else ""
        faults.append(f"{'.'.join(place)}: {text}{hint}")
    return faults
