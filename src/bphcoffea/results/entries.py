"""Which entries of which files a result was made of; results of the same entries don't add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bphcoffea.redaction import redacted

#: A tree: its file, as the fileset calls it but without passwords, and its path in the file.
Tree = tuple[str, str]


class OverlapError(ValueError):
    """Two results hold the same entries of a file: their sum would count them twice."""


class Entries:
    """Ranges of entries of trees.

    Parameters
    ----------
    ranges
        For each tree, ranges [start, stop) that ascend and don't overlap.
    """

    def __init__(self, ranges: Mapping[Tree, tuple[tuple[int, int], ...]] | None = None) -> None:
        self.ranges = dict(ranges or {})

    @classmethod
    def of_chunk(cls, metadata: Mapping[str, Any]) -> Entries:
        """Those of the chunk that a processor is given; none where its metadata don't say."""
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
        """Whether all entries of a range are among them."""
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
