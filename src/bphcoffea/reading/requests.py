"""Bytes of a file that are requested once, those of several columns together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from bphcoffea.reading.opened_files import OpenedFile, Range

Bytes: TypeAlias = bytes | memoryview


class UnusualError(Exception):
    """A column, or its content, that is left to uproot."""


class Received:
    """Bytes of a file that have arrived and wait to be decoded."""

    def __init__(self, file: OpenedFile) -> None:
        self._file = file
        self._bytes: dict[Range, Bytes] = {}

    def request(self, places: Iterable[Range]) -> None:
        """Read what has not arrived yet; a server is asked once."""
        missing = [place for place in dict.fromkeys(places) if place not in self._bytes]
        if missing:
            self._bytes |= zip(missing, self._file.read(missing), strict=True)

    def take(self, places: Iterable[Range]) -> list[Bytes]:
        """Return the bytes of places, and forget them."""
        places = list(places)
        self.request(places)
        return [self._bytes.pop(place) for place in places]
