"""Reports of bugs and bad input at the terminal, the line in the analysis first."""

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
    """Print to stderr where a bug is and what it says, with the traceback if it is no user's.

    The traceback of a bug in an analysis is printed on request.

    Parameters
    ----------
    error
        An exception that is no InputError.
    """
    from bphcoffea.execution.bugs import Bug

    bug = Bug.from_exception(error)
    first, *others = bug.lines()
    lines = [f"bphcoffea: error: {first}", *others]
    if not bug.in_analysis:
        # whoever mends it needs all, and a long run is not made again for that
        lines = [bug.traceback.rstrip(), *lines, "bphcoffea: this may be a bug in bphcoffea"]
    elif _requested:
        lines = [bug.traceback.rstrip(), *lines, "bphcoffea: this is a bug in the analysis"]
    else:
        hint = f"for the traceback: bphcoffea --debug …, or {VARIABLE}=1"
        lines.append(f"bphcoffea: this is a bug in the analysis; {hint}")
    print("\n".join(lines), file=sys.stderr)


def report_bad_input(error: InputError) -> None:
    """Print what is wrong to stderr, a line each; with the line of the analysis that says it."""
    where = ""
    if isinstance(error, DeclarationError):
        from bphcoffea.execution.bugs import declared_at

        where = declared_at(error)
    for line in str(error).splitlines():
        print(f"bphcoffea: error: {where}{line}", file=sys.stderr)
