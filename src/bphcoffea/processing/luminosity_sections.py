"""Luminosity sections of the events of chunks, which add up."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from bphcoffea.arrays import Integers
from bphcoffea.processing.growing import Growing

_NONE: Final = np.empty(0, np.int64)


class LuminositySections(Growing[Integers]):
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
        super().__init__(np.unique(run.astype(np.int64) << 32 | section.astype(np.int64)))

    @override
    def merged(self) -> Integers:
        return np.unique(np.concatenate(self.parts))

    def pairs(self) -> Integers:
        """Return run and section, each pair once and sorted, shape (sections, 2)."""
        packed = self.merged()
        return np.stack([packed >> 32, packed & 0xFFFFFFFF], axis=1)
