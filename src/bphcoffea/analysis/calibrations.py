"""Calibrations: corrected energies and momenta, before any object is selected."""

from __future__ import annotations

from abc import ABC, abstractmethod

import awkward as ak

from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.shifts import Shift
from bphcoffea.corrections import EraCorrections


class Calibration(ABC):
    """Base class of what an analysis declares to correct measured quantities."""

    @abstractmethod
    def resolved(
        self, metadata: DatasetMetadata, corrections: EraCorrections | None
    ) -> ResolvedCalibration | None:
        """Return the calibration of a dataset; None if its corrections do not declare one.

        Parameters
        ----------
        metadata
            Metadata of the dataset.
        corrections
            Corrections of the dataset's era.
        """


class ResolvedCalibration(Shift):
    """Calibration of one dataset: the nominal values, and the shifts of them."""

    @property
    @abstractmethod
    def sections(self) -> tuple[str, ...]:
        """Sections of the corrections that it applies, as a run reports them."""

    @abstractmethod
    def calibrate(self, events: ak.Array) -> ak.Array:
        """Return the events with calibrated quantities, from which variations are shifted."""
