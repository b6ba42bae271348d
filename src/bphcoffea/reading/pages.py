"""Fields of an RNTuple, decoded in one pass over the pages of their columns.

uproot reads whole clusters, makes several Python objects per page, and asks a server for one page
after the other. Here, only pages with entries of the chunk are read, those of several fields at
once. Fields that this pass does not know, and pages that are not as expected, are left to uproot.

A list is a column of offsets and a column of its elements, and so on inwards: where the elements
are is known only after the offsets were read. All fields are therefore requested level by level.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Generator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import awkward as ak
import numpy as np
import uproot
import xxhash
from uproot.behaviors.RNTuple import HasFields

from bphcoffea.arrays import Integers, Numbers
from bphcoffea.reading.opened_files import OpenedFile, Range
from bphcoffea.reading.requests import Bytes, Received, UnusualError
from bphcoffea.reading.strings import lists_of_texts
from bphcoffea.storage import decompressed

#: Size of the checksum behind a page, bytes.
_CHECKSUM: Final = 8
_COLUMN: Final = re.compile(r"column-(\d+)(-cardinality)?")
_KNOWN: Final = "known pages"

#: Decoding of a field, which yields the places that it needs, level by level.
Decoding: TypeAlias = Generator[list[Range], None, ak.contents.Content]


class PageDecoder:
    """Decoder of the fields of one chunk of an RNTuple.

    Parameters
    ----------
    file
        The file.
    path
        Path of the RNTuple.
    start, stop
        First entry of the chunk, and the first one after it.
    page_limit
        Maximum size of a decompressed page, bytes.
    """

    def __init__(self, file: OpenedFile, path: str, start: int, stop: int, page_limit: int) -> None:
        self._ntuple = file.root[path]
        self._start, self._stop = start, stop
        self._page_limit = page_limit
        self._received = Received(file)
        #: what is found out about the columns of the file, for all its chunks
        self._layouts: dict[str, _Layout] = file.known.setdefault((_KNOWN, path), {})
        self._columns: dict[int, _Column] = file.known.setdefault((_KNOWN, path, "columns"), {})
        self._sizes: dict[tuple[int, int, int], tuple[Integers, int]] = {}
        self._begun: dict[str, Decoding] = {}

    def request(self, names: Collection[str]) -> None:
        """Read what several fields need, in as many requests as their lists are deep.

        Fields that are left to uproot are ignored.
        """
        begun = {}
        for name in names:
            try:
                begun[name] = self._layout(name), self._decoding(name)
            except UnusualError:
                continue
        for level in range(max((layout.depth for layout, _ in begun.values()), default=0)):
            wanted = []
            for name, (layout, decoding) in list(begun.items()):
                if level < layout.depth:
                    try:
                        wanted += next(decoding)
                    except UnusualError:
                        del begun[name]
            self._received.request(wanted)
        self._begun |= {name: decoding for name, (_, decoding) in begun.items()}

    def decode(self, name: str) -> ak.contents.Content:
        """Return the values of a field for the entries of the chunk.

        Lists of strings have one list per entry of indices into the distinct strings.

        Raises
        ------
        UnusualError
            If uproot must read the field.
        ValueError
            If a page is damaged.
        """
        decoding = self._begun.pop(name, None)
        if decoding is None:
            decoding = self._decoding(name)
        while True:
            try:
                self._received.request(next(decoding))
            except StopIteration as end:
                content: ak.contents.Content = end.value
                return content

    def _layout(self, name: str) -> _Layout:
        if name not in self._layouts:
            self._layouts[name] = _Layout.of(self._ntuple[name])
        return self._layouts[name]

    def _column(self, number: int) -> _Column:
        if number not in self._columns:
            self._columns[number] = _Column.of(self._ntuple, number)
        return self._columns[number]

    def _decoding(self, name: str) -> Decoding:
        layout = self._layout(name)
        if self._start >= self._stop:
            raise UnusualError
        first, last = self._start, self._stop
        offsets = []
        for level, number in enumerate(layout.lists):
            inner = layout.inner(level)
            sizes, first = yield from self._list_sizes(number, inner, first, last)
            offsets.append(np.concatenate([[0], np.cumsum(sizes)]))
            last = first + int(offsets[-1][-1])
        if layout.content is None:
            return ak.contents.NumpyArray(sizes)
        column = self._column(layout.content)
        pages = self._pages(column, first, last)
        yield column.places[pages]
        return layout.array(offsets, self._elements(column, pages, first, last))

    def _list_sizes(
        self, number: int, inner: int | None, first: int, last: int
    ) -> Generator[list[Range], None, tuple[Integers, int]]:
        """Return the sizes of lists, shape (last - first,), and the place of their first element.

        Parameters
        ----------
        number
            Column of the offsets: the end of each list, counted from the beginning of its cluster.
        inner
            Column of the elements; None if only sizes are wanted.
        first, last
            First list, and the first one after them.
        """
        column = self._column(number)
        key = number, first, last
        has_list_before = first < last and first not in column.clusters
        pages = self._pages(column, first - has_list_before, last)
        yield [] if key in self._sizes else column.places[pages]
        if key not in self._sizes:
            ends = self._elements(column, pages, first - has_list_before, last).astype(np.int64)
            sizes = np.diff(ends, prepend=0)
            # the ends of each cluster are counted anew
            anew = column.clusters[(column.clusters >= first) & (column.clusters < last)]
            anew = anew - first + has_list_before
            sizes[anew] = ends[anew]
            before = int(ends[0]) if has_list_before else 0
            self._sizes[key] = sizes[int(has_list_before) :], before
        sizes, before = self._sizes[key]
        if np.any(sizes < 0):
            raise UnusualError
        if inner is None:
            return sizes, 0
        cluster = int(np.searchsorted(column.clusters, first, "right")) - 1
        return sizes, int(self._column(inner).clusters[cluster]) + before

    def _pages(self, column: _Column, first: int, last: int) -> slice:
        """Return the pages with elements from ``first`` to before ``last``."""
        if not 0 <= first <= last <= column.begins[-1]:
            raise UnusualError
        if first == last:
            return slice(0, 0)
        pages = slice(
            int(np.searchsorted(column.begins, first, "right")) - 1,
            int(np.searchsorted(column.begins, last, "left")),
        )
        if np.max(column.sizes[pages]) > self._page_limit:
            raise UnusualError
        return pages

    def _elements(self, column: _Column, pages: slice, first: int, last: int) -> Numbers:
        """Return elements of a column that are in some pages, shape (last - first,)."""
        if first == last:
            return np.empty(0, column.dtype)
        begin, end = (int(column.begins[page]) for page in (pages.start, pages.stop))
        numbers: Numbers = np.empty(end - begin, column.dtype)
        for page, raw in enumerate(self._received.take(column.places[pages]), pages.start):
            low, high = (int(place) - begin for place in column.begins[page : page + 2])
            column.decode(page, raw, numbers[low:high])
        return numbers[first - begin : last - begin]


@dataclass(frozen=True)
class _Layout:
    """Columns of a field.

    Attributes
    ----------
    lists
        Numbers of the columns of offsets, outermost first.
    content
        Number of the column of numbers or characters; None if the field is the size of a list.
    indices
        Types of the offsets in the array.
    is_text
        Whether the innermost lists are strings.
    """

    lists: tuple[int, ...]
    content: int | None
    indices: tuple[str, ...]
    is_text: bool

    @classmethod
    def of(cls, field: HasFields) -> _Layout:
        """Return the columns of a field of numbers, strings, or lists of these."""
        form, path = field.to_akform()
        if path is None or len(path) != 1 or len(form.contents) != 1:
            raise UnusualError
        (form,) = form.contents
        lists, indices = [], []
        is_text = False
        while isinstance(form, ak.forms.ListOffsetForm):
            is_text = form.parameter("__array__") == "string"
            lists.append(_number(form.form_key))
            indices.append(form.offsets)
            form = form.content
        if not isinstance(form, ak.forms.NumpyForm) or form.inner_shape:
            raise UnusualError
        if form.form_key.endswith("-cardinality"):
            return cls((*lists, _number(form.form_key)), None, (), False)
        return cls(tuple(lists), _number(form.form_key), tuple(indices), is_text)

    @property
    def depth(self) -> int:
        """Number of columns that are read one after the other."""
        return len(self.lists) + (self.content is not None)

    def inner(self, level: int) -> int | None:
        """Return the column of the elements of the lists of a level."""
        return self.lists[level + 1] if level + 1 < len(self.lists) else self.content

    def array(self, offsets: list[Integers], numbers: Numbers) -> ak.contents.Content:
        """Return the array of the offsets of each level and the innermost numbers."""
        if self.is_text and len(offsets) == 2:
            lists, places = offsets
            return lists_of_texts(lists, places, numbers)
        parameters = {"__array__": "char"} if self.is_text else None
        array = ak.contents.NumpyArray(numbers, parameters=parameters)
        parameters = {"__array__": "string"} if self.is_text else None
        for level, index in zip(reversed(offsets), reversed(self.indices), strict=True):
            kind = ak.index.Index32 if index == "i32" else ak.index.Index64
            level = level.astype(np.int32) if index == "i32" else level
            array = ak.contents.ListOffsetArray(kind(level), array, parameters=parameters)
            parameters = None
        return array


def _number(key: str) -> int:
    found = _COLUMN.fullmatch(key)
    if found is None:
        raise UnusualError
    return int(found[1])


@dataclass(frozen=True)
class _Column:
    """Where the elements of a column are, and how they are stored.

    Attributes
    ----------
    kind
        Number of the type of the column in the specification of RNTuple.
    begins
        First element of each page, and the number of all elements; shape (pages + 1,).
    clusters
        First element of each cluster, shape (clusters,).
    places
        Range of each page in the file, with its checksum if it has one.
    has_checksum
        Whether each page is followed by a checksum.
    sizes
        Size of each decompressed page, bytes; shape (pages,).
    """

    kind: int
    begins: Integers
    clusters: Integers
    places: list[Range]
    has_checksum: list[bool]
    sizes: Integers

    @classmethod
    def of(cls, ntuple: Any, number: int) -> _Column:
        """Return a column of an RNTuple.

        Raises
        ------
        UnusualError
            If the column has several representations, was added later, or is of a type of its own
            size.
        """
        record = ntuple.column_records[number]
        kind = record.type
        alternatives = ntuple._column_records_dict[record.field_id]
        if (
            any(column.repr_idx for column in alternatives)
            or record.first_element_index
            or kind not in _DTYPES
        ):
            raise UnusualError
        counts: list[int] = []
        clusters: list[int] = []
        places: list[Range] = []
        has_checksum: list[bool] = []
        done = 0
        for columns in ntuple.page_link_list:
            if number >= len(columns) or columns[number].element_offset != done:
                raise UnusualError
            clusters.append(done)
            for page in columns[number].pages:
                locator = page.locator
                end = locator.offset + locator.num_bytes + _CHECKSUM * page.has_checksum
                places.append((locator.offset, end))
                has_checksum.append(page.has_checksum)
                counts.append(page.num_elements)
                done += page.num_elements
        begins = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        bits = 1 if kind == _BIT else 8 * _DTYPES[kind].itemsize
        sizes = -(np.diff(begins) * bits // -8)
        return cls(kind, begins, np.array(clusters), places, has_checksum, sizes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return _DTYPES[self.kind]

    def decode(self, page: int, raw: Bytes, numbers: Numbers) -> None:
        """Fill an array with the elements of a page.

        Raises
        ------
        ValueError
            If the page differs from its checksum.
        UnusualError
            If it is incomplete or cannot be decompressed.
        """
        size = int(self.sizes[page])
        stored = memoryview(raw)
        begin, end = self.places[page]
        if len(stored) != end - begin:
            raise UnusualError
        if self.has_checksum[page]:
            stored, checksum = stored[:-_CHECKSUM], stored[-_CHECKSUM:]
            if xxhash.xxh3_64_intdigest(stored) != int.from_bytes(checksum, "little"):
                raise ValueError("the checksum of a page is wrong")
        if len(stored) < size:
            try:
                stored = memoryview(decompressed(stored, size))
            except ValueError as error:
                raise UnusualError from error
        content = np.frombuffer(stored, np.uint8, size)
        if self.kind == _BIT:
            numbers[:] = np.unpackbits(content, count=len(numbers), bitorder="little")
        elif self.kind in uproot.const.rntuple_split_types:
            # the first bytes of all elements, then the second ones, and so on
            of_elements = numbers.view(np.uint8).reshape(len(numbers), -1)
            for place, one_byte in enumerate(content.reshape(-1, len(numbers))):
                of_elements[:, place] = one_byte
        else:
            numbers[:] = content.view(self.dtype)
        if self.kind in uproot.const.rntuple_zigzag_types:
            unsigned = numbers.view(self.dtype.str.replace("i", "u"))
            unsigned[:] = (unsigned >> 1) ^ -(unsigned & 1)
        if self.kind in uproot.const.rntuple_delta_types:
            np.cumsum(numbers, out=numbers)


_BIT: Final = 0
#: Types of the elements of columns; not of switches, and of numbers that are not whole bytes.
_DTYPES: Final[dict[int, np.dtype[Any]]] = {
    kind: np.dtype("bool" if name == "bit" else name).newbyteorder("<")
    for kind, name in uproot.const.rntuple_col_num_to_dtype_dict.items()
    if name not in ("switch", "real32trunc", "real32quant")
}
