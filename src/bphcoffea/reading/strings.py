"""Lists of strings that are nearly the same in every entry, such as names of trigger paths."""

from __future__ import annotations

import awkward as ak
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from coffea.nanoevents.util import concat

# not from pyarrow.compute, whose import takes 40 ms in each process
from pyarrow._compute import call_function

from bphcoffea.arrays import Integers, Numbers
from bphcoffea.inputs import Form

Bytes = npt.NDArray[np.uint8]

#: Number of distinct entries above which decoding each of them once does not pay.
_MAX_ROWS = 1000
#: Length of a string that does not fit into one byte, and the size of other numbers, bytes.
_LONG, _LONG_SIZE = 255, 4


def lists_of_strings(
    content: bytes, offsets: Integers, header: int
) -> ak.contents.ListOffsetArray | None:
    """Decode lists of strings, each distinct entry once.

    Parameters
    ----------
    content
        Entries of a ``std::vector<std::string>`` as in a ROOT file.
    offsets
        Place of each entry in the content, shape (entries + 1,).
    header
        Size of the header of each entry, bytes; it ends with the number of strings.

    Returns
    -------
    One list per entry, whose content is an IndexedArray of the distinct strings; None if the
    entries are damaged, or too many of them are distinct.
    """
    row_of_entry, distinct = _distinct(content, offsets)
    if len(distinct) > _MAX_ROWS:
        return None
    rows = []
    for entry in distinct.to_pylist():
        strings = _strings(entry, header)
        if strings is None:
            return None
        rows.append(strings)
    return _lists_of_rows(rows, row_of_entry)


def lists_of_texts(
    lists: Integers, places: Integers, characters: Bytes
) -> ak.contents.ListOffsetArray:
    """Return lists of strings of an RNTuple in the form of :func:`lists_of_strings`.

    Parameters
    ----------
    lists
        First string of each entry, and the number of all strings; shape (entries + 1,).
    places
        First character of each string, and the number of all characters; shape (strings + 1,).
    characters
        Characters of all strings, UTF-8.
    """
    # entries are the same if their characters and the sizes of their strings are
    by_text, _ = _distinct(characters, places[lists])
    sizes = np.diff(places)
    by_size, distinct = _distinct(sizes, sizes.itemsize * lists)
    _, firsts, row_of_entry = np.unique(
        by_text * len(distinct) + by_size, return_index=True, return_inverse=True
    )
    if len(firsts) > _MAX_ROWS:
        strings = ak.contents.ListOffsetArray(
            ak.index.Index64(places),
            ak.contents.NumpyArray(characters, parameters={"__array__": "char"}),
            parameters={"__array__": "string"},
        )
        return with_index(ak.contents.ListOffsetArray(ak.index.Index64(lists), strings))
    rows = [
        [characters[places[i] : places[i + 1]].tobytes() for i in range(*lists[first : first + 2])]
        for first in firsts
    ]
    return _lists_of_rows(rows, row_of_entry)


def _lists_of_rows(
    distinct: list[list[bytes]], row_of_entry: Integers
) -> ak.contents.ListOffsetArray:
    """Return one list per entry, whose content is an IndexedArray of the distinct strings."""
    positions: dict[bytes, int] = {}
    rows = [[positions.setdefault(text, len(positions)) for text in row] for row in distinct]
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    of_rows = np.array([position for row in rows for position in row], dtype=np.int64)
    counts = lengths[row_of_entry]
    lists = np.zeros(len(row_of_entry) + 1, dtype=np.int64)
    np.cumsum(counts, out=lists[1:])
    begins = (np.cumsum(lengths) - lengths)[row_of_entry] - lists[:-1]
    index = of_rows[np.repeat(begins, counts) + np.arange(lists[-1])]
    return ak.contents.ListOffsetArray(
        ak.index.Index64(lists),
        ak.contents.IndexedArray(ak.index.Index64(index), _array_of(list(positions))),
    )


def with_index(lists: ak.contents.Content) -> ak.contents.Content:
    """Return lists of strings in the form of :func:`lists_of_strings`; other arrays unchanged."""
    content = getattr(lists, "content", None)
    if content is None or content.parameter("__array__") != "string":
        return lists
    index = ak.index.Index64(np.arange(content.length))
    indexed = ak.contents.IndexedArray(index, content)
    return ak.contents.ListOffsetArray(lists.offsets, indexed)


def indexed_form(form: Form) -> Form:
    """Return the form of a branch in which lists of strings are as :func:`with_index` makes them.

    Parameters
    ----------
    form
        Form of a branch, as coffea's schemas take it.
    """
    strings = form.get("content", {})
    if strings.get("parameters", {}).get("__array__") != "string":
        return form
    strings = _below_index(strings, strings["form_key"])
    indexed = {
        "class": "IndexedArray",
        "index": "i64",
        "content": strings,
        "parameters": {},
        "form_key": concat(form["content"]["form_key"], "!index"),
    }
    return {**form, "content": indexed}


def _below_index(form: Form, key: str) -> Form:
    """Return a form whose buffers are found one level deeper than at a key."""
    deeper = {**form, "form_key": form["form_key"].replace(key, concat(key, "!content"), 1)}
    if "content" in form:
        deeper["content"] = _below_index(form["content"], key)
    return deeper


def _distinct(content: bytes | Numbers, offsets: Integers) -> tuple[Integers, pa.Array]:
    """Return the number of each part among the distinct ones, and the distinct parts.

    Parameters
    ----------
    content
        Bytes, or an array of any numbers.
    offsets
        Where the parts begin, and where the last one ends, bytes; shape (parts + 1,), ascending.
        Arrow does not check them.
    """
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    parts = pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)
    encoded = call_function("dictionary_encode", [parts])
    numbers = np.frombuffer(encoded.indices.buffers()[1], np.int32, len(parts))
    return numbers.astype(np.int64), encoded.dictionary


def _strings(row: bytes, header: int) -> list[bytes] | None:
    """Return the strings of an entry; None if it is damaged."""
    number = int.from_bytes(row[header - _LONG_SIZE : header], "big")
    strings = []
    position = header
    while position < len(row):
        size = row[position]
        position += 1
        if size == _LONG:
            size = int.from_bytes(row[position : position + _LONG_SIZE], "big")
            position += _LONG_SIZE
        strings.append(row[position : position + size])
        position += size
    return strings if position == len(row) and len(strings) == number else None


def _array_of(strings: list[bytes]) -> ak.contents.ListOffsetArray:
    offsets = np.cumsum([0, *map(len, strings)])
    characters = np.frombuffer(b"".join(strings), np.uint8)
    return ak.contents.ListOffsetArray(
        ak.index.Index64(offsets),
        ak.contents.NumpyArray(characters, parameters={"__array__": "char"}),
        parameters={"__array__": "string"},
    )
