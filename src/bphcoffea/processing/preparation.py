"""What is added to the events of a chunk before they are selected: objects and candidates."""

from __future__ import annotations

import itertools

import awkward as ak
import hist
import numpy as np

from bphcoffea.analysis import ALL, NOMINAL, Analysis
from bphcoffea.arrays import Booleans, Floats, Integers
from bphcoffea.physics import distinct, flattened, lengths
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
        changes = self._prepares or bool(analysis.objects)
        # an event remains its own candidate, whatever is added to it
        self.makes_candidates = changes and analysis.collection is not None
        self._replaced: list[str] = []

    def __call__(self, events: ak.Array) -> ak.Array:
        """Return the events with the collections."""
        for objects in self._analysis.objects:
            events = ak.with_field(events, objects.select(events), objects.name)
        if not self._prepares:
            return events
        prepared = self._analysis.prepare(events)
        self._replaced = [name for name in events.fields if not _same(name, events, prepared)]
        return prepared

    def unaffected(self, events: ak.Array) -> ak.Array:
        """Return what is certainly not changed by some fields, which are opaque in the events.

        Objects that cannot be selected without the fields are left out, and so are collections that
        `prepare` replaced when it was last called, whatever it read for that.
        """
        for objects in self._analysis.objects:
            try:
                events = ak.with_field(events, objects.select(events), objects.name)
            except Exception:  # noqa: BLE001 - whatever an opaque field leads to
                events = _without(events, objects.name)
        for name in self._replaced:
            events = _without(events, name)
        return events


def _same(name: str, events: ak.Array, prepared: ak.Array) -> bool:
    """Return whether a field is certainly the same in both, which its values are not read for."""
    layouts = [array.layout for array in (events, prepared)]
    if name not in prepared.fields or not all(layout.is_record for layout in layouts):
        return False
    before, after = (layout.content(name) for layout in layouts)
    return before is after


def _without(events: ak.Array, name: str) -> ak.Array:
    return ak.without_field(events, name) if name in events.fields else events


def count_objects(
    analysis: Analysis, events: ak.Array, weights: Floats, hidden: Booleans
) -> tuple[dict[str, Cutflow], dict[str, hist.Hist]]:
    """Return the cutflow of all objects, and the N-1 histograms of their requirements.

    The cutflow counts, after each step, events with such an object, objects, and the sum of weights
    of these events.

    Parameters
    ----------
    analysis
        The analysis.
    events
        Events of a chunk, with all objects.
    weights
        Weight of each event before any cut, shape (events,).
    hidden
        Which events are hidden, shape (events,): only the first step counts them, and no histogram.
    """
    cutflows, histograms = {}, {}
    n_minus_1 = analysis.n_minus_1()
    for objects in analysis.objects:
        counts = lengths(events[objects.of])
        event: Integers = np.repeat(np.arange(len(counts)), counts)
        masks = objects.masks(events)
        left: Booleans = np.ones(len(event), dtype=np.bool_)
        rows = []
        for step, mask in enumerate((left, *masks)):
            left = left & mask & ~hidden[event] if step else left
            having = distinct(event[left])
            row = (len(having), int(np.count_nonzero(left)), float(np.sum(weights[having])))
            rows.append(row)
        cutflows[objects.name] = Cutflow.of_rows(("all", *objects.steps), rows)
        for declared in (h for h in n_minus_1 if h.objects is objects):
            passed = ~hidden[event]
            for requirement, mask in itertools.zip_longest(objects.where, masks):
                compared = () if requirement is None else requirement.variables()
                if all(variable is not declared.compared for variable in compared):
                    passed &= mask
            values = flattened(declared.variables[0](events))[passed]
            filled = histograms[declared.name] = declared.empty()
            filled.fill(ALL, NOMINAL, values, weight=weights[event][passed])
    return cutflows, histograms
