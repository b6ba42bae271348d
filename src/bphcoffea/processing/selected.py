"""Cuts, ANDed per candidate and applied in order, and what follows from them.

A cut on the event, whose variables give one number for each event, counts the events that meet it,
with or without candidates. The first cut on candidates asks for one: from there on a step counts
the candidates that pass this and every earlier cut, and the events that have such a candidate. The
best candidate is chosen among those that pass every cut.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bphcoffea.analysis.selection import Cut, Selection
from bphcoffea.analysis.variables import Values, Variable
from bphcoffea.arrays import Floats, Integers
from bphcoffea.processing.candidates import Candidates
from bphcoffea.results.cutflow import Cutflow

#: Function that takes the values of variables and returns which candidates are in hidden windows.
InWindow = Callable[[Values], npt.NDArray[np.bool_]]
#: From a cut's name and positions of candidates to what it adds to their weights, if anything.
WeightsFromCut = Callable[[str, Integers], Floats | None]


class _OfCandidatesError(Exception):
    """A requirement on the event looks at a variable of the candidates."""


class Selected:
    """Which candidates of a chunk pass which requirement, and what follows from that.

    Parameters
    ----------
    selection
        The cuts.
    candidates
        What they are applied to.
    weights
        Weight of each event before any cut, shape (events,); 1 when not given.
    weights_from_cut
        Weights that candidates have from a cut on.
    smallest
        Which candidate of an event is best, see :meth:`best`; without one the first is.
    in_window
        Finds the candidates in hidden windows. An event whose best candidate is one of them is
        left out of all results; without ``smallest``, each of them is left out.
    """

    def __init__(
        self,
        selection: Selection,
        candidates: Candidates,
        weights: Floats | None = None,
        weights_from_cut: WeightsFromCut | None = None,
        smallest: Variable | None = None,
        in_window: InWindow | None = None,
    ) -> None:
        self.selection = selection
        self.candidates = candidates
        self.weights = np.ones(len(candidates.counts)) if weights is None else weights
        self._belated = weights_from_cut
        self._smallest = smallest
        self._in_window = in_window
        self._masks = {
            requirement: requirement.mask(candidates.values)
            for cut in selection
            for requirement in cut.requirements
        }

    def mask(self, cut: Cut) -> npt.NDArray[np.bool_]:
        """Which candidates pass a cut, whatever the other cuts say. Shape (candidates,)."""
        passed = np.ones(len(self.candidates), dtype=np.bool_)
        for requirement in cut.requirements:
            passed &= self._masks[requirement]
        return passed

    @cached_property
    def _failed(self) -> npt.NDArray[np.int64]:
        failed = np.zeros(len(self.candidates), dtype=np.int64)
        for mask in self._masks.values():
            failed += ~mask
        return failed

    @property
    def passed(self) -> npt.NDArray[np.bool_]:
        """Which candidates pass every cut. Shape (candidates,)."""
        return np.equal(self._failed, 0)

    def without(self, variable: Variable) -> npt.NDArray[np.bool_]:
        """Which candidates meet every requirement that does not look at a variable (N-1).

        Shape (candidates,). False for candidates in hidden windows and for those of hidden events.
        """
        failed = self._failed.copy()
        failed[self._hidden] += 1
        if self._smallest is not None:
            failed[self._hidden_events[self.candidates.event]] += 1
        for requirement, mask in self._masks.items():
            if any(variable is other for other in requirement.variables()):
                failed -= ~mask
        return np.equal(failed, 0)

    def mask_of_events(self, cut: Cut) -> npt.NDArray[np.bool_] | None:
        """Which events meet a cut on the event, shape (events,); None if it is on candidates."""

        def values(variable: Variable) -> npt.NDArray[Any]:
            of_events = self.candidates.of_events(variable)
            if of_events is None:
                raise _OfCandidatesError
            return of_events

        met = np.ones(len(self.candidates.counts), dtype=np.bool_)
        try:
            for requirement in cut.requirements:
                met &= requirement.mask(values)
        except _OfCandidatesError:
            return None
        return met

    @cached_property
    def cutflow(self) -> Cutflow:
        """Events, candidates and sum of weights after each step.

        Where candidates have weights of their own, that of an event is that of its best candidate
        among those that survive the step; they count from the first cut on candidates. If data are
        hidden, the step ``all`` counts every event; each later one leaves out the hidden events,
        and those whose best candidate at that step lies in a window. The counts then don't depend
        on the hidden events at all.
        """
        alive = np.ones(len(self.candidates), dtype=np.bool_)
        # None from the first cut on candidates on
        events_alive: npt.NDArray[np.bool_] | None = np.ones(len(self.weights), dtype=np.bool_)
        factors: Floats | None = None
        rows = [(len(self.candidates.counts), len(alive), float(np.sum(self.weights)))]
        for cut in self.selection:
            alive &= self.mask(cut)
            here = np.flatnonzero(alive)
            own = self._belated(cut.name, here) if self._belated else None
            if own is not None:
                factors = np.ones(len(alive)) if factors is None else factors
                factors[here] *= own
            met = None if events_alive is None else self.mask_of_events(cut)
            events_alive = None if events_alive is None or met is None else events_alive & met
            visible = self._visible(here)
            if events_alive is not None:
                events = np.flatnonzero(events_alive & ~self._hidden_at(here))
                sumw = float(np.sum(self.weights[events]))
            elif factors is None:
                events = np.unique(self.candidates.event[visible])
                sumw = float(np.sum(self.weights[events]))
            else:
                chosen = self._best_of(visible, self._smallest)
                events = self.candidates.event[chosen]
                sumw = float(np.sum(self.weights[events] * factors[chosen]))
            rows.append((len(events), len(visible), sumw))
        events_left, candidates_left, sums = zip(*rows, strict=True)
        return Cutflow(
            ("all", *(cut.name for cut in self.selection)),
            np.array(events_left, dtype=np.int64),
            np.array(candidates_left, dtype=np.int64),
            np.array(sums, dtype=np.float64),
        )

    def of_others(self, candidates: Candidates) -> Selected:
        """The same selection of other candidates, without weights."""
        return Selected(
            self.selection, candidates, smallest=self._smallest, in_window=self._in_window
        )

    @cached_property
    def chosen(self) -> Integers:
        """Positions of the best candidate of each selected event; of all survivors if none is best.

        Hidden ones are left out.
        """
        survivors = self._chosen_or_hidden
        return survivors[~self._hidden[survivors]]

    @property
    def events(self) -> Integers:
        """Positions of the selected events, none of which has a hidden candidate chosen."""
        events = self.candidates.event[self._chosen_or_hidden]
        return np.unique(events[~self._hidden_events[events]])

    @cached_property
    def _chosen_or_hidden(self) -> Integers:
        survivors = np.flatnonzero(self.passed)
        return survivors if self._smallest is None else self._best_of(survivors, self._smallest)

    @cached_property
    def _hidden(self) -> npt.NDArray[np.bool_]:
        """Which candidates lie in a hidden window, shape (candidates,)."""
        if self._in_window is None:
            return np.zeros(len(self.candidates), dtype=np.bool_)
        return self._in_window(self.candidates.values)

    @cached_property
    def _hidden_events(self) -> npt.NDArray[np.bool_]:
        """Which events have a chosen candidate in a hidden window, shape (events,)."""
        return self._with_hidden(self._chosen_or_hidden)

    def _with_hidden(self, which: Integers) -> npt.NDArray[np.bool_]:
        """Which events have one of these candidates in a hidden window, shape (events,)."""
        events = np.zeros(len(self.candidates.counts), dtype=np.bool_)
        events[self.candidates.event[which[self._hidden[which]]]] = True
        return events

    def _visible(self, which: Integers) -> Integers:
        """Leave out what is hidden among the candidates that survive a step."""
        if self._in_window is None:
            return which
        if self._smallest is None:
            return which[~self._hidden[which]]
        return which[~self._hidden_at(which)[self.candidates.event[which]]]

    def _hidden_at(self, which: Integers) -> npt.NDArray[np.bool_]:
        """Which events a step leaves out that these candidates survive, shape (events,)."""
        if self._in_window is None or self._smallest is None:
            return np.zeros(len(self.candidates.counts), dtype=np.bool_)
        return self._hidden_events | self._with_hidden(self._best_of(which, self._smallest))

    def best(self, smallest: Variable) -> Integers:
        """The best candidate of each event, among those that pass every cut.

        Parameters
        ----------
        smallest
            The best has the smallest value; the first of them where several have it.

        Returns
        -------
        Positions of the best candidates among all candidates, in the order of their events; events
        without a surviving candidate have none.
        """
        return self._best_of(np.flatnonzero(self.passed), smallest)

    def _best_of(self, which: Integers, smallest: Variable | None) -> Integers:
        event = self.candidates.event[which]
        if smallest is None:
            order = np.arange(len(which))
        else:
            order = np.lexsort((which, self.candidates.values(smallest)[which], event))
        _, first = np.unique(event[order], return_index=True)
        return which[order[first]]
