"""Luminosity sections as rows of run and section, as ranges of a CMS JSON, and as packed keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

#: Run and section are 32-bit unsigned integers in CMS's event data, section 0xFFFFFFFF the last.
LIMIT = 1 << 32


def to_ranges(sections: npt.NDArray[np.int64]) -> dict[str, list[list[int]]]:
    """Luminosity sections as the ranges of a CMS JSON: ``{run: [[first, last], …]}``.

    Parameters
    ----------
    sections
        Rows of run and section, sorted, each once. Shape (sections, 2).
    """
    ranges: dict[str, list[list[int]]] = {}
    for number, section in sections.tolist():
        of_run = ranges.setdefault(str(number), [])
        if of_run and of_run[-1][1] == section - 1:
            of_run[-1][1] = section
        else:
            of_run.append([section, section])
    return ranges


def from_ranges(ranges: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    """Luminosity sections of the ranges of a CMS JSON, which may overlap.

    Every section becomes a row, so a range that stands for a whole run, ``[1, 4294967295]``, does
    not fit in memory.

    Returns
    -------
    array
        Rows of run and section, sorted, each once. Shape (sections, 2).

    Raises
    ------
    ValueError
        When it is not ``{run: [[first, last], …]}``; the message names the run.
    """
    parts = [np.empty((0, 2), dtype=np.int64)]
    for run, of_run in checked(ranges).items():
        for first, last in of_run:
            rows = np.empty((last - first + 1, 2), dtype=np.int64)
            rows[:, 0] = run
            rows[:, 1] = np.arange(first, last + 1)
            parts.append(rows)
    return np.unique(np.concatenate(parts), axis=0)


def checked(ranges: Any) -> dict[int, list[tuple[int, int]]]:
    """Ranges of luminosity sections by run, last one included, if they are such.

    Raises
    ------
    ValueError
        When they are not ``{run: [[first, last], …]}``; the message names the run.
    """
    if not isinstance(ranges, Mapping):
        raise ValueError(f"expected {{run: [[first, last], …]}}, not a {type(ranges).__name__}")
    by_run: dict[int, list[tuple[int, int]]] = {}
    for run, of_run in ranges.items():
        if not (re.fullmatch("[0-9]{1,10}", str(run)) and int(run) < LIMIT):
            raise ValueError(f"'{run}' is no run number")
        if int(run) in by_run:
            raise ValueError(f"run {int(run)} stands there twice")
        if not isinstance(of_run, list):
            raise ValueError(f"run {run}: expected a list of [first, last], not {of_run!r}")
        by_run[int(run)] = [_range(run, pair) for pair in of_run]
    return by_run


def packed(runs: npt.NDArray[Any], sections: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Run and section in one number that sorts as the two do.

    Parameters
    ----------
    runs, sections
        Integers from 0 to 2³² - 1 of any type. Both of one shape.
    """
    return (runs.astype(np.uint64) << np.uint64(32)) | sections.astype(np.uint64)


def _range(run: str, pair: Any) -> tuple[int, int]:
    match pair:
        # bool is an int to Python
        case [int(first), int(last)] if not any(isinstance(n, bool) for n in pair):
            if 0 <= first <= last < LIMIT:
                return first, last
            fault = "begins after its end" if first > last else "is outside 0 to 2³² - 1"
            raise ValueError(f"run {run}: the range {pair} {fault}")
    raise ValueError(f"run {run}: {pair!r} is no range [first, last] of luminosity sections")
