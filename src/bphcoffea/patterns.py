"""Choosing names by shell patterns."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from bphcoffea.errors import InputError, alternatives


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a name is one of some patterns, or matches one.

    >>> matches("jes_Total", ["jer", "jes_*"]), matches("mc [2017]", ["mc [2017]"])
    (True, True)
    """
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def matching(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return the names that match a pattern, in order."""
    wanted = tuple(patterns)
    return [name for name in names if matches(name, wanted)]


def check_patterns(
    known: Iterable[str],
    patterns: Iterable[str],
    kind: str,
    error: type[InputError] = InputError,
    *,
    place: str = "",
    listed: str = "there are",
) -> None:
    """Raise an error for a pattern that matches no name.

    Parameters
    ----------
    known
        All names.
    patterns
        The patterns.
    kind
        What the names belong to.
    error
        Type of the error.
    place
        Where the patterns stand, at the beginning of the message.
    listed
        Words before the list of all names.
    """
    names = list(known)
    for pattern in patterns:
        if not matching(names, [pattern]):
            raise error(
                f"{place}no {kind} matches '{pattern}'{alternatives(pattern, names, listed)}"
            )


def chosen(
    names: Iterable[str],
    patterns: Iterable[str],
    kind: str,
    error: type[InputError] = InputError,
    *,
    place: str = "",
    listed: str = "there are",
) -> list[str]:
    """Return the names that match a pattern, in order; all without patterns.

    The parameters are those of :func:`check_patterns`, which raises the errors.
    """
    everything, wanted = list(names), tuple(patterns)
    check_patterns(everything, wanted, kind, error, place=place, listed=listed)
    return matching(everything, wanted) if wanted else everything
