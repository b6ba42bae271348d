"""Trigger decisions of ntuples that store lists of path names and of decisions."""

import awkward as ak


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
    names = paths.name
    accepted = paths.decision == 1
    matches = ak.str.starts_with(names, prefixes[0])
    for prefix in prefixes[1:]:
        matches = matches | ak.str.starts_with(names, prefix)
    return ak.any(matches & accepted, axis=1)
