"""Errors that are reported to the person at the terminal in one line, without a traceback."""

from bphcoffea.redaction import redacted


class InputError(Exception):
    """Bad input or wrong usage: the message says what is wrong, where, and what to do.

    The command line prints it and exits with status 2. It may hold several lines, one a problem.
    Passwords and tokens in it are hidden, since messages are also written to files and logs.
    """

    def __init__(self, *lines: object) -> None:
        super().__init__(*(redacted(line) if isinstance(line, str) else line for line in lines))


class DeclarationError(InputError, ValueError):
    """An analysis declares something that cannot work, such as two histograms of one name.

    It is raised when the analysis is defined; whoever loads the file adds its name and the line.
    """
