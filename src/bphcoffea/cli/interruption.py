"""A clean end on Ctrl-C, and on SIGTERM, which batch systems send before they kill a process."""

from __future__ import annotations

import signal
import sys
from typing import Any

import typer
from typer.core import TyperGroup


class TerminatedError(KeyboardInterrupt):
    """The process was asked to end; handled like Ctrl-C."""


class InterruptibleGroup(TyperGroup):
    """Commands that print one line, with the notes of the exception, when they are interrupted.

    The exit status is that of a process which the signal ended: 130 or 143.
    """

    def invoke(self, ctx: Any) -> Any:
        """Invoke the command; called by click."""
        before = signal.signal(signal.SIGTERM, _terminate)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            terminated = isinstance(interrupt, TerminatedError)
            notes = getattr(interrupt, "__notes__", ())
            line = "; ".join(("terminated" if terminated else "interrupted", *notes))
            print(f"bphcoffea: {line}", file=sys.stderr)
            number = signal.SIGTERM if terminated else signal.SIGINT
            raise typer.Exit(128 + number) from None
        finally:
            signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: object) -> None:  # noqa: ARG001
    # a second signal must not interrupt the clean-up
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise TerminatedError
