"""Files of toys: ntuples, and what is said of them in JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import uproot

#: Events of a cluster, which is decompressed as a whole however little of it is read.
CLUSTER: Final = 10_000


def write_ntuple(path: Path, tree: str, branches: Mapping[str, Any]) -> None:
    """Write a ROOT file with an RNTuple.

    Parameters
    ----------
    path
        Of the file.
    tree
        Path of the RNTuple in it, such as ``Tree3Mu/ntuple``.
    branches
        One entry an event: arrays of the same length.
    """
    *folders, name = tree.split("/")
    length = len(next(iter(branches.values())))
    with uproot.recreate(path) as file:
        place = file.mkdir("/".join(folders)) if folders else file
        ntuple = place.mkrntuple(name, _entries(branches, 0))
        for start in range(CLUSTER, length, CLUSTER):
            ntuple.extend(_entries(branches, start))


def as_json(content: Mapping[str, Any]) -> str:
    """Text of a JSON file."""
    return json.dumps(content, indent=2) + "\n"


def _entries(branches: Mapping[str, Any], start: int) -> dict[str, Any]:
    return {name: values[start : start + CLUSTER] for name, values in branches.items()}
