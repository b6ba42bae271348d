"""How commands end early: on a bug or bad input, on Ctrl-C, and on SIGTERM of a batch system."""

from __future__ import annotations

import signal
from typing import Any

import typer
from typer.core import TyperGroup

from bphcoffea import execution
from bphcoffea.cli.terminal import complain
from bphcoffea.errors import DeclarationError, InputError

#: Environment variable that requests tracebacks.
VARIABLE = "BPHCOFFEA_DEBUG"
_requested = False


def request_tracebacks(requested: bool) -> None:
    """Set whether bugs of this command are reported with their full traceback."""
    global _requested
    _requested = requested


def report_bug(error: Exception) -> None:
    """Print the place and the message of a bug to stderr.

    A bug in bphcoffea itself is always printed with its traceback, one in a user's analysis only
    if :func:`request_tracebacks` asked for it.

    Parameters
    ----------
    error
        An exception that is not an InputError.
    """
    bug = execution.Bug.from_exception(error)
    first, *others = bug.lines()
    lines = [f"bphcoffea: error: {first}", *others]
    if not bug.in_analysis:
        # a bug report needs the traceback, and nobody repeats a long run to get it
        lines = [bug.traceback.rstrip(), *lines, "bphcoffea: this may be a bug in bphcoffea"]
    elif _requested:
        lines = [bug.traceback.rstrip(), *lines, "bphcoffea: this is a bug in the analysis"]
    else:
        hint = f"for the traceback: add --debug, or set {VARIABLE}=1"
        lines.append(f"bphcoffea: this is a bug in the analysis; {hint}")
    complain("\n".join(lines))


def report_bad_input(error: InputError) -> None:
    """Print the problems to stderr, one per line, with the place in the analysis if it has one."""
    where = ""
    if isinstance(error, DeclarationError):
        where = execution.declared_at(error)
    for line in str(error).splitlines():
        complain(f"bphcoffea: error: {where}{line}")


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
        except (KeyboardInterrupt, Exception) as error:
            interrupt = _interruption(error)
            if interrupt is None:
                raise
            terminated = isinstance(interrupt, TerminatedError)
            notes = getattr(interrupt, "__notes__", ())
            line = "; ".join(("terminated" if terminated else "interrupted", *notes))
            complain(f"bphcoffea: {line}")
            number = signal.SIGTERM if terminated else signal.SIGINT
            raise typer.Exit(128 + number) from None
        finally:
            signal.signal(signal.SIGTERM, before)


def _interruption(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interruption that led to an error: extensions that are imported replace it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def _terminate(number: int, frame: object) -> None:  # noqa: ARG001
    # a second signal must not interrupt the clean-up
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise TerminatedError
