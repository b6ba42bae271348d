"""Trigger paths of NanoAOD, each of which is a branch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.analysis.metadata import HELD, DatasetMetadata
from bphcoffea.analysis.variables import Condition, EventFunction
from bphcoffea.errors import InputError

#: Collection of NanoAOD that holds the trigger paths, and prefix of their branches.
_COLLECTION: Final = "HLT"


def path_branches(metadata: DatasetMetadata) -> tuple[str, ...]:
    """Return the branches of the trigger paths in a dataset's metadata (``hlt``)."""
    names = (str(path).removeprefix(f"{_COLLECTION}_") for path in metadata.get("hlt") or ())
    return tuple(f"{_COLLECTION}_{name}" for name in names)


def some_path_fired(events: ak.Array, branches: Iterable[str] | None = None) -> ak.Array:
    """Return whether a trigger path has fired, one boolean per event.

    A path that this file lacks, but another file of the dataset has, was not in the menu and counts
    as not fired.

    Parameters
    ----------
    events
        Events of a chunk.
    branches
        Branches of the paths; by default those in the metadata of the dataset (``hlt``).

    Raises
    ------
    InputError
        If the file lacks a path, and no other file of the dataset is known to have it.
    """
    paths = set(ak.fields(events[_COLLECTION])) if _COLLECTION in events.fields else set()
    fired = np.zeros(len(events), dtype=np.bool_)
    for branch in path_branches(events.metadata) if branches is None else branches:
        path = branch.removeprefix(f"{_COLLECTION}_")
        if path in paths:
            fired |= ak.to_numpy(events[_COLLECTION][path]).astype(np.bool_)
        elif branch not in events.metadata.get(HELD, ()):
            raise InputError(
                f"no branch {branch} in the file; is the trigger path right? "
                "(see 'hlt' in the metadata of the dataset)"
            )
    return ak.Array(fired)


@dataclass(frozen=True, repr=False)
class DatasetPathFired(Condition):
    """Require that a trigger path of the dataset's metadata (``hlt``) has fired.

    For NanoAOD, where each path is a branch ``HLT_<path>``. Which paths are right depends on the
    primary dataset.
    """

    text: str = "a trigger path of the dataset has fired"
    function: EventFunction = some_path_fired

    @override
    def in_some_file(self, metadata: DatasetMetadata) -> tuple[str, ...]:
        return path_branches(metadata)


class PathFired(Condition):
    """Require that one of some trigger paths of NanoAOD has fired, in any dataset.

    Parameters
    ----------
    paths
        Names of the paths, without ``HLT_``.

    Examples
    --------
    >>> PathFired("IsoMu24", "IsoTkMu24")
    HLT_IsoMu24 or HLT_IsoTkMu24
    """

    def __init__(self, *paths: str) -> None:
        branches = tuple(f"{_COLLECTION}_{path}" for path in paths)
        super().__init__(" or ".join(branches), partial(some_path_fired, branches=branches))
        object.__setattr__(self, "_branches", branches)

    @override
    def in_some_file(self, metadata: DatasetMetadata) -> tuple[str, ...]:
        return self._branches  # type: ignore[attr-defined, no-any-return]
