"""Log messages of the library on the standard error stream."""

from __future__ import annotations

import logging
import sys

from typing_extensions import override


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
