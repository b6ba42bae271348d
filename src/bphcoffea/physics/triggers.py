"""Trigger decisions of ntuples that store lists of path names and of decisions."""

import awkward as ak
import numpy as np

from bphcoffea.arrays import Booleans
from bphcoffea.physics.lists import flattened, lengths


def fired(paths: ak.Array, *prefixes: str) -> ak.Array:
    """Return whether an event fired a trigger path that starts with one of the prefixes.

    Parameters
    ----------
    paths
        Records with ``name`` (string) and ``decision`` (integer, 1 if fired), one list per event.
    prefixes
        Beginnings of path names. End a prefix with ``_v`` to exclude longer names:
        ``HLT_DoubleMu3_Trk_Tau3mu_v`` does not match ``HLT_DoubleMu3_Trk_Tau3mu_NoL1Mass_v``.

    Returns
    -------
    array of bool
        One value per event; False for empty lists.
    """
    counts = lengths(paths.name)
    names = ak.to_layout(ak.flatten(paths.name))
    if isinstance(names, ak.contents.IndexedArray):
        # each distinct name is compared once
        matches = _starts_with(ak.Array(names.content), prefixes)[names.index.data]
    else:
        matches = _starts_with(ak.Array(names), prefixes)
    accepted = np.flatnonzero(matches & (flattened(paths.decision) == 1))
    events = np.zeros(len(counts), dtype=np.bool_)
    events[np.searchsorted(np.cumsum(counts), accepted, side="right")] = True
    return ak.Array(events)


def _starts_with(names: ak.Array, prefixes: tuple[str, ...]) -> Booleans:
    """Return which names start with one of the prefixes, shape (names,)."""
    texts = ak.to_numpy(names)
    matches = np.zeros(len(names), dtype=np.bool_)
    for prefix in prefixes:
        matches |= np.char.startswith(texts, prefix)
    return matches
