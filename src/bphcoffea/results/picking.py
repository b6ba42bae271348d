"""Selected candidates of a run whose values lie in some ranges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from bphcoffea.errors import RunError, alternatives
from bphcoffea.patterns import chosen
from bphcoffea.results.folder import RunFolder
from bphcoffea.storage import write_file

#: Name of the column with the dataset, which tables of one dataset lack.
DATASET = "dataset"


@dataclass(frozen=True)
class ValueRange:
    """Range of the values of a column, with both ends.

    Examples
    --------
    >>> ValueRange.of("mass 1.95:1.99")
    ValueRange(column='mass', low=1.95, high=1.99)
    >>> ValueRange.of("event 1234"), ValueRange.of("pt 5:").high
    (ValueRange(column='event', low=1234, high=1234), None)
    """

    column: str
    low: float | None
    high: float | None

    @classmethod
    def of(cls, text: str) -> ValueRange:
        """Return the range of a text ``COLUMN LOW:HIGH`` or ``COLUMN VALUE``.

        Raises
        ------
        RunError
            If the text is neither, or the lower end is above the other.
        """
        column, _, ends = text.strip().rpartition(" ")
        low, colon, high = ends.partition(":")
        try:
            if not column or not (low or high):
                raise ValueError
            numbers = [_number(end) if end else None for end in (low, high if colon else low)]
        except ValueError:
            raise RunError(f"'{text}': write COLUMN LOW:HIGH or COLUMN VALUE") from None
        if low and high and float(low) > float(high):
            raise RunError(f"'{text}': the lower end, {low}, is above the upper one, {high}")
        return cls(column.strip(), *numbers)


def pick(
    run: RunFolder,
    ranges: Iterable[ValueRange] = (),
    *,
    datasets: Sequence[str] = (),
    groups: Sequence[str] = (),
) -> pa.Table:
    """Return the selected candidates whose values lie in all of some ranges.

    Parameters
    ----------
    run
        The run.
    ranges
        The ranges.
    datasets
        Names of datasets, or glob patterns; all by default.
    groups
        Categories or regions, of which a candidate must be in one; all by default.

    Returns
    -------
    The rows of the tables of candidates, by dataset, with the column ``dataset`` in front. Columns
    that a dataset lacks are null. Hidden data are in no table.

    Raises
    ------
    RunError
        If no dataset matches a pattern, or no table has a column or group.
    """
    names = [name for name in run.datasets if run.has_candidates(name)]
    if not names:
        raise RunError(f"{run.path}: no dataset has a table of candidates")
    place = f"{run.path}: "
    wanted = chosen(names, datasets, "dataset", RunError, place=place)
    tables = {name: run.candidates(name) for name in wanted}
    ranges = list(ranges)
    columns = dict.fromkeys(column for table in tables.values() for column in table.column_names)
    for each in ranges:
        if each.column not in columns:
            raise RunError(f"{place}no column '{each.column}'{alternatives(each.column, columns)}")
    known = _groups(tables.values())
    for group in groups:
        if group not in known:
            raise RunError(
                f"{place}no candidate is in the category or region '{group}'"
                f"{alternatives(group, known)}"
            )
    parts = [_picked(name, table, ranges, groups) for name, table in tables.items()]
    return pa.concat_tables(parts, promote_options="permissive")


def _picked(
    name: str, table: pa.Table, ranges: Sequence[ValueRange], groups: Sequence[str]
) -> pa.Table:
    keep = pa.array([True] * table.num_rows)
    for wanted in ranges:
        if wanted.column not in table.column_names:
            keep = pa.array([False] * table.num_rows)
            continue
        values = table[wanted.column]
        if wanted.low is not None:
            keep = pc.and_(keep, pc.greater_equal(values, wanted.low))
        if wanted.high is not None:
            keep = pc.and_(keep, pc.less_equal(values, wanted.high))
    if groups:
        inside = pa.array([False] * table.num_rows)
        for group in groups:
            if "category" in table.column_names:
                inside = pc.or_(inside, pc.equal(table["category"], group))
            if f"in_{group}" in table.column_names:
                inside = pc.or_(inside, table[f"in_{group}"])
        keep = pc.and_(keep, inside)
    picked = table.filter(keep)
    return picked.add_column(0, DATASET, pa.array([name] * picked.num_rows, pa.string()))


def _groups(tables: Iterable[pa.Table]) -> list[str]:
    """Return the categories and regions of some tables."""
    found: dict[str, None] = {}
    for table in tables:
        if "category" in table.column_names:
            found |= dict.fromkeys(sorted(table["category"].unique().to_pylist()))
        found |= {c.removeprefix("in_"): None for c in table.column_names if c.startswith("in_")}
    return list(found)


def _number(text: str) -> float:
    try:
        return int(text)  # event numbers have more digits than a float
    except ValueError:
        return float(text)


def write_table(table: pa.Table, path: Path) -> Path:
    """Write a table as CSV or Parquet, by the extension of the file, and return the path.

    Raises
    ------
    RunError
        If the extension is neither ``.csv`` nor ``.parquet``.
    UnwritableError
        If the file cannot be written.
    """
    write = {".parquet": pq.write_table, ".csv": csv.write_csv}.get(path.suffix)
    if write is None:
        raise RunError(f"{path}: the name must end in .csv or .parquet")
    content = pa.BufferOutputStream()
    write(table, content)
    return write_file(path, content.getvalue())
