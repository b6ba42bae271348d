"""Cuts, ANDed per candidate and applied in order, and what follows from them.

A cut on the event, whose variables give one number for each event, counts the events that meet it,
with or without candidates. The first cut on candidates asks for one: from there on a step counts
the candidates that pass this and every earlier cut, and the events that have such a candidate. The
best candidate is chosen among those that pass every cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bphcoffea.analysis.branch_needs import HELD
from bphcoffea.analysis.names import check_name, shown
from bphcoffea.analysis.variables import Requirement, Values, Variable
from bphcoffea.errors import DeclarationError
from bphcoffea.processing.candidates import Candidates, Floats, Integers
from bphcoffea.results.cutflow import Cutflow

#: Function that takes the values of variables and returns which candidates are in hidden windows.
InWindow = Callable[[Values], npt.NDArray[np.bool_]]
#: From a cut's name and positions of candidates to what it adds to their weights, if anything.
WeightsFromCut = Callable[[str, Integers], Floats | None]


class Cut:
    """A named step of a selection: one or more requirements, all of which must be met.

    Parameters
    ----------
    name
        Label of the cutflow step.
    requirements
        What a candidate must meet. A requirement on the event is met by all its candidates or none.
        Put cuts on the event first: before any cut on candidates, they count all events that meet
        them, with or without candidates.
    when
        Decides from a dataset's metadata whether the step exists for it; by default it always does.
        A step that is left out is absent from the cutflow, not passed by all.
    branches
        Branches without which the step is left out, too: it exists for a dataset only if the files
        of the dataset have all of them.
    """

    def __init__(
        self,
        name: str,
        *requirements: Requirement,
        when: Callable[[Mapping[str, Any]], bool] | None = None,
        branches: tuple[str, ...] = (),
    ) -> None:
        check_name("cut", name)
        if not requirements:
            raise DeclarationError(f"cut '{name}' requires nothing")
        for requirement in requirements:
            if not isinstance(requirement, Requirement):
                raise DeclarationError(
                    f"cut '{name}': {_meant(requirement)} is no requirement; "
                    "compare a variable, as in x > 1, or use a Condition"
                )
        self.name = name
        self.requirements = requirements
        self.when = when
        self.branches = branches

    def exists_for(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether the step exists for a dataset or a chunk of it."""
        wanted = self.when is None or self.when(metadata)
        return wanted and not missing_branches(self.branches, metadata)

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(str(r) for r in self.requirements)}"

    __repr__ = __str__


def missing_branches(branches: tuple[str, ...], metadata: Mapping[str, Any]) -> list[str]:
    """Return which of some branches the files of a dataset lack, from the metadata of a chunk."""
    held = metadata.get(HELD, ())
    return [branch for branch in branches if branch not in held]


def _meant(value: Any) -> str:
    if isinstance(value, Requirement):
        return f"the requirement '{value}'"
    return f"variable '{value.name}'" if isinstance(value, Variable) else shown(value)


class Selection:
    """The cuts of an analysis, in order.

    Parameters
    ----------
    collection
        Field of the events that holds the candidates, a list an event.
    cuts
        The steps after ``all``.
    """

    def __init__(self, collection: str, *cuts: Cut) -> None:
        if not isinstance(collection, str):
            raise DeclarationError(
                f"Selection({shown(collection)}, …): the first argument must be the name of the "
                "collection of candidates"
            )
        for cut in cuts:
            if not isinstance(cut, Cut):
                raise DeclarationError(f"Selection: {_meant(cut)} is no Cut; write Cut(name, …)")
        names = [cut.name for cut in cuts]
        doubled = sorted({name for name in names if names.count(name) > 1 or name == "all"})
        if doubled:
            raise DeclarationError(f"cut names must differ, and not be 'all': {', '.join(doubled)}")
        self.collection = collection
        self.cuts = cuts
        named = [variable.name for variable in self.variables()]
        if len(set(named)) < len(named):
            doubled = sorted({name for name in named if named.count(name) > 1})
            raise DeclarationError(f"different variables share the name {', '.join(doubled)}")

    def __iter__(self) -> Iterator[Cut]:
        return iter(self.cuts)

    def variables(self) -> list[Variable]:
        """The variables that the cuts compare with a bound, each once, in order."""
        requirements = [requirement for cut in self.cuts for requirement in cut.requirements]
        found = [variable for r in requirements for variable in r.variables()]
        return [v for i, v in enumerate(found) if not any(v is other for other in found[:i])]

    def cut_of(self, variable: Variable) -> Cut:
        """The first cut that looks at a variable."""
        for cut in self.cuts:
            if any(variable is v for r in cut.requirements for v in r.variables()):
                return cut
        raise KeyError(f"no cut looks at '{variable.name}'")

    def first_of(self, after: str, selection: Selection) -> str | None:
        """The step of a dataset's selection from which on something counts.

        Parameters
        ----------
        after
            Name of one of the cuts.
        selection
            That of the dataset, which may lack the cut; a later one is taken then, if any.

        Raises
        ------
        ValueError
            When no cut has that name.
        """
        names = [cut.name for cut in self]
        if after not in names:
            raise DeclarationError(f"no cut is named '{after}'; there are: {', '.join(names)}")
        there = {cut.name for cut in selection}
        return next((name for name in names[names.index(after) :] if name in there), None)

    def bounds(self, variable: Variable) -> tuple[float, ...]:
        """Where the cuts bound a variable, sorted."""
        requirements = [requirement for cut in self.cuts for requirement in cut.requirements]
        return tuple(sorted({bound for r in requirements for bound in r.bounds(variable)}))

    def for_dataset(self, metadata: Mapping[str, Any]) -> Selection:
        """The selection of a dataset: the cuts that exist for it."""
        return Selection(self.collection, *(cut for cut in self.cuts if cut.exists_for(metadata)))

    def apply(self, events: Any, weights: Floats | None = None) -> Selected:
        """Select the candidates of a chunk.

        Parameters
        ----------
        events
            The events, with the collection of candidates.
        weights
            One weight an event, shape (events,); 1 when not given.
        """
        return Selected(self, Candidates(events, self.collection), weights)


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
