"""Trigger decisions that an ntuple stores as lists of path names and of decisions."""

import awkward as ak


def fired(paths: ak.Array, *prefixes: str) -> ak.Array:
    """Whether some path whose name starts with one of the prefixes has decision 1.

    Parameters
    ----------
    paths
        One list an event of records with ``name`` (string) and ``decision`` (integer).
    prefixes
        Beginnings of path names. End a path with ``_v`` where longer names share its beginning:
        ``HLT_DoubleMu3_Trk_Tau3mu_v`` is not ``HLT_DoubleMu3_Trk_Tau3mu_NoL1Mass_v``.

    Returns
    -------
    One boolean an event; False where the list is empty.
    """
    names = paths.name
    accepted = paths.decision == 1
    matches = ak.str.starts_with(names, prefixes[0])
    for prefix in prefixes[1:]:
        matches = matches | ak.str.starts_with(names, prefix)
    return ak.any(matches & accepted, axis=1)
