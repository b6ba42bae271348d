"""Matching by value: ntuples refer to a candidate's muons and tracks by their pT."""

from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt


def equal_pairs(
    candidates: ak.Array, objects: ak.Array
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All pairs of a candidate and an object of its event that have the same value.

    Parameters
    ----------
    candidates
        The candidates' values, such as the number of a muon, a list an event.
    objects
        The objects' values, a list an event.

    Returns
    -------
    Positions of the candidates and of the objects among those of all events, shape (pairs,) each.
    """
    wanted = ak.to_numpy(ak.flatten(candidates))
    offered = ak.to_numpy(ak.flatten(objects))
    candidate, position = beside(candidates, objects)
    equal = wanted[candidate] == offered[position]
    return candidate[equal], position[equal]


@dataclass(frozen=True)
class Match:
    """For each candidate, the object of its event that it was matched to.

    Attributes
    ----------
    counts
        Candidates per event, shape (events,).
    index
        For each candidate of all events in order, the position of its object among the objects of
        all events; -1 where nothing matches. Shape (candidates,).
    """

    counts: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]

    def pick(self, values: ak.Array, missing: Any) -> ak.Array:
        """Values of the matched objects.

        Parameters
        ----------
        values
            One number for each object, a list an event.
        missing
            What a candidate without a match gets.

        Returns
        -------
        One number for each candidate, a list an event.
        """
        flat = ak.to_numpy(ak.flatten(values))
        picked = np.full(len(self.index), missing, dtype=np.result_type(flat, type(missing)))
        found = self.index >= 0
        picked[found] = flat[self.index[found]]
        return ak.unflatten(picked, self.counts)


def first_match(candidates: ak.Array, objects: ak.Array) -> Match:
    """The first object of the event that has the candidate's value.

    Values are compared in the coarser of the two precisions: a candidate's double against a muon's
    float agree after a cast to float, two doubles only when they are the same.

    Parameters
    ----------
    candidates
        The candidates' values, such as the pT (GeV) of one leg, a list an event.
    objects
        The objects' values, a list an event.
    """
    n_candidates = ak.to_numpy(ak.num(candidates))
    wanted = ak.to_numpy(ak.flatten(candidates))
    offered = ak.to_numpy(ak.flatten(objects))
    precision = min(wanted.dtype, offered.dtype, key=lambda dtype: dtype.itemsize)
    wanted, offered = wanted.astype(precision), offered.astype(precision)

    candidate, position = beside(candidates, objects)
    equal = np.flatnonzero(wanted[candidate] == offered[position])
    matched, first = np.unique(candidate[equal], return_index=True)
    index = np.full(len(wanted), -1, dtype=np.int64)
    index[matched] = position[equal[first]]
    return Match(counts=n_candidates, index=index)


def beside(
    candidates: ak.Array, objects: ak.Array
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return positions of all pairs of a candidate and an object of its event, shapes (pairs,)."""
    n_candidates, n_objects = ak.to_numpy(ak.num(candidates)), ak.to_numpy(ak.num(objects))
    event = np.repeat(np.arange(len(n_candidates)), n_candidates)
    first_object = np.cumsum(n_objects) - n_objects
    pairs = n_objects[event]
    first_pair = np.cumsum(pairs) - pairs
    candidate = np.repeat(np.arange(len(event)), pairs)
    position = np.arange(len(candidate)) - first_pair[candidate] + first_object[event[candidate]]
    return candidate, position
