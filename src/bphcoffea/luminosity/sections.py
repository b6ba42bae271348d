"""Luminosity sections as rows of run and section, as ranges, and those that are certified."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bphcoffea.arrays import Booleans, Integers
from bphcoffea.documents import read_json
from bphcoffea.errors import CorrectionsError
from bphcoffea.physics import united

#: Upper limit of run and section, which are 32-bit unsigned integers in CMS's event data.
LIMIT = 1 << 32


def to_ranges(sections: Integers) -> dict[str, list[list[int]]]:
    """Return luminosity sections as the ranges of a CMS JSON: ``{run: [[first, last], …]}``.

    Parameters
    ----------
    sections
        Distinct, sorted rows of run and section, shape (sections, 2).

    Examples
    --------
    >>> to_ranges(np.array([[7, 1], [7, 2], [7, 5]]))
    {'7': [[1, 2], [5, 5]]}
    """
    ranges: dict[str, list[list[int]]] = {}
    for run, section in sections.tolist():
        of_run = ranges.setdefault(str(run), [])
        if of_run and of_run[-1][1] == section - 1:
            of_run[-1][1] = section
        else:
            of_run.append([section, section])
    return ranges


def from_ranges(ranges: Mapping[str, object]) -> Integers:
    """Return the luminosity sections in the ranges of a CMS JSON, which may overlap.

    Every section becomes a row; a range for a whole run, ``[1, 4294967295]``, does not fit in
    memory.

    Returns
    -------
    array of int
        Distinct, sorted rows of run and section, shape (sections, 2).

    Raises
    ------
    ValueError
        If the argument is not ``{run: [[first, last], …]}``; the message names the run.
    """
    parts = [np.empty((0, 2), dtype=np.int64)]
    for run, of_run in checked(ranges).items():
        for first, last in of_run:
            rows = np.empty((last - first + 1, 2), dtype=np.int64)
            rows[:, 0] = run
            rows[:, 1] = np.arange(first, last + 1)
            parts.append(rows)
    return np.unique(np.concatenate(parts), axis=0)


def checked(ranges: object) -> dict[int, list[tuple[int, int]]]:
    """Return the ranges of luminosity sections by run, both ends included.

    Raises
    ------
    ValueError
        If the argument is not ``{run: [[first, last], …]}``; the message names the run.
    """
    if not isinstance(ranges, Mapping):
        raise ValueError(f"expected {{run: [[first, last], …]}}, not a {type(ranges).__name__}")
    by_run: dict[int, list[tuple[int, int]]] = {}
    for run, of_run in ranges.items():
        if not (re.fullmatch("[0-9]{1,10}", str(run)) and int(run) < LIMIT):
            raise ValueError(f"'{run}' is not a run number")
        if int(run) in by_run:
            raise ValueError(f"run {int(run)} occurs twice")
        if not isinstance(of_run, list):
            raise ValueError(f"run {run}: expected a list of [first, last], not {of_run!r}")
        by_run[int(run)] = [_range(run, pair) for pair in of_run]
    return by_run


def packed(
    runs: npt.NDArray[np.integer], sections: npt.NDArray[np.integer]
) -> npt.NDArray[np.uint64]:
    """Return run and section packed into one number, which sorts by run, then section.

    Parameters
    ----------
    runs, sections
        Integers from 0 to 2³² - 1 of any type, of equal shape.
    """
    return (runs.astype(np.uint64) << np.uint64(32)) | sections.astype(np.uint64)


def _range(run: str, pair: object) -> tuple[int, int]:
    match pair:
        # bool is an int to Python
        case [int(first), int(last)] if not any(isinstance(n, bool) for n in pair):
            if 0 <= first <= last < LIMIT:
                return first, last
            fault = "begins after its end" if first > last else "is outside 0 to 2³² - 1"
            raise ValueError(f"run {run}: the range {pair} {fault}")
    raise ValueError(f"run {run}: {pair!r} is not a range [first, last] of luminosity sections")


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
