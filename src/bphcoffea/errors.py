"""Exceptions with a message for the user: what is wrong, where, and how to mend it.

`InputError` is the root, so that ``except InputError`` catches every error that is not a bug. Its
subclasses name the subject; catch one of them to handle, for example, an unusable fileset alone.
"""

import difflib
from collections.abc import Iterable, Iterator

from bphcoffea.redaction import redacted


class InputError(Exception):
    """Bad input or wrong usage.

    The message names the thing, its place and the remedy. It may have several lines, one for each
    problem. The command line prints it without a traceback and exits with status 2. Passwords and
    tokens are hidden, because messages also reach files and logs.

    Examples
    --------
    >>> from bphcoffea import InputError, load_fileset
    >>> try:
    ...     load_fileset("missing.json")
    ... except InputError as error:
    ...     print(error)
    missing.json: no such file
    """

    def __init__(self, *lines: object) -> None:
        super().__init__(*(redacted(line) if isinstance(line, str) else line for line in lines))

    @classmethod
    def raise_for(cls, problems: Iterable[str]) -> None:
        """Raise one error with a line for each problem, if there is any."""
        lines = list(problems)
        if lines:
            raise cls("\n".join(lines))


def alternatives(name: str, known: Iterable[str], listed: str = "there are") -> str:
    """Return the end of a message about an unknown name: the similar name, and all known ones.

    Parameters
    ----------
    name
        The unknown name.
    known
        All names.
    listed
        Words before the list of all names.

    Examples
    --------
    >>> alternatives("2017b", ["2017B", "2018D"])
    "; did you mean '2017B'? There are: 2017B, 2018D"
    >>> alternatives("mc", ["2017B", "2018D"], "the fileset has")
    '; the fileset has: 2017B, 2018D'
    """
    names = list(known)
    everything = f"{listed}: {', '.join(names) or 'none'}"
    by_folded = {other.casefold(): other for other in names}
    near = difflib.get_close_matches(name.casefold(), by_folded, 1)
    if not near:
        return f"; {everything}"
    return f"; did you mean '{by_folded[near[0]]}'? {everything[0].upper()}{everything[1:]}"


class DeclarationError(InputError, ValueError):
    """An analysis declares something that cannot work, such as two histograms of one name.

    It is raised when the class is defined; loading the analysis adds the file and the line.
    """


class FilesetError(InputError):
    """A fileset, or a ROOT file that it lists, cannot be used."""


class CorrectionsError(InputError):
    """A corrections file, a payload or a list of certified luminosity sections cannot be used."""


class FacilityError(InputError):
    """A facility file, a cluster, a grid proxy or a storage place cannot be used."""


class RunError(InputError):
    """A run cannot be made, or its folder lacks what is asked for."""


class FitError(InputError):
    """A fit or a limit cannot be made of the results of a run."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, and what it was raised from or while handling, each once."""
    cause: BaseException | None = error
    seen: list[BaseException] = []
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        cause = cause.__cause__ or cause.__context__
