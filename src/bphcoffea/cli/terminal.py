"""Printing results to standard output, and messages to standard error: lines and tables.

In a terminal, lines are broken between words, and tables made narrow enough; nothing is cut off.
What goes to a file or a pipe has whole lines, unless ``COLUMNS`` gives a width.
"""

from __future__ import annotations

import logging
import os
import sys
import textwrap
from collections.abc import Iterable

from rich import box
from rich.cells import cell_len
from rich.padding import Padding
from rich.table import Column, Table
from typing_extensions import override

from bphcoffea.streams import PlainConsole

#: Least width of a column of text, whose words are broken if they are longer.
_LEAST_TEXT = 10
_UNLIMITED = 1_000_000


def _console(*, stderr: bool = False) -> PlainConsole:
    console = PlainConsole(stderr=stderr)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _UNLIMITED
    return console


def terminal_width() -> int:
    """Return how many characters fit into a line of standard output."""
    return _console().width


def say(text: str) -> None:
    """Print a text; paths and other words stay whole, so that they can be copied."""
    print(_fitted(text, _console()), flush=True)


def complain(text: str) -> None:
    """Print a text to standard error, as :func:`say` does."""
    print(_fitted(text, _console(stderr=True)), file=sys.stderr, flush=True)


def _fitted(text: str, console: PlainConsole) -> str:
    """Return a text with its lines broken between words where they are too long."""
    lines = []
    for line in console.render_str(text).plain.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        broken = textwrap.wrap(
            line,
            console.width,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
        )
        lines += broken or [line]
    return "\n".join(lines)


def show_json(text: str) -> None:
    """Print JSON, in colours in a terminal; its lines stay whole, so that it can be copied."""
    _console().print_json(text)


def show(lines: Iterable[str | Table]) -> None:
    """Print lines and tables."""
    for line in lines:
        if isinstance(line, str):
            say(line)
        else:
            show_table(line)


def new_table(*headers: str, title: str | None = None, numbers: slice = slice(1, None)) -> Table:
    """Return an empty table in which the columns `numbers` are aligned to the right."""
    table = Table(*headers, title=title, title_justify="left")
    for column in table.columns[numbers]:
        column.justify = "right"
    return table


def show_table(table: Table) -> None:
    """Print a table without breaking numbers; if its columns do not fit, each row is a line."""
    table.box, table.show_edge, table.pad_edge = box.SIMPLE, False, False
    for column in table.columns:
        column.overflow, column.no_wrap = "fold", column.justify == "right"
    console = _console()
    needed = sum(map(_least_width, table.columns)) + 3 * (len(table.columns) - 1)
    if needed <= console.width:
        console.print(table)
        return
    if table.title:
        say(str(table.title))
    headers = [str(column.header) for column in table.columns]
    for name, *cells in zip(*(column.cells for column in table.columns), strict=True):
        pairs = zip(headers[1:], map(_plain, cells), strict=True)
        say(f"{_plain(name)}: {', '.join(f'{header} {cell}' for header, cell in pairs if cell)}")


def _least_width(column: Column) -> int:
    lines = [line for cell in (column.header, *column.cells) for line in _plain(cell).splitlines()]
    width = max(map(cell_len, lines), default=0)
    return width if column.no_wrap else min(width, _LEAST_TEXT)


def _plain(cell: object) -> str:
    """Return the text of a cell, without the indentation that it may have."""
    return str(cell.renderable if isinstance(cell, Padding) else cell)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural if needed: ``2 files``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


class _Handler(logging.Handler):
    """Write plain lines to the current ``sys.stderr``, which hides secrets and may be replaced."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        serious = record.levelno >= logging.WARNING
        prefix = f"{record.levelname.lower()}: " if serious else ""
        try:
            complain(prefix + self.format(record))
        except Exception:  # noqa: BLE001 - logging must not end the program
            self.handleError(record)


_HANDLER = _Handler()


def show_log(*, quiet: bool = False, verbose: bool = False) -> None:
    """Show the library's log; may be called repeatedly.

    Parameters
    ----------
    quiet
        Show only warnings and errors.
    verbose
        Also show debugging messages.
    """
    logger = logging.getLogger("bphcoffea")
    logger.addHandler(_HANDLER)  # does nothing if it was added before
    logger.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
