"""Errors that are reported to the person at the terminal in one line, without a traceback."""


class InputError(Exception):
    """Bad input or wrong usage: the message says what is wrong, where, and what to do.

    The command line prints it and exits with status 2. It may hold several lines, one a problem.
    """


class DeclarationError(InputError, ValueError):
    """An analysis declares something that cannot work, such as two histograms of one name.

    It is raised when the analysis is defined; whoever loads the file adds its name and the line.
    """
