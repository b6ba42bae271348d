"""Reading what corrections are made from: histograms of ROOT files, JSON, lists of numbers."""

from __future__ import annotations

import json
import math
import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats
import uproot

from bphcoffea.errors import InputError
from bphcoffea.size_limits import decompressed, read_json_bytes

Floats = npt.NDArray[np.float64]

#: Probability content of an interval of one standard deviation, 68.3%; ROOT's default as well.
ONE_SIGMA = math.erf(math.sqrt(0.5))
_HISTOGRAMS = re.compile("TH[12][CSIFDL]")
#: So many names are told of what a file holds.
_MOST_NAMES = 20


@dataclass(frozen=True)
class Histogram:
    """Finite numbers in bins.

    Attributes
    ----------
    source
        Where it was read, for messages.
    edges
        For each axis the edges of its bins, increasing. Shapes (bins + 1,).
    values
        Content of the bins, or efficiency. Shape (bins, …), an axis each.
    errors
        Error of the content; for an efficiency half the width of its interval. Of the same shape.
    interval
        Lower and upper end of the interval of an efficiency, of the same shape.
    """

    source: str
    edges: tuple[Floats, ...]
    values: Floats
    errors: Floats
    interval: tuple[Floats, Floats] | None = None

    def bins(self, where: npt.NDArray[np.bool_], names: Sequence[str], most: int = 5) -> str:
        """The bins where a mask is true, as ``pt [2, 3) × abseta [0, 0.9)``."""
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

    def read_numbytes_version(self, chunk: Any, cursor: Any, context: Any) -> None:
        """Read how long the object is."""
        version = uproot.deserialization.numbytes_version(chunk, cursor, context)
        self._num_bytes, self._instance_version, self._is_memberwise = version

    def read_members(self, chunk: Any, cursor: Any, context: Any, file: Any) -> None:
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

    def _pointer(self, name: str, chunk: Any, cursor: Any, context: Any, file: Any) -> None:
        read = uproot.deserialization.read_object_any
        self._members[name] = read(chunk, cursor, context, file, self._file, self)


def read_histogram(source: str, efficiency: bool = False) -> Histogram:
    """A TH1, TH2 or TEfficiency of a ROOT file.

    Parameters
    ----------
    source
        ``file.root:path/of/histogram``; the last colon separates, so the file may be a URL.
    efficiency
        Whether a TEfficiency will do.

    Raises
    ------
    InputError
        When there is no such file or histogram, when it is of another class, or has contents that
        are negative or no numbers, or none.
    """
    path, _, name = source.rpartition(":")
    if not path or not name or re.match("[0-9]*//", name):
        raise InputError(f"{source}: names no histogram; write it as file.root:path/of/histogram")
    try:
        classes = {**uproot.classes, "TEfficiency": Model_TEfficiency}
        # a dictionary, for a path may hold a colon, and uproot an object's name after it
        with uproot.open({path: None}, custom_classes=classes) as file:
            found = file.get(name)
            kind = getattr(found, "classname", None)
            if isinstance(found, uproot.ReadOnlyDirectory) or kind is None:
                raise InputError(f"{path}: no histogram '{name}'; {_held(file)}")
            if kind == "TEfficiency" and efficiency:
                return _efficiency(source, found)
            if not _HISTOGRAMS.fullmatch(kind):
                wanted = "TH1, TH2 or TEfficiency" if efficiency else "TH1 or TH2"
                raise InputError(f"{source}: is a {kind}, not a {wanted}; {_held(file)}")
            values, edges = _values(source, found), _edges(source, found)
            histogram = Histogram(source, edges, values, _errors(source, found))
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # noqa: BLE001 - damaged bytes raise nearly anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{source}: cannot be read ({reason})") from None
    if not values.any():
        raise InputError(f"{source}: all of its bins are 0; is it the right histogram?")
    return histogram


def read_numbers(path: str) -> Floats:
    """Numbers of a JSON list, or of a text in which blanks, commas or line ends part them.

    Raises
    ------
    InputError
        When it can't be read, or is no such list of finite numbers from 0 on.
    """
    if path.endswith(".json"):
        content = read_json(path)
    else:
        lines = _read(path).splitlines()
        content = " ".join(line.partition("#")[0] for line in lines).replace(",", " ").split()
    try:
        if not isinstance(content, list) or any(isinstance(n, bool | list) for n in content):
            raise ValueError("not a list")
        numbers = np.array([float(number) for number in content])
    except (ValueError, TypeError, OverflowError):
        raise InputError(f"{path}: not a list of numbers; write one a bin") from None
    _refuse(path, "numbers", numbers, ~(np.isfinite(numbers) & (numbers >= 0)))
    if not numbers.any():
        raise InputError(f"{path}: holds no number other than 0; write one a bin")
    return numbers


