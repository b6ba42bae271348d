"""Choice of histograms, categories and datasets by patterns."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase

from bphcoffea.errors import RunError


def check_names(known: Iterable[str], patterns: Iterable[str], kind: str, place: str = "") -> None:
    """Raise a RunError if a pattern matches no name, with the nearest name.

    Parameters
    ----------
    known
        All names.
    patterns
        Names, or patterns with wildcards.
    kind
        What the names belong to.
    place
        Where the patterns stand, at the beginning of the message.
    """
    names = sorted(known)
    for pattern in patterns:
        if pattern not in names and not any(fnmatchcase(name, pattern) for name in names):
            near = difflib.get_close_matches(pattern, names, 1)
            suggestion = f", did you mean '{near[0]}'?" if near else ";"
            raise RunError(
                f"{place}no {kind} matches '{pattern}'{suggestion} "
                f"there are: {', '.join(names) or 'none'}"
            )


def chosen(names: Iterable[str], patterns: Iterable[str], kind: str) -> list[str]:
    """Return the names that match a pattern, in order; all without patterns.

    Raises
    ------
    RunError
        If a pattern matches no name.
    """
    listed, wanted = list(names), tuple(patterns)
    check_names(listed, wanted, kind)
    return matching(listed, wanted) if wanted else listed


def matching(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return the names that match a pattern, in order."""
    wanted = tuple(patterns)
    return [name for name in names if any(name == p or fnmatchcase(name, p) for p in wanted)]
