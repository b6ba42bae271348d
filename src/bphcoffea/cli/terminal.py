"""Printing results to standard output: lines and tables."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from bphcoffea.streams import PlainConsole

console = PlainConsole()


def say(text: str) -> None:
    """Print a text without breaking its lines, so that paths can be copied."""
    console.print(text, soft_wrap=True, highlight=False)


def show(lines: Iterable[str | Table]) -> None:
    """Print lines and tables."""
    for line in lines:
        if isinstance(line, str):
            say(line)
        else:
            console.print(line)


def new_table(*headers: str, title: str | None = None, numbers: slice = slice(1, None)) -> Table:
    """Return an empty table in which the columns `numbers` are aligned to the right."""
    table = Table(*headers, title=title, title_justify="left")
    for column in table.columns[numbers]:
        column.justify = "right"
    return table


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural if needed: ``2 files``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
