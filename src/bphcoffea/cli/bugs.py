"""Reports of bugs and bad input at the terminal; for bugs in an analysis, its line comes first."""

from __future__ import annotations

import sys

from bphcoffea import execution
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
        hint = f"for the traceback: bphcoffea --debug …, or {VARIABLE}=1"
        lines.append(f"bphcoffea: this is a bug in the analysis; {hint}")
    print("\n".join(lines), file=sys.stderr)


def report_bad_input(error: InputError) -> None:
    """Print the problems to stderr, one per line, with the place in the analysis if it has one."""
    where = ""
    if isinstance(error, DeclarationError):
        where = execution.declared_at(error)
    for line in str(error).splitlines():
        print(f"bphcoffea: error: {where}{line}", file=sys.stderr)
