"""Sections of b tagging in the TOML of an era."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Discriminator, Tag, model_validator

from bphcoffea.corrections.payload import Policy
from bphcoffea.corrections.section import Flag, Name, Section


class BTagSection(Section):
    """Scale factors of b tagging at fixed working points, and the efficiencies in simulation.

    Attributes
    ----------
    file
        Path of the correctionlib file with the scale factors, relative to the TOML.
    heavy, light
        Names of the scale factors of jets with b or c hadrons, and of all others.
    efficiency_file
        Path of the correctionlib file with the efficiencies.
    efficiencies
        Name of the correction with the efficiencies of all processes, or names by process, of which
        ``default`` is for all others.
    out_of_range, decorrelated
        See :class:`.PayloadSection`. The part of the uncertainty that the file calls
        uncorrelated is always independent of other eras.
    fields
        Fields of the jets by the payload's input, for inputs named differently.
    """

    file: Name
    heavy: Name
    light: Name
    efficiency_file: Name
    efficiencies: Name | Mapping[Name, Name]
    out_of_range: Policy
    decorrelated: Flag = False
    fields: Mapping[Name, Name] = {}


class BTagShapeSection(Section):
    """Scale factor of the whole distribution of a b tagger's score.

    Attributes
    ----------
    file
        Path of the correctionlib file, relative to the TOML.
    shape
        Name of the scale factor.
    normalisation_file
        Path of the correctionlib file with the normalisation by the number of jets, relative to the
        TOML; None: the weight may change the number of events.
    normalisation
        Name of the normalisation of all processes, or names by process, of which ``default`` is for
        all others.
    out_of_range, decorrelated
        See :class:`.PayloadSection`. The uncertainties ``hfstats`` and ``lfstats`` are
        always independent of other eras.
    fields
        Fields of the jets by the payload's input, for inputs named differently.
    """

    file: Name
    shape: Name
    normalisation_file: Name | None = None
    normalisation: Name | Mapping[Name, Name] | None = None
    out_of_range: Policy
    decorrelated: Flag = False
    fields: Mapping[Name, Name] = {}

    @model_validator(mode="after")
    def _normalised_or_not(self) -> Self:
        if (self.normalisation_file is None) != (self.normalisation is None):
            raise ValueError(
                "normalisation_file and normalisation need each other; give both or none"
            )
        return self


def _kind_of_btag(section: object) -> str:
    shape = isinstance(section, Mapping) and "shape" in section
    return BTagShapeSection.__name__ if shape else BTagSection.__name__


#: A section of b tagging is of fixed working points, or of the shape of the score.
AnyBTagSection = Annotated[
    Annotated[BTagSection, Tag(BTagSection.__name__)]
    | Annotated[BTagShapeSection, Tag(BTagShapeSection.__name__)],
    Discriminator(_kind_of_btag),
]
