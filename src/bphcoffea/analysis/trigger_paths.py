"""Trigger paths that a dataset's metadata name, as branches of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import awkward as ak
import numpy as np

from bphcoffea.analysis.branch_needs import HELD
from bphcoffea.analysis.variables import Condition
from bphcoffea.errors import InputError

#: Collection of NanoAOD that holds the trigger paths, and how their branches begin.
_COLLECTION: Final = "HLT"


def path_branches(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the branches of the trigger paths in a dataset's metadata (``hlt``)."""
    names = (str(path).removeprefix(f"{_COLLECTION}_") for path in metadata.get("hlt") or ())
    return tuple(f"{_COLLECTION}_{name}" for name in names)


def some_path_fired(events: Any) -> ak.Array:
    """Return whether one of the trigger paths of the dataset has fired, one boolean an event.

    A path that is absent from this file, but not from all files of the dataset, has not fired: it
    was not in the menu.

    Raises
    ------
    InputError
        If the file lacks a path, and it is not known that another file of the dataset has it.
    """
    here = set(ak.fields(events[_COLLECTION])) if _COLLECTION in events.fields else set()
    fired = np.zeros(len(events), dtype=np.bool_)
    for branch in path_branches(events.metadata):
        path = branch.removeprefix(f"{_COLLECTION}_")
        if path in here:
            fired |= ak.to_numpy(events[_COLLECTION][path]).astype(np.bool_)
        elif branch not in events.metadata.get(HELD, ()):
            raise InputError(
                f"no branch {branch} in the file; is the trigger path right? "
                "(see 'hlt' in the metadata of the dataset)"
            )
    return ak.Array(fired)


@dataclass(frozen=True)
class DatasetPathFired(Condition):
    """One of the trigger paths that the dataset's metadata name (``hlt``) has fired.

    For NanoAOD, where each path is a branch ``HLT_<path>``. Which paths are right depends on the
    primary dataset.
    """

    text: str = "a trigger path of the dataset has fired"
    function: Any = some_path_fired

    def in_some_file(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        """Branches of which each must be in some file of the dataset."""
        return path_branches(metadata)
