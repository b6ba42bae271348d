"""Luminosity sections of the events of chunks, which add up."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from bphcoffea.arrays import Integers

#: Number of parts from which on they are merged, so that a merge of thousands of sections is rare.
_MOST_PARTS = 32
_NONE: Final = np.empty(0, np.int64)


class LuminositySections:
    """Distinct luminosity sections.

    Parameters
    ----------
    run, section
        Run and luminosity section of each event, shape (events,); by default of none.

    Examples
    --------
    >>> total = LuminositySections(np.array([2]), np.array([7]))
    >>> total += LuminositySections(np.array([1, 1, 2]), np.array([3, 3, 7]))
    >>> total.pairs()
    array([[1, 3],
           [2, 7]])
    """

    def __init__(
        self,
        run: npt.NDArray[np.integer] = _NONE,
        section: npt.NDArray[np.integer] = _NONE,
    ) -> None:
        # pairs are packed in one number, since numpy sorts rows slowly
        self._parts: list[Integers] = [
            np.unique(run.astype(np.int64) << 32 | section.astype(np.int64))
        ]

    def __add__(self, other: LuminositySections) -> LuminositySections:
        total = LuminositySections.__new__(LuminositySections)
        total._parts = self._parts + other._parts
        if len(total._parts) > _MOST_PARTS:
            total._parts = [total._packed()]
        return total

    def _packed(self) -> Integers:
        return np.unique(np.concatenate(self._parts))

    def pairs(self) -> Integers:
        """Return run and section, each pair once and sorted, shape (sections, 2)."""
        packed = self._packed()
        return np.stack([packed >> 32, packed & 0xFFFFFFFF], axis=1)
