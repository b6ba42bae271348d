"""Rows of two tables of candidates that are of the same event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bphcoffea.arrays import Integers

#: Columns that number an event, and its place.
NUMBERS, PLACE = ("run", "lumi", "event"), ("file", "entry")


class Matched(NamedTuple):
    """Pairs of rows of two tables, and the rows that have no partner, ascending."""

    first: Integers
    second: Integers
    only_first: Integers
    only_second: Integers


def match(first: pa.Table, second: pa.Table) -> Matched:
    """Pair the rows of two tables of candidates by their events.

    Events are the same if their numbers are. Simulation may repeat numbers: events of the same file
    and entry are then paired first, those of the same entry next, and others in order. Without
    numbers, the file and the entry decide.
    """
    names = set(first.column_names) & set(second.column_names)
    numbers = tuple(name for name in NUMBERS if name in names)
    place = tuple(name for name in PLACE if name in names)
    if "event" not in numbers:
        attempts: Sequence[tuple[str, ...]] = (place,)
    elif all(_unique(table, numbers) for table in (first, second)):
        attempts = (numbers,)
    else:
        attempts = tuple(dict.fromkeys(((*numbers, *place), (*numbers, *place[1:]), numbers)))
    left, right = np.arange(first.num_rows), np.arange(second.num_rows)
    pairs = [(left[:0], right[:0])]
    for columns in attempts:
        keys = _keys(first.take(pa.array(left)), second.take(pa.array(right)), columns)
        _, in_left, in_right = np.intersect1d(*keys, assume_unique=True, return_indices=True)
        pairs.append((left[in_left], right[in_right]))
        left, right = np.delete(left, in_left), np.delete(right, in_right)
    of_first, of_second = (np.concatenate(rows) for rows in zip(*pairs, strict=True))
    order = np.argsort(of_first)
    return Matched(of_first[order], of_second[order], left, right)


def _unique(table: pa.Table, names: Sequence[str]) -> bool:
    groups = table.select(names).group_by(list(names)).aggregate([])
    return bool(groups.num_rows == table.num_rows)


def _keys(first: pa.Table, second: pa.Table, names: Sequence[str]) -> tuple[Integers, Integers]:
    """Return one number per row, equal for equal columns; repeated rows are numbered as well."""
    codes = np.zeros(first.num_rows + second.num_rows, dtype=np.int64)
    for name in names:
        codes = _numbered(codes, _values(first, second, name))
    ranks = np.concatenate([_ranks(codes[: first.num_rows]), _ranks(codes[first.num_rows :])])
    keys = _numbered(codes, ranks)
    return keys[: first.num_rows], keys[first.num_rows :]


def _values(first: pa.Table, second: pa.Table, name: str) -> Integers:
    column = pa.chunked_array([*first[name].chunks, *second[name].chunks], first[name].type)
    if pa.types.is_string(column.type):
        column = pc.dictionary_encode(column).combine_chunks().indices
    values: Integers = column.to_numpy()
    return values


def _numbered(codes: Integers, values: Integers) -> Integers:
    """Return one number per pair of a code and a value, shape (n,)."""
    _, inverse = np.unique(values, return_inverse=True)
    pairs = codes * (int(inverse.max(initial=0)) + 1) + inverse
    numbered: Integers = np.unique(pairs, return_inverse=True)[1]
    return numbered


def _ranks(codes: Integers) -> Integers:
    """Return how many earlier rows have the same code, shape (n,)."""
    order = np.argsort(codes, kind="stable")
    _, first, counts = np.unique(codes[order], return_index=True, return_counts=True)
    ranks = np.empty(len(codes), dtype=np.int64)
    ranks[order] = np.arange(len(codes)) - np.repeat(first, counts)
    return ranks
