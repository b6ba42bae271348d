"""Frozen dataclasses that are written to JSON and read again."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeAlias

from pydantic import TypeAdapter, ValidationError

from bphcoffea.documents import faults
from bphcoffea.errors import FitError

#: Content of a JSON object.
JsonObject: TypeAlias = dict[str, Any]


class Record:
    """Base class of frozen dataclasses that are stored as JSON objects.

    Attributes
    ----------
    derived
        Names of properties that the JSON holds as well, for its readers.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Interval(Record):
    ...     ends: tuple[float, float]
    >>> Interval((0.5, math.inf)).as_json()
    {'ends': [0.5, 'inf']}
    >>> Interval.from_json({"ends": [0.5, "inf"], "note": "unknown keys are ignored"})
    Interval(ends=(0.5, inf))
    """

    derived: ClassVar[tuple[str, ...]] = ()
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def as_json(self) -> JsonObject:
        """Return the content of the JSON object; infinity, which JSON lacks, is ``"inf"``."""
        names = (*self.__dataclass_fields__, *self.derived)
        return {name: plain(getattr(self, name)) for name in names}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the record that :meth:`as_json` wrote; unknown keys are ignored.

        Raises
        ------
        FitError
            If the content does not match, as when an older version wrote it.
        """
        try:
            # mypy looks for the hash of an instance
            validator = _validator(cls)  # type: ignore[arg-type]
            record: Self = validator.validate_python(content)
        except ValidationError as error:
            lines = [f"{'.'.join(place)}: {text}" for place, text, _ in faults(error)]
            raise FitError(
                f"the stored result is unusable ({'; '.join(lines)}); make it again"
            ) from None
        return record


@functools.cache
def _validator(kind: type[Record]) -> TypeAdapter[Any]:
    # which takes a millisecond to make
    return TypeAdapter(kind)


def plain(value: object) -> object:
    """Return a value as JSON can hold it: lists for tuples, objects for mappings and records."""
    if isinstance(value, Record):
        return value.as_json()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return "inf" if value == math.inf else value
