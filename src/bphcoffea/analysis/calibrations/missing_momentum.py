"""Missing transverse momentum that balances changes of the energies of jets and leptons.

Several calibrations may change the same missing momentum. Each records its change, a vector, under
a name of its own, and the changes are added to the momentum of the file in the order in which they
were recorded. A variation replaces one of them, so that the others keep their nominal values. With
Type-1 corrections, the changes are added to the raw momentum instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import awkward as ak
import numpy as np

from bphcoffea.analysis.shifts import Path

#: Field of a missing momentum with the changes that it balances, by their names.
CHANGES: Final = "balanced"


def change_of(objects: ak.Array, pt: ak.Array) -> ak.Array:
    """Return the change of the momentum of an event's objects, GeV, records of ``x`` and ``y``.

    Parameters
    ----------
    objects
        Objects with the fields ``phi`` and ``pt_orig``, the transverse momentum in the file.
    pt
        New transverse momenta, GeV.
    """
    change = pt - objects.pt_orig
    x = ak.sum(change * np.cos(objects.phi), axis=1)
    y = ak.sum(change * np.sin(objects.phi), axis=1)
    return ak.zip({"x": x, "y": y})


def with_original(events: ak.Array, met: str) -> ak.Array:
    """Return the events with the fields ``pt_orig`` and ``phi_orig`` of a missing momentum."""
    if "pt_orig" in events[met].fields:
        return events
    events = ak.with_field(events, events[met].pt, [met, "pt_orig"])
    return ak.with_field(events, events[met].phi, [met, "phi_orig"])


def with_raw(events: ak.Array, met: str, raw: str) -> ak.Array:
    """Return the events in which a missing momentum starts from a raw one, another field.

    The fields ``pt_raw`` and ``phi_raw`` of the missing momentum hold it.
    """
    events = ak.with_field(with_original(events, met), events[raw].pt, [met, "pt_raw"])
    return ak.with_field(events, events[raw].phi, [met, "phi_raw"])


def balanced(events: ak.Array, met: str, name: str, change: ak.Array) -> ak.Array:
    """Return the events in which a missing momentum balances one more change.

    Parameters
    ----------
    events
        Events of a chunk.
    met
        Field of the missing momentum.
    name
        Name of the change, by which variations replace it.
    change
        See :func:`change_of`.
    """
    events = with_original(events, met)
    changes = _changes(events[met]) | {name: change}
    events = ak.with_field(events, ak.zip(changes, depth_limit=1), [met, CHANGES])
    for path, values in replaced_change(events, met, name, change).items():
        events = ak.with_field(events, values, list(path))
    return events


def replaced_change(
    events: ak.Array, met: str, name: str, change: ak.Array
) -> Mapping[Path, ak.Array]:
    """Return the new values of a missing momentum after one of its changes is replaced.

    A change without a nominal value is added after all others.
    """
    record = events[met]
    start = "raw" if "pt_raw" in record.fields else "orig"
    pt, phi = record[f"pt_{start}"], record[f"phi_{start}"]
    x, y = pt * np.cos(phi), pt * np.sin(phi)
    for moved in (_changes(record) | {name: change}).values():
        x, y = x - moved.x, y - moved.y
    return {(met, "pt"): np.hypot(x, y), (met, "phi"): np.arctan2(y, x)}


def _changes(record: ak.Array) -> dict[str, ak.Array]:
    if CHANGES not in record.fields:
        return {}
    return {name: record[CHANGES][name] for name in record[CHANGES].fields}
