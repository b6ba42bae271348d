"""Base of the sections of an era's TOML, and the section of one correctionlib payload."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from bphcoffea.corrections.payload import Policy
from bphcoffea.errors import CorrectionsError

Name = Annotated[str, Field(min_length=1)]
#: Answer to a question, which no number or text stands for.
Flag = Annotated[bool, Field(strict=True)]


class Section(BaseModel):
    """Base class of sections, which may contain nothing but the declared keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @override
    def __reduce__(self) -> tuple[Callable[[object], Self], tuple[dict[str, object]]]:
        # pydantic would pickle a set of names, whose order differs between interpreters
        return type(self).model_validate, (self.model_dump(),)


class PayloadSection(Section):
    """A correction of a correctionlib file, and how to evaluate it.

    Attributes
    ----------
    file
        Path of the correctionlib file, relative to the TOML.
    name
        Name of the correction in the file.
    out_of_range
        Treatment of values outside the bins: ``clamp`` (take the nearest bin) or ``error``.
    inputs
        Keys of inputs that are the same for all values, such as ``year`` of older files.
    decorrelated
        Whether the uncertainties are independent of those of other eras: the names of their
        variations then end with the name of these corrections.
    """

    file: Name
    name: Name
    out_of_range: Policy
    inputs: Mapping[str, str] = {}
    decorrelated: Flag = False


def era_ending(era: str, *, decorrelated: bool) -> str:
    """Return the ending of the names of variations: empty if eras share them.

    Raises
    ------
    CorrectionsError
        If uncertainties are decorrelated and the name of the era is unfit for a variation.
    """
    if decorrelated and not re.fullmatch("[A-Za-z0-9_.-]+", era):
        raise CorrectionsError(
            f"decorrelated: names of variations end with the name of the era, '{era}', which "
            "must then be made of letters, digits, and the characters _ . -"
        )
    return f"_{era}" if decorrelated else ""
