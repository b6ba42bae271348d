"""Columns of Arrow tables, made without pandas.

Where pandas is installed, pyarrow imports it for each array that it makes of other objects, in
order to recognise those of pandas. That takes as long as a small chunk.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from bphcoffea.arrays import Numbers

#: Most bytes that an array of strings of Arrow can hold.
_CAPACITY = 2**31 - 1


def of_numbers(values: Numbers) -> pa.Array:
    """Return numbers or booleans, shape (n,), as a column without nulls.

    >>> of_numbers(np.array([True, False])).to_pylist()
    [True, False]
    """
    data = np.packbits(values, bitorder="little") if values.dtype == np.bool_ else values
    buffer = pa.py_buffer(np.ascontiguousarray(data))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, buffer])


def of_texts(values: Iterable[str]) -> pa.ChunkedArray:
    """Return texts as a column of strings, also if there are none.

    >>> of_texts(["A", "é"]).to_pylist()
    ['A', 'é']
    """
    texts = [value.encode() for value in values]
    rows = _CAPACITY // (max(map(len, texts), default=0) or 1)
    parts = (texts[first : first + rows] for first in range(0, len(texts), rows))
    return pa.chunked_array([_strings(part) for part in parts], pa.string())


def _strings(texts: list[bytes]) -> pa.StringArray:
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(texts), pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))
    )
