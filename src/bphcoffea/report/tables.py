"""Tables of a report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rich.table import Table as TerminalTable
from rich.text import Text


@dataclass(frozen=True)
class Cell:
    """Cell of a table.

    Attributes
    ----------
    text
        Text that is shown.
    value
        Number by which the column is sorted; None for texts.
    differs
        Whether the cell is highlighted, because it differs from another run.
    """

    text: str
    value: float | None = None
    differs: bool = False


CellLike: TypeAlias = Cell | str | int | float | None
Row: TypeAlias = Sequence[CellLike]


@dataclass(frozen=True)
class Table:
    """Table with a caption; the first column names the rows.

    Examples
    --------
    >>> Table("Cutflow", ("step", "events"), [("mass", 1234)]).cells[0][1]
    Cell(text='1,234', value=1234, differs=False)
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Row]

    @property
    def cells(self) -> list[list[Cell]]:
        """Cells of all rows."""
        return [[_cell(cell) for cell in row] for row in self.rows]

    @classmethod
    def of_terminal(cls, table: TerminalTable) -> Table:
        """Return a table that is made for terminals."""
        columns = [[_read(_plain(cell)) for cell in column.cells] for column in table.columns]
        header = [_plain(column.header) for column in table.columns]
        return cls(_plain(table.title or ""), header, list(zip(*columns, strict=True)))


def _plain(text: object) -> str:
    return text.plain if isinstance(text, Text) else Text.from_markup(str(text)).plain


def _read(text: str) -> Cell:
    """Return a cell with a text, and its number if it is one."""
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return Cell(text)
    return Cell(text, value if math.isfinite(value) else None)


def _cell(content: CellLike) -> Cell:
    match content:
        case Cell():
            return content
        case None:
            return Cell("–")
        case str():
            return Cell(content)
        case int():
            return Cell(f"{content:,}", content)
        case float():
            return number(content)


def number(value: float | None, form: str = ".6g") -> Cell:
    """Return a number with a format; a dash if it is unknown."""
    return Cell("–") if value is None else Cell(format(value, form), value)


def share(part: float, whole: float) -> Cell:
    """Return a fraction in percent; a dash if the whole is zero."""
    return number(part / whole, ".1%") if whole else Cell("–")


def difference(value: float, reference: float) -> Cell:
    """Return the relative difference to a reference; it is highlighted unless it is zero.

    >>> difference(11, 10)
    Cell(text='+10%', value=0.1, differs=True)
    """
    if value == reference:
        return Cell("same", 0.0)
    if not reference:
        return Cell("only here", differs=True)
    relative = (value - reference) / abs(reference)
    return Cell(f"{100 * relative:+.3g}%", relative, differs=True)


def pairs(caption: str, header: Sequence[str], content: Iterable[tuple[str, object]]) -> Table:
    """Return a table of names and texts, without those that are empty."""
    rows = [(name, str(text)) for name, text in content if text not in (None, "", (), [], {})]
    return Table(caption, header, rows)
