"""Columns of an RNTuple: which of them a field consists of, where they are, how they are stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import awkward as ak
import numpy as np
import uproot
import xxhash
from uproot.behaviors.RNTuple import HasFields

from bphcoffea.arrays import Integers, Numbers
from bphcoffea.reading.opened_files import Range
from bphcoffea.reading.requests import Bytes, UnusualError
from bphcoffea.reading.strings import lists_of_texts
from bphcoffea.storage import decompressed

#: Size of the checksum behind a page, bytes.
_CHECKSUM: Final = 8
#: Name of a column in a form of uproot.
_COLUMN: Final = re.compile(r"column-(\d+)(-cardinality)?")
#: Number of the type of bits.
_BIT: Final = 0
#: Types of the elements of columns; not of switches, and of numbers that are not whole bytes.
_DTYPES: Final[dict[int, np.dtype[Any]]] = {
    kind: np.dtype("bool" if name == "bit" else name).newbyteorder("<")
    for kind, name in uproot.const.rntuple_col_num_to_dtype_dict.items()
    if name not in ("switch", "real32trunc", "real32quant")
}


@dataclass(frozen=True)
class Layout:
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
    def of(cls, field: HasFields) -> Layout:
        """Return the columns of a field of numbers, strings, or lists of these.

        Raises
        ------
        UnusualError
            If the field holds something else.
        """
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
class Column:
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
    def of(cls, ntuple: Any, number: int) -> Column:
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
