"""Entries of files that a result was made of, so that no entry is counted twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bphcoffea.redaction import redacted

#: Path of a file in the fileset, without passwords, and path of the tree in the file.
Tree = tuple[str, str]


class OverlapError(ValueError):
    """Two results contain the same entries, which their sum would count twice."""


class Entries:
    """Set of entry ranges of trees.

    Parameters
    ----------
    ranges
        Ranges [start, stop) by tree, ascending and without overlap.
    """

    def __init__(self, ranges: Mapping[Tree, tuple[tuple[int, int], ...]] | None = None) -> None:
        self.ranges = dict(ranges or {})

    @classmethod
    def of_chunk(cls, metadata: Mapping[str, Any]) -> Entries:
        """Entry range of one chunk, from its metadata; empty if the metadata has none."""
        if "entrystart" not in metadata:
            return cls()
        tree = (redacted(metadata.get("file", metadata["filename"])), metadata["treename"])
        start, stop = metadata["entrystart"], metadata["entrystop"]
        return cls({tree: ((start, stop),)} if stop > start else {})

    def __add__(self, other: Entries) -> Entries:
        total = dict(self.ranges)
        for tree, ranges in other.ranges.items():
            total[tree] = _joined(tree, (*total.get(tree, ()), *ranges))
        return Entries(total)

    def holds(self, tree: Tree, start: int, stop: int) -> bool:
        """Return whether all entries of the range [start, stop) of a tree are included."""
        ranges = self.ranges.get(tree, ())
        return start >= stop or any(first <= start and stop <= last for first, last in ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entries) and self.ranges == other.ranges

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return sum(stop - start for ranges in self.ranges.values() for start, stop in ranges)


def _joined(tree: Tree, ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if joined and start < joined[-1][1]:
            raise OverlapError(
                f"{tree[0]}, tree '{tree[1]}': entries {start}-{min(stop, joined[-1][1])} "
                "are in both results"
            )
        if joined and start == joined[-1][1]:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return tuple(joined)
