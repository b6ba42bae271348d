"""Result of a part of a dataset; results of different parts add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import hist

from bphcoffea.physics import Combination
from bphcoffea.processing.columns import Columns
from bphcoffea.processing.luminosity_sections import LuminositySections
from bphcoffea.results import Cutflow, Entries, with_variations


@dataclass(frozen=True)
class DatasetResult:
    """Result of some entries of a dataset. Results of different entries add up.

    Adding results that share entries raises :class:`~bphcoffea.results.ledger.OverlapError`.

    Attributes
    ----------
    entries
        Entries that were processed.
    events
        Number of events read.
    generator_sumw
        Sum of the generator weights of these events before any cut, with the weights that are
        normalised.
    lumis
        Luminosity sections of the events before any cut; none if the input does not have them.
    cutflow
        Counts after each cut.
    histograms
        Histograms by name, with the axes category, variation and that of the variable.
    candidates
        Table of the best candidates, one row per event; None if there is no table.
    objects
        Counts of the objects after each of their requirements, by the name of the objects.
    regions
        Counts of the chosen candidates after each requirement of a region, by the region's name.
    clamped
        For each weight, the number of values of chosen candidates outside the bins of its
        correction, for which the nearest bin was taken; and for each section that calibrates
        objects, the number of objects of all events outside its bins.
    notes
        Remarks for the user, with the number of candidates that each remark applies to.
    sums_of_variations
        The same sum under each variation that is normalised to it.
    combinations
        Combinations of variations that are made when all results are added.
    per_event
        Names of the variables that have one number per event, not one per candidate.
    """

    entries: Entries
    events: int
    generator_sumw: float
    lumis: LuminositySections
    cutflow: Cutflow
    histograms: dict[str, hist.Hist] = field(default_factory=dict)
    candidates: Columns | None = None
    objects: dict[str, Cutflow] = field(default_factory=dict)
    regions: dict[str, Cutflow] = field(default_factory=dict)
    clamped: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    sums_of_variations: dict[str, float] = field(default_factory=dict)
    combinations: tuple[Combination, ...] = ()
    per_event: frozenset[str] = frozenset()

    def __add__(self, other: DatasetResult) -> DatasetResult:
        return self._plus(other, _sum)

    def __iadd__(self, other: DatasetResult) -> DatasetResult:
        """Return the sum; this result must not be used afterwards: its histograms may be changed.

        Coffea adds in place only to sums that it has made itself.
        """
        return self._plus(other, _added)

    def _plus(
        self, other: DatasetResult, added: Callable[[hist.Hist, hist.Hist], hist.Hist]
    ) -> DatasetResult:
        candidates = self.candidates
        if candidates is not None and other.candidates is not None:
            candidates = candidates + other.candidates
        return DatasetResult(
            self.entries + other.entries,
            self.events + other.events,
            self.generator_sumw + other.generator_sumw,
            self.lumis + other.lumis,
            self.cutflow + other.cutflow,
            {name: added(h, other.histograms[name]) for name, h in self.histograms.items()},
            candidates,
            {name: self.objects[name] + other.objects[name] for name in self.objects},
            {name: self.regions[name] + other.regions[name] for name in self.regions},
            dict(Counter(self.clamped) + Counter(other.clamped)),
            dict(Counter(self.notes) + Counter(other.notes)),
            self._added_sums(other),
            tuple(sorted({*self.combinations, *other.combinations})),
            self.per_event | other.per_event,
        )

    def _added_sums(self, other: DatasetResult) -> dict[str, float]:
        """Return the sums of the variations; a variation that one side lacks is nominal there."""
        first, second = self.sums_of_variations, other.sums_of_variations
        return {
            name: first.get(name, self.generator_sumw) + second.get(name, other.generator_sumw)
            for name in dict.fromkeys((*first, *second))
        }


def _added(first: hist.Hist, second: hist.Hist) -> hist.Hist:
    """Return the sum of two histograms, added to the first one if their axes are equal."""
    if first.axes != second.axes:
        return _sum(first, second)
    contents = first.view(flow=True)
    contents += second.view(flow=True)
    return first


def _sum(first: hist.Hist, second: hist.Hist) -> hist.Hist:
    """Return the sum of two histograms; a variation that one of them lacks is nominal there.

    A file may lack the branch of a weight, which is 1 there.
    """
    names, others = list(first.axes[1]), list(second.axes[1])
    if names == others:
        return first + second
    if set(names) < set(others):
        names, others = others, names
    variations = [*names, *(name for name in others if name not in names)]
    return with_variations(first, variations) + with_variations(second, variations)
