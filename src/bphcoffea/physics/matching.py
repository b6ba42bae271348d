"""Matching by value: ntuples refer to the muons and tracks of a candidate by their pT."""

from dataclasses import dataclass

import awkward as ak
import numpy as np

from bphcoffea.arrays import Integers
from bphcoffea.physics.lists import flattened, in_lists, lengths


def equal_pairs(candidates: ak.Array, objects: ak.Array) -> tuple[Integers, Integers]:
    """Return all pairs of a candidate and an object of its event that have the same value.

    Parameters
    ----------
    candidates
        Values of the candidates, such as the number of a muon, one list per event.
    objects
        Values of the objects, one list per event.

    Returns
    -------
    tuple of two arrays
        Positions of the candidate and of the object of each pair in the flattened lists, shape
        (pairs,) each.
    """
    candidate_values = flattened(candidates)
    object_values = flattened(objects)
    candidate, position = pairs_in_events(candidates, objects)
    equal = candidate_values[candidate] == object_values[position]
    return candidate[equal], position[equal]


@dataclass(frozen=True)
class Match:
    """Object that each candidate was matched to.

    Attributes
    ----------
    counts
        Number of candidates per event, shape (events,).
    index
        Position of the object of each candidate in the flattened lists of objects, shape
        (candidates,); -1 for candidates without a match.
    """

    counts: Integers
    index: Integers

    def pick(self, values: ak.Array, missing: float) -> ak.Array:
        """Return a property of the matched object of each candidate.

        Parameters
        ----------
        values
            One number per object, one list per event.
        missing
            Number for candidates without a match.

        Returns
        -------
        array
            One number per candidate, one list per event.
        """
        flat = flattened(values)
        picked = np.full(len(self.index), missing, dtype=np.result_type(flat, type(missing)))
        found = self.index >= 0
        picked[found] = flat[self.index[found]]
        return in_lists(picked, self.counts)


def first_match(candidates: ak.Array, objects: ak.Array) -> Match:
    """Match each candidate to the first object of its event that has the same value.

    Values are compared in the coarser of the two precisions: the double of a candidate equals the
    float of a muon if they agree after a cast to float.

    Parameters
    ----------
    candidates
        Values of the candidates, such as the pT (GeV) of one leg, one list per event.
    objects
        Values of the objects, one list per event.
    """
    candidate_values = flattened(candidates)
    object_values = flattened(objects)
    precision = min(candidate_values.dtype, object_values.dtype, key=lambda dtype: dtype.itemsize)
    object_values = object_values.astype(precision, copy=False)
    counts, n_objects = lengths(candidates), lengths(objects)
    end = np.cumsum(n_objects)
    position, end = np.repeat(end - n_objects, counts), np.repeat(end, counts)
    index = np.full(len(candidate_values), -1, dtype=np.int64)

    # candidates without a match so far are compared with the next object of their event
    left = np.flatnonzero(position < end)
    value, position, end = candidate_values[left].astype(precision), position[left], end[left]
    while len(left):
        equal = value == object_values[position]
        found = np.flatnonzero(equal)
        index[left[found]] = position[found]
        position += 1
        still = np.flatnonzero(~equal & (position < end))
        left, value, position, end = left[still], value[still], position[still], end[still]
    return Match(counts, index)


def pairs_in_events(candidates: ak.Array, objects: ak.Array) -> tuple[Integers, Integers]:
    """Return the positions of all pairs in an event in the flattened lists, shapes (pairs,)."""
    n_candidates, n_objects = lengths(candidates), lengths(objects)
    event = np.repeat(np.arange(len(n_candidates)), n_candidates)
    first_object = np.cumsum(n_objects) - n_objects
    pairs = n_objects[event]
    first_pair = np.cumsum(pairs) - pairs
    candidate = np.repeat(np.arange(len(event)), pairs)
    position = np.arange(len(candidate)) + np.repeat(first_object[event] - first_pair, pairs)
    return candidate, position
