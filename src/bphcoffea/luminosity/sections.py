"""Luminosity sections as rows of run and section, as ranges of a CMS JSON, and as packed keys."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from bphcoffea.arrays import Integers

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
