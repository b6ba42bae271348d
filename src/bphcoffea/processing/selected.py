"""Cuts, ANDed per candidate and applied in order, and the cutflow and candidates that follow.

A cut on the event, whose variables give one number per event, counts the events that meet it, with
or without candidates. From the first cut on candidates onwards, a step counts the candidates that
pass this and every earlier cut, and the events that have such a candidate. The best candidate is
chosen among those that pass every cut.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bphcoffea.analysis import Cut, Selection, Values, Variable
from bphcoffea.arrays import Booleans, Floats, Integers, Numbers
from bphcoffea.physics import distinct
from bphcoffea.processing.candidates import Candidates
from bphcoffea.results import Cutflow

#: Function from the values of variables to the candidates in hidden windows, shape (candidates,).
InWindow: TypeAlias = Callable[[Values], Booleans]
#: Function from a cut and positions of candidates to the product of the weights that first apply at
#: the cut, shape (n,), or None.
WeightsFromCut: TypeAlias = Callable[[str, Integers], Floats | None]


class _VariableOfCandidatesError(Exception):
    """A requirement looks at a variable of candidates."""


class Selected:
    """Candidates of a chunk that pass the cuts of a selection.

    Parameters
    ----------
    selection
        The cuts.
    candidates
        Candidates of the chunk.
    weights
        Weight of each event before any cut, shape (events,); 1 by default.
    weights_from_cut
        Weights of candidates that apply from a given cut onwards.
    best
        Variable whose smallest value marks the best candidate of an event. None: all candidates
        that pass every cut are chosen.
    in_window
        Finds the candidates in hidden windows. An event whose best candidate is one of them is left
        out of all results; without `best`, each of these candidates is left out.
    """

    def __init__(
        self,
        selection: Selection,
        candidates: Candidates,
        weights: Floats | None = None,
        weights_from_cut: WeightsFromCut | None = None,
        best: Variable | None = None,
        in_window: InWindow | None = None,
    ) -> None:
        self.selection = selection
        self.candidates = candidates
        self.weights = np.ones(len(candidates.counts)) if weights is None else weights
        self._weights_from_cut = weights_from_cut
        self._best = best
        self._in_window = in_window
        self._masks = {
            requirement: requirement.mask(candidates.values)
            for cut in selection
            for requirement in cut.requirements
        }

    def mask(self, cut: Cut) -> Booleans:
        """Return which candidates pass a cut, regardless of other cuts, shape (candidates,)."""
        passed = np.ones(len(self.candidates), dtype=np.bool_)
        for requirement in cut.requirements:
            passed &= self._masks[requirement]
        return passed

    @cached_property
    def _failed(self) -> npt.NDArray[np.int16]:
        """Number of requirements that each candidate fails, shape (candidates,)."""
        failed = np.zeros(len(self.candidates), dtype=np.int16)
        for mask in self._masks.values():
            failed += ~mask
        return failed

    @property
    def passed(self) -> Booleans:
        """Candidates that pass every cut, as a mask of shape (candidates,)."""
        return np.equal(self._failed, 0)

    def without(self, variable: Variable) -> Booleans:
        """Return which candidates meet all requirements on other variables (N-1).

        The mask has the shape (candidates,). Candidates in hidden windows and those of hidden
        events are left out.
        """
        failed = self._failed.copy()
        failed[self._hidden] += 1
        if self._best is not None:
            failed[self.hidden_events[self.candidates.event]] += 1
        for requirement, mask in self._masks.items():
            if any(variable is other for other in requirement.variables()):
                failed -= ~mask
        return np.equal(failed, 0)

    def mask_of_events(self, cut: Cut) -> Booleans | None:
        """Return which events meet a cut on the event; None if it is a cut on candidates."""

        def values(variable: Variable) -> Numbers:
            of_events = self.candidates.of_events(variable)
            if of_events is None:
                raise _VariableOfCandidatesError
            return of_events

        met = np.ones(len(self.candidates.counts), dtype=np.bool_)
        try:
            for requirement in cut.requirements:
                met &= requirement.mask(values)
        except _VariableOfCandidatesError:
            return None
        return met

    @cached_property
    def cutflow(self) -> Cutflow:
        """Events, candidates and sum of weights after each step.

        The weight of an event includes the weights of its best candidate among the survivors of the
        step. If data are hidden, the step ``all`` counts every event; later steps leave out the
        hidden events, and events whose best candidate at that step lies in a window, so that the
        counts reveal nothing about the hidden events.
        """
        alive = np.ones(len(self.candidates), dtype=np.bool_)
        # None from the first cut on candidates onwards, such as an event that is its own candidate
        events_alive: Booleans | None = None
        if self.candidates.collection is not None:
            events_alive = np.ones(len(self.weights), dtype=np.bool_)
        # None before the first weight of candidates
        factors: Floats | None = None
        rows = [(len(self.candidates.counts), len(alive), float(np.sum(self.weights)))]
        for cut in self.selection:
            alive &= self.mask(cut)
            survivors = np.flatnonzero(alive)
            new = self._weights_from_cut(cut.name, survivors) if self._weights_from_cut else None
            if new is not None:
                factors = np.ones(len(alive)) if factors is None else factors
                factors[survivors] *= new
            met = None if events_alive is None else self.mask_of_events(cut)
            events_alive = None if events_alive is None or met is None else events_alive & met
            visible = self._visible(survivors)
            if events_alive is not None:
                events = np.flatnonzero(events_alive & ~self._hidden_at(survivors))
                sumw = float(np.sum(self.weights[events]))
            elif factors is None:
                events = distinct(self.candidates.event[visible])
                sumw = float(np.sum(self.weights[events]))
            else:
                best = self._best_of(visible)
                events = self.candidates.event[best]
                sumw = float(np.sum(self.weights[events] * factors[best]))
            rows.append((len(events), len(visible), sumw))
        events_left, candidates_left, sums = zip(*rows, strict=True)
        return Cutflow(
            ("all", *(cut.name for cut in self.selection)),
            np.array(events_left, dtype=np.int64),
            np.array(candidates_left, dtype=np.int64),
            np.array(sums, dtype=np.float64),
        )

    def of_others(self, candidates: Candidates) -> Selected:
        """Return the same selection of other candidates, without weights."""
        return Selected(self.selection, candidates, best=self._best, in_window=self._in_window)

    @cached_property
    def chosen(self) -> Integers:
        """Positions of the chosen candidates: the best of each event, or all survivors.

        Hidden candidates are left out.
        """
        chosen = self._chosen_or_hidden
        return chosen[~self._hidden[chosen]]

    @property
    def events(self) -> Integers:
        """Positions of the events that have chosen candidates, none of which is hidden."""
        events = self.candidates.event[self._chosen_or_hidden]
        return distinct(events[~self.hidden_events[events]])

    @cached_property
    def _chosen_or_hidden(self) -> Integers:
        survivors = np.flatnonzero(self.passed)
        return survivors if self._best is None else self._best_of(survivors)

    @cached_property
    def _hidden(self) -> Booleans:
        """Candidates in a hidden window, as a mask of shape (candidates,)."""
        if self._in_window is None:
            return np.zeros(len(self.candidates), dtype=np.bool_)
        return self._in_window(self.candidates.values)

    @cached_property
    def hidden_events(self) -> Booleans:
        """Events with a chosen candidate in a hidden window, as a mask of shape (events,)."""
        return self._with_hidden(self._chosen_or_hidden)

    def _with_hidden(self, positions: Integers) -> Booleans:
        """Return which events have one of the candidates in a hidden window, shape (events,)."""
        events = np.zeros(len(self.candidates.counts), dtype=np.bool_)
        events[self.candidates.event[positions[self._hidden[positions]]]] = True
        return events

    def _visible(self, survivors: Integers) -> Integers:
        """Return the survivors of a step without the hidden candidates."""
        if self._in_window is None:
            return survivors
        if self._best is None:
            return survivors[~self._hidden[survivors]]
        return survivors[~self._hidden_at(survivors)[self.candidates.event[survivors]]]

    def _hidden_at(self, survivors: Integers) -> Booleans:
        """Return which events are hidden at the step that these candidates survive."""
        if self._in_window is None or self._best is None:
            return np.zeros(len(self.candidates.counts), dtype=np.bool_)
        return self.hidden_events | self._with_hidden(self._best_of(survivors))

    def _best_of(self, positions: Integers) -> Integers:
        """Return the best candidate of each event, or the first one if none is best.

        Of several candidates with the smallest value, the first is best.
        """
        event = self.candidates.event[positions]
        order = np.arange(len(positions))
        if self._best is not None:
            values = self.candidates.values(self._best)[positions]
            order = np.lexsort((positions, values, event))
        _, first = np.unique(event[order], return_index=True)
        return positions[order[first]]
