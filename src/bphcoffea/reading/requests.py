"""Bytes of a file that are requested once, those of several columns together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from bphcoffea.reading.opened_files import OpenedFile, Range

Bytes: TypeAlias = bytes | memoryview


class UnusualError(Exception):
    """A column, or its content, that is left to uproot."""


class Received:
    """Bytes of a file that have arrived and wait to be decoded.

    ROOT stores equal pages once: the same bytes may belong to several columns, or several times to
    one.
    """

    def __init__(self, file: OpenedFile) -> None:
        self._file = file
        self._bytes: dict[Range, Bytes] = {}
        self._waiting: Counter[Range] = Counter()

    def request(self, places: Iterable[Range]) -> None:
        """Read what has not arrived yet; a server is asked once.

        Each place waits to be taken, or forgotten, as often as it is named.
        """
        places = list(places)
        missing = [place for place in dict.fromkeys(places) if place not in self._bytes]
        if missing:
            self._bytes |= zip(missing, self._file.read(missing), strict=True)
        self._waiting.update(places)

    def take(self, places: Sequence[Range]) -> list[Bytes]:
        """Return the bytes of requested places, and forget them."""
        taken = [self._bytes[place] for place in places]
        self.forget(places)
        return taken

    def forget(self, places: Iterable[Range]) -> None:
        """Free the bytes of requested places, unless they wait for others."""
        for place in places:
            self._waiting[place] -= 1
            if not self._waiting[place]:
                del self._waiting[place], self._bytes[place]