def read_json(path: str | Path) -> Any:
    """A JSON file in which no key stands twice.

    Raises
    ------
    InputError
        When it can't be read, is no JSON, or repeats a key, of which Python would drop one.
    """
    text = _read(path)
    try:
        return json.loads(text, object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from None


def _read(path: str | Path) -> str:
    try:
        content = read_json_bytes(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        content = decompressed(content, path)
        return content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cut off, or damaged ({error}); copy it again") from None
    except UnicodeError as error:
        raise InputError(f"{path}: cannot be read (not UTF-8: {error})") from None


def _no_doubles(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"'{key}' stands there twice")
        content[key] = value
    return content


def _values(source: str, histogram: Any) -> Floats:
    values = np.asarray(histogram.values(), dtype=np.float64)
    _refuse(source, "bins", values, ~(np.isfinite(values) & (values >= 0)))
    return values


def _errors(source: str, histogram: Any) -> Floats:
    squares = np.asarray(histogram.member("fSumw2"), dtype=np.float64)
    if squares.size:
        # uproot gives 0 for a square that is no number; the first and last of an axis are flow
        shape = [len(axis.edges()) + 1 for axis in histogram.axes]
        inner = squares.reshape(shape[::-1])[(slice(1, -1),) * len(shape)]
        _refuse(source, "errors, squared,", inner, ~(np.isfinite(inner) & (inner >= 0)))
    return np.asarray(histogram.errors(), dtype=np.float64)


def _edges(source: str, histogram: Any) -> tuple[Floats, ...]:
    edges = tuple(np.asarray(axis.edges(), dtype=np.float64) for axis in histogram.axes)
    for of_axis in edges:
        if not np.isfinite(of_axis).all() or not (np.diff(of_axis) > 0).all():
            raise InputError(f"{source}: the edges of its bins are not finite and increasing")
    return edges


def _efficiency(source: str, found: Any) -> Histogram:
    """Efficiency and its interval of Clopper and Pearson, Biometrika 26 (1934) 404."""
    held = [found.member(f"f{name}Histogram") for name in ("Passed", "Total")]
    passed, total = (_values(source, histogram) for histogram in held)
    edges, others = (_edges(source, histogram) for histogram in held)
    if passed.shape != total.shape or not all(map(np.array_equal, edges, others)):
        raise InputError(f"{source}: those that passed and all have other bins; make it again")
    if (passed != np.round(passed)).any() or (total != np.round(total)).any():
        raise InputError(
            f"{source}: is filled with weights, and counts alone have an interval of Clopper and "
            "Pearson; make a TH1 or TH2 of efficiencies with their errors"
        )
    if (passed > total).any():
        raise InputError(f"{source}: more events passed than there are; make it again")
    if not total.any():
        raise InputError(f"{source}: has no events; is it the right one?")
    tail = (1 - ONE_SIGMA) / 2
    # an event that is none keeps the distributions defined where an end is 0 or 1
    failed = total - passed
    low = scipy.stats.beta.ppf(tail, np.maximum(passed, 1), failed + 1)
    high = scipy.stats.beta.ppf(1 - tail, passed + 1, np.maximum(failed, 1))
    low, high = np.where(passed > 0, low, 0.0), np.where(failed > 0, high, 1.0)
    values = np.divide(passed, total, out=np.zeros_like(total), where=total > 0)
    return Histogram(source, edges, values, (high - low) / 2, (low, high))


def _refuse(source: str, what: str, values: Floats, bad: npt.NDArray[np.bool_]) -> None:
    if bad.any():
        first = values[bad][0]
        raise InputError(
            f"{source}: {np.count_nonzero(bad)} of {bad.size} {what} are negative or no numbers "
            f"({first:g}); make it again"
        )


def _held(file: Any) -> str:
    names = [
        f"{name} ({kind})"
        for name, kind in file.classnames(cycle=False).items()
        if kind.startswith(("TH1", "TH2", "TH3", "TProfile", "TEfficiency"))
    ]
    if not names:
        return "the file holds no histograms"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"the file holds {', '.join(names[:_MOST_NAMES])}{more}"
