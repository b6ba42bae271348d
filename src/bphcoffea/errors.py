"""What is told to the person at the terminal in one line, instead of a traceback."""


class InputError(Exception):
    """Bad input or wrong usage: the message says what is wrong, where, and what to do.

    The command line prints it and exits with status 2. It may hold several lines, one a problem.
    """
