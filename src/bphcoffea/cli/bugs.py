"""Report of a bug: its line in the analysis first, and the whole traceback only on request."""

from __future__ import annotations

import sys

from bphcoffea.errors import DeclarationError, InputError

#: Variable of the environment that asks for tracebacks.
VARIABLE = "BPHCOFFEA_DEBUG"
_requested = False


def request_tracebacks(requested: bool) -> None:
    """Set whether the bugs of this command are reported with their whole traceback."""
    global _requested
    _requested = requested


def report_bug(error: Exception) -> None:
    """Print where a bug is and what it says to stderr; the whole traceback only on request.

    Parameters
    ----------
    error
        An exception that is no InputError.
    """
    from bphcoffea.execution.bugs import Bug

    bug = Bug.of(error)
    first, *others = bug.lines()
    whose = "is a bug in the analysis" if bug.is_users else "may be a bug in bphcoffea"
    lines = [f"bphcoffea: error: {first}", *others]
    if _requested:
        lines = [bug.traceback.rstrip(), *lines, f"bphcoffea: this {whose}"]
    else:
        hint = f"for the traceback: bphcoffea --debug …, or {VARIABLE}=1"
        lines.append(f"bphcoffea: this {whose}; {hint}")
    print("\n".join(lines), file=sys.stderr)


def report_bad_input(error: InputError) -> None:
    """Print what is wrong to stderr, a line each; with the line of the analysis that says it."""
    where = ""
    if isinstance(error, DeclarationError):
        from bphcoffea.execution.bugs import declared_at

        where = declared_at(error)
    for line in str(error).splitlines():
        print(f"bphcoffea: error: {where}{line}", file=sys.stderr)
