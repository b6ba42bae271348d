"""ROOT and JSON files of toys, and the arrangement of flat arrays in events."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

import awkward as ak
import numpy as np
import uproot

from bphcoffea.toys.decay import Integers, Numbers

#: Branches by name with one entry per event: arrays of shape (events,), or arrays of lists.
Branches: TypeAlias = dict[str, Numbers | ak.Array]
#: Events per cluster of an RNTuple; a cluster is decompressed as a whole.
CLUSTER: Final = 10_000


def write_ntuple(path: Path, tree: str, branches: Mapping[str, Numbers | ak.Array]) -> None:
    """Write a ROOT file with an RNTuple.

    Parameters
    ----------
    path
        Path of the file.
    tree
        Path of the RNTuple in it, such as ``Tree3Mu/ntuple``.
    branches
        Branches by name, of the same length.
    """
    *folders, name = tree.split("/")
    length = len(next(iter(branches.values())))
    # as ROOT does with RNTuples: faster than zlib, and smaller
    with uproot.recreate(path, compression=uproot.ZSTD(1)) as file:
        directory = file.mkdir("/".join(folders)) if folders else file
        ntuple = directory.mkrntuple(name, _entries(branches, 0))
        for start in range(CLUSTER, length, CLUSTER):
            ntuple.extend(_entries(branches, start))


def as_json(content: Mapping[str, object]) -> str:
    """Return the text of a JSON file."""
    return json.dumps(content, indent=2) + "\n"


def random_order(event: Integers, rng: np.random.Generator) -> Integers:
    """Return the indices that sort by event, in a random order within each event."""
    return np.lexsort((rng.random(len(event)), event))


def lists(flat: Mapping[str, Numbers], event: Integers, n: int) -> dict[str, ak.Array]:
    """Return one list per event from flat arrays that are sorted by event.

    `event` has the event of each object, from 0 to n - 1, shape (objects,).
    """
    offsets = ak.index.Index64(np.append(0, np.cumsum(np.bincount(event, minlength=n))))
    # ak.unflatten examines the counts again for each of a hundred branches
    return {
        name: ak.Array(
            ak.contents.ListOffsetArray(offsets, ak.contents.NumpyArray(np.asarray(values)))
        )
        for name, values in flat.items()
    }


def _entries(
    branches: Mapping[str, Numbers | ak.Array], start: int
) -> dict[str, Numbers | ak.Array]:
    length = len(next(iter(branches.values())))
    if start == 0 and length <= CLUSTER:
        return dict(branches)
    return {name: values[start : start + CLUSTER] for name, values in branches.items()}
