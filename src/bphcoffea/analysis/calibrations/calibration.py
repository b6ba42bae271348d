"""Calibrations: corrected energies and momenta, before any object is selected."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import reduce

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.names import DOWN, UP
from bphcoffea.analysis.shifts import Amounts, Path, Shift
from bphcoffea.arrays import Floats
from bphcoffea.corrections import EraCorrections


class Calibration(ABC):
    """Base class of declared corrections of measured quantities."""

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

    def needs(self) -> tuple[str, ...]:
        """Return the sections of the corrections that it can apply."""
        return ()


class ResolvedCalibration(Shift):
    """Calibration of one dataset: the nominal values, and their uncertainties.

    Calibrations are applied one after the other. Each uncertainty of simulation is a variation up
    and one down, in which the other calibrations keep their nominal values.
    """

    @property
    @abstractmethod
    def sections(self) -> tuple[str, ...]:
        """Sections of the corrections that it applies, as a run reports them."""

    @property
    @abstractmethod
    def sources(self) -> tuple[str, ...]:
        """Names of the uncertainties, to which variations add ``Up`` and ``Down``."""

    @abstractmethod
    def calibrate(self, events: ak.Array) -> ak.Array:
        """Return the events with calibrated quantities, from which variations are shifted."""

    def clamped(self, events: ak.Array) -> Mapping[str, int]:  # noqa: ARG002
        """Return the number of objects outside the bins of the nominal corrections, by section.

        The nearest bin was taken for them, or whatever the file says.

        Parameters
        ----------
        events
            Events with the nominal values of all calibrations.
        """
        return {}

    @abstractmethod
    def varied(self, events: ak.Array, source: str, *, up: bool) -> Mapping[Path, ak.Array]:
        """Return the new values of the fields in `paths` in a variation.

        Parameters
        ----------
        events
            Events with the nominal values of all calibrations.
        source
            Name of the uncertainty.
        up
            Whether it is the variation up.
        """

    @override
    def variations(
        self, metadata: DatasetMetadata, corrections: EraCorrections | None
    ) -> dict[str, Amounts]:
        if not metadata["is_mc"]:
            return {}
        return {
            source + side: (float(number), sign)
            for number, source in enumerate(self.sources)
            for side, sign in ((UP, 1.0), (DOWN, -1.0))
        }

    @override
    def shifted(self, events: ak.Array, amounts: Sequence[Floats]) -> Mapping[Path, ak.Array]:
        numbers, signs = amounts
        changes = np.flatnonzero((np.diff(numbers) != 0) | (np.diff(signs) != 0)) + 1
        bounds = [0, *changes.tolist(), len(numbers)]
        parts = [
            self.varied(events[start:stop], self.sources[int(numbers[start])], up=signs[start] > 0)
            for start, stop in itertools.pairwise(bounds)
            if stop > start
        ]
        if not parts:
            return {
                path: reduce(lambda record, field: record[field], path, events)
                for path in self.paths
            }
        return {path: ak.concatenate([part[path] for part in parts]) for path in self.paths}
