"""The certification of data: which luminosity sections are good for physics."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bphcoffea.errors import InputError
from bphcoffea.luminosity.sections import LIMIT, checked, packed
from bphcoffea.size_limits import read_json_bytes


@dataclass(frozen=True)
class GoldenJson:
    """A CMS certification JSON, ``{run: [[first, last], …]}``, both ends included.

    Coffea's ``LumiMask`` is not used: it takes 32-bit unsigned integers only, answers wrongly where
    ranges of a run overlap or are not in order, and fills its table anew with each call.

    Two are equal if the content of their files is.

    Attributes
    ----------
    path
        The file.
    sha256
        Hash of the file's content.
    """

    path: Path = field(compare=False)
    sha256: str
    #: Ends of the ranges, in order and apart from each other, as packed run and section.
    _first: npt.NDArray[np.uint64] = field(repr=False, compare=False)
    _last: npt.NDArray[np.uint64] = field(repr=False, compare=False)

    @classmethod
    def load(cls, path: str | Path) -> GoldenJson:
        """Read the file.

        Raises
        ------
        InputError
            When it can't be read, is no JSON, is not of that form, or certifies nothing.
        """
        try:
            content = read_json_bytes(path)
            ranges = checked(json.loads(content, object_pairs_hook=_no_doubles))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; give the certification JSON") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        except (json.JSONDecodeError, UnicodeError, RecursionError) as error:
            raise InputError(f"{path}: not a JSON file ({error})") from None
        except ValueError as error:
            raise InputError(
                f"{path}: {error}; a certification JSON is {{run: [[first, last], …]}}"
            ) from None
        if not any(ranges.values()):
            raise InputError(f"{path}: certifies no luminosity section; is it the right file?")
        merged = [
            (run, *section_range)
            for run, of_run in sorted(ranges.items())
            for section_range in _merged(of_run)
        ]
        runs, first, last = np.array(merged, dtype=np.uint64).T
        digest = hashlib.sha256(content).hexdigest()
        return cls(Path(path), digest, packed(runs, first), packed(runs, last))

    def certifies(self, run: npt.ArrayLike, lumi: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether luminosity sections are certified.

        Parameters
        ----------
        run, lumi
            Run and luminosity section of each event: integers of any type, of one shape. What is no
            32-bit unsigned number is not certified.

        Returns
        -------
        array
            Of the shape of the two.

        Raises
        ------
        TypeError
            When they are not integers.
        ValueError
            When they differ in shape.
        """
        runs, lumis = np.asarray(run), np.asarray(lumi)
        if runs.shape != lumis.shape:
            raise ValueError(f"runs and luminosity sections differ: {runs.shape}, {lumis.shape}")
        for numbers in (runs, lumis):
            if numbers.size and not np.issubdtype(numbers.dtype, np.integer):
                raise TypeError(f"run and luminosity section are integers, not {numbers.dtype}")
        keys = packed(runs, lumis)
        # of ranges that are apart only the last that begins before can hold it
        index = np.searchsorted(self._first, keys, side="right")
        inside: npt.NDArray[np.bool_] = (index > 0) & (keys <= self._last[index - 1])
        for numbers in (runs, lumis):
            inside &= (numbers >= 0) & (numbers < LIMIT)
        return inside


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges in order, those that overlap made one."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _no_doubles(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError if a key stands there twice, of which Python drops one."""
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"run {key} stands there twice")
        content[key] = value
    return content
