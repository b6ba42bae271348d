"""Numbers that identify an event, under the names that input formats give them."""

from __future__ import annotations

from typing import Final

import awkward as ak
import numpy as np
import numpy.typing as npt

#: Column of the candidates' table and its type, by the name of the field in the events.
EVENT_NUMBERS: Final = {
    "run": ("run", np.int64),
    "lumi": ("lumi", np.int64),
    "luminosityBlock": ("lumi", np.int64),
    "event": ("event", np.uint64),
}


def event_numbers(events: ak.Array) -> dict[str, npt.NDArray[np.integer]]:
    """Return run, luminosity section and event number, each of shape (events,), if present.

    Parameters
    ----------
    events
        Events of a chunk.

    Returns
    -------
    Arrays with the keys ``run``, ``lumi`` and ``event``; a number that the input lacks is left
    out.
    """
    return {
        name: ak.to_numpy(events[field]).astype(dtype)
        for field, (name, dtype) in EVENT_NUMBERS.items()
        if field in events.fields
    }
