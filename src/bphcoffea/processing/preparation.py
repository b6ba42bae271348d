"""What is added to the events of a chunk before they are selected: objects and candidates."""

from __future__ import annotations

import contextlib

import awkward as ak
import numpy as np

from bphcoffea.analysis import Analysis, Objects
from bphcoffea.arrays import Booleans, Floats, Integers
from bphcoffea.results import Cutflow


class Preparation:
    """Adds the collections that an analysis makes: its objects, and what its `prepare` adds.

    Parameters
    ----------
    analysis
        The analysis.

    Attributes
    ----------
    makes_candidates
        Whether the candidates of shifted events may be other ones than those of the events.
    """

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._prepares = type(analysis).prepare is not Analysis.prepare
        self._changes = self._prepares or bool(analysis.objects)
        # an event remains its own candidate, whatever is added to it
        self.makes_candidates = self._changes and analysis.selection.collection is not None

    def __call__(self, events: ak.Array) -> ak.Array:
        """Return the events with the collections."""
        for objects in self._analysis.objects:
            events = ak.with_field(events, objects.select(events), objects.name)
        return self._analysis.prepare(events) if self._prepares else events

    def unaffected(self, events: ak.Array) -> ak.Array:
        """Return events with the objects that can be selected without some opaque fields."""
        for objects in self._analysis.objects:
            with contextlib.suppress(Exception):  # whatever an opaque field leads to
                events = ak.with_field(events, objects.select(events), objects.name)
        return events


def object_cutflow(objects: Objects, events: ak.Array, weights: Floats) -> Cutflow:
    """Return how many objects meet each requirement and all before it.

    Parameters
    ----------
    objects
        The declaration.
    events
        Events of a chunk, with the collections that it names.
    weights
        Weight of each event before any cut, shape (events,).

    Returns
    -------
    Events with such an object, objects, and the sum of weights of these events, after each step.
    """
    counts = ak.to_numpy(ak.num(events[objects.of])).astype(np.int64)
    event: Integers = np.repeat(np.arange(len(counts)), counts)
    left: Booleans = np.ones(len(event), dtype=np.bool_)
    rows = []
    for mask in (left, *objects.masks(events)):
        left = left & mask
        having = np.unique(event[left])
        rows.append((len(having), int(np.count_nonzero(left)), float(np.sum(weights[having]))))
    return Cutflow.of_rows(("all", *objects.steps), rows)
