"""Columns of a table: rows of different chunks add up, and are sorted when they are read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from typing_extensions import override

from bphcoffea.arrays import Integers, Numbers
from bphcoffea.arrow_columns import of_numbers, of_texts
from bphcoffea.processing.growing import Growing

#: Columns by which tables are sorted, so that they do not depend on the order of chunks.
_SORT_KEYS = ("run", "lumi", "event", "mass", "file", "entry")
#: Most rows of an Arrow table.
_ROWS = 2**17

#: Arrays of one length, by the name of their column.
Arrays: TypeAlias = Mapping[str, Numbers]


class Columns(Growing[Arrays]):
    """Columns of a table, which grow by concatenation.

    Parameters
    ----------
    part
        Arrays of one length, by name.

    Examples
    --------
    >>> total = Columns({"pt": np.array([1.0])}) + Columns({"pt": np.array([2.0, 3.0])})
    >>> total.arrays()
    {'pt': array([1., 2., 3.])}
    """

    def arrays(self) -> dict[str, Numbers]:
        """Return the concatenated columns."""
        return {name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]}

    @override
    def merged(self) -> Arrays:
        return self.arrays()

    def table(self) -> pa.Table:
        """Return the columns as a table, sorted by run, section, event, mass, file and entry."""
        return pa.concat_tables(sorted_tables(self.parts))


def sorted_tables(
    parts: Sequence[Arrays], texts: Mapping[str, Sequence[str]] | None = None
) -> Iterator[pa.Table]:
    """Yield the rows of all parts, sorted as in :meth:`Columns.table`, in one table or several.

    Only the columns by which rows are sorted are held in memory as a whole.

    Parameters
    ----------
    parts
        Parts of the table, with the same columns; at least one.
    texts
        For some columns, the texts that their numbers stand for. They become dictionaries of Arrow.
    """
    texts = texts or {}
    dictionaries = {name: of_texts(known).combine_chunks() for name, known in texts.items()}
    types = {name: np.result_type(*(part[name].dtype for part in parts)) for name in parts[0]}
    starts = np.cumsum([0, *(len(next(iter(part.values()))) for part in parts)])
    order = _order(parts, texts, int(starts[-1]))
    for first in range(0, max(len(order), 1), _ROWS):
        rows = order[first : first + _ROWS]
        by_place = np.argsort(rows)
        places = rows[by_place]
        bounds = np.searchsorted(places, starts)
        taken = [
            (part, by_place[begin:end], places[begin:end] - start)
            for part, start, (begin, end) in zip(
                parts, starts[:-1], itertools.pairwise(bounds), strict=True
            )
            if begin < end
        ]
        columns = {}
        for name, dtype in types.items():
            values = np.empty(len(rows), dtype)
            for part, into, positions in taken:
                values[into] = part[name][positions]
            columns[name] = _column(values, dictionaries.get(name))
        yield pa.table(columns)


def _order(parts: Sequence[Arrays], texts: Mapping[str, Sequence[str]], rows: int) -> Integers:
    """Return the positions of sorted rows among the rows of all parts."""
    keys = []
    for name in _SORT_KEYS:
        if name in parts[0]:
            values = np.concatenate([part[name] for part in parts])
            known = np.array(texts[name], object) if name in texts else None
            keys.append(_ranks(values) if known is None else _ranks(known)[values])
    return np.lexsort(keys[::-1]) if keys else np.arange(rows)


def _ranks(values: Numbers) -> Numbers:
    """Return numbers that sort as the values do; few texts stand in many rows."""
    if values.dtype != object:
        return values
    ranks = {text: rank for rank, text in enumerate(sorted(set(values)))}
    return np.array([ranks[text] for text in values], dtype=np.int64)


def _column(values: Numbers, dictionary: pa.Array | None) -> pa.Array | pa.ChunkedArray:
    if dictionary is not None:
        return pa.DictionaryArray.from_arrays(of_numbers(values), dictionary)
    return of_texts(values) if values.dtype.kind in "OU" else of_numbers(values)
