"""Columns of a TTree, decoded in one pass over the baskets of a branch.

uproot makes several Python objects and arrays per basket, which costs more than decompressing it.
Here, the contents of all baskets of a branch are joined, and their entries are found with a few
operations on whole arrays. Branches that this pass does not know, and baskets that are not as
expected, are left to uproot, which also explains what is wrong with them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import partial
from typing import Final

import awkward as ak
import numpy as np
import numpy.typing as npt
import uproot
from uproot.interpretation.jagged import AsJagged
from uproot.interpretation.numerical import AsDtype
from uproot.interpretation.objects import AsObjects

from bphcoffea.arrays import Integers, Numbers
from bphcoffea.cores import in_threads
from bphcoffea.reading.opened_files import Range
from bphcoffea.reading.requests import Bytes, UnusualError
from bphcoffea.reading.strings import lists_of_strings
from bphcoffea.storage import decompressed

#: Beginning of a key of a ROOT file: size, version, size of the content, time, size of the key.
_KEY: Final = struct.Struct(">ihiIh")
#: End of the key of a basket, before one byte of flags: version, sizes of buffers, number of
#: entries, size of key and values.
_BASKET: Final = struct.Struct(">Hiiii")
#: Size of the header of a ``std::vector`` in each entry, bytes.
_VECTOR_HEADER: Final = 10
#: Interpretation of ``std::vector<std::string>``.
_STRINGS: Final = "AsObjects(AsVector(True, AsString(False)))"


def ranges(branch: uproot.TBranch, start: int, stop: int) -> list[Range]:
    """Return where the baskets with entries from `start` to before `stop` are in the file.

    Raises
    ------
    UnusualError
        If :class:`Decoder` does not know such branches, or some of the baskets are not in the file.
    """
    kind = branch.interpretation
    if not (
        _is_number(kind)
        or (type(kind) is AsJagged and _is_number(kind.content))
        or (type(kind) is AsObjects and repr(kind) == _STRINGS)
    ):
        raise UnusualError
    first, last = _baskets(branch.entry_offsets, start, stop)
    begins, sizes = branch.member("fBasketSeek"), branch.member("fBasketBytes")
    if start >= stop or first >= last or last > min(len(begins), len(sizes)):
        raise UnusualError
    found = [(int(begins[i]), int(begins[i]) + int(sizes[i])) for i in range(first, last)]
    if any(not 0 < begin < end for begin, end in found):
        raise UnusualError
    return found


class Decoder:
    """Decoder of the branches of one chunk.

    The branches of a collection have entries of the same sizes, so that the places of their numbers
    are found only once.

    Parameters
    ----------
    start, stop
        First entry of the chunk, and the first one after it.
    basket_limit
        Maximum size of a decompressed basket, bytes.
    threads
        Number of threads that decompress.
    """

    def __init__(self, start: int, stop: int, basket_limit: int, threads: int = 1) -> None:
        self._start = start
        self._stop = stop
        self._basket_limit = basket_limit
        self._threads = threads
        self._found: list[tuple[Integers, int, Integers, Integers]] = []

    def decode(self, branch: uproot.TBranch, baskets: Sequence[Bytes]) -> ak.contents.Content:
        """Return the values of a branch for the entries of the chunk.

        Parameters
        ----------
        branch
            The branch.
        baskets
            Its baskets, from the places that :func:`ranges` returns.

        Returns
        -------
        Numbers, or one list of numbers per entry. Strings are one list per entry of indices into
        the distinct strings.

        Raises
        ------
        UnusualError
            If the baskets are not as expected.
        """
        kind = branch.interpretation
        bounds = branch.entry_offsets
        first, last = _baskets(bounds, self._start, self._stop)
        skipped, count = self._start - bounds[first], self._stop - self._start
        parts: list[Bytes] = []
        offsets = np.zeros(bounds[last] - bounds[first] + 1, dtype=np.int64)
        size = done = 0
        sizes = np.diff(bounds[first : last + 1]).tolist()
        stored = list(zip(baskets, sizes, strict=True))
        contents = in_threads(partial(_content, self._basket_limit), stored, self._threads)
        for entries, (values, table, key_size) in zip(sizes, contents, strict=True):
            if type(kind) is not AsDtype:
                begins = offsets[done : done + entries]
                np.add(_begins(table, entries), np.int64(size - key_size), out=begins)
            parts.append(values)
            size += len(values)
            done += entries
        content = b"".join(parts)
        if type(kind) is AsDtype:
            dtype = kind.from_dtype
            if size != dtype.itemsize * done:
                raise UnusualError
            numbers = np.frombuffer(content, dtype, count, skipped * dtype.itemsize)
            return ak.contents.NumpyArray(numbers.astype(kind.to_dtype))
        offsets[-1] = size
        offsets = offsets[skipped : skipped + count + 1]
        if np.any(offsets[1:] < offsets[:-1]) or offsets[0] < 0 or offsets[-1] > size:
            raise UnusualError
        if type(kind) is AsObjects:
            strings = lists_of_strings(content, offsets, _VECTOR_HEADER)
            if strings is None:
                raise UnusualError
            return strings
        lists, stored_numbers = self._lists(
            content, offsets, kind.content.from_dtype, kind.header_bytes
        )
        return ak.contents.ListOffsetArray(
            ak.index.Index64(lists),
            ak.contents.NumpyArray(stored_numbers.astype(kind.content.to_dtype)),
        )

    def _lists(
        self, content: bytes, offsets: Integers, stored: np.dtype[np.generic], header: int
    ) -> tuple[Integers, Numbers]:
        """Return the offsets of the lists, shape (entries + 1,), and their numbers."""
        size = stored.itemsize
        # headers have an even size, as all numbers but bytes have
        step = 1 if size % 2 else 2
        known = (
            (lists, places)
            for these, of_size, lists, places in self._found
            if of_size == size and np.array_equal(these, offsets)
        )
        lists, places = next(known, (None, None))
        if lists is None or places is None:
            sizes = np.diff(offsets) - header
            # faster than a division; sizes of numbers are powers of two
            counts = sizes >> (size.bit_length() - 1)
            if np.any(sizes & (size - 1)) or np.any(sizes < 0):
                raise UnusualError
            lists = np.zeros(len(offsets), dtype=np.int64)
            np.cumsum(counts, out=lists[1:])
            begins = offsets[:-1] + header - lists[:-1] * size
            places = (np.repeat(begins, counts) + np.arange(lists[-1]) * size) // step
            self._found.append((offsets, size, lists, places))
        if not len(places):
            return lists, np.empty(0, stored)
        possible = (len(content) - size) // step + 1
        # not with take, which would copy the whole array, because it is not contiguous
        return lists, np.ndarray((possible,), stored, content, 0, (step,))[places]


def _is_number(kind: object) -> bool:
    return (
        isinstance(kind, AsDtype)
        and type(kind) is AsDtype  # subclasses store numbers in other ways
        and kind.inner_shape == ()
        and kind.from_dtype.kind in "biuf"
        and kind.to_dtype.kind in "biuf"
    )


def _baskets(bounds: list[int], start: int, stop: int) -> tuple[int, int]:
    """Return the first basket of a range of entries, and the first one after it."""
    first = int(np.searchsorted(bounds, start, "right")) - 1
    return first, int(np.searchsorted(bounds, stop, "left"))


def _content(limit: int, basket: tuple[Bytes, int]) -> tuple[Bytes, Bytes, int]:
    """Return values of a basket, its table of entries (may be empty), and the size of its key.

    Parameters
    ----------
    limit
        Maximum size of the decompressed basket, bytes.
    basket
        The basket, and its number of entries.
    """
    raw, entries = basket
    if len(raw) < _KEY.size:
        raise UnusualError
    size, _, content_size, _, key_size = _KEY.unpack_from(raw)
    if size != len(raw) or not _KEY.size + _BASKET.size < key_size < size or content_size > limit:
        raise UnusualError
    *_, found, last = _BASKET.unpack_from(raw, key_size - _BASKET.size - 1)
    border = last - key_size
    if found != entries or not 0 <= border <= content_size:
        raise UnusualError
    stored = memoryview(raw)[key_size:]
    if content_size != len(stored):
        try:
            stored = memoryview(decompressed(stored, content_size))
        except ValueError as error:
            raise UnusualError from error
    return stored[:border], stored[border:], key_size


def _begins(table: Bytes, entries: int) -> npt.NDArray[np.int32]:
    """Return where the entries of a basket begin, counted from its key, shape (entries,)."""
    # the number of values in the table, the beginning of each entry, and an unused value
    if len(table) != 4 * (entries + 2):
        raise UnusualError
    return np.frombuffer(table, ">i4", entries, 4)
