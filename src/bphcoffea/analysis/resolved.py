"""Declarations of an analysis, resolved for one dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import awkward as ak

from bphcoffea.analysis.calibrations.calibration import ResolvedCalibration
from bphcoffea.analysis.declaration import GOLDEN
from bphcoffea.analysis.event_numbering import event_numbers
from bphcoffea.analysis.metadata import DatasetMetadata, missing_branches
from bphcoffea.analysis.selection import Cut, Selection
from bphcoffea.analysis.shifts import Amounts, Shift
from bphcoffea.analysis.variables import Condition, Variable
from bphcoffea.analysis.weights.weight import Weight
from bphcoffea.corrections import EraCorrections
from bphcoffea.errors import InputError
from bphcoffea.luminosity import GoldenJson

if TYPE_CHECKING:
    from bphcoffea.analysis.analysis import Analysis


@dataclass(frozen=True)
class ResolvedAnalysis:
    """The declarations that apply to one dataset; see :meth:`.Analysis.for_dataset`.

    Attributes
    ----------
    metadata
        Metadata of the dataset, or of one of its chunks.
    corrections
        Corrections of the dataset's era; None if there are none.
    selection
        The cuts that exist for the dataset. If the era has a golden JSON file, data have a first
        cut that requires certified luminosity sections.
    cuts_on_best
        The cuts on the best candidate that exist for the dataset.
    columns
        Columns that the candidates' table should have, even if files lack their branches.
    weights
        Weights that apply to the dataset, in addition to the generator weight.
    first_cuts
        For each weight of candidates, the cut of `selection` from which it applies; None if it
        applies only to candidates that were chosen.
    calibrations
        Calibrations that the corrections of the dataset's era declare.
    shifts
        Each calibration and shift, with the amounts of its variations by name.
    absent
        Steps and columns that the dataset lacks, with the reason.
    """

    metadata: DatasetMetadata
    corrections: EraCorrections | None
    selection: Selection
    cuts_on_best: tuple[Cut, ...]
    columns: tuple[Variable, ...]
    weights: tuple[Weight, ...]
    first_cuts: Mapping[str, str | None]
    calibrations: tuple[ResolvedCalibration, ...]
    shifts: tuple[tuple[Shift, Mapping[str, Amounts]], ...]
    absent: Mapping[str, str]

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """The cuts of the selection and those on the best candidate."""
        return (*self.selection, *self.cuts_on_best)

    @property
    def shape_names(self) -> list[str]:
        """Names of all shape variations."""
        return [name for _, variations in self.shifts for name in variations]

    def calibrated(self, events: ak.Array) -> ak.Array:
        """Return the events with the nominal values of all calibrated quantities."""
        for calibration in self.calibrations:
            events = calibration.calibrate(events)
        return events

    def clamped(self, events: ak.Array) -> dict[str, int]:
        """Return the number of objects outside the bins of calibrations, by section.

        Parameters
        ----------
        events
            Calibrated events.
        """
        found = {s: n for of in self.calibrations for s, n in of.clamped(events).items()}
        return {section: number for section, number in found.items() if number}

    @property
    def held_columns(self) -> list[Variable]:
        """The columns whose branches the files have."""
        return [c for c in self.columns if not missing_branches(c.branches, self.metadata)]


def resolve(analysis: Analysis, metadata: DatasetMetadata) -> ResolvedAnalysis:
    """Return the declarations of an analysis that apply to a dataset.

    Raises
    ------
    CorrectionsError
        If the analysis has corrections, but none for the dataset's era.
    """
    corrections = analysis.era_corrections.for_era(metadata["era"])
    selection = analysis.selection.for_dataset(metadata)
    if corrections and corrections.golden and not metadata["is_mc"]:
        certified = _certified(corrections.golden)
        selection = Selection(certified, *selection)
    columns = analysis.columns_for(metadata)
    weights = tuple(w for w in analysis.weights if w.exists_for(metadata, corrections))
    declared = (c.resolved(metadata, corrections) for c in analysis.calibrations)
    calibrations = tuple(calibration for calibration in declared if calibration is not None)
    shifts = () if analysis.nominal_only else (*calibrations, *analysis.shifts)
    names = [cut.name for cut in (*analysis.selection, *analysis.cuts_on_best)]
    existing = {cut.name for cut in selection}
    return ResolvedAnalysis(
        metadata=metadata,
        corrections=corrections,
        selection=selection,
        cuts_on_best=tuple(cut for cut in analysis.cuts_on_best if cut.exists_for(metadata)),
        columns=columns,
        weights=weights,
        first_cuts={
            w.name: next((n for n in names[names.index(w.after) :] if n in existing), None)
            for w in weights
            if w.after is not None
        },
        calibrations=calibrations,
        shifts=tuple(
            (shift, _filled(analysis, shift.variations(metadata, corrections))) for shift in shifts
        ),
        absent={**analysis.absent, **dict(_absences(analysis, columns, metadata))},
    )


def _certified(golden: GoldenJson) -> Cut:
    def certified(events: ak.Array) -> ak.Array:
        numbers = event_numbers(events)
        if not {"run", "lumi"} <= set(numbers):
            raise InputError(
                f"{golden.path}: the input has no run and luminosity section to be certified; "
                "leave 'golden' out of the corrections of this era"
            )
        return ak.Array(golden.certifies(numbers["run"], numbers["lumi"]))

    return Cut(GOLDEN, Condition("its luminosity section is certified", certified))


def _absences(
    analysis: Analysis, columns: tuple[Variable, ...], metadata: DatasetMetadata
) -> Iterator[tuple[str, str]]:
    cuts = (*analysis.selection, *analysis.cuts_on_best)
    for part in (*(cut for cut in cuts if not cut.when or cut.when(metadata)), *columns):
        missing = missing_branches(part.branches, metadata)
        if missing:
            yield part.name, f"no branch {', '.join(missing)}"


def _filled(analysis: Analysis, variations: Mapping[str, Amounts]) -> Mapping[str, Amounts]:
    """Return the variations that some histogram is filled under."""
    return {
        name: amounts
        for name, amounts in variations.items()
        if any(histogram.varies(name) for histogram in analysis.histograms)
    }
