"""Readers of the sources of corrections: histograms in ROOT files, JSON, lists of numbers."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import scipy.stats
import uproot

from bphcoffea.arrays import Booleans, Floats
from bphcoffea.documents import read_bytes, unique_keys
from bphcoffea.errors import CorrectionsError
from bphcoffea.local_files import regular
from bphcoffea.storage import reason

#: Probability content of an interval of one standard deviation, 68.3%; ROOT's default as well.
ONE_SIGMA: Final = math.erf(math.sqrt(0.5))
_HISTOGRAMS: Final = re.compile("TH[12][CSIFDL]")
#: Maximum number of names that a message lists.
_MOST_NAMES: Final = 20

#: Object that uproot read; uproot has no types.
_Root: TypeAlias = Any


@dataclass(frozen=True)
class Histogram:
    """Histogram of finite numbers.

    Attributes
    ----------
    source
        File and name, for messages.
    edges
        Increasing edges of the bins of each axis, shape (bins + 1,).
    values
        Content of the bins, or efficiency, shape (bins, …) with one dimension per axis.
    errors
        Error of the content, or half the width of the interval of an efficiency; shape of `values`.
    interval
        Lower and upper end of the interval of an efficiency; shape of `values`.
    """

    source: str
    edges: tuple[Floats, ...]
    values: Floats
    errors: Floats
    interval: tuple[Floats, Floats] | None = None

    def bins(self, where: Booleans, names: Sequence[str], most: int = 5) -> str:
        """Return the bins where a mask is true, as ``pt [2, 3) × abseta [0, 0.9)``."""
        indices = np.argwhere(where).tolist()
        texts = [
            " × ".join(
                f"{name} [{edges[i]:g}, {edges[i + 1]:g})"
                for name, edges, i in zip(names, self.edges, index, strict=True)
            )
            for index in indices[:most]
        ]
        return ", ".join(texts) + (", …" if len(indices) > most else "")


class Model_TEfficiency(uproot.model.Model):  # type: ignore[misc] # noqa: N801 - uproot asks for that name
    """ROOT's TEfficiency, with members in the order in which ROOT writes them.

    Uproot cannot read one of them, the priors of single bins (``vector<pair<double, double>>``,
    written memberwise); it is skipped here.
    """

    def read_numbytes_version(self, chunk: _Root, cursor: _Root, context: _Root) -> None:
        """Read the size and version of the object."""
        version = uproot.deserialization.numbytes_version(chunk, cursor, context)
        self._num_bytes, self._instance_version, self._is_memberwise = version

    def read_members(self, chunk: _Root, cursor: _Root, context: _Root, file: _Root) -> None:
        """Read the two histograms."""
        for name in ("TNamed", "TAttLine", "TAttFill", "TAttMarker"):
            base = file.class_named(name, "max")
            above = (self._file, self._parent)
            self._bases.append(
                base.read(chunk, cursor, context, file, *above, concrete=self._concrete)
            )
        cursor.skip(2 * struct.calcsize(">d"))  # fBeta_alpha, fBeta_beta
        begin = cursor.index
        length, *_ = uproot.deserialization.numbytes_version(chunk, cursor, context)
        cursor.move_to(begin + length)  # fBeta_bin_params
        cursor.skip(struct.calcsize(">d"))  # fConfLevel
        self._pointer("fFunctions", chunk, cursor, context, file)
        self._pointer("fPassedHistogram", chunk, cursor, context, file)
        cursor.skip(struct.calcsize(">i"))  # fStatisticOption
        self._pointer("fTotalHistogram", chunk, cursor, context, file)
        cursor.skip(struct.calcsize(">d"))  # fWeight

    def _pointer(self, name: str, chunk: _Root, cursor: _Root, context: _Root, file: _Root) -> None:
        read = uproot.deserialization.read_object_any
        self._members[name] = read(chunk, cursor, context, file, self._file, self)


def read_histogram(source: str, efficiency: bool = False) -> Histogram:
    """Read a TH1, TH2 or TEfficiency from a ROOT file.

    Parameters
    ----------
    source
        ``file.root:path/of/histogram``; the last colon separates, so the file may be a URL.
    efficiency
        Whether a TEfficiency is allowed.

    Raises
    ------
    CorrectionsError
        If the file or the histogram is missing, or the histogram is of another class or has
        contents that are negative, not finite or all 0.
    """
    path, _, name = source.rpartition(":")
    if not path or not name or re.match("[0-9]*//", name):
        raise CorrectionsError(
            f"{source}: names no histogram; write it as file.root:path/of/histogram"
        )
    try:
        classes = {**uproot.classes, "TEfficiency": Model_TEfficiency}
        # a dictionary, for a path may hold a colon, and uproot an object's name after it
        with uproot.open({regular(path): None}, custom_classes=classes) as file:
            found = file.get(name)
            kind = getattr(found, "classname", None)
            if isinstance(found, uproot.ReadOnlyDirectory) or kind is None:
                raise CorrectionsError(f"{path}: no histogram '{name}'; {_histograms_of(file)}")
            if kind == "TEfficiency" and efficiency:
                return _efficiency(source, found)
            if not _HISTOGRAMS.fullmatch(kind):
                allowed = "TH1, TH2 or TEfficiency" if efficiency else "TH1 or TH2"
                raise CorrectionsError(
                    f"{source}: is a {kind}, not a {allowed}; {_histograms_of(file)}"
                )
            values, edges = _values(source, found), _edges(source, found)
            histogram = Histogram(source, edges, values, _errors(source, found))
    except CorrectionsError:
        raise
    except FileNotFoundError:
        raise CorrectionsError(f"{path}: no such file") from None
    except Exception as error:  # noqa: BLE001 - damaged bytes raise nearly anything
        why = reason(error) or (str(error).splitlines() or [type(error).__name__])[0]
        raise CorrectionsError(f"{source}: cannot be read ({why})") from None
    if not values.any():
        raise CorrectionsError(f"{source}: all of its bins are 0; is it the right histogram?")
    return histogram


def read_numbers(path: str) -> Floats:
    """Read numbers from a JSON list, or a text that separates them by blanks, commas or lines.

    Raises
    ------
    CorrectionsError
        If it cannot be read, or is no list of finite, non-negative numbers.
    """
    if path.endswith(".json"):
        content = read_json(path)
    else:
        lines = _read_text(path).splitlines()
        content = " ".join(line.partition("#")[0] for line in lines).replace(",", " ").split()
    try:
        if not isinstance(content, list) or any(isinstance(n, bool | list) for n in content):
            raise ValueError("not a list")
        numbers = np.array([float(number) for number in content])
    except (ValueError, TypeError, OverflowError):
        raise CorrectionsError(f"{path}: not a list of numbers; write one per bin") from None
    _refuse(path, "numbers", numbers, ~(np.isfinite(numbers) & (numbers >= 0)))
    if not numbers.any():
        raise CorrectionsError(f"{path}: all numbers are 0; write one per bin")
    return numbers


def read_json(path: str | Path) -> object:
    """Read a JSON file with unique keys; unlike other JSON files, it may hold ``Infinity``.

    Raises
    ------
    CorrectionsError
        If it cannot be read, is no JSON, or repeats a key.
    """
    text = _read_text(path)
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise CorrectionsError(f"{path}: not a JSON file ({error})") from None


def _read_text(path: str | Path) -> str:
    try:
        return read_bytes(path, error=CorrectionsError).decode("utf-8-sig")
    except UnicodeError as error:
        raise CorrectionsError(f"{path}: cannot be read (not UTF-8: {error})") from None


def _values(source: str, histogram: _Root) -> Floats:
    values = np.asarray(histogram.values(), dtype=np.float64)
    _refuse(source, "bins", values, ~(np.isfinite(values) & (values >= 0)))
    return values


def _errors(source: str, histogram: _Root) -> Floats:
    squares = np.asarray(histogram.member("fSumw2"), dtype=np.float64)
    if squares.size:
        # uproot gives 0 for a square that is not finite; the first and last of an axis are flow
        shape = [len(axis.edges()) + 1 for axis in histogram.axes]
        inner = squares.reshape(shape[::-1])[(slice(1, -1),) * len(shape)]
        _refuse(source, "errors, squared,", inner, ~(np.isfinite(inner) & (inner >= 0)))
    return np.asarray(histogram.errors(), dtype=np.float64)


def _edges(source: str, histogram: _Root) -> tuple[Floats, ...]:
    edges = tuple(np.asarray(axis.edges(), dtype=np.float64) for axis in histogram.axes)
    for axis_edges in edges:
        if not np.isfinite(axis_edges).all() or not (np.diff(axis_edges) > 0).all():
            raise CorrectionsError(f"{source}: the edges of its bins are not finite and increasing")
    return edges


def _efficiency(source: str, found: _Root) -> Histogram:
    """Return efficiencies and intervals of Clopper and Pearson, Biometrika 26 (1934) 404."""
    histograms = [found.member(f"f{name}Histogram") for name in ("Passed", "Total")]
    passed, total = (_values(source, histogram) for histogram in histograms)
    edges, total_edges = (_edges(source, histogram) for histogram in histograms)
    if passed.shape != total.shape or not all(map(np.array_equal, edges, total_edges)):
        raise CorrectionsError(f"{source}: its two histograms have different bins; make it again")
    if (passed != np.round(passed)).any() or (total != np.round(total)).any():
        raise CorrectionsError(
            f"{source}: is filled with weights, but an interval of Clopper and Pearson needs "
            "counts; make a TH1 or TH2 of efficiencies with their errors"
        )
    if (passed > total).any():
        raise CorrectionsError(f"{source}: more events pass than there are in all; make it again")
    if not total.any():
        raise CorrectionsError(f"{source}: has no events; is it the right one?")
    tail = (1 - ONE_SIGMA) / 2
    # the maximum keeps the distributions defined if an end is 0 or 1
    failed = total - passed
    low = scipy.stats.beta.ppf(tail, np.maximum(passed, 1), failed + 1)
    high = scipy.stats.beta.ppf(1 - tail, passed + 1, np.maximum(failed, 1))
    low, high = np.where(passed > 0, low, 0.0), np.where(failed > 0, high, 1.0)
    values = np.divide(passed, total, out=np.zeros_like(total), where=total > 0)
    return Histogram(source, edges, values, (high - low) / 2, (low, high))


def _refuse(source: str, what: str, values: Floats, bad: Booleans) -> None:
    if bad.any():
        first = values[bad][0]
        raise CorrectionsError(
            f"{source}: {np.count_nonzero(bad)} of {bad.size} {what} are negative or not finite "
            f"({first:g}); make it again"
        )


def _histograms_of(file: _Root) -> str:
    names = [
        f"{name} ({kind})"
        for name, kind in file.classnames(cycle=False).items()
        if kind.startswith(("TH1", "TH2", "TH3", "TProfile", "TEfficiency"))
    ]
    if not names:
        return "the file holds no histograms"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"the file holds {', '.join(names[:_MOST_NAMES])}{more}"
