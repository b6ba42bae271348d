"""Metadata of a dataset, on which declarations may depend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

#: Metadata of a dataset: ``is_mc``, ``era`` and further keys of its fileset. Those of a chunk also
#: have ``dataset``, ``filename``, ``treename``, ``entrystart``, ``entrystop`` and ``held``.
DatasetMetadata: TypeAlias = Mapping[str, Any]

#: Key of a chunk's metadata: the branches of :attr:`.BranchNeeds.looked_for` that some file of its
#: dataset has.
HELD: Final = "held"


def missing_branches(branches: Iterable[str], metadata: DatasetMetadata) -> list[str]:
    """Return the branches that no file of a dataset has, from the metadata of a chunk."""
    held = metadata.get(HELD, ())
    return [branch for branch in branches if branch not in held]
