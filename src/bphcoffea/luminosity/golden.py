"""The certification of data: luminosity sections that are good for physics."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bphcoffea.arrays import Booleans
from bphcoffea.documents import read_json
from bphcoffea.errors import CorrectionsError
from bphcoffea.luminosity.sections import LIMIT, checked, packed
from bphcoffea.physics import united


@dataclass(frozen=True)
class GoldenJson:
    """A CMS certification JSON, ``{run: [[first, last], …]}``, both ends included.

    It replaces coffea's ``LumiMask``, which accepts 32-bit unsigned integers only, gives wrong
    answers for unordered or overlapping ranges of a run, and rebuilds its table in each call.

    Objects are equal if the content of their files is equal.

    Attributes
    ----------
    path
        The file.
    sha256
        Hash of the file's content.
    """

    path: Path = field(compare=False)
    sha256: str
    #: Ends of the sorted, disjoint ranges, as packed run and section.
    _first: npt.NDArray[np.uint64] = field(repr=False, compare=False)
    _last: npt.NDArray[np.uint64] = field(repr=False, compare=False)

    @classmethod
    def load(cls, path: str | Path) -> GoldenJson:
        """Read the file.

        Raises
        ------
        CorrectionsError
            If the file cannot be read, is not a certification JSON, or certifies no section.
        """
        try:
            ranges = checked(read_json(path, error=CorrectionsError))
        except ValueError as error:
            raise CorrectionsError(
                f"{path}: {error}; a certification JSON is {{run: [[first, last], …]}}"
            ) from None
        if not any(ranges.values()):
            raise CorrectionsError(
                f"{path}: certifies no luminosity section; is it the right file?"
            )
        merged = [
            (run, *section_range)
            for run, of_run in sorted(ranges.items())
            for section_range in united(of_run)
        ]
        runs, first, last = np.array(merged, dtype=np.uint64).T
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        return cls(Path(path), digest, packed(runs, first), packed(runs, last))

    def certifies(self, run: npt.ArrayLike, lumi: npt.ArrayLike) -> Booleans:
        """Return whether luminosity sections are certified.

        Parameters
        ----------
        run, lumi
            Run and luminosity section of each event: integers of any type, of equal shape. Numbers
            outside the range of 32-bit unsigned integers are not certified.

        Returns
        -------
        array of bool
            Certification of each event, of the same shape.

        Raises
        ------
        TypeError
            If the numbers are not integers.
        ValueError
            If the shapes differ.
        """
        runs, lumis = np.asarray(run), np.asarray(lumi)
        if runs.shape != lumis.shape:
            raise ValueError(f"runs and luminosity sections differ: {runs.shape}, {lumis.shape}")
        for numbers in (runs, lumis):
            if numbers.size and not np.issubdtype(numbers.dtype, np.integer):
                raise TypeError(f"run and luminosity section are integers, not {numbers.dtype}")
        keys = packed(runs, lumis)
        # ranges are disjoint: only the last one that begins before a section can contain it
        index = np.searchsorted(self._first, keys, side="right")
        inside: Booleans = (index > 0) & (keys <= self._last[index - 1])
        for numbers in (runs, lumis):
            inside &= (numbers >= 0) & (numbers < LIMIT)
        return inside
