"""Fields of an RNTuple, decoded in one pass over the pages of their columns.

uproot reads whole clusters, makes several Python objects per page, and asks a server for one page
after the other. Here, only pages with entries of the chunk are read, those of several fields at
once. Fields that this pass does not know, and pages that are not as expected, are left to uproot.

Lists have one column of offsets and one of elements, which may be lists again. The offsets say
where the elements are, and so all fields are requested level by level.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from typing import Final, TypeAlias

import awkward as ak
import numpy as np
import uproot

from bphcoffea.arrays import Integers, Numbers
from bphcoffea.cores import in_threads
from bphcoffea.reading.opened_files import OpenedFile, Range
from bphcoffea.reading.requests import Bytes, Received, UnusualError
from bphcoffea.reading.rntuple_columns import Column, Layout

#: Key under which a file keeps what is found out about its columns, for all its chunks.
_KNOWN: Final = "columns of an RNTuple"

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
    threads
        Number of threads that decompress.
    """

    def __init__(
        self,
        file: OpenedFile,
        path: str,
        start: int,
        stop: int,
        page_limit: int,
        threads: int = 1,
    ) -> None:
        self._ntuple = file.root[path]
        self._start, self._stop = start, stop
        self._page_limit = page_limit
        self._threads = threads
        self._received = Received(file)
        known = file.known.setdefault((_KNOWN, path), ({}, {}))
        self._layouts: dict[str, Layout] = known[0]
        self._columns: dict[int, Column] = known[1]
        self._sizes: dict[tuple[int, int, int], tuple[Integers, int]] = {}
        self._begun: dict[str, Decoding] = {}

    def request(self, names: Collection[str]) -> None:
        """Read what several fields need, in as many requests as their lists are deep.

        Fields that are left to uproot, or that do not exist, are ignored.
        """
        begun = {}
        for name in names:
            try:
                begun[name] = self._layout(name), self._decoding(name)
            except (UnusualError, uproot.KeyInFileError):
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

    def _layout(self, name: str) -> Layout:
        if name not in self._layouts:
            self._layouts[name] = Layout.of(self._ntuple[name])
        return self._layouts[name]

    def _column(self, number: int) -> Column:
        if number not in self._columns:
            self._columns[number] = Column.of(self._ntuple, number)
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
        places = [] if key in self._sizes else column.places[pages]
        yield places
        if key in self._sizes:
            self._received.forget(places)
        else:
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

    def _pages(self, column: Column, first: int, last: int) -> slice:
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

    def _elements(self, column: Column, pages: slice, first: int, last: int) -> Numbers:
        """Return elements of a column that are in some pages, shape (last - first,)."""
        if first == last:
            return np.empty(0, column.dtype)
        begin, end = (int(column.begins[page]) for page in (pages.start, pages.stop))
        numbers: Numbers = np.empty(end - begin, column.dtype)

        def decode(stored: tuple[int, Bytes]) -> None:
            page, raw = stored
            low, high = (int(place) - begin for place in column.begins[page : page + 2])
            column.decode(page, raw, numbers[low:high])

        stored = list(enumerate(self._received.take(column.places[pages]), pages.start))
        in_threads(decode, stored, self._threads)
        return numbers[first - begin : last - begin]
