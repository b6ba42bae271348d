"""What a selection decides about single events, and which requirement rejects them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import awkward as ak
import numpy as np

from bphcoffea.analysis import CLASSIFIER, Analysis, Requirement, event_numbers
from bphcoffea.arrays import Booleans, Floats, Integers, Numbers
from bphcoffea.processing.best_candidates import choose
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.preparation import Preparation
from bphcoffea.processing.selected import Selected

#: Step at which an event without candidates is lost, unless a cut on the event rejects it.
NO_CANDIDATE = "candidates"
#: Step at which a candidate is lost that passes the selection, if another one is better.
BEST = "best candidate"


@dataclass(frozen=True)
class Rejection:
    """Requirement that a candidate or an event fails: the name of its cut, and its text."""

    step: str
    requirement: str


@dataclass(frozen=True)
class Verdict:
    """What the nominal selection of an analysis decides about an event.

    Attributes
    ----------
    numbers
        Run, luminosity section and event number, as far as the input has them.
    rejected
        First requirement that the followed candidate fails; None if the event is selected.
    instead
        If another candidate of the event is chosen than the followed one: why that one is not. It
        fails a requirement of the selection, or it passes and is not the best one.
    category
        Category of a selected event; None if there are none.
    regions
        For each region, the first of its requirements that fails; None if the event is in it.
    values
        Columns of the table for the followed candidate; empty if there is none.
    """

    numbers: Mapping[str, int]
    rejected: Rejection | None
    instead: Rejection | None
    category: str | None
    regions: Mapping[str, Rejection | None]
    values: Mapping[str, float]


def verdicts(
    analysis: Analysis,
    events: ak.Array,
    metadata: Mapping[str, object],
    known: Mapping[str, Numbers],
) -> list[Verdict]:
    """Apply the nominal selection of an analysis to events, and return the verdict on each.

    In each event the candidate is followed whose columns are nearest to some known values; without
    such columns, the one that meets the most requirements before it fails. If it passes the
    selection, or another candidate of the event is selected, the best candidate takes its place.

    Parameters
    ----------
    analysis
        The analysis, with its corrections.
    events
        Events, which may be a part of a chunk.
    metadata
        Metadata of the chunk.
    known
        Values of columns of the candidate to follow, by name, shape (events,) each.
    """
    resolved = analysis.for_dataset(metadata)
    prepared = Preparation(analysis)(resolved.calibrated(events))
    numbers = event_numbers(events)
    candidates = Candidates(prepared, analysis.collection)
    selected = Selected(resolved.selection, candidates, best=analysis.best)
    chosen = choose(analysis, resolved, selected, numbers)

    requirements = [(cut.name, r) for cut in resolved.selection for r in cut.requirements]
    columns = [v for v in resolved.held_columns if v.name in known]
    values = candidates.values
    masks = [requirement.mask(values) for _, requirement in requirements]
    distance = _distance(
        {known_of.name: values(known_of) for known_of in columns}, known, candidates.event
    )
    if not columns:
        distance = -_met_before_failing(masks, len(candidates))
    followed = _nearest(distance, candidates.event, len(events))
    instead: list[Rejection | None] = [None] * len(events)
    is_chosen = np.isin(selected.chosen, chosen.positions)
    for position, chosen_too in zip(selected.chosen.tolist(), is_chosen.tolist(), strict=True):
        event = candidates.event[position]
        nearest = followed[event]
        passed = bool(selected.passed[nearest])
        if distance[nearest] < distance[position]:
            text = f"smallest {analysis.best.name}" if analysis.best else ""
            instead[event] = (
                Rejection(BEST, text) if passed else _first(requirements, masks, nearest)
            )
        if passed or chosen_too:
            followed[event] = position

    rejected: list[Rejection | None] = [None] * len(events)
    open_: Booleans = np.ones(len(events), dtype=np.bool_)
    open_[candidates.event[chosen.positions]] = False

    def reject(fails: Booleans, rejection: Rejection) -> None:
        for event in np.flatnonzero(open_ & fails):
            rejected[event] = rejection
        open_[fails] = False

    exists = followed >= 0
    for (step, requirement), mask in zip(requirements, masks, strict=True):
        reject(_fails(mask, followed), Rejection(step, str(requirement)))
    for cut in resolved.selection:
        met = selected.mask_of_events(cut)
        if met is None:
            break
        reject(~exists & ~met, Rejection(cut.name, ", ".join(map(str, cut.requirements))))
    reject(~exists, Rejection(NO_CANDIDATE, f"has a candidate ({analysis.collection})"))
    left = np.flatnonzero(exists)
    at = candidates.at(followed[left])
    for cut in resolved.cuts_on_best:
        for requirement in cut.requirements:
            fails = np.zeros(len(events), dtype=np.bool_)
            fails[left] = ~requirement.mask(at)
            reject(fails, Rejection(cut.name, str(requirement)))
    reject(open_, Rejection(CLASSIFIER, "score in a bin"))

    rows = {event: row for row, event in enumerate(left.tolist())}
    found = {v.name: at(v) for v in resolved.held_columns}
    found = {name: column for name, column in found.items() if column.dtype.kind in "iufb"}
    regions = {
        region.name: list(_failures(region.name, region.requirements, at, len(left)))
        for region in analysis.regions
    }
    category: dict[int, str] = {}
    if analysis.filled_categories is not None:
        of_chosen = candidates.at(chosen.positions)(analysis.filled_categories.variable)
        names = analysis.filled_categories.of(of_chosen)
        category = dict(
            zip(candidates.event[chosen.positions].tolist(), map(str, names), strict=True)
        )
    return [
        Verdict(
            {name: int(of_events[event]) for name, of_events in numbers.items()},
            rejected[event],
            instead[event],
            category.get(event),
            {name: of_region[rows[event]] for name, of_region in regions.items() if event in rows},
            {name: column[rows[event]].item() for name, column in found.items() if event in rows},
        )
        for event in range(len(events))
    ]


def _first(
    requirements: Sequence[tuple[str, Requirement]], masks: Sequence[Booleans], position: int
) -> Rejection:
    """Return the first requirement that a candidate fails, which fails one."""
    return next(
        Rejection(step, str(requirement))
        for (step, requirement), mask in zip(requirements, masks, strict=True)
        if not mask[position]
    )


def _fails(mask: Booleans, followed: Integers) -> Booleans:
    """Return the events whose followed candidate fails a requirement, shape (events,)."""
    fails = followed >= 0
    fails[fails] = ~mask[followed[fails]]
    return fails


def _met_before_failing(masks: list[Booleans], candidates: int) -> Floats:
    """Return how many requirements each candidate meets before it fails one, shape (n,)."""
    met = np.zeros(candidates)
    alive = np.ones(candidates, dtype=np.bool_)
    for mask in masks:
        alive &= mask
        met += alive
    return met


def _distance(
    values: Mapping[str, Numbers], known: Mapping[str, Numbers], event: Integers
) -> Floats:
    """Return how far the columns of candidates are from known values of their event, shape (n,)."""
    distance = np.zeros(len(event))
    for name, of_candidates in values.items():
        wanted = np.asarray(known[name], dtype=np.float64)[event]
        distance += relative_difference(of_candidates.astype(np.float64), wanted)
    return distance


def relative_difference(first: Floats, second: Floats) -> Floats:
    """Return |x - y| / max(|x|, |y|), shape (n,); 0 for equal values and 1 if one is NaN."""
    scale = np.maximum(np.abs(first), np.abs(second))
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.abs(first - second) / scale
    same = np.equal(first, second) | (np.isnan(first) & np.isnan(second))
    return np.where(same, 0.0, np.where(np.isfinite(difference), difference, 1.0))


def _nearest(distance: Floats, event: Integers, events: int) -> Integers:
    """Return the candidate with the smallest distance of each event, -1 without any, (events,)."""
    order = np.lexsort((distance, event))
    found, first = np.unique(event[order], return_index=True)
    nearest = np.full(events, -1, dtype=np.int64)
    nearest[found] = order[first]
    return nearest


def _failures(
    name: str, requirements: tuple[Requirement, ...], values: object, count: int
) -> Iterator[Rejection | None]:
    """Yield the first requirement that each candidate fails; None if it meets all."""
    found: list[Rejection | None] = [None] * count
    for requirement in requirements:
        for position in np.flatnonzero(~requirement.mask(values)):  # type: ignore[arg-type]
            found[position] = found[position] or Rejection(name, str(requirement))
    yield from found
