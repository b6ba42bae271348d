"""Printing results to standard output: lines and tables."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable

from rich.table import Table
from typing_extensions import override

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


class _Handler(logging.Handler):
    """Write plain lines to the current ``sys.stderr``, which hides secrets and may be replaced."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        serious = record.levelno >= logging.WARNING
        prefix = f"{record.levelname.lower()}: " if serious else ""
        try:
            print(prefix + self.format(record), file=sys.stderr, flush=True)
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
