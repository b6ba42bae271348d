"""Sums of parts of which only the whole matters."""

from __future__ import annotations

from typing import Final, Generic, Self, TypeVar

Part = TypeVar("Part")

#: Number of parts from which on they are merged: merging at each addition would take quadratic
#: time, and keeping all parts too much memory.
_MOST: Final = 32


class Growing(Generic[Part]):
    """Sum that keeps its parts until there are many.

    Parameters
    ----------
    part
        The first part.

    Attributes
    ----------
    parts
        What was added.
    """

    def __init__(self, part: Part) -> None:
        self.parts = [part]

    def __add__(self, other: Self) -> Self:
        total = type(self).__new__(type(self))
        total.parts = self.parts + other.parts
        if len(total.parts) > _MOST:
            total.parts = [total.merged()]
        return total

    def merged(self) -> Part:
        """Return one part that equals all of them."""
        raise NotImplementedError
