"""Base class of the sections of an era's TOML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from pydantic import BaseModel, ConfigDict
from typing_extensions import override


class Section(BaseModel):
    """A section, which may have no other entries than those that are declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @override
    def __reduce__(self) -> tuple[Callable[[object], Self], tuple[dict[str, object]]]:
        # pydantic would pickle a set of names, whose order differs between interpreters
        return type(self).model_validate, (self.model_dump(),)
